"""Signals that are read."""

from collections.abc import Iterator
from typing import Any

import pytest
from fakes.expect import fails
from fakes.tasks import new_task

from aionoah.abi.epoll import Epoll
from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll
from aionoah.abi.siginfo import SignalfdSiginfo
from aionoah.abi.signal import SIG
from aionoah.fs.epoll import EpollFile, Interest
from aionoah.fs.file import WouldBlock
from aionoah.fs.signalfd import SignalFile
from aionoah.host.edges import HostEdges
from aionoah.host.waiting import Source, Waiter
from aionoah.memory.buffer import KernelBuffer
from aionoah.process.current import set_current
from aionoah.signals.actions import signal_set
from aionoah.signals.generate import send_to_process, send_to_task
from aionoah.signals.info import from_user

WANTED = signal_set(SIG.USR1, SIG.USR2, SIG.KILL)


@pytest.fixture
def task() -> Iterator[Any]:
    task = new_task()
    task.signals.set_mask(WANTED)
    set_current(task)
    yield task
    set_current(None)


@pytest.fixture
def file() -> SignalFile:
    return SignalFile(WANTED, O(O.RDWR))


def take(file: SignalFile, size: int = 1024) -> list[int]:
    buffer = bytearray(size)
    length = file.read_nowait(KernelBuffer(buffer))
    return [SignalfdSiginfo.unpack(bytes(buffer), offset).ssi_signo for offset in range(0, length, 128)]


class Counter:
    def __init__(self) -> None:
        self.news = 0

    def notify(self) -> None:
        self.news += 1


def test_signals_of_thread_and_process(task: Any, file: SignalFile) -> None:
    assert file.poll() == 0
    with pytest.raises(WouldBlock):
        take(file)
    send_to_process(task.process, from_user(SIG.USR1, 1, 2))
    send_to_task(task, from_user(SIG.USR2, 1, 2))
    assert file.poll() == Poll.IN
    assert take(file) == [SIG.USR2, SIG.USR1]
    assert file.poll() == 0
    assert not task.signals.all_pending


def test_as_many_as_fit(task: Any, file: SignalFile) -> None:
    send_to_process(task.process, from_user(SIG.USR1, 1, 2))
    send_to_process(task.process, from_user(SIG.USR2, 1, 2))
    assert take(file, 255) == [SIG.USR1]
    assert take(file, 128) == [SIG.USR2]
    fails(Errno.EINVAL, take, file, 127)


def test_the_set_changes(task: Any, file: SignalFile) -> None:
    send_to_process(task.process, from_user(SIG.USR1, 1, 2))
    counter = Counter()
    for queue in file.source(Poll(Poll.IN)).queues:
        queue.add(counter)
    file.set_signals(signal_set(SIG.USR2))
    assert counter.news == 1
    assert file.poll() == 0
    send_to_process(task.process, from_user(SIG.USR2, 1, 2))
    assert counter.news == 2
    assert take(file) == [SIG.USR2]


def test_nobody_reads_sigkill(task: Any, file: SignalFile) -> None:
    task.process.signals.pending.add(from_user(SIG.KILL, 1, 2))
    assert file.poll() == 0


def test_whose_signals(task: Any, file: SignalFile) -> None:
    send_to_process(task.process, from_user(SIG.USR1, 1, 2))
    set_current(new_task(pid=200))
    assert file.poll() == 0
    with pytest.raises(WouldBlock):
        take(file)


def test_the_rest(file: SignalFile) -> None:
    assert file.seek(5, 0) == 0
    assert file.describe() == b"anon_inode:[signalfd]"


def test_an_exclusive_wait_is_woken_by_whoever_sends(task: Any, file: SignalFile) -> None:
    """A timer has no task, and the sender's own signals are another's."""
    edges = HostEdges()
    epoll, waiter = EpollFile(edges), Waiter(Source(), None)
    epoll.add(file, 3, Interest(Epoll(Poll.IN | Epoll.EXCLUSIVE), 0))
    epoll.waiting.add(waiter)
    set_current(None)
    send_to_process(task.process, from_user(SIG.USR1, 1, 2))
    assert waiter.is_woken
    assert file.poll() == 0
    set_current(task)
    assert [events for _, events in epoll.look(9)] == [Poll.IN]
    edges.close()
