"""Files in memory: what all inodes of tmpfs have, and every kind but directories (Linux mm/shmem.c)."""

from time import time_ns
from typing import TYPE_CHECKING, Final

from aionoah.abi.acl import XATTR_POSIX_ACL_ACCESS
from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import FALLOC, SEEK, O
from aionoah.abi.ioctl import FS_FL
from aionoah.abi.stat import STATX_ATTR, S
from aionoah.abi.time import NSEC_PER_SEC
from aionoah.abi.uio import RWF, RWF_FOR_ALL
from aionoah.abi.xattr import XATTR
from aionoah.fs.acl import Entry, parse
from aionoah.fs.devices import open_device
from aionoah.fs.file import File, HostMapping
from aionoah.fs.inode import NOW, Attributes, Change, Details, Inode, MustWait
from aionoah.fs.path import Dentry
from aionoah.fs.pipe import open_fifo
from aionoah.fs.regular import MAX_OFFSET, RegularFile
from aionoah.fs.tmpfs_data import Contents
from aionoah.memory.buffer import Buffer

if TYPE_CHECKING:
    from aionoah.fs.tmpfs import TmpFileSystem

_DAY_NS: Final = 24 * 3600 * NSEC_PER_SEC
_CHANGEABLE: Final = int(FS_FL.IMMUTABLE | FS_FL.APPEND | FS_FL.NODUMP | FS_FL.NOATIME)
_FIXED: Final = int(FS_FL.IMMUTABLE | FS_FL.APPEND)
_TOLD: Final = int(STATX_ATTR.IMMUTABLE | STATX_ATTR.APPEND | STATX_ATTR.NODUMP)
_XATTR_SPACES: Final = (b"user.", b"trusted.", b"security.", b"system.posix_acl_")


class TmpInode(Inode):
    """What all kinds of files have."""

    filesystem: "TmpFileSystem"
    is_linkable = False  # made without a name, and may still get one
    file_flags = 0  # FS_FL

    def __init__(self, filesystem: "TmpFileSystem", mode: int, uid: int, gid: int) -> None:
        self.ino = filesystem.new_number()
        self.filesystem = filesystem
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.nlink = 1
        self.rdev = 0
        self.btime_ns = self.atime_ns = self.mtime_ns = self.ctime_ns = time_ns()
        self.xattrs: dict[bytes, bytes] = {}

    def __del__(self) -> None:
        if hasattr(self, "filesystem"):
            self.filesystem.inodes -= 1

    @property
    def kind(self) -> int:
        return self.mode & S.IFMT

    def size(self) -> int:
        return 0

    def pages(self) -> int:
        return 0

    def attributes(self) -> Attributes:
        return Attributes(
            self.mode,
            self.ino,
            self.filesystem.device,
            self.nlink,
            self.uid,
            self.gid,
            self.rdev,
            self.size(),
            PAGE_SIZE,
            self.pages() * (PAGE_SIZE // 512),
            self.atime_ns,
            self.mtime_ns,
            self.ctime_ns,
            self.btime_ns,
        )

    def details(self) -> Details:
        """The attributes of statx have the numbers of the flags (shmem_getattr)."""
        return Details(self.btime_ns, self.file_flags & _TOLD, _TOLD)

    def flags(self) -> int:
        if self.kind not in (S.IFREG, S.IFDIR):
            raise LinuxError(Errno.ENOTTY)
        return self.file_flags

    def set_flags(self, flags: int) -> None:
        if flags & ~_CHANGEABLE:
            raise LinuxError(Errno.EOPNOTSUPP)
        self.file_flags = flags
        self.ctime_ns = time_ns()

    def require_changeable(self, barriers: int = _FIXED) -> None:
        """EPERM if it has one of these flags."""
        if self.file_flags & barriers:
            raise LinuxError(Errno.EPERM)

    def modified(self) -> None:
        self.mtime_ns = self.ctime_ns = time_ns()

    def accessed(self) -> None:
        """The rule of relatime (mount(8)): once after a change, and once a day."""
        now = time_ns()
        if self.atime_ns <= max(self.mtime_ns, self.ctime_ns) or self.atime_ns < now - _DAY_NS:
            self.atime_ns = now

    def change(self, change: Change) -> None:
        is_touch = (
            change.atime_ns == change.mtime_ns == NOW and change.mode is change.uid is change.gid is None
        )
        self.require_changeable(int(FS_FL.IMMUTABLE) if is_touch else _FIXED)
        now = time_ns()
        if change.size is not None:
            self.truncate(change.size)
        if change.mode is not None:
            self.mode = self.kind | change.mode
        if change.uid is not None:
            self.uid = change.uid
        if change.gid is not None:
            self.gid = change.gid
        if change.atime_ns is not None:
            self.atime_ns = now if change.atime_ns == NOW else change.atime_ns
        if change.mtime_ns is not None:
            self.mtime_ns = now if change.mtime_ns == NOW else change.mtime_ns
        self.ctime_ns = now

    def truncate(self, size: int) -> None:  # noqa: ARG002 - for regular files
        raise LinuxError(Errno.EINVAL)

    # -- extended attributes ----------------------------------------------------------------------------

    def get_xattr(self, name: bytes) -> bytes:
        _require_xattr_space(name)
        if name not in self.xattrs:
            raise LinuxError(Errno.ENODATA)
        return self.xattrs[name]

    def set_xattr(self, name: bytes, value: bytes, flags: int) -> None:
        self.require_changeable()
        _require_xattr_space(name)
        if flags & XATTR.CREATE and name in self.xattrs:
            raise LinuxError(Errno.EEXIST)
        if flags & XATTR.REPLACE and name not in self.xattrs:
            raise LinuxError(Errno.ENODATA)
        self.xattrs[name] = value
        self.ctime_ns = time_ns()

    def access_list(self) -> list[Entry] | None:
        value = self.xattrs.get(XATTR_POSIX_ACL_ACCESS)
        return parse(value) if value is not None else None

    def keeps_lists(self) -> bool:
        return True

    def list_xattrs(self) -> list[bytes]:
        return list(self.xattrs)

    def remove_xattr(self, name: bytes) -> None:
        self.require_changeable()
        self.get_xattr(name)
        del self.xattrs[name]
        self.ctime_ns = time_ns()


def _require_xattr_space(name: bytes) -> None:
    if not name.startswith(_XATTR_SPACES):
        raise LinuxError(Errno.EOPNOTSUPP)


class TmpSymlink(TmpInode):
    def __init__(self, filesystem: "TmpFileSystem", target: bytes, uid: int, gid: int) -> None:
        super().__init__(filesystem, S.IFLNK | 0o777, uid, gid)
        self._target = target

    def size(self) -> int:
        return len(self._target)

    def readlink(self) -> bytes:
        self.accessed()
        return self._target


class TmpSpecial(TmpInode):
    """A FIFO, socket or device node. ENXIO for sockets, and for devices that we do not have."""

    def open(self, flags: O, dentry: Dentry) -> File:
        if self.kind == S.IFCHR:
            return open_device(self.rdev, flags, dentry)
        if self.kind != S.IFIFO:
            raise LinuxError(Errno.ENXIO)
        raise MustWait(lambda: open_fifo(self, flags, dentry))


class TmpRegular(TmpInode):
    def __init__(self, filesystem: "TmpFileSystem", mode: int, uid: int, gid: int) -> None:
        super().__init__(filesystem, S.IFREG | mode, uid, gid)
        self.contents = Contents(filesystem.quota)

    def size(self) -> int:
        return self.contents.size

    def pages(self) -> int:
        return self.contents.pages

    def attributes(self) -> Attributes:
        if self.contents.is_mapped:
            self._notice_mapped_writes()
        return super().attributes()

    def _notice_mapped_writes(self) -> None:
        """Who writes through a mapping does not ask us: the host knows when the first write to each page was."""
        written_ns = self.contents.written_ns()
        if written_ns > self.mtime_ns:
            self.mtime_ns = written_ns
            self.ctime_ns = max(self.ctime_ns, written_ns)

    def change(self, change: Change) -> None:
        if self.contents.is_mapped:
            self._notice_mapped_writes()
        super().change(change)
        if change.mtime_ns is not None:
            self.contents.forget_writes()

    def truncate(self, size: int) -> None:
        self.contents.truncate(size)
        self.modified()

    def open(self, flags: O, dentry: Dentry) -> File:
        if self.file_flags and flags & O.ACCMODE != O.RDONLY:
            self.require_changeable(int(FS_FL.IMMUTABLE) if O.APPEND in flags else _FIXED)
        return TmpFile(flags, dentry, self)


class TmpFile(RegularFile):
    """An open regular file."""

    read_flags = write_flags = RWF_FOR_ALL & ~RWF.NOWAIT
    limits_reserved = True

    def __init__(self, flags: O, dentry: Dentry | None, inode: TmpRegular) -> None:
        super().__init__(flags, dentry)
        self._inode = inode
        self._contents = inode.contents

    def size(self) -> int:
        return self._contents.size

    def pread(self, dst: Buffer, offset: int) -> int:
        if O.NOATIME not in self.flags:
            self._inode.accessed()
        return self._contents.read(dst, offset)

    def _store(self, src: Buffer, offset: int) -> int:
        done = self._contents.write(src, offset)
        if done:
            self._inode.modified()
        return done

    def _seek_extent(self, offset: int, whence: int) -> int:
        if not 0 <= offset < self.size():
            raise LinuxError(Errno.ENXIO)
        found = self._contents.seek(offset, SEEK(whence))
        if found < 0:
            raise LinuxError(Errno.ENXIO)
        return found

    def truncate(self, length: int) -> None:
        if not 0 <= length <= MAX_OFFSET:
            raise LinuxError(Errno.EINVAL)
        self._inode.require_changeable(int(FS_FL.APPEND))
        self.changing()
        self._inode.truncate(length)

    def allocate(self, mode: int, offset: int, length: int) -> None:
        is_pure = not mode & ~FALLOC.KEEP_SIZE  # which may be done to what is appended to (vfs_fallocate)
        self._inode.require_changeable(int(FS_FL.IMMUTABLE) if is_pure else _FIXED)
        self.changing()
        self._contents.allocate(mode, offset, length)
        self._inode.modified()

    def sync(self, *, data_only: bool) -> None:
        """Nothing to do: memory is as stable as it gets."""

    def for_mapping(self, *, shared: bool) -> File:
        if O.NOATIME not in self.flags:
            self._inode.accessed()
        return super().for_mapping(shared=shared)

    def mapping(self) -> HostMapping:
        return HostMapping(self._contents.mapped_descriptor(), 0)
