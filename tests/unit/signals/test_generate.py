"""Who gets a signal, who is woken, and what is dropped at once."""

from functools import partial
from typing import Any

import pytest
from fakes.tasks import FakeTask, new_task

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.siginfo import SI
from aionoah.abi.signal import SIG, SIG_IGN
from aionoah.host.waiting import Source, Waiter
from aionoah.signals.actions import DEFAULT, Disposition, signal_set
from aionoah.signals.generate import discard_ignored, force, offer_to_others, send_to_process, send_to_task
from aionoah.signals.info import from_fault, from_user

HANDLED = Disposition(0x1000)


@pytest.fixture
def task() -> Any:
    return new_task()


def second_thread(task: Any) -> Any:
    return FakeTask(task.process, task.tid + 1)


def test_a_signal_for_a_process_is_shared(task: Any) -> None:
    send_to_process(task.process, from_user(SIG.TERM, 1, 0))
    assert task.process.signals.pending.bits == signal_set(SIG.TERM)
    assert task.signals.pending.bits == 0
    assert task.interrupts == 1


def test_a_signal_for_a_thread_is_its_own(task: Any) -> None:
    other = second_thread(task)
    send_to_task(other, from_user(SIG.TERM, 1, 0))
    assert other.signals.pending.bits == signal_set(SIG.TERM)
    assert task.process.signals.pending.bits == 0
    assert (task.interrupts, other.interrupts) == (0, 1)


def test_who_ends_anyway_gets_none(task: Any) -> None:
    task.process.exit_status = 0
    assert not send_to_process(task.process, from_user(SIG.KILL, 1, 0))
    assert not send_to_task(task, from_user(SIG.KILL, 1, 0))
    assert (task.signals.all_pending, task.interrupts) == (0, 0)


def test_the_first_thread_that_does_not_block_it_is_interrupted(task: Any) -> None:
    second, third = second_thread(task), FakeTask(task.process, task.tid + 2)
    task.signals.set_mask(signal_set(SIG.TERM))
    send_to_process(task.process, from_user(SIG.TERM, 1, 0))
    assert (task.interrupts, second.interrupts, third.interrupts) == (0, 1, 0)


def test_sigkill_interrupts_all(task: Any) -> None:
    other = second_thread(task)
    send_to_process(task.process, from_user(SIG.KILL, 1, 0))
    assert (task.interrupts, other.interrupts) == (1, 1)


@pytest.mark.parametrize("send", [lambda task, info: send_to_process(task.process, info), send_to_task])
def test_ignored_signals_are_dropped(task: Any, send: Any) -> None:
    task.process.signals.dispositions[SIG.TERM] = Disposition(SIG_IGN)
    for signal in (SIG.TERM, SIG.CHLD):
        send(task, from_user(signal, 1, 0))
    assert task.signals.all_pending == 0
    assert task.interrupts == 0


@pytest.mark.parametrize("send", [lambda task, info: send_to_process(task.process, info), send_to_task])
def test_ignored_signals_that_are_blocked_wait(task: Any, send: Any) -> None:
    task.signals.set_mask(signal_set(SIG.CHLD))
    send(task, from_user(SIG.CHLD, 1, 0))
    assert task.signals.all_pending == signal_set(SIG.CHLD)
    assert task.interrupts == 0


def test_ignored_signals_that_are_waited_for_have_to_be_blocked(task: Any) -> None:
    task.signals.wait_for(signal_set(SIG.CHLD))
    send_to_process(task.process, from_user(SIG.CHLD, 1, 0))
    assert task.signals.all_pending == 0
    task.signals.set_mask(signal_set(SIG.CHLD))
    send_to_process(task.process, from_user(SIG.CHLD, 1, 0))
    assert task.signals.all_pending == signal_set(SIG.CHLD)
    assert task.interrupts == 0


@pytest.mark.parametrize(("signal", "interrupts"), [(SIG.TERM, 1), (SIG.QUIT, 0), (SIG.USR1, 0)])
def test_fatal_signals_that_are_waited_for_have_to_be_blocked(
    task: Any, signal: int, interrupts: int
) -> None:
    task.process.signals.dispositions[SIG.USR1] = HANDLED
    task.signals.wait_for(signal_set(signal))
    send_to_process(task.process, from_user(signal, 1, 0))
    assert task.interrupts == interrupts


def test_a_signal_that_the_chosen_thread_blocks_goes_on_to_another(task: Any) -> None:
    second, third = second_thread(task), FakeTask(task.process, task.tid + 2)
    second.signals.set_mask(signal_set(SIG.TERM))
    send_to_process(task.process, from_user(SIG.TERM, 1, 0))
    task.signals.offer_to_others = partial(offer_to_others, task)
    task.signals.set_mask(signal_set(SIG.HUP))
    assert third.interrupts == 0
    task.signals.set_mask(signal_set(SIG.TERM))
    assert (second.interrupts, third.interrupts) == (0, 1)


def test_whoever_watches_the_queue_is_woken_even_for_blocked_signals(task: Any) -> None:
    task.signals.set_mask(signal_set(SIG.INT))
    for send in (lambda info: send_to_process(task.process, info), lambda info: send_to_task(task, info)):
        waiter = Waiter(Source(task.process.signals.queue), None)
        task.process.signals.queue.add(waiter)
        send(from_user(SIG.INT, 1, 0))
        assert waiter.is_woken


def test_a_stop_cancels_a_continue_and_the_other_way_round(task: Any) -> None:
    other = second_thread(task)
    for thread in (task, other):
        thread.signals.set_mask(signal_set(SIG.CONT, SIG.TSTP))
    send_to_task(other, from_user(SIG.CONT, 1, 0))
    send_to_process(task.process, from_user(SIG.TSTP, 1, 0))
    assert other.signals.all_pending == signal_set(SIG.TSTP)
    send_to_task(task, from_user(SIG.CONT, 1, 0))
    assert task.signals.all_pending == signal_set(SIG.CONT)


def test_the_limit_of_queued_signals(task: Any) -> None:
    send_to_process(task.process, from_user(40, 1, 0, SI.QUEUE), 1)
    send_to_task(task, from_user(40, 1, 0, SI.QUEUE), 1)
    for send in (
        lambda info: send_to_process(task.process, info, 1),
        lambda info: send_to_task(task, info, 1),
    ):
        with pytest.raises(LinuxError) as raised:
            send(from_user(40, 1, 0, SI.QUEUE))
        assert raised.value.errno is Errno.EAGAIN


def test_nobody_feels_a_signal_to_a_zombie(task: Any) -> None:
    task.process.tasks.clear()
    send_to_process(task.process, from_user(SIG.TERM, 1, 0))
    assert task.process.signals.pending.bits == 0


def test_a_process_whose_main_thread_has_ended(task: Any) -> None:
    other = second_thread(task)
    del task.process.tasks[task.tid]
    send_to_process(task.process, from_user(SIG.TERM, 1, 0))
    assert (task.interrupts, other.interrupts) == (0, 1)


# -- signals that the program's own instruction caused --------------------------------------------------------


def test_a_fault_goes_to_its_thread_and_its_handler(task: Any) -> None:
    task.process.signals.dispositions[SIG.SEGV] = HANDLED
    force(task, from_fault(SIG.SEGV, 1, 0))
    assert task.signals.pending.bits == signal_set(SIG.SEGV)
    assert task.process.signals.dispositions[SIG.SEGV] == HANDLED
    assert task.interrupts == 1


def test_a_fault_cannot_be_blocked(task: Any) -> None:
    task.process.signals.dispositions[SIG.SEGV] = HANDLED
    task.signals.set_mask(signal_set(SIG.SEGV, SIG.INT))
    force(task, from_fault(SIG.SEGV, 1, 0))
    assert task.process.signals.dispositions[SIG.SEGV] == DEFAULT
    assert task.signals.mask == signal_set(SIG.INT)


def test_a_fault_cannot_be_ignored(task: Any) -> None:
    task.process.signals.dispositions[SIG.SEGV] = Disposition(SIG_IGN)
    force(task, from_fault(SIG.SEGV, 1, 0))
    assert task.process.signals.dispositions[SIG.SEGV] == DEFAULT
    assert task.signals.is_interrupted


def test_becoming_ignored_discards_what_is_pending(task: Any) -> None:
    other = second_thread(task)
    for thread in (task, other):
        thread.signals.set_mask(signal_set(SIG.TERM, SIG.INT))
        send_to_task(thread, from_user(SIG.TERM, 1, 0))
    send_to_process(task.process, from_user(SIG.TERM, 1, 0))
    send_to_process(task.process, from_user(SIG.INT, 1, 0))
    discard_ignored(task.process, SIG.TERM)
    assert other.signals.pending.bits == signal_set(SIG.TERM)  # its default is to terminate
    task.process.signals.dispositions[SIG.TERM] = Disposition(SIG_IGN)
    discard_ignored(task.process, SIG.TERM)
    assert other.signals.pending.bits == 0
    assert task.signals.all_pending == signal_set(SIG.INT)
