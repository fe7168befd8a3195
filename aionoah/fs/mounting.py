"""What programs do to the tree of mounts: mount, bind, move, remount, unmount, pivot_root.

Whoever calls has seen to the capability, and says in which name space he is: what is in others is not his to change, but
by propagation.
Sources: mount(2), umount(2), pivot_root(2), mount_namespaces(7); Linux fs/namespace.c.
"""

from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mount import MNT, MS
from aionoah.abi.stat import S
from aionoah.fs import propagation
from aionoah.fs.inode import FileSystem
from aionoah.fs.mount import TIMES, Mount
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.path import Dentry
from aionoah.fs.trails import Tree
from aionoah.process.user_namespaces import FIRST

_PER_MOUNT: Final = (
    MS.NOSUID | MS.NODEV | MS.NOEXEC | MS.NOATIME | MS.NODIRATIME | MS.RELATIME | MS.NOSYMFOLLOW
)
_EVERYWHERE: Final = 1 << 64  # a younger name space than there is
_PROPAGATION: Final = MS.SHARED | MS.PRIVATE | MS.SLAVE | MS.UNBINDABLE


def set_flags(mount: Mount, flags: int) -> None:
    """What mount(2) says about one mount; relatime is the rule unless another is asked for. EPERM for locked ones."""
    wanted = flags & _PER_MOUNT
    if not flags & (MS.NOATIME | MS.STRICTATIME):
        wanted |= MS.RELATIME
    if flags & MS.STRICTATIME:
        wanted &= ~(MS.NOATIME | MS.RELATIME)
    if mount.locked_flags & (mount.flags ^ wanted) & (mount.flags | TIMES):
        raise LinuxError(Errno.EPERM)
    mount.flags = MS(wanted)


def _require_place(namespace: MountNamespace, target: Dentry, *, is_directory: bool) -> None:
    """ENOENT for what has been removed, EINVAL for what is not in the tree, ENOTDIR if a directory and something else
    would meet.
    """
    if target.is_deleted:
        raise LinuxError(Errno.ENOENT)
    if target.mount.namespace is not namespace:
        raise LinuxError(Errno.EINVAL)
    if (target.inode.kind == S.IFDIR) != is_directory:
        raise LinuxError(Errno.ENOTDIR)


def mount_new(
    namespace: MountNamespace,
    filesystem: FileSystem,
    target: Dentry,
    flags: int,
    source: bytes,
    details: bytes,
) -> Mount:
    """A file system that a program has asked for. ENOTDIR, EINVAL, ENOSPC."""
    _require_place(namespace, target, is_directory=filesystem.root.kind == S.IFDIR)
    propagation.require_room(namespace, target, 1)
    mount = Mount(filesystem, read_only=bool(flags & MS.RDONLY), source=source, options=details)
    set_flags(mount, flags)
    namespace.attach(mount, target.parent, target.name)
    propagation.attached(namespace.forest, [mount], target, _copy_tree)
    return mount


# -- binding ----------------------------------------------------------------------------------------------


def bind(namespace: MountNamespace, source: Dentry, target: Dentry, *, recursive: bool) -> None:
    """Show a place at another one too. EINVAL for a mount that is not in the tree or is unbindable, and for what may not
    be where it would propagate to; ENOSPC.
    """
    origin, inode = source.mount, source.inode
    is_there = origin.namespace is namespace or origin.filesystem.may_be_bound_unmounted
    if not is_there or origin.is_unbindable or not inode.may_be_mounted_in(namespace.number):
        raise LinuxError(Errno.EINVAL)
    _require_place(namespace, target, is_directory=inode.kind == S.IFDIR)
    if not inode.may_be_mounted_in(_EVERYWHERE) and propagation.receivers(namespace.forest, target.mount):
        raise LinuxError(Errno.EINVAL)
    below = list(namespace.below(source)) if recursive else []
    if not recursive and namespace.owner is not FIRST and _has_locked(namespace, source):
        raise LinuxError(Errno.EINVAL)  # it would show what they hide
    propagation.require_room(namespace, target, 1 + len(below))
    top = _copy(namespace, source, target.parent, target.name)
    top.is_locked = False
    made = [copy for _, copy in _copy_below(namespace, origin, top, below)]
    propagation.attached(namespace.forest, made, target, _copy_tree)


def _has_locked(namespace: MountNamespace, place: Dentry) -> bool:
    return any(mount.is_locked for mount, _ in namespace.below(place))


def _copy_tree(tree: list[Mount], target: Dentry) -> list[tuple[Mount, Mount]]:
    """For those who receive a mount, each in its own name space."""
    mount = tree[0]
    origin, namespace = mount.namespace, target.mount.namespace
    assert origin is not None and namespace is not None  # noqa: S101, PT018 - what propagates is in one
    top = mount.copy(mount.root)
    namespace.tuck(top, target)
    mount.root.inode.mounted()
    below = list(origin.below(mount.root)) if len(tree) > 1 else []
    made = _copy_below(namespace, mount, top, below)
    if namespace.owner is not origin.owner:
        for _, copy in made:
            copy.is_locked = copy is not top
            copy.lock_flags()
    return made


def _copy_below(
    namespace: MountNamespace, origin: Mount, top: Mount, below: list[tuple[Mount, list[bytes]]]
) -> list[tuple[Mount, Mount]]:
    """Pairs of original and copy, the outermost first. What must not be bound is left out, with all that is in it."""
    made = [(origin, top)]
    for mount, names in below:
        if mount.is_unbindable or not mount.root.inode.may_be_mounted_in(namespace.number):
            continue
        place = top.root
        try:
            for each in names[:-1]:
                place = place.child(each)
        except LinuxError:
            continue  # in one that was left out
        made.append((mount, _copy(namespace, mount.root, place, names[-1])))
    return made


def _copy(namespace: MountNamespace, source: Dentry, parent: Dentry | None, name: bytes) -> Mount:
    copy = source.mount.copy(source)
    namespace.attach(copy, parent, name)
    copy.is_locked = source is source.mount.root and source.mount.is_locked and namespace.owner is not FIRST
    source.inode.mounted()
    return copy


# -- changing ---------------------------------------------------------------------------------------------


def remount(namespace: MountNamespace, target: Dentry, flags: int) -> None:
    """Change the flags of a mount; without MS_BIND those of its file system too. EINVAL, EPERM."""
    mount = _mount_at(namespace, target)
    read_only = bool(flags & MS.RDONLY)
    if not read_only and mount.is_ceiling_read_only:
        raise LinuxError(Errno.EPERM)
    if not flags & (TIMES | MS.STRICTATIME):
        flags |= mount.flags & TIMES or MS.STRICTATIME
    set_flags(mount, flags)
    mount.is_read_only = read_only
    Tree.changes += 1  # links on remembered ways may be closed now


def set_propagation(namespace: MountNamespace, target: Dentry, flags: int) -> None:
    """MS_SHARED, MS_PRIVATE, MS_SLAVE or MS_UNBINDABLE, alone or with MS_REC and MS_SILENT. EINVAL."""
    kind = flags & _PROPAGATION
    if flags & ~(_PROPAGATION | MS.REC | MS.SILENT) or kind & (kind - 1):
        raise LinuxError(Errno.EINVAL)
    mount = _mount_at(namespace, target)
    affected = [mount]
    if flags & MS.REC:
        affected += [other for other, _ in namespace.below(mount.root)]
    groups = propagation.Groups(namespace.forest)
    for each in affected:
        groups.change(each, kind)


def move(namespace: MountNamespace, source: Dentry, target: Dentry) -> None:
    """Take a mount to another place. EINVAL unless `source` is one's root, ELOOP into itself."""
    mount = _mount_at(namespace, source)
    below = mount.under
    if mount.is_locked or below is None or below.peer_group or target.mount.namespace is not namespace:
        raise LinuxError(Errno.EINVAL)
    if (source.inode.kind == S.IFDIR) != (target.inode.kind == S.IFDIR):
        raise LinuxError(Errno.EINVAL)
    here: Mount | None = target.mount
    while here is not None:
        if here is mount:
            raise LinuxError(Errno.ELOOP)
        here = here.under
    moved = [mount, *(each for each, _ in namespace.below(mount.root))]
    propagation.require_room(namespace, target, len(moved))
    namespace.detach(mount)
    namespace.attach(mount, target.parent, target.name)
    propagation.attached(namespace.forest, moved, target, _copy_tree)


def _mount_at(namespace: MountNamespace, place: Dentry) -> Mount:
    """The mount of the tree whose root a place is. EINVAL."""
    if place is not place.mount.root or place.mount not in namespace.mounts:
        raise LinuxError(Errno.EINVAL)
    return place.mount


# -- taking away ------------------------------------------------------------------------------------------


def unmount(namespace: MountNamespace, target: Dentry, flags: int, current: Dentry) -> None:
    """umount2(2); `current` is the caller's root directory. EINVAL, EBUSY, EAGAIN for the first call with MNT_EXPIRE."""
    forest = namespace.forest
    mount = _mount_at(namespace, namespace.over(target))
    if mount.is_locked:
        raise LinuxError(Errno.EINVAL)
    if flags & MNT.EXPIRE and (flags & (MNT.FORCE | MNT.DETACH)):
        raise LinuxError(Errno.EINVAL)
    if mount is current.mount and not flags & (MNT.DETACH | MNT.EXPIRE):
        mount.is_read_only = True  # as Linux does for the root (do_umount_root)
        return
    if mount.root is namespace.root:
        raise LinuxError(Errno.EINVAL)
    below = [other for other, _ in namespace.below(mount.root)]
    is_busy = bool(below) or any(map(forest.is_busy, (mount, *_copies_alone(namespace, mount))))
    if is_busy and not flags & MNT.DETACH:
        raise LinuxError(Errno.EBUSY)
    if flags & MNT.EXPIRE and not mount.has_expired:
        mount.has_expired = True
        raise LinuxError(Errno.EAGAIN)
    groups = propagation.Groups(forest)
    for each in (*reversed(below), mount):
        for going in (*_copies_alone(namespace, each), each):
            if going.namespace is not None:
                groups.leave(going)
                going.namespace.detach(going)
                forest.taken_away(going)


def _copies_alone(namespace: MountNamespace, mount: Mount) -> list[Mount]:
    """What goes with it elsewhere: those that nothing has been mounted in."""
    copies = list(propagation.copies_of(namespace.forest, mount))
    if not copies:
        return copies
    places = (other.root.parent for other in namespace.forest.mounts if other.beneath is None)
    used = {place.mount for place in places if place is not None}
    return [copy for copy in copies if copy not in used]


def pivot_root(namespace: MountNamespace, new_root: Dentry, put_old: Dentry, current: Dentry) -> Dentry:
    """Make a mount the root of the tree and put the old root below it; returns the old root. EINVAL, EBUSY, ENOTDIR."""
    if new_root.inode.kind != S.IFDIR or put_old.inode.kind != S.IFDIR:
        raise LinuxError(Errno.ENOTDIR)
    old, put_old = current.mount, namespace.over(put_old)
    if old.namespace is not namespace or new_root.mount.namespace is not namespace:
        raise LinuxError(Errno.EINVAL)
    if new_root.mount is old or put_old.mount is old:
        raise LinuxError(Errno.EBUSY)
    mount = _mount_at(namespace, new_root)
    below = mount.under
    if mount.is_locked and namespace.owner is not FIRST:
        raise LinuxError(Errno.EINVAL)
    if old.peer_group or put_old.mount.peer_group or (below is not None and below.peer_group):
        raise LinuxError(Errno.EINVAL)
    if current is not namespace.root or not put_old.is_within(new_root):
        raise LinuxError(Errno.EINVAL)
    namespace.change_root(mount)
    namespace.attach(old, put_old.parent, put_old.name)
    return old.root
