"""What open regular files have in common: a position, and reading and writing there.

Sources: lseek(2), read(2), write(2), pwrite(2).
"""

# ruff: noqa: ARG002 - flags that mean nothing to most files

from collections.abc import Callable
from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import SEEK, O
from aionoah.abi.ioctl import FS_FL
from aionoah.abi.uio import RWF
from aionoah.fs.file import File
from aionoah.memory.buffer import Buffer

MAX_OFFSET: Final = (1 << 63) - 1


def seek_endless(file: File, offset: int, whence: int) -> int:
    """lseek(2) of a file whose end nobody knows yet: EINVAL from there, and for what no position can be."""
    if whence == SEEK.CUR:
        offset += file.offset
    elif whence != SEEK.SET:
        raise LinuxError(Errno.EINVAL)
    if not 0 <= offset <= MAX_OFFSET:
        raise LinuxError(Errno.EINVAL)
    file.offset = offset
    return offset


class RegularFile(File):
    """A file with contents; a subclass gives `size`, `pread`, `_store` and what else it can do."""

    is_seekable = True
    takes_direct = True
    before_write: Callable[[], None] | None = None
    """What the first change of the contents is to do first: an unprivileged writer takes set-user-ID away."""

    def size(self) -> int:
        """The present length in bytes."""
        raise NotImplementedError

    def _store(self, src: Buffer, offset: int) -> int:
        """Write at an offset, whatever O_APPEND says."""
        raise NotImplementedError

    def changing(self) -> None:
        """To be called before the contents change."""
        if self.before_write is not None:
            act, self.before_write = self.before_write, None
            act()

    def read_nowait(self, dst: Buffer) -> int:
        done = self.pread(dst, self.offset)
        self.offset += done
        return done

    def write_nowait(self, src: Buffer) -> int:
        """An empty write changes nothing, not even the position of a file that is appended to."""
        if not src.length:
            return 0
        if self.before_write is not None:
            self.changing()
        offset = self._write_offset(self.offset)
        done = self._store(src, offset)
        self.offset = offset + done
        return done

    def pwrite(self, src: Buffer, offset: int) -> int:
        """With O_APPEND Linux appends, whatever the offset (pwrite(2), BUGS)."""
        if not src.length:
            return 0
        if self.before_write is not None:
            self.changing()
        return self._store(src, self._write_offset(offset))

    def read_with(self, dst: Buffer, offset: int, flags: int) -> int:
        """Read at an offset with flags of RWF: NOWAIT and DONTCACHE mean something to who has the cache. EAGAIN."""
        return self.pread(dst, offset)

    def write_with(self, src: Buffer, offset: int, flags: int) -> int:
        """Write with flags of RWF, of which APPEND and NOAPPEND stand above O_APPEND. EPERM for NOAPPEND where nothing but
        appending is allowed.
        """
        present = self.flags
        if flags & RWF.APPEND:
            self.flags = O(present | O.APPEND)
        elif flags & RWF.NOAPPEND and present & O.APPEND:
            if is_append_only(self):
                raise LinuxError(Errno.EPERM)
            self.flags = O(present & ~O.APPEND)
        try:
            self.changing()
            return self._store_with(src, self._write_offset(offset), flags)
        finally:
            self.flags = present

    def _store_with(self, src: Buffer, offset: int, flags: int) -> int:
        return self._store(src, offset)

    def write_start(self, offset: int | None) -> int:
        return self._write_offset(self.offset if offset is None else offset)

    def _write_offset(self, offset: int) -> int:
        return self.size() if self.flags & O.APPEND else offset

    def seek(self, offset: int, whence: int) -> int:
        """EINVAL for a position before the start, ENXIO for SEEK_DATA and SEEK_HOLE beyond the end."""
        if whence == SEEK.CUR:
            offset += self.offset
        elif whence == SEEK.END:
            offset += self.size()
        elif whence in (SEEK.DATA, SEEK.HOLE):
            offset = self._seek_extent(offset, whence)
        elif whence != SEEK.SET:
            raise LinuxError(Errno.EINVAL)
        if offset < 0:
            raise LinuxError(Errno.EINVAL)
        if offset > MAX_OFFSET:
            raise LinuxError(Errno.EOVERFLOW if whence == SEEK.SET else Errno.EINVAL)
        self.offset = offset
        return offset

    def _seek_extent(self, offset: int, whence: int) -> int:
        """Where the next data or hole begins: a file without known holes is all data."""
        size = self.size()
        if not 0 <= offset < size:
            raise LinuxError(Errno.ENXIO)
        return offset if whence == SEEK.DATA else size


def is_append_only(file: File) -> bool:
    """Whether nothing else may be done to its contents (`chattr +a`)."""
    try:
        return bool(file.inode.flags() & FS_FL.APPEND)
    except LinuxError:
        return False  # it has no such flags
