"""A guest thread's calls without exits: what becomes of a call that stands in its mailbox.

If signals with handlers come with the call, the guest shows its registers, and goes on with those of the handler; and
what a handler's frame restores it takes over in the same way.
"""

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import LinuxError
from aionoah.hypervisor.protocols import CpuState, Mail, Mailbox, Vcpu
from aionoah.process.current import set_current
from aionoah.syscalls.results import Outcome, Suspended

if TYPE_CHECKING:
    from aionoah.syscalls.dispatch import SyscallTable
    from aionoah.vcpu_borrowing import Borrowing
    from aionoah.vcpu_thread import VcpuThread

CallEnd = int | Outcome | Suspended | BaseException
"""What has become of a system call: what SyscallTable.call returns, or raises."""

# Plain numbers: those of an enumeration take longer than all else around them.
_STATE: Final = int(Mailbox.STATE)
_RESULT: Final = int(Mailbox.RESULT)
_WORDS: Final = slice(Mailbox.WORDS, Mailbox.END)
_NONE: Final = int(Mail.NONE)
_ANSWERED: Final = int(Mail.ANSWERED)
_TAKEN: Final = int(Mail.TAKEN)
_REFUSED: Final = int(Mail.REFUSED)
_SHOW: Final = int(Mail.SHOW)
_ENTER: Final = int(Mail.ENTER)


class VcpuMailbox:
    """Of one thread, under the kernel lock. The guest may write to it: it is believed in nothing but what a call says."""

    def __init__(self, words: memoryview, shown: CpuState | None, borrowing: "Borrowing") -> None:
        """`words` and `shown` as `Mailboxes.join` gives them."""
        self._words = words
        self._shown = shown
        self._borrowing = borrowing
        self._left: CallEnd | None = None  # the end of a call, for the thread to go on with
        self._is_showing = False  # its registers, since that call has ended
        self.is_answering = False  # just now

    def answer(self, guest: "VcpuThread", table: "SyscallTable") -> bool:
        """On the server's thread: make the call. The guest waits for it, unless it has left meanwhile. What its own
        thread has to go on with makes it leave; False if that is a sleep.
        """
        words = self._words
        if not guest.is_in_guest or words[_STATE] != _TAKEN:
            return True
        if self._is_showing:
            self._run_handlers(guest, table)
            return True
        number, *arguments = words[_WORDS].tolist()  # once, for it may change
        task = guest.task
        # Not what has to do with registers; tracers and filters are asked on the guest's own thread.
        if (
            number not in table.servable
            or task.tracing is not None
            or task.seccomp is not None
            or self._left is not None
        ):
            if number != table.signal_return or not self._leave_handler(guest, table):
                words[_STATE] = _REFUSED
            return True
        result: CallEnd
        set_current(task)
        self.is_answering = True
        try:
            result = table.call(task, number, arguments)
        except LinuxError as error:
            result = error.with_traceback(None)  # which would hold this frame, and that the guest
        except BaseException as error:  # noqa: BLE001 - the thread whose call it is goes on with it
            result = error
        self.is_answering = False
        if result.__class__ is not int or guest.needs_attention or task.memory.is_exhausted:
            return self._leave(guest, result)
        words[_RESULT] = result
        words[_STATE] = _ANSWERED
        if number in self._borrowing.calls:
            self._borrowing.note(task, arguments, result)
        return True

    def _leave(self, guest: "VcpuThread", result: CallEnd) -> bool:
        """The guest cannot simply go on behind its call."""
        self._left = result
        may_stay = result.__class__ is int and not guest.task.memory.is_exhausted and guest.may_run_handlers
        self._is_showing = may_stay and self._shown is not None
        self._words[_STATE] = _SHOW if self._is_showing else _REFUSED
        return result.__class__ is not Suspended

    def _run_handlers(self, guest: "VcpuThread", table: "SyscallTable") -> None:
        """All registers are there but for what the call has ended with."""
        shown, result = self._shown, self._left
        assert shown is not None  # noqa: S101 - or they would not have been asked for
        assert isinstance(result, int)  # noqa: S101 - likewise
        shown.registers[table.architecture.result_register] = result
        self._is_showing = False
        set_current(guest.task)
        self._go_on(guest, shown)

    def _leave_handler(self, guest: "VcpuThread", table: "SyscallTable") -> bool:
        """rt_sigreturn. False if it is left to the guest's own thread."""
        task, shown = guest.task, self._shown
        is_watched = task.tracing is not None or task.seccomp is not None or table.is_traced
        if shown is None or is_watched or self._left is not None or guest.needs_attention:
            return False
        set_current(task)
        self.is_answering = True
        try:
            has_left = guest.leaves_handler(shown)
        except BaseException as error:  # noqa: BLE001 - as in `answer`
            has_left, self._left = False, error
        self.is_answering = False
        if has_left:
            self._go_on(guest, shown)
        return has_left

    def _go_on(self, guest: "VcpuThread", shown: CpuState) -> None:
        """With these registers, or with those of handlers. If there is more to be done, it leaves with them."""
        self.is_answering = True
        try:
            may_stay = guest.run_handlers(shown) and not guest.task.memory.is_exhausted
        except BaseException as error:  # noqa: BLE001 - as in `answer`
            may_stay, self._left = False, error
        else:
            self._left = None if may_stay else Outcome.KEEP_REGISTERS
        self.is_answering = False
        self._words[_STATE] = _ENTER if may_stay else _REFUSED

    def collect(self, vcpu: Vcpu) -> CallEnd | None:
        """The guest has left with a call that the server has taken: what has become of it; None if it has not been made."""
        result, self._left = self._left, None
        self._is_showing = False
        state, self._words[_STATE] = self._words[_STATE], _NONE  # a server that comes later finds nothing
        if result is None and state == _ANSWERED:
            result = self._words[_RESULT]
        elif result is None and state == _ENTER:
            result = Outcome.KEEP_REGISTERS
        if result is Outcome.KEEP_REGISTERS and self._shown is not None:
            vcpu.registers[:] = self._shown.registers
            with suppress(ValueError):  # which only forgers see
                vcpu.set_fpu(self._shown.get_fpu())
        return result

    def close(self) -> None:
        """The thread ends, or its virtual CPU."""
        if isinstance(self._left, Suspended):
            self._left.coroutine.close()
