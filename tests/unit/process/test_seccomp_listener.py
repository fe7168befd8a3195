"""Calls that wait for somebody else's answer: what is received, answered, interrupted and forgotten."""

from functools import partial
from typing import Any

import pytest
from fakes.expect import fails

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.poll import Poll
from aionoah.abi.signal import SIG
from aionoah.process.seccomp_listener import Notification, SeccompListener, State
from aionoah.signals.generate import send_to_task
from aionoah.signals.info import from_kernel

IN, OUT = Poll.IN | Poll.RDNORM, Poll.OUT | Poll.WRNORM


@pytest.fixture
def task(family: Any) -> Any:
    return family.first()


def new(users: int = 1, *, waits_killable: bool = False) -> SeccompListener:
    return SeccompListener(lambda: users, waits_killable=waits_killable)


def receive(listener: SeccompListener) -> Notification:
    note = listener.next_new()
    assert note is not None
    note.state = State.SENT
    return note


def test_calls_are_received_in_their_order_and_answered_by_number(task: Any, sleep: Any) -> None:
    listener = new()
    notes = [listener.ask(task, bytes([n])) for n in range(2)]
    sleepers = [sleep(note.wait(listener)) for note in notes]
    assert listener.poll() == IN
    fails(Errno.EINPROGRESS, partial(listener.find, notes[0].number, otherwise=Errno.EINPROGRESS))
    assert [receive(listener).data for _ in notes] == [b"\0", b"\1"]
    assert listener.next_new() is None
    assert listener.poll() == OUT
    listener.find(notes[1].number, otherwise=Errno.EINVAL).answer(0, -Errno.EPERM, is_made=False)
    assert [sleeper.step().has_ended for sleeper in sleepers] == [False, True]
    assert notes[1].result == (1 << 64) - Errno.EPERM
    fails(Errno.ENOENT, partial(listener.find, notes[1].number, otherwise=Errno.EINVAL))


def test_a_signal_ends_the_wait(task: Any, sleep: Any) -> None:
    listener = new()
    note = listener.ask(task, b"")
    sleeper = sleep(note.wait(listener))
    assert sleeper.step(LinuxError(Errno.ERESTARTSYS)).has_ended
    assert note.is_interrupted
    assert listener.poll() == 0


@pytest.mark.parametrize("signal", [SIG.USR1, SIG.KILL])
def test_what_has_been_received_may_be_for_sigkill_alone_to_end(task: Any, sleep: Any, signal: int) -> None:
    listener = new(waits_killable=True)
    note = listener.ask(task, b"")
    sleeper = sleep(note.wait(listener))
    receive(listener)
    send_to_task(task, from_kernel(signal))
    assert sleeper.step(LinuxError(Errno.ERESTARTSYS)).has_ended == (signal == SIG.KILL)


def test_a_listener_that_is_closed_answers_that_there_is_no_such_call(task: Any, sleep: Any) -> None:
    listener = new()
    note = listener.ask(task, b"")
    sleeper = sleep(note.wait(listener))
    listener.drop()
    assert sleeper.step().has_ended
    assert note.result == (1 << 64) - Errno.ENOSYS


def test_without_threads_there_is_nothing_to_come() -> None:
    listener = new(users=0)
    assert listener.poll() == Poll.HUP
    fails(Errno.ENOENT, listener.next_new)
    assert listener.describe() == b"anon_inode:seccomp notify"
