"""The walk along a path, one component at a time.

Symbolic links are resolved here and never by the host; `..` is a step to the parent in this tree, so neither can
leave the root. Sources: path_resolution(7), openat2(2), symlink(7); Linux fs/namei.c.
"""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import ACCESS, RESOLVE
from aionoah.abi.limits import MAXSYMLINKS, NAME_MAX, PATH_MAX
from aionoah.abi.mount import MS
from aionoah.abi.stat import S
from aionoah.fs.context import FsContext
from aionoah.fs.inode import Attributes
from aionoah.fs.permissions import require
from aionoah.fs.trails import Trail, Trails

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry

DOTS: Final = (b".", b"..")


class Walk:
    """The state of one path resolution.

    `to_last` goes as far as the directory of the last component; the caller looks at that with
    `step`, and may go on through a symbolic link with `enter_link`.
    """

    __slots__ = (
        "_first_links",
        "_identity",
        "_is_fresh",
        "_known_links",
        "_known_way",
        "_links",
        "_pending",
        "_resolve",
        "_root",
        "_searches_all",
        "_start",
        "_trail",
        "_way",
        "has_peeked",
        "position",
        "wants_directory",
    )

    def __init__(
        self, context: FsContext, start: "Dentry", path: bytes, resolve: int = 0, *, links: int = 0
    ) -> None:
        """`links` are how many symbolic links have been followed before. ENOENT for an empty path, ENAMETOOLONG, ENOTDIR if `start` is needed and no directory."""
        if not path:
            raise LinuxError(Errno.ENOENT)
        if len(path) >= PATH_MAX:
            raise LinuxError(Errno.ENAMETOOLONG)
        self._identity = context.identity
        self._searches_all = self._identity.searches_all
        self._is_fresh = False  # whether the present position has just been looked up
        self._links = self._first_links = links
        self._resolve = resolve
        self._root = start if resolve & (RESOLVE.BENEATH | RESOLVE.IN_ROOT) else context.root
        self.position = start
        self.has_peeked = False  # the position is the directory of what has been looked at
        self.wants_directory = False
        self._pending: list[bytes] = []  # components still to go, the next one last
        self._way = b"" if resolve or path.endswith(b"/") else path.rpartition(b"/")[0]  # for a trail
        self._known_way, self._known_links = b"", links  # how much of that was known, and links at its end
        self._trail: Trail | None = None  # that is being made, from …
        self._start = start
        self._push(path)
        if self.position.inode.kind != S.IFDIR:
            raise LinuxError(Errno.ENOTDIR)

    def _push(self, path: bytes) -> None:
        """Put the components of a path before those that are pending."""
        if path.startswith(b"/"):
            if self._resolve & RESOLVE.BENEATH:
                raise LinuxError(Errno.EXDEV)
            self._jump(self._root)
        if path.endswith(b"/") and not self._pending:
            self.wants_directory = True
        parts = [part for part in path.split(b"/") if part]
        parts.reverse()
        self._pending += parts

    def _jump(self, target: "Dentry") -> None:
        if self._resolve & RESOLVE.NO_XDEV and target.mount is not self.position.mount:
            raise LinuxError(Errno.EXDEV)
        self.position = target
        self._is_fresh = False

    def to_last(self) -> bytes | None:
        """Walk up to the last component and return its name; None if there is none left.

        ENOENT, ENOTDIR, EACCES without search permission, ELOOP, ENAMETOOLONG, EXDEV.
        """
        pending = self._pending
        if self._way and len(pending) > 1:
            self._take_trail()
        while pending:
            if not self._searches_all:
                self._require_search()
            name = pending.pop()
            if not pending:
                if self._trail is not None:
                    self._keep_trail(self._trail, self._way)
                return name
            self._go_on(name)
        return None

    def _go_on(self, name: bytes) -> None:
        try:
            target = self.step(name)
        except LinuxError as error:
            if self._trail is not None and error.errno is Errno.ENOENT:
                self._keep_beginning(self._trail)
            raise
        if self._trail is not None:
            self._note_step(self._trail, name, target)
        kind = target.inode.kind
        if kind == S.IFDIR:
            self.arrive(name, target)
        elif kind == S.IFLNK:
            self.enter_link(target)
        else:
            raise LinuxError(Errno.ENOTDIR)

    # -- trails ---------------------------------------------------------------------------------------------

    def _take_trail(self) -> None:
        """Go at once as far as a way is known, mostly to the last directory; and begin to make the rest known."""
        if not self._searches_all:
            self._require_search()
        self._start = start = self.position
        way = self._way
        while way and start.trails is not None:
            known = start.trails.get(way)
            if known is not None and self._links + known.links <= MAXSYMLINKS:
                target = known.follow(self._identity, self._root)
                if target is not None:
                    self._go_along(way, known, target)
                    return
            way = way.rpartition(b"/")[0]
        self._trail = Trail(self._identity, self._root)

    def _go_along(self, way: bytes, known: Trail, target: "Dentry") -> None:
        self.position, self._is_fresh = target, known.is_fresh
        self._links += known.links
        rest = [part for part in self._way[len(way) :].split(b"/") if part]
        del self._pending[len(rest) + 1 :]
        if rest:
            self._trail = known.begun_again(self._identity, self._root)
            self._known_way, self._known_links = way, self._links
        else:
            self._way = b""

    def _note_step(self, trail: Trail, name: bytes, target: "Dentry") -> None:
        """Only of steps down into what can be tested; and what a mount puts there is known without."""
        position = self.position
        if position.is_covered(name):
            return
        may_test = name not in DOTS and (self._searches_all or not position.inode.keeps_lists())
        if not may_test or not trail.add(position.inode.confirmer(name, target.inode)):
            self._trail, self._way = None, b""

    def _keep_trail(self, trail: Trail, way: bytes) -> None:
        trail.links = self._links - self._first_links
        trail.ends_at(self.position, is_fresh=self._is_fresh)
        start = self._start
        if start.trails is None:
            start.trails = Trails()
        start.trails.keep(way, trail)
        self._trail, self._way = None, b""

    def _keep_beginning(self, trail: Trail) -> None:
        """What there is of a way that ends too early: searches look for one name after another in directories that are not
        there. Not within what a symbolic link says, which is no part of the path.
        """
        if self._links != self._known_links:
            return
        way = self._way
        for _ in self._pending:
            way = way.rstrip(b"/").rpartition(b"/")[0]
        if way not in (b"", self._known_way):
            self._keep_trail(trail, way)

    def arrive(self, name: bytes, target: "Dentry") -> None:
        """Make what a step has led to the present position."""
        self._is_fresh = name not in DOTS and target.mount is self.position.mount
        self.position = target

    def attributes(self) -> Attributes:
        """Of the present position, without asking again if the last step has just done so."""
        inode = self.position.inode
        return inode.looked_up_attributes() if self._is_fresh else inode.attributes()

    def _require_search(self) -> None:
        require(self.attributes(), self._identity, ACCESS.X, self.position.inode)

    def step(self, name: bytes) -> "Dentry":
        """What a name in the present directory leads to; a symbolic link is not followed."""
        position = self.position
        if name == b".":
            return position
        if name == b"..":
            return self._up()
        if len(name) > NAME_MAX:
            raise LinuxError(Errno.ENAMETOOLONG)
        target = position.child(name)
        if self._resolve & RESOLVE.NO_XDEV and target.mount is not position.mount:
            raise LinuxError(Errno.EXDEV)
        return target

    def _up(self) -> "Dentry":
        position = self.position
        if position.is_at(self._root):
            if self._resolve & RESOLVE.BENEATH:
                raise LinuxError(Errno.EXDEV)
            return position
        parent = position.parent
        if parent is None:
            return position
        above = parent.parent
        if above is not None and above.covers is not None:  # it may have been covered meanwhile
            parent = above.covers.get(parent.name, parent)
        if self._resolve & RESOLVE.NO_XDEV and parent.mount is not position.mount:
            raise LinuxError(Errno.EXDEV)
        return parent

    def enter_link(self, link: "Dentry") -> None:
        """Go where a symbolic link in the present directory points to. ELOOP, ENOENT if it is empty."""
        self._links += 1
        if (
            self._links > MAXSYMLINKS
            or self._resolve & RESOLVE.NO_SYMLINKS
            or link.mount.flags & MS.NOSYMFOLLOW
        ):
            raise LinuxError(Errno.ELOOP)
        magic = link.inode.magic_target()
        if magic is not None:
            self._enter_magic_link(magic)
            return
        target = link.inode.readlink()
        if not target:
            raise LinuxError(Errno.ENOENT)
        self._push(target)

    def _enter_magic_link(self, target: "Dentry") -> None:
        """A link of /proc leads to an object, whatever path that has."""
        if self._resolve & RESOLVE.NO_MAGICLINKS:
            raise LinuxError(Errno.ELOOP)
        if self._resolve & (RESOLVE.BENEATH | RESOLVE.IN_ROOT):
            raise LinuxError(Errno.EXDEV)
        self._jump(target)
        if self._pending and target.inode.kind != S.IFDIR:
            raise LinuxError(Errno.ENOTDIR)

    def finish(self, *, follow: bool) -> "Dentry":
        """Walk to the end; the last component is followed if `follow` or a slash stands behind it."""
        while (name := self.to_last()) is not None:
            self._take_last(name, follow=follow)
        self._require_wanted(self.position.inode.kind)
        return self.position

    def _take_last(self, name: bytes, *, follow: bool) -> None:
        target = self.step(name)
        if (follow or self.wants_directory) and target.inode.kind == S.IFLNK:
            self.enter_link(target)
        else:
            self.arrive(name, target)

    def finish_looking(self, *, follow: bool) -> Attributes:
        """As finish, for who wants nothing but the attributes: what is at the end is not made an inode of ours,
        where the file system can do without.
        """
        while (name := self.to_last()) is not None:
            if self._may_peek(name):
                found = self.position.inode.peek(name)
                kind = found.mode & S.IFMT
                if kind != S.IFLNK or not (follow or self.wants_directory):
                    self._require_wanted(kind)
                    self.has_peeked = True
                    return found
            self._take_last(name, follow=follow)
        self._require_wanted(self.position.inode.kind)
        return self.attributes()

    def _require_wanted(self, kind: int) -> None:
        """A slash behind a path asks for a directory: ENOTDIR."""
        if self.wants_directory and kind != S.IFDIR:
            raise LinuxError(Errno.ENOTDIR)

    def _may_peek(self, name: bytes) -> bool:
        covers = self.position.covers
        return name not in DOTS and len(name) <= NAME_MAX and (covers is None or name not in covers)
