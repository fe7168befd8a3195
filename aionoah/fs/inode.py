"""What a file system offers to the path walk: inodes and the file systems they belong to."""
# ruff: noqa: ARG002 - defaults refuse, whatever they are asked

from collections.abc import Callable, Coroutine, Hashable, Iterator
from contextlib import AbstractContextManager
from time import time_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aionoah.abi.dirent import PackedEntries
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.stat import S

if TYPE_CHECKING:
    from aionoah.fs.acl import Entry
    from aionoah.fs.file import File
    from aionoah.fs.handles import Handle
    from aionoah.fs.mount import Mount
    from aionoah.fs.path import Dentry
    from aionoah.fs.trails import Test


class Attributes(NamedTuple):
    """What stat tells of an inode, in Linux's numbers. Times are nanoseconds since the epoch."""

    mode: int  # type and permission bits
    ino: int
    dev: int  # as makedev(major, minor) in Linux's 64-bit form
    nlink: int = 1
    uid: int = 0
    gid: int = 0
    rdev: int = 0
    size: int = 0
    blksize: int = 4096
    blocks: int = 0  # of 512 bytes
    atime_ns: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    btime_ns: int | None = None

    def known_as(self, ino: int, dev: int, nlink: int) -> "Attributes":
        """The same under another number. (`_replace` takes three times as long.)"""
        return Attributes(self.mode, ino, dev, nlink, *self[4:])


class Details(NamedTuple):
    """What only statx(2) tells of an inode."""

    birth_ns: int | None  # when it was made
    attributes: int = 0  # bits of STATX_ATTR
    known_attributes: int = 0  # those that the file system knows at all
    direct_alignment: tuple[int, int] | None = None  # of memory and of offsets, for O_DIRECT; 0 is never


class FileSystemStatus(NamedTuple):
    """What statfs tells; counts are in blocks of `block_size` bytes."""

    magic: int
    block_size: int = 4096
    blocks: int = 0
    blocks_free: int = 0
    blocks_available: int = 0
    files: int = 0
    files_free: int = 0
    name_length: int = 255
    flags: int = 0


class DirectoryEntry(NamedTuple):
    """One entry for getdents64; `cookie` is the position behind it."""

    ino: int
    cookie: int
    kind: int  # DT_*
    name: bytes


Row = tuple[int, int, bytes]
"""An entry of a whole listing: inode number, DT_*, name."""

NOW: Final = -(1 << 63)
"""In a time of Change: the present, whenever the file system gets to it."""


class Change(NamedTuple):
    """What setattr is to change; None leaves a field as it is. NOW in a time means the present."""

    mode: int | None = None  # permission bits
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    atime_ns: int | None = None
    mtime_ns: int | None = None


def changed(attributes: Attributes, change: Change) -> Attributes:
    """What setattr makes of attributes that are kept in memory (simple_setattr)."""
    now = time_ns()
    new = {name: value for name, value in change._asdict().items() if value is not None}
    for name in ("atime_ns", "mtime_ns"):
        if new.get(name) == NOW:
            new[name] = now
    if change.mode is not None:
        new["mode"] = attributes.mode & S.IFMT | change.mode
    return attributes._replace(ctime_ns=now, **new)


class MustWait(Exception):  # noqa: N818 - a condition, as WouldBlock is
    """Opening an inode may have to sleep, as a FIFO's does: `await condition.opening()` gives the file."""

    def __init__(self, opening: "Callable[[], Coroutine[Any, Any, File]]") -> None:
        super().__init__()
        self.opening = opening


def numbered(listing: list[Row], cookie: int) -> Iterator[DirectoryEntry]:
    """The entries of a listing behind a cookie."""
    for position, (ino, kind, name) in enumerate(listing[cookie:], cookie + 1):
        yield DirectoryEntry(ino, position, kind, name)


class FileSystem:
    """One mounted instance of a file system type."""

    type_name = b"none"  # as in /proc/filesystems
    is_read_only = False
    has_fine_times = False  # statx leaves out the times of changes unless they are asked for (FS_MGTIME)
    directories_kept = 0  # how many a mount holds on to between walks
    users = 0  # overlays that it is a layer of
    stack_depth = 0  # how many overlays lie upon each other
    may_be_bound_unmounted = False  # nsfs, which is nowhere but where its files are bound
    is_unmounted = False  # it lives for its users only
    is_ephemeral = False  # nothing in it outlives the guests: mountpoints may be made in it
    root: "Inode"
    device: int  # st_dev of its inodes
    mounts: "dict[Mount, None] | None" = None  # that show it in a tree

    def status(self) -> FileSystemStatus:
        raise LinuxError(Errno.ENOSYS)

    def handle_of(self, inode: "Inode") -> "Handle":
        """The handle of an inode of this file system. EOPNOTSUPP."""
        raise LinuxError(Errno.EOPNOTSUPP)

    def names_of(self, handle: "Handle") -> list[bytes]:
        """The path from the root to the file of a handle. ESTALE."""
        raise LinuxError(Errno.ESTALE)

    def release(self) -> None:
        """Free what the file system holds. Called once, at unmount."""


class Inode:
    """A file as the file system knows it, without a name. Defaults refuse as Linux would.

    Names are single components, never empty, "." or "..", and contain no slash: the path walk
    sees to that, and to permissions and read-only mounts.
    """

    filesystem: FileSystem
    opens = 0  # open files that refer to this object
    write_hint = 0  # of abi.fcntl.RWH

    def attributes(self) -> Attributes:
        raise NotImplementedError

    def filesystem_status(self) -> FileSystemStatus:
        """What statfs tells of where it is."""
        return self.filesystem.status()

    @property
    def key(self) -> Hashable:
        """By what watches and locks know the inode: equal for all objects that stand for the same file."""
        return self.filesystem, self.attributes().ino

    def on_host(self) -> AbstractContextManager[int] | None:
        """For a file that the host's programs see too: the context of a descriptor that names it."""
        return None

    def let_go(self) -> None:
        """A file of the host that is watched: keep nothing open that would keep it from ending."""

    def may_be_mounted_in(self, number: int) -> bool:
        """Whether the mount name space of a number may show it by itself; one that it keeps must not keep it in turn."""
        return True

    def mounted(self) -> None:
        """A mount shows it, and nothing above it; or a descriptor names it by O_PATH."""

    def unmounted(self) -> None:
        """One does no more."""

    def looked_up_attributes(self) -> Attributes:
        """The attributes as the lookup that has just found this inode saw them.

        Only for use right behind a path walk, where it saves a second question to the host.
        """
        return self.attributes()

    def looked_up_number(self) -> tuple[int, int]:
        """Inode number and device out of the same."""
        found = self.looked_up_attributes()
        return found.ino, found.dev

    def details(self) -> Details:
        return Details(self.attributes().btime_ns)

    def flags(self) -> int:
        """Those of FS_IOC_GETFLAGS. ENOTTY where there are none."""
        raise LinuxError(Errno.ENOTTY)

    def set_flags(self, flags: int) -> None:
        """EOPNOTSUPP for those that the file system has not."""
        raise LinuxError(Errno.ENOTTY)

    @property
    def kind(self) -> int:
        """The S_IFMT bits."""
        return self.attributes().mode & S.IFMT

    def where(self) -> "tuple[Inode, bytes] | None":
        """The directory that it is in and its name there, as far as it is known; None for the root."""
        return None

    # -- directories: ENOTDIR unless overridden ------------------------------------------------------

    def lookup(self, name: bytes) -> "Inode":
        """The inode of an entry; ENOENT."""
        raise LinuxError(Errno.ENOTDIR)

    def find(self, name: bytes) -> "Inode | None":
        """As lookup, with None instead of ENOENT."""
        try:
            return self.lookup(name)
        except LinuxError as error:
            if error.errno is not Errno.ENOENT:
                raise
            return None

    def lacks(self, name: bytes) -> bool:
        """Whether it is known, without asking anybody, that there is no such entry."""
        return False

    def peek(self, name: bytes) -> Attributes:
        """The attributes of an entry, for who wants no more: a file system may save making an inode. ENOENT."""
        return self.lookup(name).looked_up_attributes()

    def confirmer(self, name: bytes, found: "Inode | None") -> "Test | None":
        """A quick test of what a lookup has just found, a directory or a symbolic link, or that it found nothing:
        whether another one would say the same. None if there is no way that is quicker than that. It does for
        `looked_up_attributes` what a lookup does.
        """
        return None

    def create(self, name: bytes, mode: int, uid: int, gid: int) -> "Inode":
        """Make a regular file; EEXIST."""
        raise LinuxError(Errno.ENOTDIR)

    def create_nameless(self, mode: int, uid: int, gid: int, *, is_linkable: bool) -> "Inode":
        """Make a regular file that `link` can give a name later, if it is linkable (O_TMPFILE)."""
        raise LinuxError(Errno.EOPNOTSUPP)

    def mkdir(self, name: bytes, mode: int, uid: int, gid: int) -> "Inode":
        raise LinuxError(Errno.ENOTDIR)

    def mknod(self, name: bytes, mode: int, rdev: int, uid: int, gid: int) -> "Inode":
        raise LinuxError(Errno.ENOTDIR)

    def symlink(self, name: bytes, target: bytes, uid: int, gid: int) -> "Inode":
        raise LinuxError(Errno.ENOTDIR)

    def link(self, name: bytes, inode: "Inode") -> None:
        """A further name for an inode of the same file system."""
        raise LinuxError(Errno.ENOTDIR)

    def unlink(self, name: bytes) -> None:
        raise LinuxError(Errno.ENOTDIR)

    def rmdir(self, name: bytes) -> None:
        raise LinuxError(Errno.ENOTDIR)

    def rename(self, name: bytes, directory: "Inode", new_name: bytes, flags: int) -> None:
        """Move an entry to another directory of the same file system; flags are RENAME_*."""
        raise LinuxError(Errno.ENOTDIR)

    def listing(self) -> list[Row]:
        """All entries, "." and ".." among them."""
        raise LinuxError(Errno.ENOTDIR)

    def packed_listing(self) -> PackedEntries:
        """The same as getdents64 gives it."""
        plain = self.plain_listing()
        return PackedEntries.of(self.listing()) if plain is None else plain

    def plain_listing(self) -> PackedEntries | None:
        """The same, if it is to be had without looking at each entry and there are no devices; else None."""
        return None

    # -- symbolic links -----------------------------------------------------------------------------

    def readlink(self) -> bytes:
        raise LinuxError(Errno.EINVAL)

    def magic_target(self) -> "Dentry | None":
        """Where a link of /proc leads without a path walk; None for ordinary links."""
        return None

    # -- everything -----------------------------------------------------------------------------------

    def open(self, flags: O, dentry: "Dentry") -> "File":
        """An open file description. O_TRUNC and O_CREAT have been dealt with. MustWait, for FIFOs."""
        raise LinuxError(Errno.ENXIO)

    def will_be_emptied(self) -> None:
        """It is about to be truncated to nothing: who would copy its contents for a change can do without."""

    def change(self, change: Change) -> None:
        raise LinuxError(Errno.EPERM)

    def get_xattr(self, name: bytes) -> bytes:
        raise LinuxError(Errno.EOPNOTSUPP)

    def set_xattr(self, name: bytes, value: bytes, flags: int) -> None:
        raise LinuxError(Errno.EOPNOTSUPP)

    def list_xattrs(self) -> list[bytes]:
        raise LinuxError(Errno.EOPNOTSUPP)

    def remove_xattr(self, name: bytes) -> None:
        raise LinuxError(Errno.EOPNOTSUPP)

    def access_list(self) -> "list[Entry] | None":
        """The access control list, if there is one that says more than the mode."""
        return None

    def lets_in(self) -> bool:
        """Whether the calling task has all rights, whatever the mode says (/proc/self/fd)."""
        return False

    def keeps_lists(self) -> bool:
        """Whether its access control lists are the guests': others are left to the host."""
        return False

    # -- for file systems that are made of others ---------------------------------------------------------

    def mark(self, name: bytes, value: bytes) -> None:
        """Set an extended attribute that guests have no say in."""
        self.set_xattr(name, value, 0)

    def marked(self, name: bytes) -> bytes | None:
        """What has been set by `mark`; None if nothing has."""
        try:
            return self.get_xattr(name)
        except LinuxError:
            return None

    def sync_entries(self) -> None:
        """Make the entries of a directory stable."""

    def keep_open(self) -> None:
        """Its last name is about to go, and it shall stay usable without one."""
