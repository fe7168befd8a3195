"""Files in memory that have no name, and the seals on them: memfd_create(2), fcntl(2); Linux mm/memfd.c."""

from functools import cache
from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import F_SEAL, FALLOC, O
from aionoah.abi.stat import S
from aionoah.fs.file import File
from aionoah.fs.inode import Inode
from aionoah.fs.mount import Mount
from aionoah.fs.path import Dentry
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.fs.tmpfs_inode import TmpFile, TmpRegular
from aionoah.memory.buffer import Buffer, KernelBuffer

if TYPE_CHECKING:
    from aionoah.fs.inode import Change

_ALL_SEALS = F_SEAL.SEAL | F_SEAL.SHRINK | F_SEAL.GROW | F_SEAL.WRITE | F_SEAL.FUTURE_WRITE | F_SEAL.EXEC
_NO_WRITE = F_SEAL.WRITE | F_SEAL.FUTURE_WRITE


@cache
def _filesystem() -> TmpFileSystem:
    """Where these files have their inodes; mounted nowhere."""
    return TmpFileSystem()


class MemoryInode(TmpRegular):
    """The seals belong to the inode: whoever opens it again through /proc/self/fd is bound too."""

    def __init__(self, name: bytes, mode: int, uid: int, gid: int, seals: int) -> None:
        super().__init__(_filesystem(), mode, uid, gid)
        self.name = name
        self.seals = seals
        self.nlink = 0

    def add_seals(self, seals: int) -> None:
        """EINVAL for unknown ones, EPERM once F_SEAL_SEAL is there."""
        if seals & ~_ALL_SEALS:
            raise LinuxError(Errno.EINVAL)
        if self.seals & F_SEAL.SEAL:
            raise LinuxError(Errno.EPERM)
        if seals & F_SEAL.EXEC and self.attributes().mode & S.IXUGO:
            seals |= F_SEAL.SHRINK | F_SEAL.GROW | F_SEAL.WRITE | F_SEAL.FUTURE_WRITE
        self.seals |= seals

    def require_unsealed(self, seals: int) -> None:
        """EPERM if any of these seals is on."""
        if self.seals & seals:
            raise LinuxError(Errno.EPERM)

    def require_resizable(self, size: int) -> None:
        self.require_unsealed(F_SEAL.SHRINK if size < self.size() else 0)
        self.require_unsealed(F_SEAL.GROW if size > self.size() else 0)

    def change(self, change: "Change") -> None:
        if change.size is not None:
            self.require_resizable(change.size)
        if change.mode is not None and (change.mode ^ self.attributes().mode) & S.IXUGO:
            self.require_unsealed(F_SEAL.EXEC)
        super().change(change)

    def open(self, flags: O, dentry: Dentry) -> File:
        return MemoryFile(flags, dentry, self)


class MemoryFile(TmpFile):
    """An open description of one."""

    takes_direct = False

    def __init__(self, flags: O, dentry: Dentry, inode: MemoryInode) -> None:
        super().__init__(flags, dentry, inode)
        self.memory_inode = inode

    @property
    def inode(self) -> Inode:
        return self.memory_inode

    @property
    def is_write_sealed(self) -> bool:
        return bool(self.memory_inode.seals & _NO_WRITE)

    def describe(self) -> bytes:
        return b"/memfd:%s (deleted)" % self.memory_inode.name

    def _store(self, src: Buffer, offset: int) -> int:
        inode = self.memory_inode
        inode.require_unsealed(_NO_WRITE)
        if inode.seals & F_SEAL.GROW and offset + src.length > inode.size():
            return self._store_below(src, offset, inode.size())
        return super()._store(src, offset)

    def _store_below(self, src: Buffer, offset: int, size: int) -> int:
        """Write what does not make the file grow; EPERM if that is nothing (shmem_write_begin)."""
        if offset >= size:
            raise LinuxError(Errno.EPERM)
        return super()._store(KernelBuffer(src.take(size - offset)), offset)

    def truncate(self, length: int) -> None:
        self.memory_inode.require_resizable(length)
        super().truncate(length)

    def allocate(self, mode: int, offset: int, length: int) -> None:
        if mode & FALLOC.PUNCH_HOLE:
            self.memory_inode.require_unsealed(_NO_WRITE)
        elif offset + length > self.size() and not mode & FALLOC.KEEP_SIZE:
            self.memory_inode.require_unsealed(F_SEAL.GROW)
        super().allocate(mode, offset, length)


def create_memory_file(name: bytes, *, mode: int, uid: int, gid: int, seals: int) -> MemoryFile:
    """A new file, open for reading and writing. ENOSPC."""
    inode = MemoryInode(name, mode, uid, gid, seals)
    place = Mount(inode.filesystem, name=b"memfd:" + name, root=inode).root
    place.is_deleted = True
    file = MemoryFile(O(O.RDWR | O.LARGEFILE), place, inode)
    file.dentry = None  # it is nowhere, like a pipe
    return file
