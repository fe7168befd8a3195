"""A guest thread's calls without exits: what becomes of a call that stands in its mailbox."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import LinuxError
from aionoah.hypervisor.protocols import Mail, Mailbox
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


class VcpuMailbox:
    """Of one thread, under the kernel lock. The guest may write to it: it is believed in nothing but what a call says."""

    def __init__(self, words: memoryview, borrowing: "Borrowing") -> None:
        """`words` as `Mailboxes.join` gives them."""
        self._words = words
        self._borrowing = borrowing
        self._left: CallEnd | None = None  # the end of a call, for the thread to go on with
        self.is_answering = False  # just now

    def answer(self, guest: "VcpuThread", table: "SyscallTable") -> bool:
        """On the server's thread: make the call. The guest waits for it, unless it has left meanwhile. What its own
        thread has to go on with makes it leave; False if that is a sleep.
        """
        words = self._words
        if not guest.is_in_guest or words[_STATE] != _TAKEN:
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
        if result.__class__ is int and not guest.needs_attention and not task.memory.is_exhausted:
            words[_RESULT] = result
            words[_STATE] = _ANSWERED
            if number in self._borrowing.calls:
                self._borrowing.note(task, arguments, result)
            return True
        self._left = result
        words[_STATE] = _REFUSED
        return result.__class__ is not Suspended

    def collect(self) -> CallEnd | None:
        """The guest has left with a call that the server has taken: what has become of it; None if it has not been made."""
        result, self._left = self._left, None
        if result is None and self._words[_STATE] == _ANSWERED:
            result = self._words[_RESULT]
        self._words[_STATE] = _NONE  # a server that comes later finds nothing
        return result

    def close(self) -> None:
        """The thread ends, or its virtual CPU."""
        if isinstance(self._left, Suspended):
            self._left.coroutine.close()
