"""Mounts: how several file systems make one tree.

A mount hides a name of a directory. The name need not exist there: a host tree that may not be
written can carry mountpoints that the host does not have, and directories on the way to them are made
up. Source: mount(2), mount_namespaces(7), proc_pid_mounts(5).
"""

from collections import deque
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.mount import MS
from aionoah.abi.stat import DT, S
from aionoah.fs.directory import DirectoryFile
from aionoah.fs.file import File
from aionoah.fs.inode import Attributes, FileSystem, Inode, Row
from aionoah.fs.path import Dentry, path_of

if TYPE_CHECKING:
    from aionoah.fs.mount_namespace import MountNamespace

MOUNTS_MAX: Final = 8192
"""In one name space (fs.mount-max). Linux's limit is 100,000: a program that binds a tree below itself has so many at
once, and we would be busy with them for minutes."""
ALL_MOUNTS_MAX: Final = 2 * MOUNTS_MAX
"""In all name spaces of an instance."""

_OPTIONS: Final = {
    b"nosuid": MS.NOSUID,
    b"nodev": MS.NODEV,
    b"noexec": MS.NOEXEC,
    b"noatime": MS.NOATIME,
    b"nodiratime": MS.NODIRATIME,
    b"relatime": MS.RELATIME,
    b"nosymfollow": MS.NOSYMFOLLOW,
}  # in the order in which /proc/mounts shows them
TIMES: Final = MS.NOATIME | MS.NODIRATIME | MS.RELATIME


class Mount:
    """One file system, or a part of it, at a place in the tree."""

    is_locked = False
    """It can neither be taken away nor moved: by the application's will, or because it hides something from whoever has
    made this name space, but none of its own.
    """
    locked_flags = 0  # those of `flags` that have to stay, for the same reason
    is_unbindable = False
    has_expired = False  # asked to go if it is not used (MNT_EXPIRE)
    namespace: "MountNamespace | None" = None  # that it is in, until it is taken away
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
        self.identifier = 0  # mount id of statx and mountinfo, as soon as it is in a tree

    @property
    def under(self) -> "Mount | None":
        """What it is mounted on; None for the root of all."""
        if self.beneath is not None:
            return self.beneath.mount
        return None if self.root.parent is None else self.root.parent.mount

    def copy(self, place: Dentry) -> "Mount":
        """One that shows the same from a place on: a peer if this is shared, a slave of the same if it is one."""
        made = Mount(
            self.filesystem,
            root=place.inode,
            read_only=self.is_read_only,
            source=self.source,
            options=self.details,
        )
        made.flags, made.is_ceiling_read_only = self.flags, self.is_ceiling_read_only
        made.peer_group, made.master = self.peer_group, self.master
        made.locked_flags = self.locked_flags
        made.root_path = (self.root_path.rstrip(b"/") + path_of(place, self.root)).rstrip(b"/") or b"/"
        return made

    def lock_flags(self) -> None:
        """What it forbids, it forbids for good (lock_mnt_tree)."""
        self.is_ceiling_read_only |= self.is_read_only
        self.locked_flags = self.flags & (MS.NOSUID | MS.NODEV | MS.NOEXEC) | TIMES

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

    def listing(self) -> list[Row]:
        return [(self._ino, DT.DIR, b"."), (self._ino, DT.DIR, b"..")]

    def open(self, flags: O, dentry: Dentry) -> File:
        return DirectoryFile(flags, dentry)
