"""/proc/PID/mem: the memory of a process, for those who might trace it (proc(5); Linux fs/proc/base.c, mem_rw)."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import SEEK, O
from aionoah.fs.file import File
from aionoah.memory.buffer import Buffer

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry
    from aionoah.memory.memory import Memory

_CHUNK: Final = 1 << 20  # bytes of one read or write


class MemoryFile(File):
    """Stays with the memory that it was opened for: after execve, and after the end, there is nothing to read."""

    is_seekable = True

    def __init__(self, flags: O, dentry: "Dentry", memory: "Memory") -> None:
        super().__init__(flags, dentry)
        self._memory = memory

    def read_nowait(self, dst: Buffer) -> int:
        done = self.pread(dst, self.offset)
        self.offset += done
        return done

    def write_nowait(self, src: Buffer) -> int:
        done = self.pwrite(src, self.offset)
        self.offset += done
        return done

    def pread(self, dst: Buffer, offset: int) -> int:
        """EIO where nothing is mapped."""
        if self._memory.is_closed or not dst.length:
            return 0
        data = self._memory.peek(offset, min(dst.length, _CHUNK))
        if not data:
            raise LinuxError(Errno.EIO)
        return dst.fill(data)

    def pwrite(self, src: Buffer, offset: int) -> int:
        """What the program itself must not write is written nevertheless, if it is private. EIO."""
        if self._memory.is_closed or not src.length:
            return 0
        done = self._memory.poke(offset, src.take(_CHUNK))
        if not done:
            raise LinuxError(Errno.EIO)
        return done

    def seek(self, offset: int, whence: int) -> int:
        offset += self.offset if whence == SEEK.CUR else 0
        if whence not in (SEEK.SET, SEEK.CUR):
            raise LinuxError(Errno.EINVAL)
        self.offset = offset
        return offset
