"""What programs do to the tree of mounts: mount, bind, move, remount, unmount, pivot_root.

Whoever calls has seen to the capability. There is one name space.
Sources: mount(2), umount(2), pivot_root(2), mount_namespaces(7); Linux fs/namespace.c.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mount import MNT, MS
from aionoah.abi.stat import S
from aionoah.fs import notify, propagation
from aionoah.fs.inode import FileSystem
from aionoah.fs.mount import Mount, Namespace
from aionoah.fs.path import Dentry, path_of
from aionoah.fs.trails import Tree

_PER_MOUNT: Final = (
    MS.NOSUID | MS.NODEV | MS.NOEXEC | MS.NOATIME | MS.NODIRATIME | MS.RELATIME | MS.NOSYMFOLLOW
)
_PROPAGATION: Final = MS.SHARED | MS.PRIVATE | MS.SLAVE | MS.UNBINDABLE


def set_flags(mount: Mount, flags: int) -> None:
    """What mount(2) says about one mount; relatime is the rule unless another is asked for."""
    wanted = flags & _PER_MOUNT
    if not flags & (MS.NOATIME | MS.STRICTATIME):
        wanted |= MS.RELATIME
    if flags & MS.STRICTATIME:
        wanted &= ~(MS.NOATIME | MS.RELATIME)
    mount.flags = MS(wanted)


def require_place(target: Dentry, *, is_directory: bool) -> None:
    """ENOENT for what has been removed, ENOTDIR if a directory and something else would meet."""
    if target.is_deleted:
        raise LinuxError(Errno.ENOENT)
    if (target.inode.kind == S.IFDIR) != is_directory:
        raise LinuxError(Errno.ENOTDIR)


def _spot(target: Dentry) -> tuple[Dentry, bytes]:
    """The name to cover. EBUSY for the root of all, which has none."""
    if target.parent is None:
        raise LinuxError(Errno.EBUSY)
    return target.parent, target.name


def mount_new(
    namespace: Namespace, filesystem: FileSystem, target: Dentry, flags: int, source: bytes, details: bytes
) -> Mount:
    """A file system that a program has asked for. ENOTDIR, EBUSY, ENOSPC."""
    require_place(target, is_directory=filesystem.root.kind == S.IFDIR)
    parent, name = _spot(target)
    propagation.require_room(namespace, target, 1)
    mount = Mount(filesystem, parent, name, read_only=bool(flags & MS.RDONLY), source=source, options=details)
    set_flags(mount, flags)
    namespace.attach(mount, parent, name)
    propagation.attached(namespace, [mount], target, partial(_copy_tree, namespace))
    return mount


# -- binding ----------------------------------------------------------------------------------------------


def bind(namespace: Namespace, source: Dentry, target: Dentry, *, recursive: bool) -> None:
    """Show a place at another one too. EINVAL for a mount that is not in the tree or is unbindable, ENOSPC."""
    origin = source.mount
    is_there = origin in namespace.mounts or origin.filesystem.may_be_bound_unmounted
    if not is_there or origin.is_unbindable:
        raise LinuxError(Errno.EINVAL)
    require_place(target, is_directory=source.inode.kind == S.IFDIR)
    below = list(_mounts_below(namespace, source)) if recursive else []
    propagation.require_room(namespace, target, 1 + len(below))
    made = [copy for _, copy in _copy_all(namespace, source, target, below)]
    propagation.attached(namespace, made, target, partial(_copy_tree, namespace))


def _copy_tree(namespace: Namespace, mount: Mount, target: Dentry) -> list[tuple[Mount, Mount]]:
    return _copy_all(namespace, mount.root, target, list(_mounts_below(namespace, mount.root)))


def _copy_all(
    namespace: Namespace, source: Dentry, target: Dentry, below: list[tuple[Mount, list[bytes]]]
) -> list[tuple[Mount, Mount]]:
    """Pairs of original and copy. What must not be bound is left out, with all that is in it."""
    parent, name = _spot(target)
    top = _copy(namespace, source.mount, source, parent, name)
    made = [(source.mount, top)]
    for mount, names in below:
        if mount.is_unbindable:
            continue
        place = top.root
        try:
            for each in names[:-1]:
                place = place.child(each)
        except LinuxError:
            continue  # in one that was left out
        made.append((mount, _copy(namespace, mount, mount.root, place, names[-1])))
    return made


def _copy(namespace: Namespace, origin: Mount, source: Dentry, parent: Dentry, name: bytes) -> Mount:
    copy = Mount(
        origin.filesystem,
        parent,
        name,
        root=source.inode,
        read_only=origin.is_read_only,
        source=origin.source,
        options=origin.details,
    )
    copy.flags, copy.is_locked = origin.flags, False
    copy.is_ceiling_read_only = origin.is_ceiling_read_only
    copy.peer_group, copy.master = origin.peer_group, origin.master
    inner = path_of(source, origin.root)
    copy.root_path = (origin.root_path.rstrip(b"/") + inner).rstrip(b"/") or b"/"
    namespace.attach(copy, parent, name)
    source.inode.mounted()
    return copy


def _mounts_below(namespace: Namespace, place: Dentry) -> Iterator[tuple[Mount, list[bytes]]]:
    """The mounts below a place, and the names that lead there; outer ones first."""
    for mount in namespace.mounts:
        names: list[bytes] = []
        here: Dentry | None = mount.root
        while here is not None and not here.is_at(place):
            names.append(here.name)
            here = here.parent
        if here is not None and names:
            yield mount, names[::-1]


# -- changing ---------------------------------------------------------------------------------------------


def remount(target: Dentry, flags: int) -> None:
    """Change the flags of a mount; without MS_BIND those of its file system too. EINVAL, EPERM."""
    mount = _mount_at(target)
    read_only = bool(flags & MS.RDONLY)
    if not read_only and mount.is_ceiling_read_only:
        raise LinuxError(Errno.EPERM)
    mount.is_read_only = read_only
    set_flags(mount, flags)
    Tree.changes += 1  # links on remembered ways may be closed now


def set_propagation(namespace: Namespace, target: Dentry, flags: int) -> None:
    """MS_SHARED, MS_PRIVATE, MS_SLAVE or MS_UNBINDABLE, alone or with MS_REC and MS_SILENT. EINVAL."""
    kind = flags & _PROPAGATION
    if flags & ~(_PROPAGATION | MS.REC | MS.SILENT) or kind & (kind - 1):
        raise LinuxError(Errno.EINVAL)
    mount = _mount_at(target)
    affected = [mount]
    if flags & MS.REC:
        affected += [other for other, _ in _mounts_below(namespace, mount.root)]
    for each in affected:
        propagation.change(namespace, each, kind)


def move(namespace: Namespace, source: Dentry, target: Dentry) -> None:
    """Take a mount to another place. EINVAL unless `source` is one's root, ELOOP into itself."""
    mount = _mount_at(source)
    below = propagation.under(mount)
    if mount.is_locked or below is None or below.peer_group:
        raise LinuxError(Errno.EINVAL)
    if (source.inode.kind == S.IFDIR) != (target.inode.kind == S.IFDIR):
        raise LinuxError(Errno.EINVAL)
    here: Dentry | None = target
    while here is not None:
        if here.mount is mount:
            raise LinuxError(Errno.ELOOP)
        here = here.parent
    parent, name = _spot(target)
    moved = [mount, *(each for each, _ in _mounts_below(namespace, mount.root))]
    propagation.require_room(namespace, target, len(moved))
    namespace.detach(mount)
    namespace.attach(mount, parent, name)
    propagation.attached(namespace, moved, target, partial(_copy_tree, namespace))


def _mount_at(place: Dentry) -> Mount:
    """The mount whose root a place is. EINVAL."""
    if place is not place.mount.root:
        raise LinuxError(Errno.EINVAL)
    return place.mount


# -- taking away ------------------------------------------------------------------------------------------


def unmount(namespace: Namespace, target: Dentry, flags: int, roots_in_use: Callable[[Dentry], bool]) -> None:
    """umount2(2). `roots_in_use` tells whether somebody has the very root of a mount open or works in it.

    EINVAL, EBUSY, EAGAIN for the first call with MNT_EXPIRE.
    """
    mount = _mount_at(target)
    if mount.is_locked or mount not in namespace.mounts:
        raise LinuxError(Errno.EINVAL)
    if flags & MNT.EXPIRE and (flags & (MNT.FORCE | MNT.DETACH)):
        raise LinuxError(Errno.EINVAL)
    if mount.root.parent is None:
        if not flags & MNT.DETACH and not flags & MNT.EXPIRE:
            mount.is_read_only = True  # as Linux does for the root (do_umount_root)
            return
        raise LinuxError(Errno.EINVAL)
    below = [other for other, _ in _mounts_below(namespace, mount.root)]
    copies = list(propagation.copies_of(namespace, mount))
    is_busy = bool(below) or any(_is_busy(each, roots_in_use) for each in (mount, *copies))
    if is_busy and not flags & MNT.DETACH:
        raise LinuxError(Errno.EBUSY)
    if flags & MNT.EXPIRE and not mount.has_expired:
        mount.has_expired = True
        raise LinuxError(Errno.EAGAIN)
    for each in (*reversed(below), *copies, mount):
        if each in copies and any(propagation.under(other) is each for other in namespace.mounts):
            continue  # somebody has mounted something on it
        namespace.detach(each)
        each.root.inode.unmounted()
        propagation.leave(namespace, each)
        if not _is_busy(each, roots_in_use):
            _release(namespace, each)


def _is_busy(mount: Mount, roots_in_use: Callable[[Dentry], bool]) -> bool:
    """Whoever uses something below the root holds a position there."""
    mount.recent.clear()
    return any(child() is not None for child in mount.root.children.values()) or roots_in_use(mount.root)


def _release(namespace: Namespace, mount: Mount) -> None:
    """Free a file system that is mounted nowhere any more."""
    if all(other.filesystem is not mount.filesystem for other in namespace.mounts):
        notify.unmounted(mount.filesystem)
        mount.filesystem.is_unmounted = True
        if not mount.filesystem.users:
            mount.filesystem.release()


def pivot_root(namespace: Namespace, new_root: Dentry, put_old: Dentry, current: Dentry) -> Dentry:
    """Make a mount the root of the tree and put the old root below it; returns the old root. EINVAL, EBUSY, ENOTDIR."""
    if new_root.inode.kind != S.IFDIR or put_old.inode.kind != S.IFDIR:
        raise LinuxError(Errno.ENOTDIR)
    old = current.mount
    if new_root.mount is old or put_old.mount is old:
        raise LinuxError(Errno.EBUSY)
    mount = _mount_at(new_root)
    below = propagation.under(mount)
    if old.peer_group or put_old.mount.peer_group or (below is not None and below.peer_group):
        raise LinuxError(Errno.EINVAL)
    if current is not old.root or old.root.parent is not None or not put_old.is_within(new_root):
        raise LinuxError(Errno.EINVAL)
    if put_old is new_root:  # Linux stacks the old root on the new one, where nothing can be mounted here
        raise LinuxError(Errno.EINVAL)
    namespace.detach(mount)
    mount.root.parent, mount.root.name = None, b""
    namespace.mounts.remove(old)
    namespace.mounts.insert(0, mount)
    parent, name = _spot(put_old)
    namespace.attach(old, parent, name)
    namespace.root = mount.root
    return old.root
