"""Positions in the tree of mounts, and where a path leads.

Most paths lead through directories that a remembered way leads through, to a name that is no symbolic link: that
is looked at first, and else a Walk goes step by step. Sources: path_resolution(7), openat2(2); Linux fs/namei.c.
"""

import functools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, ParamSpec, TypeVar

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import ACCESS
from aionoah.abi.limits import MAXSYMLINKS, NAME_MAX, PATH_MAX
from aionoah.abi.mount import MS
from aionoah.abi.stat import S
from aionoah.fs.context import FsContext
from aionoah.fs.inode import Attributes, Inode
from aionoah.fs.permissions import require
from aionoah.fs.walking import DOTS, Walk

if TYPE_CHECKING:
    from aionoah.fs.mount import Mount
    from aionoah.fs.trails import Trail, Trails

_RETRIES: Final = 16
UNREACHABLE: Final = b"(unreachable)"

P = ParamSpec("P")
T = TypeVar("T")


class Dentry:
    """A position in the tree: a name in a parent directory, and the inode found there.

    While anybody holds the Dentry of a name, walks find the same object again; so a rename that
    changes it in place is seen by every working directory and open file below. The mount holds those of
    directories that were made lately, so that walks need not make them each time; nothing is believed of
    them, the file system is asked at every step. The root of a mount has the parent and the name of its
    mountpoint, so `..` and path_of cross mounts without a special case.
    """

    __slots__ = (
        *("__weakref__", "children", "covers", "inode", "is_deleted", "mount", "name", "parent", "trails"),
    )

    def __init__(self, mount: "Mount", parent: "Dentry | None", name: bytes, inode: Inode) -> None:
        self.mount = mount
        self.parent = parent  # None at the root of all
        self.name = name
        self.inode = inode
        self.is_deleted = False  # removed by a guest; what the host removes shows as ENOENT
        self.covers: dict[bytes, Dentry] | None = None  # names that mounts put over this directory
        self.children: dict[bytes, weakref.ref[Dentry]] = {}
        self.trails: Trails | None = None  # remembered ways that begin here

    def __del__(self) -> None:
        if self.parent is not None:
            self.parent.forget(self)

    def forget(self, child: "Dentry") -> None:
        """The last holder of a child's position is gone."""
        known = self.children.get(child.name)
        if known is not None and known() in (child, None):
            self.children.pop(child.name, None)

    def child(self, name: bytes) -> "Dentry":
        """What an entry leads to, without following it: ENOENT, ENOTDIR."""
        covers = self.covers
        if covers is not None and name in covers:
            return covers[name]
        return self.attach(name, self.inode.lookup(name))

    def attach(self, name: bytes, inode: Inode) -> "Dentry":
        """The position of an inode that was just found or made under a name."""
        reference = self.children.get(name)
        known = reference() if reference is not None else None
        if known is not None and known.inode is inode:
            return known
        made = Dentry(self.mount, self, name, inode)
        self.children[name] = weakref.ref(made)
        if inode.kind == S.IFDIR:
            self.mount.recent.append(made)
        return made

    def is_covered(self, name: bytes) -> bool:
        """Whether the name is a mountpoint, or a directory made up to hold one."""
        return self.covers is not None and name in self.covers

    def was_removed(self, name: bytes) -> None:
        """An entry has been unlinked: whoever still holds its position shall know."""
        known = self.take_child(name)
        if known is not None:
            known.is_deleted = True

    def was_renamed(self, name: bytes, directory: "Dentry", new_name: bytes, *, exchange: bool) -> None:
        """An entry has become another directory's: move the positions that are held."""
        moved = self.take_child(name)
        replaced = directory.take_child(new_name)
        if moved is not None:
            directory.adopt(new_name, moved)
        if replaced is not None and exchange:
            self.adopt(name, replaced)
        elif replaced is not None and replaced is not moved:
            replaced.is_deleted = True

    def take_child(self, name: bytes) -> "Dentry | None":
        """Separate the position that is held for a name, if any, from the name."""
        reference = self.children.pop(name, None)
        return reference() if reference is not None else None

    def adopt(self, name: bytes, child: "Dentry") -> None:
        """Give a position a new parent and name."""
        child.parent, child.name = self, name
        self.children[name] = weakref.ref(child)

    def is_at(self, other: "Dentry") -> bool:
        return self is other or (self.inode is other.inode and self.mount is other.mount)

    def is_within(self, ancestor: "Dentry") -> bool:
        """Whether it is the other position or lies below it."""
        here: Dentry | None = self
        while here is not None and not here.is_at(ancestor):
            here = here.parent
        return here is not None


def path_of(dentry: Dentry, root: Dentry) -> bytes:
    """The absolute path of a position as seen from a root directory.

    " (deleted)" follows if the name is gone, and "(unreachable)" precedes if the position is not below the root: then
    it is the path in what is mounted nowhere, or in the position's own name space.
    """
    names: list[bytes] = []
    here = dentry
    prefix = b""
    while not here.is_at(root):
        if here.parent is None:
            if here.mount.beneath is not None:  # mounted on the root of all
                here = here.mount.beneath
                continue
            prefix = UNREACHABLE
            break
        names.append(here.name)
        here = here.parent
    suffix = b" (deleted)" if dentry.is_deleted else b""
    return prefix + b"/" + b"/".join(reversed(names)) + suffix


class LastComponent(NamedTuple):
    """Where a path's last name is to be looked up, made or removed."""

    directory: Dentry
    name: bytes  # b"" where the path is the root; may be b"." or b".."
    wants_directory: bool  # a slash follows

    @property
    def is_ordinary(self) -> bool:
        return self.name not in (b"", b".", b"..")


def retried(attempt: Callable[P, T]) -> Callable[P, T]:
    """Start a path operation again while the host changes what its walk has just seen.

    File systems say so with ESTALE, before they have done anything; as Linux does for NFS.
    """

    @functools.wraps(attempt)
    def persistent(*args: P.args, **kwargs: P.kwargs) -> T:
        retries = _RETRIES
        while True:
            try:
                return attempt(*args, **kwargs)
            except LinuxError as error:
                if error.errno is not Errno.ESTALE or not retries:
                    raise
            retries -= 1

    return persistent


def last_directory(context: FsContext, start: Dentry, path: bytes) -> tuple[Dentry, bytes, int] | None:
    """Where a path's last component is to be looked up, its name, an ordinary one with no slash behind it, and how many
    symbolic links are on the way. None if there has to be a Walk to say so. EACCES.
    """
    way, slash, name = path.rpartition(b"/")
    if not name or name in DOTS or len(name) > NAME_MAX or len(path) >= PATH_MAX:
        return None
    directory = context.root if path.startswith(b"/") else start
    if way:
        trail = directory.trails.get(way) if directory.trails is not None else None
        if trail is None:
            return None
        target = _end_of(trail, directory, context)
        return None if target is None else (target, name, trail.links)
    if not slash and directory.inode.kind != S.IFDIR:
        return None
    identity = context.identity
    if not identity.searches_all:
        require(directory.inode.attributes(), identity, ACCESS.X, directory.inode)
    return directory, name, 0


def _end_of(trail: "Trail", start: Dentry, context: FsContext) -> Dentry | None:
    """Where a remembered way leads, if it still does. EACCES where it begins and where it ends, which it has no tests
    of.
    """
    identity = context.identity
    if identity.searches_all:
        return trail.follow(identity, context.root)
    require(start.inode.attributes(), identity, ACCESS.X, start.inode)
    target = trail.follow(identity, context.root)
    if target is not None:
        inode = target.inode
        seen = inode.looked_up_attributes() if trail.is_fresh else inode.attributes()
        require(seen, identity, ACCESS.X, inode)
    return target


class _Rest(NamedTuple):
    """What is left for a Walk, after so many symbolic links."""

    start: Dentry
    path: bytes
    links: int = 0

    def walk(self, context: FsContext) -> Walk:
        return Walk(context, self.start, self.path, links=self.links)


def _at_last(
    context: FsContext, start: Dentry, path: bytes, look: Callable[[Dentry, bytes], T | None]
) -> T | _Rest:
    """What `look` says of the last component, if a remembered way leads there: it says None of a symbolic link that is to
    be followed, and of what needs a Walk.
    """
    links = 0
    while (place := last_directory(context, start, path)) is not None:
        directory, name, on_the_way = place
        if links + on_the_way > MAXSYMLINKS:
            break
        found = look(directory, name)
        if found is not None:
            return found
        target = _plain_link(directory, name) if links + on_the_way < MAXSYMLINKS else None
        if target is None:
            break
        start, path, links = directory, target, links + on_the_way + 1
    return _Rest(start, path, links)


def _plain_link(directory: Dentry, name: bytes) -> bytes | None:
    """Where a symbolic link points to; None for what is none, and for one that is not to be followed or no text."""
    if directory.is_covered(name):
        return None
    link = directory.child(name)
    inode = link.inode
    if inode.kind != S.IFLNK or link.mount.flags & MS.NOSYMFOLLOW or inode.magic_target() is not None:
        return None
    return inode.readlink() or None


def _unless_followed(target: Dentry, *, follow: bool) -> Dentry | None:
    return None if follow and target.inode.kind == S.IFLNK else target


@retried
def walk(context: FsContext, start: Dentry, path: bytes, *, follow: bool = True, resolve: int = 0) -> Dentry:
    """The position a path leads to; `resolve` are RESOLVE_* bits.

    `start` is where relative paths begin. ENOENT (an empty path too), ENOTDIR, EACCES, ELOOP,
    ENAMETOOLONG, EXDEV.
    """
    if resolve:
        return Walk(context, start, path, resolve).finish(follow=follow)
    found = _at_last(
        context, start, path, lambda directory, name: _unless_followed(directory.child(name), follow=follow)
    )
    return found.walk(context).finish(follow=follow) if isinstance(found, _Rest) else found


@retried
def stat(
    context: FsContext, start: Dentry, path: bytes, *, follow: bool = True, resolve: int = 0
) -> tuple[Dentry, Attributes]:
    """As walk, with the attributes: on host files it saves one of the host calls that asking the inode
    afterwards would make.
    """

    def look(directory: Dentry, name: bytes) -> tuple[Dentry, Attributes] | None:
        target = directory.child(name)
        inode = target.inode
        if follow and inode.kind == S.IFLNK:
            return None
        is_fresh = target.mount is directory.mount
        return target, inode.looked_up_attributes() if is_fresh else inode.attributes()

    found = _Rest(start, path) if resolve else _at_last(context, start, path, look)
    if not isinstance(found, _Rest):
        return found
    state = Walk(context, found.start, found.path, resolve, links=found.links)
    return state.finish(follow=follow), state.attributes()


@retried
def attributes(context: FsContext, start: Dentry, path: bytes, *, follow: bool = True) -> Attributes:
    """What stat(2) tells of what a path leads to, in as few steps as the file systems need for that."""
    found = _at_last(context, start, path, _PEEKS[follow])
    return found.walk(context).finish_looking(follow=follow) if isinstance(found, _Rest) else found


@retried
def look(
    context: FsContext, start: Dentry, path: bytes, *, follow: bool = True
) -> tuple[Attributes, Dentry, bool]:
    """As `attributes`, with a position in the same mount; the last says whether that is the place itself."""

    def peek(directory: Dentry, name: bytes) -> tuple[Attributes, Dentry, bool] | None:
        seen = _peek(directory, name, follow=follow)
        return None if seen is None else (seen, directory, False)

    found = _at_last(context, start, path, peek)
    if not isinstance(found, _Rest):
        return found
    state = found.walk(context)
    seen = state.finish_looking(follow=follow)
    return seen, state.position, not state.has_peeked


def _peek(directory: Dentry, name: bytes, *, follow: bool) -> Attributes | None:
    """The attributes of an entry; None for a mountpoint, and for a symbolic link that is to be followed."""
    if directory.is_covered(name):
        return None
    found = directory.inode.peek(name)
    return None if follow and found.mode & S.IFMT == S.IFLNK else found


_PEEKS: Final = (functools.partial(_peek, follow=False), functools.partial(_peek, follow=True))


@retried
def walk_parent(context: FsContext, start: Dentry, path: bytes) -> LastComponent:
    """The directory of a path's last component and its name, which need not exist."""
    place = last_directory(context, start, path)
    if place is not None:
        return LastComponent(*place[:2], wants_directory=False)
    state = Walk(context, start, path)
    name = state.to_last() or b""
    if len(name) > NAME_MAX:
        raise LinuxError(Errno.ENAMETOOLONG)
    return LastComponent(state.position, name, state.wants_directory)
