"""Mounts: how several file systems make one tree.

A mount hides a name of a directory. The name need not exist there: a host tree that may not be
written can carry mountpoints that the host does not have, and directories on the way to them are made
up. Source: mount(2), mount_namespaces(7), proc_pid_mounts(5).
"""

import itertools
from collections import deque
from collections.abc import Iterator
from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.mount import MS
from aionoah.abi.stat import DT, S
from aionoah.fs.context import FsContext
from aionoah.fs.directory import DirectoryFile
from aionoah.fs.file import File
from aionoah.fs.inode import Attributes, DirectoryEntry, FileSystem, Inode
from aionoah.fs.path import Dentry, walk
from aionoah.fs.permissions import BY_USER
from aionoah.fs.trails import Tree

MOUNTS_MAX: Final = 8192
"""In one name space (fs.mount-max). Linux's limit is 100,000: a program that binds a tree below itself has so many at
once, and we would be busy with them for minutes."""

_OPTIONS: Final = {
    b"nosuid": MS.NOSUID,
    b"nodev": MS.NODEV,
    b"noexec": MS.NOEXEC,
    b"noatime": MS.NOATIME,
    b"nodiratime": MS.NODIRATIME,
    b"relatime": MS.RELATIME,
    b"nosymfollow": MS.NOSYMFOLLOW,
}  # in the order in which /proc/mounts shows them


class Mount:
    """One file system, or a part of it, at a place in the tree."""

    is_locked = False
    """Set by the application: guests can neither take it away nor write where they should only read."""
    is_unbindable = False
    has_expired = False  # asked to go if it is not used (MNT_EXPIRE)
    peer_group = 0  # of a shared mount: its number (fs/propagation.py)
    master = 0  # the group that a slave receives from

    def __init__(
        self,
        filesystem: FileSystem,
        parent: Dentry | None = None,
        name: bytes = b"",
        *,
        root: Inode | None = None,
        read_only: bool = False,
        source: bytes = b"",
        options: bytes = b"",
        identifier: int = 1,
    ) -> None:
        """`root`: the inode to show, the file system's own root if None. `options` is text such as b"nosuid,mode=755":
        flags of the mount, and what the file system says of itself.
        """
        self.filesystem = filesystem
        self.recent: deque[Dentry] = deque(maxlen=filesystem.directories_kept)
        """Directories that are held for the next walk, each with a descriptor if it is the host's."""
        self.root = Dentry(self, parent, name, root or filesystem.root)
        self.is_read_only = read_only or filesystem.is_read_only
        self.is_ceiling_read_only = filesystem.is_read_only  # no remount makes it writable
        self.source = source or filesystem.type_name  # what /proc/mounts shows in its first column
        words = [word for word in options.split(b",") if word]
        self.details = b",".join(word for word in words if word not in _OPTIONS)
        self.flags = MS(sum(_OPTIONS.get(word, 0) for word in {*words}) or MS.RELATIME)
        if not self.flags & (MS.NOATIME | MS.RELATIME):
            self.flags = MS(self.flags | MS.RELATIME)
        self.root_path = b"/"  # of its root within the file system
        self.beneath: Dentry | None = None  # what another mount had put over the same name before
        self.identifier = identifier  # mount id of statx and mountinfo

    def require_writable(self) -> None:
        """EROFS on a read-only mount."""
        if self.is_read_only:
            raise LinuxError(Errno.EROFS)

    @property
    def options(self) -> bytes:
        """Its flags in words, read-only aside."""
        return b",".join(word for word, flag in _OPTIONS.items() if self.flags & flag)

    @property
    def option_text(self) -> bytes:
        """The fourth column of /proc/mounts."""
        words = [b"ro" if self.is_read_only else b"rw", self.options, self.details]
        return b",".join(word for word in words if word)

    def require_devices(self) -> None:
        """EACCES on a nodev mount."""
        if self.flags & MS.NODEV:
            raise LinuxError(Errno.EACCES)


class VirtualDirectory(Inode):
    """An empty directory that exists only to hold a mountpoint. It is the root of a hidden read-only
    mount of its own, so that changes end in EROFS, links and renames in EXDEV.
    """

    def __init__(self, filesystem: FileSystem, ino: int) -> None:
        self.filesystem = filesystem
        self._ino = ino

    @property
    def kind(self) -> int:
        return S.IFDIR

    def attributes(self) -> Attributes:
        return Attributes(S.IFDIR | 0o755, self._ino, self.filesystem.device, nlink=2)

    def lookup(self, name: bytes) -> Inode:  # noqa: ARG002 - nothing is there
        raise LinuxError(Errno.ENOENT)

    def entries(self, cookie: int) -> Iterator[DirectoryEntry]:
        dots = [
            DirectoryEntry(self._ino, 1, DT.DIR, b"."),
            DirectoryEntry(self._ino, 2, DT.DIR, b".."),
        ]
        return iter(dots[cookie:])

    def open(self, flags: O, dentry: Dentry) -> File:
        return DirectoryFile(flags, dentry)


class _Superuser:
    """Who mounts."""

    uid = gid = fsuid = fsgid = 0
    effective = permitted = BY_USER
    groups = ()


class Namespace:
    """The tree of mounts that guests of one Linux share."""

    def __init__(self, filesystem: FileSystem, *, read_only: bool = False, source: bytes = b"") -> None:
        """`filesystem` is mounted at the root."""
        top = Mount(filesystem, read_only=read_only, source=source)
        top.is_locked, top.is_ceiling_read_only = True, top.is_read_only
        self.root = top.root
        self.mounts = [top]  # in the order of mounting, as /proc/mounts lists them
        self._identifiers = itertools.count(2)
        self._virtual_inos = itertools.count(0xF000_0000_0000_0000)
        self._context = FsContext(self.root, _Superuser())

    def mount(
        self,
        filesystem: FileSystem,
        path: bytes,
        *,
        root: Inode | None = None,
        read_only: bool = False,
        source: bytes = b"",
        options: bytes = b"",
    ) -> Mount:
        """Put a file system, or the part below `root`, over a path.

        The path need not exist: what is missing is made in memory file systems, and made up
        elsewhere. ENOTDIR if a directory would cover another kind of file or the reverse, EBUSY for
        the root of the tree.
        """
        parent, name = self._mountpoint(path, is_directory=(root or filesystem.root).kind == S.IFDIR)
        mount = Mount(
            filesystem,
            parent,
            name,
            root=root,
            read_only=read_only,
            source=source,
            options=options,
        )
        mount.is_ceiling_read_only |= read_only
        self.attach(mount, parent, name)
        return mount

    def _mountpoint(self, path: bytes, *, is_directory: bool) -> tuple[Dentry, bytes]:
        """The parent and the name of a mountpoint, symbolic links followed."""
        parts = [part for part in path.split(b"/") if part]
        if not parts or b"." in parts or b".." in parts:
            raise LinuxError(Errno.EINVAL if parts else Errno.EBUSY)
        position = self.root
        for part in parts[:-1]:
            position = self._enter(position, part) or self._make_directory(position, part)
        target = self._enter(position, parts[-1])
        if target is None:
            if position.inode.kind != S.IFDIR:
                raise LinuxError(Errno.ENOTDIR)
            return position, parts[-1]
        if target.parent is None:
            raise LinuxError(Errno.EBUSY)
        if (target.inode.kind == S.IFDIR) != is_directory:
            raise LinuxError(Errno.ENOTDIR)
        return target.parent, target.name

    def _enter(self, position: Dentry, name: bytes) -> Dentry | None:
        try:
            return walk(self._context, position, name)
        except LinuxError as error:
            if error.errno is not Errno.ENOENT:
                raise
            return None

    def _make_directory(self, parent: Dentry, name: bytes) -> Dentry:
        """A directory on the way to a mountpoint: a real one only where nothing outlives us."""
        if parent.mount.filesystem.is_ephemeral and not parent.mount.is_read_only:
            return parent.attach(name, parent.inode.mkdir(name, 0o755, 0, 0))
        virtual = VirtualDirectory(parent.mount.filesystem, next(self._virtual_inos))
        mount = Mount(parent.mount.filesystem, parent, name, root=virtual, read_only=True)
        self._cover(parent, name, mount)
        return mount.root

    def attach(self, mount: Mount, parent: Dentry, name: bytes) -> None:
        """Put a mount over a name."""
        mount.identifier = next(self._identifiers)
        self._cover(parent, name, mount)
        self.mounts.append(mount)

    @staticmethod
    def _cover(parent: Dentry, name: bytes, mount: Mount) -> None:
        Tree.changes += 1
        if parent.covers is None:
            parent.covers = {}
        mount.root.parent, mount.root.name = parent, name
        mount.beneath = parent.covers.get(name)
        parent.covers[name] = mount.root

    def detach(self, mount: Mount) -> None:
        """Take a mount off its name: what it covered is there again. It keeps its parent, for those who are in it."""
        Tree.changes += 1
        parent, name = mount.root.parent, mount.root.name
        assert parent is not None  # noqa: S101 - the root of all is never detached
        assert parent.covers is not None  # noqa: S101 - it covers something
        if parent.covers[name] is not mount.root:  # another mount lies over it
            above = next(other for other in self.mounts if other.beneath is mount.root)
            above.beneath = mount.beneath
        elif mount.beneath is None:
            del parent.covers[name]
        else:
            parent.covers[name] = mount.beneath
        mount.beneath = None
        self.mounts.remove(mount)

    def release(self) -> None:
        """Unmount everything and free what the file systems hold."""
        released: set[FileSystem] = set()
        while self.mounts:
            filesystem = self.mounts.pop().filesystem
            if filesystem not in released:
                released.add(filesystem)
                filesystem.release()
