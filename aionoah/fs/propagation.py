"""Shared mounts: what is mounted in one of a group of peers, or taken away there, is so in all of them, and in
those that are slaves of the group, in whatever name space they are.

A group is a number that its members have; it ends with the last of them.
Source: mount_namespaces(7), Documentation/filesystems/sharedsubtree.rst; Linux fs/pnode.c.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mount import MS
from aionoah.fs.mount import ALL_MOUNTS_MAX, MOUNTS_MAX, Mount
from aionoah.fs.path import Dentry

if TYPE_CHECKING:
    from aionoah.fs.mount_namespace import Forest, MountNamespace

CopyTree = Callable[[list[Mount], Dentry], list[tuple[Mount, Mount]]]
"""Show a mount, and those below it, at another place: pairs of original and copy, the outermost first."""


class Groups:
    """Who is in which group and whose slave, looked up once for changes of many mounts."""

    def __init__(self, forest: "Forest") -> None:
        self._members = Counter(each.peer_group for each in forest.mounts)
        self._slaves: dict[int, list[Mount]] = {}
        for each in forest.mounts:
            if each.master:
                self._slaves.setdefault(each.master, []).append(each)
        self._free = (
            number
            for number in itertools.count(1)
            if not self._members[number] and number not in self._slaves
        )

    def change(self, mount: Mount, kind: int) -> None:
        """Make it MS_SHARED, MS_PRIVATE, MS_SLAVE or MS_UNBINDABLE."""
        mount.is_unbindable = kind == MS.UNBINDABLE
        if kind == MS.SHARED:
            self.share(mount)
        elif kind == MS.SLAVE:
            self._enslave(mount)
        else:
            self.leave(mount)

    def share(self, mount: Mount) -> None:
        """If it has no group, it gets one of its own."""
        if not mount.peer_group:
            mount.peer_group = next(self._free)
            self._members[mount.peer_group] += 1

    def _enslave(self, mount: Mount) -> None:
        """Without peers there is nobody to be a slave of, but the master that it may have already."""
        group = mount.peer_group
        if not group:
            return
        if self._quit(mount):
            mount.master = group
            self._slaves.setdefault(group, []).append(mount)
        else:
            self._pass_slaves(group, mount.master)

    def leave(self, mount: Mount) -> None:
        """Become private, as a mount that is taken away does."""
        group, master = mount.peer_group, mount.master
        mount.master = 0
        if group and not self._quit(mount):
            self._pass_slaves(group, master)

    def _quit(self, mount: Mount) -> bool:
        """Whether the group goes on without it. What has been taken away is not counted any more."""
        group, mount.peer_group = mount.peer_group, 0
        self._members[group] -= mount.namespace is not None
        return self._members[group] > 0

    def _pass_slaves(self, group: int, master: int) -> None:
        """A group has ended: its slaves go to its own master, if it had one."""
        for each in self._slaves.pop(group, ()):
            if each.master == group:
                each.master = master
                if master:
                    self._slaves.setdefault(master, []).append(each)


# -- mounting ---------------------------------------------------------------------------------------------


def require_room(namespace: "MountNamespace", target: Dentry, count: int) -> None:
    """ENOSPC if a tree of `count` mounts over a place would be too many, with its copies for all who receive from there."""
    wanted = Counter({namespace: count})
    for receiver in receivers(namespace.forest, target.mount):
        if receiver.namespace is not None:
            wanted[receiver.namespace] += count
    if any(len(each.mounts) + more > MOUNTS_MAX for each, more in wanted.items()):
        raise LinuxError(Errno.ENOSPC)
    if sum(len(each.mounts) for each in namespace.forest.trees) + wanted.total() > ALL_MOUNTS_MAX:
        raise LinuxError(Errno.ENOSPC)


def attached(forest: "Forest", mounts: list[Mount], target: Dentry, copy_tree: CopyTree) -> None:
    """A mount, and those below it, have been put over a place: in a shared one they are shared, and all who receive
    from there get copies.
    """
    if not target.mount.peer_group:
        return
    groups = Groups(forest)
    for each in mounts:
        groups.share(each)
    _spread(forest, mounts, target, copy_tree, {target.mount, *mounts})


def _spread(
    forest: "Forest", tree: list[Mount], target: Dentry, copy_tree: CopyTree, done: set[Mount]
) -> None:
    group = target.mount.peer_group
    for receiver in list(forest.mounts):
        if receiver in done or group not in (receiver.peer_group, receiver.master):
            continue
        done.add(receiver)
        place = counterpart(target, receiver)
        if place is None or receiver.namespace is None:
            continue
        if not tree[0].root.inode.may_be_mounted_in(receiver.namespace.number):
            continue
        copies = copy_tree(tree, place)
        done.update(copy for _, copy in copies)
        if receiver.peer_group == group:
            continue
        for original, copy in copies:
            copy.peer_group, copy.master = 0, original.peer_group
        if receiver.peer_group:
            groups = Groups(forest)
            for _, copy in copies:
                groups.share(copy)
            _spread(forest, [copy for _, copy in copies], place, copy_tree, done)


def counterpart(place: Dentry, mount: Mount) -> Dentry | None:
    """The same directory in another mount of the file system; None if that mount does not show it."""
    names: list[bytes] = []
    here: Dentry | None = place
    while here is not None and here is not place.mount.root:
        names.append(here.name)
        here = here.parent
    above = [part for part in place.mount.root_path.split(b"/") if part]
    wanted, shown = [*above, *reversed(names)], [part for part in mount.root_path.split(b"/") if part]
    if wanted[: len(shown)] != shown:
        return None
    found = mount.root
    try:
        for name in wanted[len(shown) :]:
            found = found.attach(name, found.inode.lookup(name))
    except LinuxError as error:
        if error.errno is not Errno.ENOENT:
            raise
        return None
    return found


# -- taking away ------------------------------------------------------------------------------------------


def copies_of(forest: "Forest", mount: Mount) -> Iterator[Mount]:
    """What goes with a mount that is taken away: those at the same place of all who receive from there."""
    below = mount.under
    if below is None or not below.peer_group:
        return
    found = set(receivers(forest, below))
    for other in forest.mounts if found else ():
        if other.under in found and not other.is_locked and _is_counterpart(other, mount):
            yield other


def _is_counterpart(other: Mount, mount: Mount) -> bool:
    """Whether two mounts cover the same place of their file system."""
    if mount.beneath is not None or other.beneath is not None:
        return mount.beneath is not None and other.beneath is not None
    here, there = mount.root, other.root
    if here.parent is None or there.parent is None or here.name != there.name:
        return False
    return counterpart(here.parent, there.parent.mount) is there.parent


def receivers(forest: "Forest", mount: Mount) -> list[Mount]:
    """Peers and slaves, and theirs."""
    if not mount.peer_group:
        return []
    of_group: dict[int, list[Mount]] = {}
    for each in forest.mounts:
        for group in {each.peer_group, each.master}:
            of_group.setdefault(group, []).append(each)
    found: dict[Mount, None] = {mount: None}
    pending, seen = [mount.peer_group], {0, mount.peer_group}
    while pending:
        for each in of_group.get(pending.pop(), ()):
            found[each] = None
            if each.peer_group not in seen:
                seen.add(each.peer_group)
                pending.append(each.peer_group)
    return list(found)[1:]
