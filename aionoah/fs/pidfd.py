"""A descriptor of a process, or of one thread: pidfd_open(2), clone(2) (CLONE_PIDFD); Linux fs/pidfs.c.

It says when what it stands for has ended, and keeps standing for that, whoever gets the number then.
"""

from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll
from aionoah.fs.anonymous import AnonymousFile
from aionoah.host.waiting import Source

if TYPE_CHECKING:
    from aionoah.process.task import Process, Task


class PidFile(AnonymousFile):
    """A process, or with `task` one of its threads."""

    label = b"pidfd"

    def __init__(
        self, process: "Process", task: "Task | None" = None, *, is_nonblocking: bool = False
    ) -> None:
        super().__init__(O(O.RDWR | (O.NONBLOCK if is_nonblocking else 0)))
        self.process = process
        self.task = task

    def refers_to(self, process: object) -> bool:
        """Whether this is the process, for those who wait for it."""
        return process is self.process

    @property
    def is_reaped(self) -> bool:
        """Whether nothing is left, not even a zombie."""
        if self.task is not None and not self.task.is_leader:
            return self.task.has_exited
        return self.process.kernel.processes.get(self.process.pid) is not self.process

    @property
    def has_ended(self) -> bool:
        """A thread has when it has, a process with its last thread."""
        return self.process.wait_status is not None if self.task is None else self.task.has_exited

    def require_alive(self) -> "Process":
        """The process, or its zombie; ESRCH."""
        if self.is_reaped:
            raise LinuxError(Errno.ESRCH)
        return self.process

    def poll(self) -> Poll:
        if self.is_reaped:
            return Poll(Poll.IN | Poll.RDNORM | Poll.HUP)
        return Poll(Poll.IN | Poll.RDNORM if self.has_ended else 0)

    def source(self, events: Poll) -> Source:  # noqa: ARG002 - there is one thing to wait for
        return Source(self.process.ended)

    def fdinfo(self) -> bytes:
        """What /proc/self/fdinfo says beyond what it says of every file."""
        number = -1 if self.is_reaped else (self.task.tid if self.task is not None else self.process.pid)
        return b"Pid:\t%d\nNSpid:\t%d\n" % (number, number)
