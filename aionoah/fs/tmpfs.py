"""The file system in memory (Linux mm/shmem.c; tmpfs(5)).

Permissions, sticky directories and read-only mounts are the path operations' business.
"""

import itertools
from time import time_ns
from typing import TYPE_CHECKING, Final

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.dirent import PackedEntries
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import RENAME, O
from aionoah.abi.ioctl import FS_FL
from aionoah.abi.stat import DT, S, directory_type
from aionoah.abi.statfs import MAGIC
from aionoah.fs.device_numbers import anonymous_device
from aionoah.fs.directory import DirectoryFile
from aionoah.fs.file import File
from aionoah.fs.inode import FileSystem, FileSystemStatus, Inode, Row
from aionoah.fs.path import Dentry
from aionoah.fs.tmpfs_data import Quota
from aionoah.fs.tmpfs_inode import TmpInode, TmpRegular, TmpSpecial, TmpSymlink
from aionoah.fs.trails import Test

if TYPE_CHECKING:
    from aionoah.fs.handles import Handle

_DEFAULT_LIMIT: Final = 1 << 30  # bytes
_DEFAULT_INODES: Final = 1 << 20
ENTRY_SIZE: Final = 20  # what an entry adds to the size of its directory (BOGO_DIRENT_SIZE)


class TmpFileSystem(FileSystem):
    """A tree in memory of at most `limit` bytes and `inode_limit` files."""

    type_name = b"tmpfs"
    has_fine_times = True
    directories_kept = 128
    is_ephemeral = True

    def __init__(
        self, *, limit: int = _DEFAULT_LIMIT, inode_limit: int = _DEFAULT_INODES, mode: int = 0o1777
    ) -> None:
        self.device = anonymous_device()
        self.quota = Quota(limit // PAGE_SIZE)
        self.inode_limit = inode_limit
        self.inodes = 0
        self._numbers = itertools.count(1)
        self.root: TmpDirectory = TmpDirectory(self, S.IFDIR | mode, 0, 0)
        self.root.parent = self.root

    def new_number(self) -> int:
        """An inode number. ENOSPC at the limit of inodes."""
        if self.inodes >= self.inode_limit:
            raise LinuxError(Errno.ENOSPC)
        self.inodes += 1
        return next(self._numbers)

    def status(self) -> FileSystemStatus:
        free = self.quota.free_pages
        return FileSystemStatus(
            MAGIC.TMPFS,
            PAGE_SIZE,
            blocks=self.quota.limit_pages,
            blocks_free=free,
            blocks_available=free,
            files=self.inode_limit,
            files_free=max(0, self.inode_limit - self.inodes),
        )

    def handle_of(self, inode: Inode) -> "Handle":
        from aionoah.fs.handles import tmpfs_handle  # noqa: PLC0415 - few programs want handles

        return tmpfs_handle(inode.attributes().ino)

    def names_of(self, handle: "Handle") -> list[bytes]:
        """Numbers are never used again, and nothing in memory is large enough for a search to matter."""
        pending: list[tuple[list[bytes], TmpInode]] = [([], self.root)]
        while pending:
            names, inode = pending.pop()
            if self.handle_of(inode) == handle:
                return names
            if isinstance(inode, TmpDirectory):
                pending += [([*names, name], each) for name, each in inode.names.items()]
        raise LinuxError(Errno.ESTALE)

    def release(self) -> None:
        """Forget the tree; files that are still open live as long as they are."""
        self.root.clear()


class TmpDirectoryFile(DirectoryFile):
    """An open directory, whose reading is an access."""

    def _list(self) -> PackedEntries:
        inode = self.dentry.inode
        if O.NOATIME not in self.flags and isinstance(inode, TmpDirectory):
            inode.accessed()
        return super()._list()


class TmpDirectory(TmpInode):
    """Names and inodes. A removed directory has no links left and takes no new entries: ENOENT."""

    def __init__(self, filesystem: TmpFileSystem, mode: int, uid: int, gid: int) -> None:
        super().__init__(filesystem, S.IFDIR | mode, uid, gid)
        self.nlink = 2
        self.parent: TmpDirectory = self
        self.names: dict[bytes, TmpInode] = {}

    def size(self) -> int:
        return ENTRY_SIZE * (2 + len(self.names))

    def clear(self) -> None:
        """Forget everything below, so that nothing is kept alive by a cycle."""
        pending: list[TmpDirectory] = [self]
        while pending:
            directory = pending.pop()
            names, directory.names = directory.names, {}
            pending += [inode for inode in names.values() if isinstance(inode, TmpDirectory)]

    def lookup(self, name: bytes) -> TmpInode:
        try:
            return self.names[name]
        except KeyError:
            raise LinuxError(Errno.ENOENT) from None

    def confirmer(self, name: bytes, found: Inode | None) -> Test | None:
        if found is None:
            return lambda: name not in self.names
        if not isinstance(found, TmpInode):
            return None
        mode, uid, gid = found.mode, found.uid, found.gid
        return lambda: (
            self.names.get(name) is found and (found.mode, found.uid, found.gid) == (mode, uid, gid)
        )

    def open(self, flags: O, dentry: Dentry) -> File:
        return TmpDirectoryFile(flags, dentry)

    def listing(self) -> list[Row]:
        entries = ((inode.ino, directory_type(inode.mode), name) for name, inode in self.names.items())
        return [(self.ino, DT.DIR, b"."), (self.parent.ino, DT.DIR, b".."), *entries]

    # -- adding -----------------------------------------------------------------------------------------

    def _require_free(self, name: bytes) -> None:
        if not self.nlink:
            raise LinuxError(Errno.ENOENT)
        if name in self.names:
            raise LinuxError(Errno.EEXIST)
        self.require_changeable(int(FS_FL.IMMUTABLE))

    def _add(self, name: bytes, inode: TmpInode) -> None:
        self.names[name] = inode
        if isinstance(inode, TmpDirectory):
            inode.parent = self
            self.nlink += 1
        self.modified()

    def create(self, name: bytes, mode: int, uid: int, gid: int) -> TmpInode:
        self._require_free(name)
        made = TmpRegular(self.filesystem, mode, uid, gid)
        self._add(name, made)
        return made

    def create_nameless(self, mode: int, uid: int, gid: int, *, is_linkable: bool) -> TmpInode:
        made = TmpRegular(self.filesystem, mode, uid, gid)
        made.nlink, made.is_linkable = 0, is_linkable
        return made

    def mkdir(self, name: bytes, mode: int, uid: int, gid: int) -> TmpInode:
        self._require_free(name)
        made = TmpDirectory(self.filesystem, mode, uid, gid)
        self._add(name, made)
        return made

    def mknod(self, name: bytes, mode: int, rdev: int, uid: int, gid: int) -> TmpInode:
        self._require_free(name)
        made = TmpSpecial(self.filesystem, mode, uid, gid)
        made.rdev = rdev
        self._add(name, made)
        return made

    def symlink(self, name: bytes, target: bytes, uid: int, gid: int) -> TmpInode:
        self._require_free(name)
        made = TmpSymlink(self.filesystem, target, uid, gid)
        self._add(name, made)
        return made

    def link(self, name: bytes, inode: Inode) -> None:
        self._require_free(name)
        if not isinstance(inode, TmpInode) or inode.filesystem is not self.filesystem:
            raise LinuxError(Errno.EXDEV)
        if not inode.nlink and not inode.is_linkable:
            raise LinuxError(Errno.ENOENT)
        inode.require_changeable()
        inode.is_linkable = False
        inode.nlink += 1
        inode.ctime_ns = time_ns()
        self._add(name, inode)

    # -- removing and moving ------------------------------------------------------------------------------

    def unlink(self, name: bytes) -> None:
        inode = self.lookup(name)
        if isinstance(inode, TmpDirectory):
            raise LinuxError(Errno.EISDIR)
        self._require_removable(inode)
        self._remove(name)

    def rmdir(self, name: bytes) -> None:
        inode = self.lookup(name)
        if not isinstance(inode, TmpDirectory):
            raise LinuxError(Errno.ENOTDIR)
        self._require_removable(inode)
        if inode.names:
            raise LinuxError(Errno.ENOTEMPTY)
        self._remove(name)

    def _require_removable(self, inode: TmpInode) -> None:
        """EPERM (may_delete)."""
        self.require_changeable()
        inode.require_changeable()

    def _detach(self, name: bytes) -> TmpInode:
        """Take an entry out without touching the inode's own count."""
        inode = self.names.pop(name)
        if isinstance(inode, TmpDirectory):
            self.nlink -= 1
        self.modified()
        return inode

    def _remove(self, name: bytes) -> None:
        inode = self._detach(name)
        inode.nlink -= 2 if isinstance(inode, TmpDirectory) else 1
        inode.ctime_ns = time_ns()

    def rename(self, name: bytes, directory: Inode, new_name: bytes, flags: int) -> None:
        if not isinstance(directory, TmpDirectory) or directory.filesystem is not self.filesystem:
            raise LinuxError(Errno.EXDEV)
        if not directory.nlink:
            raise LinuxError(Errno.ENOENT)
        inode = self.lookup(name)
        self._require_removable(inode)
        directory.require_changeable(int(FS_FL.IMMUTABLE))
        if flags & RENAME.EXCHANGE:
            self._exchange(name, directory, new_name)
            return
        replaced = directory.names.get(new_name)
        if replaced is not None:
            if flags & RENAME.NOREPLACE:
                raise LinuxError(Errno.EEXIST)
            if replaced is inode:
                return
            (directory.rmdir if isinstance(inode, TmpDirectory) else directory.unlink)(new_name)
        directory._add(new_name, self._detach(name))  # noqa: SLF001 - of the same class
        inode.ctime_ns = time_ns()
        if flags & RENAME.WHITEOUT:
            self.mknod(name, S.IFCHR, 0, inode.uid, inode.gid)

    def _exchange(self, name: bytes, directory: "TmpDirectory", new_name: bytes) -> None:
        directory._require_removable(directory.lookup(new_name))  # noqa: SLF001
        mine, theirs = self._detach(name), directory._detach(new_name)  # noqa: SLF001
        self._add(name, theirs)
        directory._add(new_name, mine)  # noqa: SLF001
        mine.ctime_ns = theirs.ctime_ns = time_ns()
