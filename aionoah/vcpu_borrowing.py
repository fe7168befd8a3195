"""When a guest is lent a file that it reads and writes: so that it need not ask Python each time (fs/lending.py)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aionoah.hypervisor.protocols import Mailboxes, Vcpu
    from aionoah.process.task import Task


class Borrowing:
    """Of one virtual CPU, under the kernel lock."""

    def __init__(self, mailboxes: "Mailboxes", vcpu: "Vcpu", calls: frozenset[int]) -> None:
        """`calls` are the numbers of those that are noted."""
        self.calls = calls
        self._mailboxes = mailboxes
        self._vcpu = vcpu
        self._last = -1  # the descriptor that the last call was about

    def note(self, task: "Task", arguments: Sequence[int], result: int) -> None:
        """A read or write has been made. Who makes a second one of the same file makes more; but what ends early ends."""
        fd = arguments[0]
        if result != arguments[2]:
            self._last = -1
        elif fd != self._last:
            self._last = fd
        elif task.process.limits.file_size is None and fd in task.files:
            loan = task.files[fd].lend()
            if loan is not None:
                self._mailboxes.lend(self._vcpu, fd, loan)
