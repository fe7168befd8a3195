"""What becomes of a call in a mailbox: answered, refused, or left to the guest's own thread."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.x86_64 import X86_64
from aionoah.host.waiting import Source, WaitQueue, sleep_on
from aionoah.hypervisor.protocols import Mail, Mailbox
from aionoah.syscalls.dispatch import SyscallTable
from aionoah.syscalls.results import Suspended
from aionoah.vcpu_mailbox import VcpuMailbox

CALL = 1000


class Guest:
    """A thread in the guest, whose call the server has taken."""

    def __init__(self, answer: Callable[..., Any], *, is_async: bool = False) -> None:
        self.task: Any = SimpleNamespace(
            tracing=None, seccomp=None, memory=SimpleNamespace(is_exhausted=False)
        )
        self.is_in_guest = True
        self.needs_attention = False
        self.table = SyscallTable(X86_64)
        self.table._calls[CALL] = answer, is_async
        self.table.servable.add(CALL)
        self.words = memoryview(bytearray(8 * Mailbox.END)).cast("Q")
        self.transfers: list[tuple[int, int]] = []
        self.mailbox = VcpuMailbox(self.words, self)  # type: ignore[arg-type] # it only notes
        self.post(CALL, 1, 2, 3, 4, 5, 6)

    calls: frozenset[int] = frozenset()

    def note(self, _task: object, arguments: Sequence[int], result: int) -> None:
        self.transfers.append((arguments[0], result))

    def post(self, *words: int) -> None:
        self.words[Mailbox.STATE] = Mail.TAKEN
        for index, word in enumerate(words):
            self.words[Mailbox.WORDS + index] = word

    def serve(self) -> bool:
        thread: Any = self
        return self.mailbox.answer(thread, self.table)

    @property
    def state(self) -> int:
        return self.words[Mailbox.STATE]


def add(_task: object, *arguments: int) -> int:
    return sum(arguments)


def test_an_answer() -> None:
    guest = Guest(add)
    assert guest.serve()
    assert (guest.state, guest.words[Mailbox.RESULT]) == (Mail.ANSWERED, 21)


def test_reads_and_writes_are_noted() -> None:
    guest = Guest(add)
    guest.serve()
    guest.calls = frozenset({CALL})
    guest.post(CALL)
    guest.serve()
    assert guest.transfers == [(1, 21)]


def test_a_guest_that_has_left_meanwhile_gets_the_answer() -> None:
    guest = Guest(add)
    guest.serve()
    assert guest.mailbox.collect() == 21
    assert guest.state == Mail.NONE
    assert guest.mailbox.collect() is None


def test_who_has_left_before_makes_the_call_itself() -> None:
    guest = Guest(add)
    assert guest.mailbox.collect() is None
    guest.serve()
    assert (guest.state, guest.words[Mailbox.RESULT]) == (Mail.NONE, 0)


def test_a_guest_that_is_not_there_is_not_answered() -> None:
    guest = Guest(add)
    guest.is_in_guest = False
    guest.serve()
    assert guest.state == Mail.TAKEN


@pytest.mark.parametrize("why", ["tracing", "seccomp", "unknown"])
def test_what_its_own_thread_has_to_make(why: str) -> None:
    guest = Guest(add)
    if why == "unknown":
        guest.post(CALL + 1)
    else:
        setattr(guest.task, why, object())
    assert guest.serve()
    assert guest.state == Mail.REFUSED
    assert guest.mailbox.collect() is None


@pytest.mark.parametrize("why", ["attention", "memory"])
def test_what_has_come_up_meanwhile_makes_it_leave(why: str) -> None:
    def answer(_task: object, *_: int) -> int:
        assert guest.mailbox.is_answering
        guest.needs_attention = why == "attention"
        guest.task.memory.is_exhausted = why == "memory"
        return 5

    guest = Guest(answer)
    assert guest.serve()
    assert not guest.mailbox.is_answering
    assert guest.state == Mail.REFUSED
    assert guest.mailbox.collect() == 5


def test_a_call_that_sleeps_is_left_to_the_thread() -> None:
    news = WaitQueue()

    async def answer(_task: object, *_: int) -> int:
        await sleep_on(Source(news))
        return 7

    guest = Guest(answer, is_async=True)
    assert not guest.serve()
    assert guest.state == Mail.REFUSED
    left = guest.mailbox.collect()
    assert isinstance(left, Suspended)
    news.wake()  # is not lost, though nobody has gone on with it yet
    assert left.waiter.is_woken
    assert guest.table.step(left.coroutine) == 7


def test_a_call_that_sleeps_and_that_nobody_goes_on_with() -> None:
    news = WaitQueue()

    async def answer(_task: object, *_: int) -> None:
        await sleep_on(Source(news))

    guest = Guest(answer, is_async=True)
    guest.serve()
    guest.post(CALL)  # forged: its first call has not ended
    guest.serve()
    assert guest.state == Mail.REFUSED
    assert len(news) == 1
    guest.mailbox.close()
    assert len(news) == 0


def test_errors_are_for_the_thread() -> None:
    def answer(_task: object, *_: int) -> int:
        raise error

    error: Exception = LinuxError(Errno.EPERM)
    guest = Guest(answer)
    guest.serve()
    assert guest.words[Mailbox.RESULT] == (1 << 64) - Errno.EPERM
    for error in (LinuxError(Errno.ERESTARTSYS), RuntimeError("a bug of ours")):
        guest.post(CALL)
        guest.serve()
        assert guest.state == Mail.REFUSED
        assert guest.mailbox.collect() is error


def test_an_error_that_is_left_holds_nothing() -> None:
    def answer(_task: object, *_: int) -> int:
        raise LinuxError(Errno.ERESTARTSYS)

    guest = Guest(answer)
    guest.serve()
    error = guest.mailbox.collect()
    assert isinstance(error, LinuxError)
    assert error.__traceback__ is None
