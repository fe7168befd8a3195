"""/dev/pts: a name for the slave of each pty, for as long as its master is open.

Source: pts(4); Linux fs/devpts/inode.c. One instance, whatever mounts it.
"""

from time import time_ns
from typing import TYPE_CHECKING, Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.stat import DT, S
from aionoah.abi.statfs import MAGIC
from aionoah.fs.device_numbers import anonymous_device
from aionoah.fs.devices import PTMX
from aionoah.fs.directory import DirectoryFile, FixedDirectory
from aionoah.fs.file import File
from aionoah.fs.inode import NOW, Attributes, Change, FileSystem, FileSystemStatus, Inode, Row
from aionoah.process.current import current_task
from aionoah.terminal.files import SlaveFile, open_master
from aionoah.terminal.pty import TTY_GROUP, Pty, Ptys

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry

DEVICE: Final = anonymous_device()
_ROOT_INO: Final = 1
_PTMX_INO: Final = 2
_FIRST_INO: Final = 3
OPTIONS: Final = b"gid=%d,mode=620,ptmxmode=666" % TTY_GROUP


class DevPts(FileSystem):
    """The file system."""

    type_name = b"devpts"
    device = DEVICE

    def __init__(self, ptys: Ptys) -> None:
        self.ptys = ptys
        self.made_ns = time_ns()
        self.root = _Root(self)

    def status(self) -> FileSystemStatus:
        return FileSystemStatus(MAGIC.DEVPTS)


class _Root(FixedDirectory):
    filesystem: DevPts

    def __init__(self, filesystem: DevPts) -> None:
        self.filesystem = filesystem
        self._ptmx = _Ptmx(filesystem)

    def attributes(self) -> Attributes:
        made = self.filesystem.made_ns
        return Attributes(
            S.IFDIR | 0o755,
            _ROOT_INO,
            DEVICE,
            nlink=2,
            blksize=1024,
            atime_ns=made,
            mtime_ns=made,
            ctime_ns=made,
        )

    @property
    def kind(self) -> int:
        return S.IFDIR

    def lookup(self, name: bytes) -> Inode:
        if name == b"ptmx":
            return self._ptmx
        number = int(name) if name.isdigit() and len(name) <= len("1048575") else -1
        pty = self.filesystem.ptys.by_index.get(number)
        if pty is None or name != b"%d" % number:
            raise LinuxError(Errno.ENOENT)
        return SlaveInode(self.filesystem, pty)

    def listing(self) -> list[Row]:
        fixed = [(_ROOT_INO, DT.DIR, b"."), (_ROOT_INO, DT.DIR, b".."), (_PTMX_INO, DT.CHR, b"ptmx")]
        slaves = ((_FIRST_INO + index, DT.CHR, b"%d" % index) for index in self.filesystem.ptys.by_index)
        return [*fixed, *slaves]

    def open(self, flags: O, dentry: "Dentry") -> File:
        return DirectoryFile(flags, dentry)

    def create(self, name: bytes, mode: int, uid: int, gid: int) -> Inode:  # noqa: ARG002
        raise LinuxError(Errno.EACCES)

    def unlink(self, name: bytes) -> None:
        self.lookup(name)
        raise LinuxError(Errno.EPERM)


class _Ptmx(Inode):
    filesystem: DevPts

    def __init__(self, filesystem: DevPts) -> None:
        self.filesystem = filesystem

    def attributes(self) -> Attributes:
        made = self.filesystem.made_ns
        return Attributes(
            S.IFCHR | 0o666,
            _PTMX_INO,
            DEVICE,
            rdev=PTMX,
            blksize=1024,
            atime_ns=made,
            mtime_ns=made,
            ctime_ns=made,
        )

    @property
    def kind(self) -> int:
        return S.IFCHR

    def open(self, flags: O, dentry: "Dentry") -> File:
        return open_master(flags, dentry)


class SlaveInode(Inode):
    """/dev/pts/N. Its owner and mode belong to the pty, and may be changed."""

    filesystem: DevPts

    def __init__(self, filesystem: DevPts, pty: Pty) -> None:
        self.filesystem = filesystem
        self._pty = pty

    @property
    def kind(self) -> int:
        return S.IFCHR

    def attributes(self) -> Attributes:
        pty = self._pty
        return Attributes(
            S.IFCHR | pty.mode,
            _FIRST_INO + pty.index,
            DEVICE,
            uid=pty.uid,
            gid=pty.gid,
            rdev=pty.rdev,
            blksize=1024,
            atime_ns=pty.atime_ns,
            mtime_ns=pty.mtime_ns,
            ctime_ns=pty.ctime_ns,
        )

    def open(self, flags: O, dentry: "Dentry") -> File:
        """EBUSY for others than root, if whoever has it open wants to be alone with it."""
        if self._pty.slave.is_exclusive and not current_task().credentials.has_capability(CAP.SYS_ADMIN):
            raise LinuxError(Errno.EBUSY)
        return SlaveFile(self._pty, flags, dentry)

    def change(self, change: Change) -> None:
        pty, now = self._pty, time_ns()
        pty.mode = pty.mode if change.mode is None else change.mode
        pty.uid = pty.uid if change.uid is None else change.uid
        pty.gid = pty.gid if change.gid is None else change.gid
        if change.atime_ns is not None:
            pty.atime_ns = now if change.atime_ns == NOW else change.atime_ns
        if change.mtime_ns is not None:
            pty.mtime_ns = now if change.mtime_ns == NOW else change.mtime_ns
        pty.ctime_ns = now
