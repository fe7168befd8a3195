"""The inode of files that are nowhere in the tree: eventfd and the like share one (Linux fs/anon_inodes.c)."""

from time import time_ns
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.stat import S
from aionoah.abi.statfs import MAGIC
from aionoah.fs.device_numbers import anonymous_device
from aionoah.fs.file import File
from aionoah.fs.inode import Attributes, Change, FileSystem, FileSystemStatus, Inode

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry


class _AnonymousFileSystem(FileSystem):
    type_name = b"anon_inodefs"
    device = anonymous_device()

    def status(self) -> FileSystemStatus:
        return FileSystemStatus(MAGIC.ANON_INODE_FS)


class _AnonymousInode(Inode):
    def __init__(self) -> None:
        self.filesystem = _AnonymousFileSystem()
        now = time_ns()
        self._attributes = Attributes(
            S.IRUSR | S.IWUSR, 1, self.filesystem.device, atime_ns=now, mtime_ns=now, ctime_ns=now
        )

    def attributes(self) -> Attributes:
        """It has permission bits and no type."""
        return self._attributes

    def change(self, change: Change) -> None:  # noqa: ARG002
        """It belongs to everybody (anon_inode_setattr)."""
        raise LinuxError(Errno.EOPNOTSUPP)

    def open(self, flags: O, dentry: "Dentry") -> File:  # noqa: ARG002
        raise LinuxError(Errno.ENXIO)


_INODE: Final = _AnonymousInode()


class AnonymousFile(File):
    """A file description without a name; `label` is what /proc/self/fd shows in brackets."""

    label = b"unknown"
    gives_splices = False
    takes_splices = False

    @property
    def inode(self) -> Inode:
        return _INODE

    def describe(self) -> bytes:
        return b"anon_inode:[%s]" % self.label
