"""Signals that are read: signalfd(2), Linux fs/signalfd.c.

Whose signals: the reader's, whoever made the file.
"""

from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll
from aionoah.abi.siginfo import SignalfdSiginfo
from aionoah.fs.anonymous import AnonymousFile
from aionoah.fs.file import WouldBlock
from aionoah.host.waiting import Source, WaitQueue
from aionoah.memory.buffer import Buffer
from aionoah.process.current import current_task, find_current_task
from aionoah.signals.actions import UNBLOCKABLE
from aionoah.signals.delivery import take_signal
from aionoah.signals.record import record_of

_SIZE: Final = SignalfdSiginfo.SIZE


class SignalFile(AnonymousFile):
    """Reads the pending signals of a set, a structure for each."""

    label = b"signalfd"
    polls_of_caller = True

    def __init__(self, signals: int, flags: O) -> None:
        super().__init__(flags)
        self._changed = WaitQueue()
        self.set_signals(signals)

    def set_signals(self, signals: int) -> None:
        """Read these from now on; KILL and STOP never are."""
        self._signals = signals & ~UNBLOCKABLE
        self._changed.wake()

    def read_nowait(self, dst: Buffer) -> int:
        """As many as there are and fit; EINVAL if not even one does."""
        if dst.length < _SIZE:
            raise LinuxError(Errno.EINVAL)
        task = current_task()
        if not task.signals.all_pending & self._signals:
            raise WouldBlock
        dst.segments(1)  # EFAULT
        records = bytearray()
        while len(records) + _SIZE <= dst.length and (info := take_signal(task, self._signals)) is not None:
            records += record_of(info).pack()
        return dst.fill(records)

    def seek(self, offset: int, whence: int) -> int:  # noqa: ARG002 - noop_llseek
        """Seeking is allowed and does nothing."""
        return 0

    def poll(self) -> Poll:
        """Nobody's signals are there for whoever is no task."""
        task = find_current_task()
        return Poll(Poll.IN if task is not None and task.signals.all_pending & self._signals else 0)

    def source(self, events: Poll) -> Source:  # noqa: ARG002 - it can only be read
        return Source(current_task().process.signals.queue, self._changed)

    def fdinfo(self) -> bytes:
        return b"sigmask:\t%016x\n" % self._signals
