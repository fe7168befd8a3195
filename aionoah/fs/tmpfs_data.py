"""The contents of a file in memory: some bytes of our own, or pages of a host file without a name.

Small files are bytes in a bytearray, for the host has only so many descriptors. A file that grows large, gets a hole
of whole pages, or is mapped, moves to an anonymous host file, so that a mapping of it is a mapping of that, and holes
cost nothing.
"""

import os
from typing import Final

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import FALLOC, SEEK
from aionoah.fs.host_io import read_at, write_at
from aionoah.host import platform, reserve
from aionoah.host.errors import host_errors, raise_linux_error
from aionoah.memory.buffer import Buffer

_SMALL: Final = 16 * PAGE_SIZE  # bytes kept without a host file
_BLOCK: Final = 512  # unit of st_blocks


class Quota:
    """How many pages a file system may use, and does."""

    def __init__(self, limit_pages: int) -> None:
        self.limit_pages = limit_pages
        self.used_pages = 0

    @property
    def free_pages(self) -> int:
        return max(0, self.limit_pages - self.used_pages)

    def charge(self, pages: int) -> None:
        """Take pages, or give them back if negative. The caller has seen to the limit."""
        self.used_pages += pages


class Contents:
    """Bytes 0 … size of one file. Errors are LinuxError: ENOSPC when the quota is used up."""

    __slots__ = ("_charged", "_fd", "_quota", "_size", "_small", "is_mapped")

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._charged = 0  # pages; while there is no host file, all, or none of a single page that is a hole
        self._small: bytearray | None = bytearray()  # None once there is a host file
        self._fd = -1
        self._size = 0
        self.is_mapped = False  # or has been

    def __del__(self) -> None:
        self.release()

    def release(self) -> None:
        """Give everything back."""
        self._quota.charge(-self._charged)
        self._charged = 0
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    @property
    def size(self) -> int:
        return self._size

    @property
    def pages(self) -> int:
        """Pages in use; what is written through mappings counts from the next change on."""
        return self._charged

    def measured_pages(self) -> int:
        """Pages in use, those that have been touched through mappings among them."""
        if self._small is None:
            self._measure()
        return self._charged

    def descriptor(self) -> int:
        """The host file, made if there is none yet."""
        if self._small is not None:
            with host_errors():
                self._fd = reserve.require_more(platform.anonymous_file("tmpfs"))
                os.ftruncate(self._fd, self._size)
                if self._charged:
                    os.pwrite(self._fd, self._small, 0)
            self._small = None
            self._measure()
        return self._fd

    def mapped_descriptor(self) -> int:
        """The same, for a mapping."""
        fd = self.descriptor()
        if not self.is_mapped:
            self.is_mapped = True
            self.forget_writes()
        return fd

    def written_ns(self) -> int:
        """When the host has last noticed a write, through a mapping or otherwise; 0 for none since `forget_writes`."""
        with host_errors():
            return os.fstat(self._fd).st_mtime_ns

    def forget_writes(self) -> None:
        if self._fd >= 0:
            with host_errors():
                os.utime(self._fd, ns=(0, 0))

    def _measure(self) -> None:
        """Charge what the host file really takes; a page of the host may be more than one of ours."""
        pages = os.fstat(self._fd).st_blocks * _BLOCK // PAGE_SIZE
        self._quota.charge(pages - self._charged)
        self._charged = pages

    def _hold_small(self, pages: int) -> None:
        self._quota.charge(pages - self._charged)
        self._charged = pages

    # -- reading and writing --------------------------------------------------------------------------

    def read(self, dst: Buffer, offset: int) -> int:
        if offset >= self._size:
            return 0
        if self._small is not None:
            return dst.fill(memoryview(self._small)[offset:])
        return read_at(self._fd, dst, offset, self._size - offset)

    def write(self, src: Buffer, offset: int) -> int:
        """Write what there is room for; ENOSPC if there is none, EFBIG beyond what an offset can say."""
        if not src.length:
            return 0
        end = offset + src.length
        if end > (1 << 63) - 1:
            raise LinuxError(Errno.EFBIG)
        if self._small is not None and self._keeps_small(offset, end):
            return self._write_small(self._small, src, offset)
        if self._small is not None and offset >= self._charged * PAGE_SIZE and not self._quota.free_pages:
            raise LinuxError(Errno.ENOSPC)  # without a host file for what gets nothing
        fd = self.descriptor()
        done = write_at(fd, src, offset, self._room(offset, src.length))
        self._size = max(self._size, offset + done)
        self._measure()
        return done

    def _keeps_small(self, offset: int, end: int) -> bool:
        """Whether a write leaves neither a hole of whole pages nor too much, and there is room for all of it."""
        next_page = _pages(self._size) * PAGE_SIZE if self._charged else PAGE_SIZE - 1
        more = _pages(max(end, self._size)) - self._charged
        return end <= _SMALL and offset <= next_page and more <= self._quota.free_pages

    def _write_small(self, small: bytearray, src: Buffer, offset: int) -> int:
        data = src.take()
        if len(small) < offset:
            small.extend(bytes(offset - len(small)))
        small[offset : offset + len(data)] = data
        self._size = len(small)
        self._hold_small(_pages(self._size))
        return len(data)

    def _room(self, offset: int, length: int) -> int:
        """How much of a write at `offset` the quota lets in."""
        needed = (offset + length + PAGE_SIZE - 1) // PAGE_SIZE - offset // PAGE_SIZE
        free = self._quota.free_pages
        if needed <= free:
            return length
        page = offset // PAGE_SIZE
        while page * PAGE_SIZE < offset + length:
            if not self._has_page(page):
                if free == 0:
                    break
                free -= 1
            page += 1
        room = min(length, page * PAGE_SIZE - offset)
        if room <= 0:
            raise LinuxError(Errno.ENOSPC)
        return room

    def _has_page(self, page: int) -> bool:
        """Whether a page of the host file is no hole."""
        start = page * PAGE_SIZE
        return start < self._size and self.seek(start, SEEK.DATA) == start

    # -- size and holes -------------------------------------------------------------------------------

    def truncate(self, size: int) -> None:
        small = self._small
        if small is not None and size <= max(_pages(self._size) * PAGE_SIZE, PAGE_SIZE):
            del small[size:]
            small.extend(bytes(size - len(small)))
            self._size = size
            self._hold_small(_pages(size) if self._charged else 0)
            return
        fd = self.descriptor()
        with host_errors():
            os.ftruncate(fd, size)
        self._size = size
        self._measure()

    def seek(self, offset: int, whence: int) -> int:
        """SEEK_DATA and SEEK_HOLE; the end of the file is a hole. -1 if there is no more data."""
        if self._small is not None:
            if not self._charged:  # nothing was ever written: all hole
                return -1 if whence == SEEK.DATA else offset
            return offset if whence == SEEK.DATA else self._size
        try:
            return os.lseek(self._fd, offset, platform.host_whence(whence))
        except OSError as error:
            if whence == SEEK.DATA and offset <= self._size:
                return -1
            raise_linux_error(error)

    def allocate(self, mode: int, offset: int, length: int) -> None:
        """fallocate(2) as tmpfs has it: mode 0, KEEP_SIZE, and holes. EOPNOTSUPP, ENOSPC."""
        if mode & ~(FALLOC.KEEP_SIZE | FALLOC.PUNCH_HOLE):
            raise LinuxError(Errno.EOPNOTSUPP)
        fd = self.descriptor()
        if not mode & FALLOC.PUNCH_HOLE and self._room(offset, length) < length:
            raise LinuxError(Errno.ENOSPC)
        with host_errors():
            platform.fallocate(fd, mode, offset, length)
            self._size = os.fstat(fd).st_size
        self._measure()


def _pages(size: int) -> int:
    return -(-size // PAGE_SIZE)
