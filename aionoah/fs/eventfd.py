"""A 64-bit counter to wait on: eventfd(2), Linux fs/eventfd.c."""

import itertools
from typing import ClassVar, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll
from aionoah.abi.uio import RWF
from aionoah.fs.anonymous import AnonymousFile
from aionoah.fs.file import WouldBlock
from aionoah.host.waiting import Source, WaitQueue
from aionoah.memory.buffer import Buffer

_SIZE: Final = 8
_MAX: Final = (1 << 64) - 2  # the counter never gets beyond


class EventFile(AnonymousFile):
    """Writes add to the counter, a read takes it all, or one if it is a semaphore."""

    label = b"eventfd"
    write_flags = RWF.HIPRI
    _numbers: ClassVar = itertools.count()

    def __init__(self, flags: O, count: int = 0, *, is_semaphore: bool = False) -> None:
        super().__init__(flags)
        self._count = count
        self._number = next(self._numbers)
        self._is_semaphore = is_semaphore
        self._readable = WaitQueue()
        self._writable = WaitQueue()

    def read_nowait(self, dst: Buffer) -> int:
        """EINVAL for less than eight bytes of room."""
        if dst.length < _SIZE:
            raise LinuxError(Errno.EINVAL)
        if not self._count:
            raise WouldBlock
        taken = 1 if self._is_semaphore else self._count
        if dst.fill(taken.to_bytes(_SIZE, "little")) < _SIZE:
            raise LinuxError(Errno.EFAULT)
        self._count -= taken
        self._writable.wake()
        return _SIZE

    def write_nowait(self, src: Buffer) -> int:
        """EINVAL for anything but eight bytes, and for a number of which every bit is set."""
        if src.length != _SIZE:
            raise LinuxError(Errno.EINVAL)
        data = src.take(_SIZE)
        if len(data) < _SIZE:
            raise LinuxError(Errno.EFAULT)
        added = int.from_bytes(data, "little")
        if added > _MAX:
            raise LinuxError(Errno.EINVAL)
        if self._count + added > _MAX:
            raise WouldBlock
        self._count += added
        self._readable.wake()
        return _SIZE

    def seek(self, offset: int, whence: int) -> int:  # noqa: ARG002 - noop_llseek
        """Seeking is allowed and does nothing."""
        return 0

    def poll(self) -> Poll:
        mask = Poll.IN if self._count else 0
        if self._count < _MAX:
            mask |= Poll.OUT
        return Poll(mask)

    def source(self, events: Poll) -> Source:
        """Apart from each other, because edge-triggered readers do not want to hear of reads."""
        reading = [self._readable] if events & (Poll.IN | Poll.RDNORM) else []
        writing = [self._writable] if events & (Poll.OUT | Poll.WRNORM) else []
        return Source(*reading, *writing)

    def fdinfo(self) -> bytes:
        fields = (self._count, self._number, self._is_semaphore)
        return b"eventfd-count: %16x\neventfd-id: %d\neventfd-semaphore: %d\n" % fields
