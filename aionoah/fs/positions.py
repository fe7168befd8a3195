"""Directories that several mounts show: they have positions of their own in each, and what happens to a name happens in all.

Only positions that somebody holds are looked for, as nobody notices of others; a mountpoint is held by what is mounted
there. Source: Linux fs/namei.c (vfs_rename, vfs_rmdir), fs/namespace.c (__is_local_mountpoint, __detach_mounts), which has
one dentry for all mounts.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aionoah.fs.path import Dentry
from aionoah.fs.trails import Tree

if TYPE_CHECKING:
    from aionoah.fs.inode import Inode
    from aionoah.fs.mount import Mount

Way = list[tuple[bytes, "Inode | None"]]
"""How to come from the root of a file system to a directory; with the inodes that are known."""


def elsewhere(directory: Dentry) -> Iterator[Dentry]:
    """The same directory in other mounts."""
    mounts = directory.mount.filesystem.mounts
    if mounts is None or len(mounts) < 2:  # no other
        return
    way: Way = [(name, None) for name, _ in _way(directory)]
    for mount in list(mounts):
        found = _go(mount, way, directory) if mount is not directory.mount else None
        if found is not None:
            yield found


def _way(directory: Dentry) -> Way:
    way: Way = []
    here, root = directory, directory.mount.root
    while here is not root and here.parent is not None:
        way.append((here.name, here.inode))
        here = here.parent
    way += [(name, None) for name in reversed(root.mount.root_path.split(b"/")) if name]
    return way[::-1]


def _go(mount: "Mount", way: Way, wanted: Dentry) -> Dentry | None:
    """Along positions that are held, and those of known inodes; None where that does not lead to the same directory."""
    shown = [name for name in mount.root_path.split(b"/") if name]
    if [name for name, _ in way[: len(shown)]] != shown:
        return None
    here = mount.root
    for name, inode in way[len(shown) :]:
        reference = here.children.get(name)
        held = reference() if reference is not None else None
        if held is None and inode is not None:
            held = here.attach(name, inode)
        if held is None:
            return None
        here = held
    return here if here.inode is wanted.inode else None


def is_mounted_on(directory: Dentry, name: bytes) -> bool:
    """Whether an entry is a mountpoint in the same name space, whichever mount one sees it by."""
    if directory.is_covered(name):
        return True
    namespace = directory.mount.namespace
    return any(
        other.is_covered(name) and other.mount.namespace is namespace for other in elsewhere(directory)
    )


def removed(directory: Dentry, name: bytes) -> None:
    """An entry has been unlinked: whoever holds it shall know, and what other name spaces have mounted there goes."""
    directory.was_removed(name)
    for other in elsewhere(directory):
        other.was_removed(name)
        _uncover(other, name)


def renamed(old: Dentry, name: bytes, new: Dentry, new_name: bytes, *, exchange: bool) -> None:
    """An entry has become another one, with what other name spaces have mounted there."""
    others = list(elsewhere(old))
    replaced = [] if exchange else list(elsewhere(new))
    old.was_renamed(name, new, new_name, exchange=exchange)
    for each in replaced:
        each.was_removed(new_name)
        _uncover(each, new_name)
    way = _way(new) if others else []
    for other in others:
        target = _go(other.mount, way, new)
        if (
            target is not None
        ):  # else it has moved out of what the mount shows, and stays where it was for those in it
            other.was_renamed(name, target, new_name, exchange=exchange)
            _move_covers(other, name, target, new_name)


def _uncover(directory: Dentry, name: bytes) -> None:
    while directory.covers is not None and name in directory.covers:
        mount = directory.covers[name].mount
        if mount.namespace is None or mount not in mount.namespace.mounts:
            return  # a directory that is made up
        mount.namespace.take_off(mount)


def _move_covers(old: Dentry, name: bytes, new: Dentry, new_name: bytes) -> None:
    moved = (old.covers or {}).pop(name, None)
    back = (new.covers or {}).pop(new_name, None)
    for cover, directory, new_place in ((moved, new, new_name), (back, old, name)):
        if cover is None:
            continue
        Tree.changes += 1
        if directory.covers is None:
            directory.covers = {}
        directory.covers[new_place] = cover
        here: Dentry | None = cover
        while here is not None:
            here.parent, here.name = directory, new_place
            here = here.mount.beneath
