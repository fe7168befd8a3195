"""What becomes of a call in a mailbox: answered, refused, or left to the guest's own thread."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.x86_64 import RAX, RIP, RSP, X86_64
from aionoah.host.waiting import Source, WaitQueue, sleep_on
from aionoah.hypervisor.protocols import Mail, Mailbox
from aionoah.syscalls.dispatch import SyscallTable
from aionoah.syscalls.results import Outcome, Suspended
from aionoah.vcpu_mailbox import VcpuMailbox

CALL = 1000
HANDLER, FRAME, BEHIND = 0x1000, 0x2000, 0x3000


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
        self.shown, self.cpu = Cpu(), Cpu()
        self.may_run_handlers = False
        self.mailbox = VcpuMailbox(self.words, self.shown, self)  # type: ignore[arg-type] # it only notes
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

    def show(self) -> None:
        """The server takes the registers."""
        self.words[Mailbox.STATE] = Mail.TAKEN
        assert self.serve()

    def run_handlers(self, cpu: "Cpu") -> bool:
        """One is run, if there is any; more may have come up."""
        assert self.mailbox.is_answering
        if self.may_run_handlers:
            cpu.registers[RIP] = HANDLER
            cpu.set_fpu(b"fresh")
            self.needs_attention = False
        return not self.needs_attention

    def leaves_handler(self, cpu: "Cpu") -> bool:
        if cpu.registers[RSP] != FRAME:
            return False
        cpu.registers[RIP] = BEHIND
        return True

    def collect(self) -> object:
        thread: Any = self.cpu
        return self.mailbox.collect(thread)

    @property
    def state(self) -> int:
        return self.words[Mailbox.STATE]


class Cpu:
    """A state, with the parts that matter here."""

    def __init__(self) -> None:
        self.registers = memoryview(bytearray(8 * len(X86_64.register_names))).cast("Q")
        self.fpu = b""

    def get_fpu(self) -> bytes:
        return self.fpu

    def set_fpu(self, state: bytes) -> None:
        self.fpu = state


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
    assert guest.collect() == 21
    assert guest.state == Mail.NONE
    assert guest.collect() is None


def test_who_has_left_before_makes_the_call_itself() -> None:
    guest = Guest(add)
    assert guest.collect() is None
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
    assert guest.collect() is None


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
    assert guest.collect() == 5


def test_a_call_that_sleeps_is_left_to_the_thread() -> None:
    news = WaitQueue()

    async def answer(_task: object, *_: int) -> int:
        await sleep_on(Source(news))
        return 7

    guest = Guest(answer, is_async=True)
    assert not guest.serve()
    assert guest.state == Mail.REFUSED
    left = guest.collect()
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
        assert guest.collect() is error


def test_an_error_that_is_left_holds_nothing() -> None:
    def answer(_task: object, *_: int) -> int:
        raise LinuxError(Errno.ERESTARTSYS)

    guest = Guest(answer)
    guest.serve()
    error = guest.collect()
    assert isinstance(error, LinuxError)
    assert error.__traceback__ is None


def interrupted_guest() -> Guest:
    """A signal with a handler has come with its call."""

    def answer(_task: object, *_: int) -> int:
        guest.needs_attention = guest.may_run_handlers = True
        return 5

    guest = Guest(answer)
    assert guest.serve()
    assert guest.state == Mail.SHOW
    return guest


def test_a_handler_is_entered() -> None:
    guest = interrupted_guest()
    guest.show()
    assert (guest.state, guest.shown.registers[RIP], guest.shown.registers[RAX]) == (Mail.ENTER, HANDLER, 5)
    guest.post(CALL)  # the handler's own
    guest.serve()
    assert guest.state == Mail.SHOW


def test_who_leaves_before_its_registers_are_taken_runs_handlers_itself() -> None:
    guest = interrupted_guest()
    assert guest.collect() == 5
    guest.post(CALL + 1)
    guest.serve()
    assert (guest.state, guest.collect()) == (Mail.REFUSED, None)


def test_who_leaves_before_it_enters_a_handler_enters_it_itself() -> None:
    guest = interrupted_guest()
    guest.show()
    assert guest.collect() is Outcome.KEEP_REGISTERS
    assert (guest.cpu.registers[RIP], guest.cpu.fpu, guest.state) == (HANDLER, b"fresh", Mail.NONE)


def test_a_forged_entry_does_not_end_a_call() -> None:
    guest = interrupted_guest()
    guest.words[Mailbox.STATE] = Mail.ENTER
    assert guest.collect() == 5
    assert not any(guest.cpu.registers)


def test_what_comes_up_beside_handlers_makes_it_leave_with_its_registers() -> None:
    guest = interrupted_guest()
    guest.may_run_handlers = False
    guest.shown.registers[RIP] = BEHIND
    guest.show()
    assert guest.state == Mail.REFUSED
    assert guest.collect() is Outcome.KEEP_REGISTERS
    assert (guest.cpu.registers[RIP], guest.cpu.registers[RAX]) == (BEHIND, 5)


def test_a_handler_returns() -> None:
    guest = Guest(add)
    guest.shown.registers[RSP] = FRAME
    guest.post(guest.table.signal_return)
    assert guest.serve()
    assert (guest.state, guest.shown.registers[RIP]) == (Mail.ENTER, BEHIND)


@pytest.mark.parametrize("why", ["frame", "tracing", "seccomp", "attention", "strace"])
def test_a_return_that_its_own_thread_has_to_make(why: str) -> None:
    guest = Guest(add)
    guest.shown.registers[RSP] = FRAME if why != "frame" else FRAME + 8
    guest.needs_attention = why == "attention"
    guest.table._tracer = Mock() if why == "strace" else None
    if why in {"tracing", "seccomp"}:
        setattr(guest.task, why, object())
    guest.post(guest.table.signal_return)
    assert guest.serve()
    assert (guest.state, guest.collect(), guest.mailbox.is_answering) == (Mail.REFUSED, None, False)


def test_an_error_in_a_return_is_for_the_thread() -> None:
    guest = Guest(add)
    error = RuntimeError("a bug of ours")
    guest.leaves_handler = Mock(side_effect=error)  # type: ignore[method-assign]
    guest.post(guest.table.signal_return)
    assert guest.serve()
    assert (guest.state, guest.collect(), guest.mailbox.is_answering) == (Mail.REFUSED, error, False)


def test_an_error_in_a_handlers_frame_is_for_the_thread() -> None:
    guest = interrupted_guest()
    error = RuntimeError("a bug of ours")
    guest.run_handlers = Mock(side_effect=error)  # type: ignore[method-assign]
    guest.show()
    assert (guest.state, guest.collect()) == (Mail.REFUSED, error)
