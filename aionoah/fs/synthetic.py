"""File systems whose files are computed when somebody looks: what /proc and /sys are made of.

A file system is a tree of nodes, written down as tables:

>>> nodes = Directory({b"greeting": Text(lambda name: b"hello " + name), b"again": Link(b"greeting")})

A node is only a description. It becomes an Inode when a path walk gets to it, together with its owner:
the object (a process, say) that the functions in the table are called with.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import cached_property
from time import time_ns
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from weakref import WeakValueDictionary
from zlib import crc32

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.stat import DT, S, directory_type
from aionoah.abi.uio import RWF
from aionoah.fs.directory import DirectoryFile
from aionoah.fs.file import File
from aionoah.fs.inode import Attributes, Change, FileSystem, FileSystemStatus, Inode, Row
from aionoah.fs.regular import seek_endless
from aionoah.memory.buffer import Buffer

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry

T = TypeVar("T")
N = TypeVar("N", bound="Node[Any]")
Ids = tuple[int, int]
MAX_WRITE = 4096  # bytes that one write to a computed file passes on


def _root_ids(_mode: int) -> Ids:
    return 0, 0


class SyntheticFileSystem(FileSystem):
    """A tree of nodes as a file system."""

    def __init__(
        self, root: "Directory[T]", owner: T, *, type_name: bytes, magic: int, device: int, block_size: int
    ) -> None:
        self.type_name = type_name
        self.device = device
        self.block_size = block_size
        self.made_ns = time_ns()
        self._magic = magic
        self._inodes: WeakValueDictionary[bytes, SyntheticInode[Any]] = WeakValueDictionary()
        self.root = self.inode_at(b"", Bound(root, owner), _root_ids)

    def status(self) -> FileSystemStatus:
        return FileSystemStatus(self._magic)

    def inode_at(self, path: bytes, bound: "Bound", ids: Callable[[int], Ids]) -> "SyntheticInode[Any]":
        """The inode of a node; while somebody holds it, it is the same object for the same owner."""
        known = self._inodes.get(path)
        if known is not None and known.node is bound.node and known.owner is bound.owner:
            return known
        made = bound.node.make_inode(Place(self, path, bound.owner, bound.ids or ids))
        self._inodes[path] = made
        return made


class Bound(NamedTuple):
    """A node with its owner, and whose its files are, by their mode (those of the directory above, if None)."""

    node: "Node[Any]"
    owner: object
    ids: Callable[[int], Ids] | None = None


class Place(NamedTuple):
    """Where in which file system a node has become an inode, and for whom."""

    filesystem: SyntheticFileSystem
    path: bytes
    owner: Any
    ids: Callable[[int], Ids]


class SyntheticInode(Inode, Generic[N]):
    """A node that a path walk has come to. The base refuses changes as /proc does."""

    filesystem: SyntheticFileSystem

    def __init__(self, place: Place, node: N) -> None:
        self.filesystem, self.path, self.owner, self.ids = place
        self.node = node
        self.ino = number_of(self.path)

    @property
    def kind(self) -> int:
        return self.node.kind

    @property
    def key(self) -> Hashable:
        """Without asking the owner, who may be no more."""
        return self.filesystem, self.ino

    def attributes(self) -> Attributes:
        node, owner, made = self.node, self.owner, self.filesystem.made_ns
        mode = node.kind | node.mode_for(owner)
        uid, gid = self.ids(mode)
        return Attributes(
            mode,
            self.ino,
            self.filesystem.device,
            nlink=node.links(owner),
            uid=uid,
            gid=gid,
            rdev=node.rdev,
            size=node.size(owner),
            blksize=self.filesystem.block_size,
            atime_ns=made,
            mtime_ns=made,
            ctime_ns=made,
        )

    def change(self, change: Change) -> None:
        """Sizes and times may be set, and nothing comes of it; the rest is refused."""
        if change.mode is not None or change.uid is not None or change.gid is not None:
            raise LinuxError(Errno.EPERM)


def number_of(path: bytes) -> int:
    """An inode number that is the same whenever the path is looked up again."""
    return crc32(path) or 1 if path else 1


class Node(Generic[T]):
    """A description of a file, shared by all owners."""

    kind: int  # S_IF*
    rdev = 0

    def __init__(self, mode: int | Callable[[T], int]) -> None:
        self._mode = mode

    def mode_for(self, owner: T) -> int:
        """The permission bits."""
        return self._mode if isinstance(self._mode, int) else self._mode(owner)

    def links(self, owner: T) -> int:  # noqa: ARG002
        return 1

    def size(self, owner: T) -> int:  # noqa: ARG002
        """st_size in bytes; /proc says 0 of most files."""
        return 0

    def make_inode(self, place: "Place") -> "SyntheticInode[Any]":
        raise NotImplementedError


# -- directories ------------------------------------------------------------------------------------------


class Directory(Node[T]):
    """A table of nodes, and after it entries that are computed."""

    kind = S.IFDIR

    def __init__(
        self,
        table: Mapping[bytes, Node[T]] | None = None,
        *,
        names: Callable[[T], Iterable[bytes]] = lambda _owner: (),
        find: Callable[[T, bytes], Bound | None] = lambda _owner, _name: None,
        mode: int = 0o555,
        size: Callable[[T], int] = lambda _owner: 0,
        is_own: Callable[[T], bool] = lambda _owner: False,
        computed_links: Callable[[T], int] = lambda _owner: 0,
    ) -> None:
        """`names` lists the computed entries and `find` looks one up: they get the directory's owner.

        `is_own`: whether the calling task is let in, whatever the mode says. `computed_links`: how many of the
        computed entries count as directories in st_nlink; mostly none does.
        """
        super().__init__(mode)
        self.table = table or {}
        self.names = names
        self.find = find
        self._size = size
        self.is_own = is_own
        self._computed_links = computed_links

    def links(self, owner: T) -> int:
        return 2 + sum(node.kind == S.IFDIR for node in self.table.values()) + self._computed_links(owner)

    def size(self, owner: T) -> int:
        return self._size(owner)

    def child(self, owner: T, name: bytes) -> Bound | None:
        node = self.table.get(name)
        return Bound(node, owner) if node is not None else self.find(owner, name)

    def children(self, owner: T) -> Iterator[tuple[bytes, Bound]]:
        for name in (*self.table, *self.names(owner)):
            bound = self.child(owner, name)
            if bound is not None:
                yield name, bound

    def make_inode(self, place: Place) -> "SyntheticInode[Any]":
        return _DirectoryInode(place, self)


class LazyDirectory(Directory[T]):
    """A directory whose table comes from elsewhere, at the first look into it."""

    def __init__(
        self,
        load: Callable[[], Directory[T]],
        mode: int = 0o555,
        known: Mapping[bytes, Node[T]] | None = None,
    ) -> None:
        """`known` are entries of it that can be walked through before it is loaded, to a mountpoint say."""
        super().__init__(known, mode=mode)
        self._load = load

    @cached_property
    def _real(self) -> Directory[T]:
        return self._load()

    def links(self, owner: T) -> int:
        return self._real.links(owner)

    def child(self, owner: T, name: bytes) -> Bound | None:
        return super().child(owner, name) or self._real.child(owner, name)

    def children(self, owner: T) -> Iterator[tuple[bytes, Bound]]:
        return self._real.children(owner)


class _DirectoryInode(SyntheticInode[Directory[Any]]):
    def lets_in(self) -> bool:
        return self.node.is_own(self.owner)

    def lookup(self, name: bytes) -> Inode:
        bound = self.node.child(self.owner, name)
        if bound is None:
            raise LinuxError(Errno.ENOENT)
        return self.filesystem.inode_at(self.path + b"/" + name, bound, self.ids)

    def listing(self) -> list[Row]:
        parent = number_of(self.path.rpartition(b"/")[0])
        found: list[Row] = [(self.ino, DT.DIR, b"."), (parent, DT.DIR, b"..")]
        for name, bound in self.node.children(self.owner):
            number = number_of(self.path + b"/" + name)
            found.append((number, directory_type(bound.node.kind), name))
        return found

    def open(self, flags: O, dentry: "Dentry") -> File:
        return DirectoryFile(flags, dentry)

    # Linux finds no entry of the name before it finds that none can be made.

    def create(self, name: bytes, mode: int, uid: int, gid: int) -> Inode:  # noqa: ARG002
        raise LinuxError(Errno.ENOENT)

    def mkdir(self, name: bytes, mode: int, uid: int, gid: int) -> Inode:  # noqa: ARG002
        raise LinuxError(Errno.ENOENT)

    def mknod(self, name: bytes, mode: int, rdev: int, uid: int, gid: int) -> Inode:  # noqa: ARG002
        raise LinuxError(Errno.ENOENT)

    def symlink(self, name: bytes, target: bytes, uid: int, gid: int) -> Inode:  # noqa: ARG002
        raise LinuxError(Errno.ENOENT)

    def link(self, name: bytes, inode: Inode) -> None:  # noqa: ARG002
        raise LinuxError(Errno.ENOENT)

    def unlink(self, name: bytes) -> None:
        self.lookup(name)
        raise LinuxError(Errno.EPERM)

    def rmdir(self, name: bytes) -> None:
        self.lookup(name)
        raise LinuxError(Errno.EPERM)

    def rename(self, name: bytes, directory: Inode, new_name: bytes, flags: int) -> None:  # noqa: ARG002
        self.lookup(name)
        raise LinuxError(Errno.ENOENT)


# -- files with text --------------------------------------------------------------------------------------


class Text(Node[T]):
    """A regular file. `read` makes its contents; `write` receives what one write call passes."""

    kind = S.IFREG

    def __init__(
        self,
        read: Callable[[T], bytes],
        write: Callable[[T, bytes], None] | None = None,
        *,
        mode: int | None = None,
        refusal: Errno = Errno.EIO,
    ) -> None:
        """`refusal` is the error of writing to a file without `write` (by root, who may open it)."""
        super().__init__(mode if mode is not None else 0o644 if write else 0o444)
        self.read = read
        self.write = write
        self.refusal = refusal

    def make_inode(self, place: Place) -> "SyntheticInode[Any]":
        return _TextInode(place, self)


class _TextInode(SyntheticInode[Text[Any]]):
    def open(self, flags: O, dentry: "Dentry") -> File:
        return TextFile(flags, dentry, self.node, self.owner)


class TextFile(File):
    """An open computed file. The contents are made when reading begins, and anew whenever it begins at the
    start again, so that a program can keep /proc/meminfo open and rewind (Linux fs/seq_file.c).
    """

    is_seekable = True
    read_flags = write_flags = RWF.HIPRI

    def __init__(self, flags: O, dentry: "Dentry", node: Text[T], owner: T) -> None:
        super().__init__(flags, dentry)
        self._node: Text[Any] = node
        self._owner = owner
        self._contents: bytes | None = None

    def read_nowait(self, dst: Buffer) -> int:
        done = self.pread(dst, self.offset)
        self.offset += done
        return done

    def pread(self, dst: Buffer, offset: int) -> int:
        if self._contents is None or not offset:
            self._contents = self._node.read(self._owner)
        part = self._contents[offset : offset + dst.length]
        return dst.fill(part) if part else 0

    def write_nowait(self, src: Buffer) -> int:
        done = self.pwrite(src, self.offset)
        self.offset += done
        return done

    def pwrite(self, src: Buffer, offset: int) -> int:  # noqa: ARG002 - every write is one of the whole
        if self._node.write is None:
            raise LinuxError(self._node.refusal)
        data = src.take(MAX_WRITE)
        self._node.write(self._owner, data)
        return len(data)

    def seek(self, offset: int, whence: int) -> int:
        """EINVAL from the end, which nobody knows yet."""
        return seek_endless(self, offset, whence)

    def truncate(self, length: int) -> None:
        """Accepted and without effect, so that `echo … >file` works."""


# -- links and devices ------------------------------------------------------------------------------------


class Link(Node[T]):
    """A symbolic link. With `leads_to` a magic one: it leads to an object, whatever its text says."""

    kind = S.IFLNK

    def __init__(
        self,
        target: bytes | Callable[[T], bytes],
        leads_to: "Callable[[T], Dentry] | None" = None,
        *,
        mode: int | Callable[[T], int] = 0o777,
        size: int | None = None,
    ) -> None:
        super().__init__(mode)
        self.target = target
        self.leads_to = leads_to
        self._size = size if size is not None else len(target) if isinstance(target, bytes) else 0

    def size(self, owner: T) -> int:  # noqa: ARG002
        return self._size

    def make_inode(self, place: Place) -> "SyntheticInode[Any]":
        return _LinkInode(place, self)


class _LinkInode(SyntheticInode[Link[Any]]):
    def readlink(self) -> bytes:
        target = self.node.target
        return target if isinstance(target, bytes) else target(self.owner)

    def magic_target(self) -> "Dentry | None":
        return self.node.leads_to(self.owner) if self.node.leads_to is not None else None
