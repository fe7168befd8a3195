"""Name spaces of mounts: trees that begin as copies of each other (fs/mount_copying.py).

What is shared in them is so between them (fs/propagation.py). Sources: mount_namespaces(7); Linux fs/namespace.c.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.sched import CLONE
from aionoah.abi.stat import S
from aionoah.fs import notify, propagation
from aionoah.fs.context import FsContext
from aionoah.fs.inode import FileSystem, Inode
from aionoah.fs.mount import ALL_MOUNTS_MAX, Mount, VirtualDirectory
from aionoah.fs.path import Dentry, walk
from aionoah.fs.permissions import BY_USER
from aionoah.fs.trails import Tree
from aionoah.process.user_namespaces import FIRST, Namespace, UserNamespace

_FIRST_NUMBER: Final = 0xEFFFFFF8  # include/linux/proc_ns.h


class _Superuser:
    """Who mounts."""

    uid = gid = fsuid = fsgid = 0
    effective = permitted = BY_USER
    groups = ()
    user_namespace = FIRST


class Forest:
    """The name spaces of one instance: what is shared is so between them, and numbers are given once."""

    def __init__(self) -> None:
        self.trees: list[MountNamespace] = []
        self.identifiers = itertools.count(1)
        self.virtual_inos = itertools.count(0xF000_0000_0000_0000)
        self.is_root_in_use: Callable[[Dentry], bool] = _never
        """Whether somebody works in the very root of a mount or has it open; whoever has tasks sets it."""
        self._ended: list[MountNamespace] = []

    @property
    def mounts(self) -> Iterator[Mount]:
        return itertools.chain.from_iterable(tree.mounts for tree in self.trees)

    def end(self, tree: "MountNamespace") -> None:
        """Nobody uses it any more. One that it has a file of may end with it, and so on."""
        self._ended.append(tree)
        if len(self._ended) > 1:
            return  # whoever is at it goes on
        try:
            for each in self._ended:
                each.clear()
        finally:
            self._ended.clear()

    def taken_away(self, mount: Mount, groups: propagation.Groups | None = None) -> None:
        """It has been detached: what it meant to others ends, and its file system if that is mounted nowhere else. `groups`
        are as they are without it.
        """
        mount.root.parent, mount.root.name = None, b""  # whoever is still in it does not get out by ".."
        mount.root.inode.unmounted()
        if mount.peer_group or mount.master:
            (groups or propagation.Groups(self)).leave(mount)
        filesystem = mount.filesystem
        if filesystem.mounts or self.is_busy(mount):
            return
        notify.unmounted(filesystem)
        filesystem.is_unmounted = True
        if not filesystem.users:
            filesystem.release()

    def is_busy(self, mount: Mount) -> bool:
        """Whoever uses something below the root holds a position there."""
        mount.recent.clear()
        return any(child() is not None for child in mount.root.children.values()) or self.is_root_in_use(
            mount.root
        )


def _forget(mount: Mount) -> None:
    """It is in no tree any more."""
    if mount.filesystem.mounts is not None:
        del mount.filesystem.mounts[mount]


def _never(_place: Dentry) -> bool:
    return False


class MountNamespace(Namespace):
    """A tree of mounts. Whoever is in it finds its mounts, whatever root directory he has."""

    def __init__(
        self, top: Mount, forest: Forest, number: int = _FIRST_NUMBER, owner: UserNamespace = FIRST
    ) -> None:
        """`top` is its root. It is born with one user."""
        super().__init__(b"mnt", CLONE.NEWNS, number, owner)
        self.forest = forest
        self.root = top.root
        self.uppermost = top.root  # what lies over all that has been mounted on the root itself
        self.mounts: list[Mount] = []  # in the order of mounting, as /proc/mounts lists them
        self._context = FsContext(self.root, _Superuser())
        self._users = 1
        self._add(top)
        forest.trees.append(self)

    @classmethod
    def of(cls, filesystem: FileSystem, *, read_only: bool = False, source: bytes = b"") -> "MountNamespace":
        """The first one of an instance, with a file system at its root, which stays there."""
        top = Mount(filesystem, read_only=read_only, source=source)
        top.is_locked, top.is_ceiling_read_only = True, top.is_read_only
        return cls(top, Forest())

    def hold(self) -> None:
        """ENOENT once it has ended."""
        if not self._users:
            raise LinuxError(Errno.ENOENT)
        self._users += 1

    def drop(self) -> None:
        self._users -= 1
        if not self._users:
            self.forest.end(self)

    # -- mounting for the application -----------------------------------------------------------------------

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
        mount = Mount(filesystem, root=root, read_only=read_only, source=source, options=options)
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
        virtual = VirtualDirectory(parent.mount.filesystem, next(self.forest.virtual_inos))
        mount = Mount(parent.mount.filesystem, root=virtual, read_only=True)
        self.cover(parent, name, mount)
        return mount.root

    # -- the tree -------------------------------------------------------------------------------------------

    def attach(self, mount: Mount, parent: Dentry | None, name: bytes) -> None:
        """Put a mount over a name, or over the root if there is no parent."""
        self.cover(parent, name, mount)
        self._add(mount)

    def _add(self, mount: Mount) -> None:
        mount.namespace = self
        mount.identifier = mount.identifier or next(self.forest.identifiers)
        self.mounts.append(mount)
        known = mount.filesystem.mounts
        if known is None:
            mount.filesystem.mounts = {mount: None}
        else:
            known[mount] = None

    def cover(self, parent: Dentry | None, name: bytes, mount: Mount) -> None:
        """The same without listing it."""
        Tree.changes += 1
        mount.namespace = self
        mount.root.parent, mount.root.name = parent, name
        if parent is None:
            mount.beneath, self.uppermost = self.uppermost, mount.root
            return
        if parent.covers is None:
            parent.covers = {}
        mount.beneath = parent.covers.get(name)
        parent.covers[name] = mount.root

    def tuck(self, mount: Mount, place: Dentry) -> None:
        """Put a mount over a place, but below what is there already (attach_recursive_mnt)."""
        here = self.uppermost if place.parent is None else (place.parent.covers or {}).get(place.name)
        lowest: Mount | None = None
        while here is not None and here is not place:
            lowest, here = here.mount, here.mount.beneath
        if lowest is None:
            self.attach(mount, place.parent, place.name)
            return
        Tree.changes += 1
        mount.root.parent, mount.root.name = lowest.root.parent, lowest.root.name
        mount.beneath, lowest.beneath = lowest.beneath, mount.root
        self._add(mount)

    def detach(self, mount: Mount) -> None:
        """Take a mount off its name: what it covered is there again."""
        Tree.changes += 1
        parent, name = mount.root.parent, mount.root.name
        if self.over(mount.root) is not mount.root:  # another mount lies over it
            above = next(other for other in self.mounts if other.beneath is mount.root)
            above.beneath = mount.beneath
        elif parent is None:
            assert mount.beneath is not None  # noqa: S101 - the root of all is never detached
            self.uppermost = mount.beneath
        else:
            assert parent.covers is not None  # noqa: S101 - it covers something
            if mount.beneath is None:
                del parent.covers[name]
            else:
                parent.covers[name] = mount.beneath
        mount.beneath = mount.namespace = None
        self._remove(mount)

    def _remove(self, mount: Mount) -> None:
        self.mounts.remove(mount)
        _forget(mount)

    def below(self, place: Dentry) -> Iterator[tuple[Mount, list[bytes]]]:
        """The mounts below a place, and the names that lead there; outer ones first."""
        for mount in self.mounts:
            names: list[bytes] = []
            here: Dentry | None = mount.root
            while here is not None and not here.is_at(place):
                names.append(here.name)
                here = here.parent
            if here is not None and names:
                yield mount, names[::-1]

    def take_off(self, mount: Mount) -> None:
        """A mount, and those below it, go with the directory that it was on."""
        for each in (*reversed([other for other, _ in self.below(mount.root)]), mount):
            self.detach(each)
            self.forest.taken_away(each)

    def over(self, place: Dentry) -> Dentry:
        """What lies over the root of a mount of this tree, itself if there is nothing."""
        if place is not place.mount.root or place.mount.namespace is not self:
            return place
        if place.parent is None:
            return self.uppermost
        return place.parent.covers[place.name] if place.parent.covers else place

    def change_root(self, new: Mount) -> Mount:
        """A mount becomes the root of all; the old one is on nothing then, and has to be attached again."""
        old = self.root.mount
        self.detach(new)
        new.root.parent, new.root.name = None, b""
        above = next((other for other in self.mounts if other.beneath is old.root), None)
        if above is None:
            self.uppermost = new.root
        else:
            above.beneath = new.root
        self.root = new.root
        self._remove(old)
        self._add(new)
        self.mounts.insert(0, self.mounts.pop())
        return old

    def clear(self) -> None:
        """Take away everything. Who is still in one of the mounts sees no other from there (umount_tree)."""
        Tree.changes += 1
        mounts, self.mounts = self.mounts, []
        self.forest.trees.remove(self)
        for mount in mounts:
            if mount.root.parent is not None:
                mount.root.parent.covers = None
            mount.beneath = mount.namespace = None
            _forget(mount)
        groups = propagation.Groups(self.forest)
        while mounts:
            self.forest.taken_away(mounts.pop(), groups)

    def release(self) -> None:
        """The instance ends: unmount everything, of all name spaces, and free what the file systems hold."""
        for filesystem in {mount.filesystem: None for mount in reversed([*self.forest.mounts])}:
            filesystem.release()
        for tree in self.forest.trees:
            tree.mounts.clear()

    def require_copyable(self) -> None:
        """ENOSPC if there would be too many mounts in all."""
        if sum(len(tree.mounts) for tree in self.forest.trees) + len(self.mounts) > ALL_MOUNTS_MAX:
            raise LinuxError(Errno.ENOSPC)
