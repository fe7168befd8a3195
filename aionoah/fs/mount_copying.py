"""A new name space of mounts: the copy of another one.

It has a mount of its own for each of the original's, and so positions of its own: nothing that is known of a position,
such as a remembered way, is known of that in another name space. What is shared goes on being shared between the two.
Sources: mount_namespaces(7); Linux fs/namespace.c, copy_mnt_ns.
"""

from aionoah.fs.mount import Mount
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.path import Dentry
from aionoah.process.user_namespaces import FIRST, UserNamespace


class Copying:
    """The copy of a name space, and where positions in the original are in it. What is shared only comes to one that
    belongs to other users, who cannot look behind any mount.
    """

    def __init__(self, origin: MountNamespace, number: int, owner: UserNamespace = FIRST) -> None:
        """ENOSPC."""
        origin.require_copyable()
        self._origin = origin
        self._is_others = owner is not origin.owner
        top = self._twin(origin.root.mount)
        top.is_locked = False
        self._made: dict[Mount, Mount | None] = {origin.root.mount: top}
        self._listed = {*origin.mounts}
        self.namespace = MountNamespace(top, origin.forest, number, owner)
        for mount in origin.mounts:
            self._copy(mount)

    def _copy(self, wanted: Mount) -> Mount | None:
        """What a mount has become, after all that it lies upon; None if it is left out."""
        pending: list[Mount] = []
        here: Mount | None = wanted
        while here is not None and here not in self._made:
            pending.append(here)
            here = here.under
        for mount in reversed(pending):
            self._made[mount] = self._copy_one(mount)
        return self._made[wanted]

    def _copy_one(self, origin: Mount) -> Mount | None:
        below, parent = origin.under, origin.root.parent
        is_lost = below is None or self._made[below] is None
        if is_lost or not origin.root.inode.may_be_mounted_in(self.namespace.number):
            return None
        made, place = self._twin(origin), None if parent is None else self.position(parent)
        if origin in self._listed:
            self.namespace.attach(made, place, origin.root.name)
            made.root.inode.mounted()
        else:
            self.namespace.cover(place, origin.root.name, made)
        return made

    def _twin(self, origin: Mount) -> Mount:
        """In the first user name space it is the guests' own, so that they may take it away even where the application has
        made the original.
        """
        made = origin.copy(origin.root)
        made.is_unbindable = origin.is_unbindable
        made.is_locked = origin.is_locked and self._origin.owner is not FIRST
        if self._is_others:
            made.is_locked = True
            made.lock_flags()
            if made.peer_group:
                made.peer_group, made.master = 0, made.peer_group
        return made

    def position(self, place: Dentry) -> Dentry:
        """The same one in the copy; a position that is not in the original stays what it is."""
        if place.mount.namespace is not self._origin:
            return place
        mount = self._copy(place.mount)
        if mount is None:
            return place
        way: list[Dentry] = []
        here: Dentry | None = place
        while here is not None and here is not place.mount.root:
            way.append(here)
            here = here.parent
        found = mount.root
        for each in reversed(way):
            found = _removed(found, each) if each.is_deleted else found.attach(each.name, each.inode)
        return found


def _removed(parent: Dentry, origin: Dentry) -> Dentry:
    made = Dentry(parent.mount, parent, origin.name, origin.inode)
    made.is_deleted = True
    return made
