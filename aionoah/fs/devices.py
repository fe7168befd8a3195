"""The character devices that need no hardware: /dev/null, zero, full, random, urandom and kmsg (mem(4), random(4))."""

import logging
import os
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll
from aionoah.abi.stat import makedev
from aionoah.fs.file import File, HostMapping, WouldBlock
from aionoah.host import platform, reserve
from aionoah.host.errors import host_errors
from aionoah.host.waiting import Source, WaitQueue
from aionoah.memory.buffer import Buffer

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry

# Documentation/admin-guide/devices.txt
NULL: Final = makedev(1, 3)
ZERO: Final = makedev(1, 5)
FULL: Final = makedev(1, 7)
RANDOM: Final = makedev(1, 8)
URANDOM: Final = makedev(1, 9)
KMSG: Final = makedev(1, 11)
TTY: Final = makedev(5, 0)
CONSOLE: Final = makedev(5, 1)
PTMX: Final = makedev(5, 2)
TERMINALS: Final = (TTY, CONSOLE, PTMX)

logger: Final = logging.getLogger("aionoah.kmsg")
_LEVELS: Final = (  # emerg alert crit err warning notice info debug
    *(logging.CRITICAL, logging.CRITICAL, logging.CRITICAL, logging.ERROR),
    *(logging.WARNING, logging.INFO, logging.INFO, logging.DEBUG),
)
_MAX_MESSAGE: Final = 976  # kernel/printk: PRINTKRB_RECORD_MAX, bytes
_CHUNK: Final = 1 << 20  # bytes made at a time for a long read
_ZEROS: Final = bytes(65536)
_ENDLESS: Final = 1 << 40  # bytes of a mapping's file: more than any guest has


class _MemoryDevice(File):
    """Reads and writes happen at no position."""

    is_seekable = True
    has_position = False

    def seek(self, offset: int, whence: int) -> int:  # noqa: ARG002
        """Every seek succeeds and leads to 0 (null_lseek in drivers/char/mem.c)."""
        return 0

    def pread(self, dst: Buffer, offset: int) -> int:  # noqa: ARG002
        return self.read_nowait(dst)

    def pwrite(self, src: Buffer, offset: int) -> int:  # noqa: ARG002
        return self.write_nowait(src)

    def write_nowait(self, src: Buffer) -> int:
        """Everything is swallowed, unread: a bad address is no error."""
        return src.length

    def allocate(self, mode: int, offset: int, length: int) -> None:  # noqa: ARG002
        raise LinuxError(Errno.ENODEV)


class NullDevice(_MemoryDevice):
    gives_splices = False

    def read_nowait(self, dst: Buffer) -> int:  # noqa: ARG002
        return 0


class ZeroDevice(_MemoryDevice):
    """Mapping it gives memory that begins as zeros. Shared mappings of one open file are the same memory, where
    Linux makes a fresh one for each (shmem_zero_setup): nobody counts on that.
    """

    def __init__(self, flags: O, dentry: "Dentry | None" = None) -> None:
        super().__init__(flags, dentry)
        self._memory: int | None = None  # a host descriptor

    def read_nowait(self, dst: Buffer) -> int:
        done = 0
        for segment in dst.segments():
            for start in range(0, len(segment), len(_ZEROS)):
                part = segment[start : start + len(_ZEROS)]
                part[:] = _ZEROS[: len(part)]
            done += len(segment)
        return done

    def mapping(self) -> HostMapping:
        """A sparse host file of zeros, made when it is first needed."""
        if self._memory is None:
            with host_errors():
                self._memory = reserve.require_more(platform.anonymous_file("zero"))
                os.ftruncate(self._memory, _ENDLESS)
        return HostMapping(self._memory, 0)

    def release(self) -> None:
        if self._memory is not None:
            os.close(self._memory)


class FullDevice(ZeroDevice):
    """Reads as zeros, has no room for anything written, cannot be mapped (full(4))."""

    takes_splices = False

    def write_nowait(self, src: Buffer) -> int:  # noqa: ARG002
        raise LinuxError(Errno.ENOSPC)

    def mapping(self) -> HostMapping:
        raise LinuxError(Errno.ENODEV)


class RandomDevice(_MemoryDevice):
    """Both random and urandom: they differ no more once the generator is seeded, and the host's is."""

    def read_nowait(self, dst: Buffer) -> int:
        done = 0
        for segment in dst.segments():
            for start in range(0, len(segment), _CHUNK):
                part = segment[start : start + _CHUNK]
                part[:] = os.urandom(len(part))
            done += len(segment)
        return done


class BlockingRandomDevice(RandomDevice):
    def poll(self) -> Poll:
        """/dev/random wants no entropy of writers, so it is never reported as writable."""
        return Poll(Poll.IN | Poll.RDNORM)


class KernelLog(_MemoryDevice):
    """/dev/kmsg: what is written goes to the application's log ("aionoah.kmsg"), and nothing ever comes back."""

    gives_splices = False
    takes_splices = False

    def __init__(self, flags: O, dentry: "Dentry | None" = None) -> None:
        super().__init__(flags, dentry)
        self._news = WaitQueue()

    def write_nowait(self, src: Buffer) -> int:
        """One message, with its level before it (<3>); EINVAL for a longer one than the kernel's (devkmsg_write)."""
        if src.length > _MAX_MESSAGE:
            raise LinuxError(Errno.EINVAL)
        data = src.take()
        level, text = _level_of(data)
        logger.log(level, "%s", text.rstrip(b"\n").decode(errors="replace"))
        return len(data)

    def read_nowait(self, dst: Buffer) -> int:  # noqa: ARG002
        raise WouldBlock

    def pread(self, dst: Buffer, offset: int) -> int:  # noqa: ARG002
        """As with O_NONBLOCK, for this cannot sleep: what Linux would wait for never comes."""
        raise LinuxError(Errno.EAGAIN)

    def poll(self) -> Poll:
        return Poll(Poll.OUT | Poll.WRNORM)

    def source(self, events: Poll) -> Source:  # noqa: ARG002
        return Source(self._news)


def _level_of(message: bytes) -> tuple[int, bytes]:
    """The level for Python's logging, and the message without the number that says it (syslog(3))."""
    number, separator, text = message[1:].partition(b">")
    if message[:1] != b"<" or not separator or not number.isdigit():
        return logging.WARNING, message
    return _LEVELS[int(number) & 7], text


_KINDS: Final[dict[int, type[File]]] = {
    NULL: NullDevice,
    ZERO: ZeroDevice,
    FULL: FullDevice,
    RANDOM: BlockingRandomDevice,
    URANDOM: RandomDevice,
    KMSG: KernelLog,
}


def open_device(rdev: int, flags: O, dentry: "Dentry | None" = None) -> File:
    """Open a device by its number, wherever its node lies; ENXIO for one that we do not have."""
    if rdev in TERMINALS:
        from aionoah.terminal.files import open_by_number  # noqa: PLC0415 - which is above

        return open_by_number(rdev, flags, dentry)
    kind = _KINDS.get(rdev)
    if kind is None:
        raise LinuxError(Errno.ENXIO)
    return kind(flags, dentry)
