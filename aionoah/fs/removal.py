"""Taking names away and moving them: unlink, rmdir, rename.

Sources: unlink(2), rmdir(2), rename(2); Linux fs/namei.c (do_unlinkat, do_renameat2, may_delete). The
order of the checks is the kernel's.
"""

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import ACCESS, RENAME
from aionoah.abi.stat import S
from aionoah.fs import notify, positions
from aionoah.fs.context import FsContext
from aionoah.fs.creation import new_owner, require_may_create
from aionoah.fs.inode import Change
from aionoah.fs.path import Dentry, LastComponent, retried, walk_parent
from aionoah.fs.permissions import require, require_removable


@retried
def unlink(context: FsContext, start: Dentry, path: bytes) -> None:
    """unlinkat(2) without flags."""
    place = walk_parent(context, start, path)
    if not place.is_ordinary:
        raise LinuxError(Errno.EISDIR)
    place.directory.mount.require_writable()
    victim = place.directory.child(place.name)
    is_directory = victim.inode.kind == S.IFDIR
    if place.wants_directory:
        raise LinuxError(Errno.EISDIR if is_directory else Errno.ENOTDIR)
    _require_may_delete(context, place.directory, victim)
    if is_directory:
        raise LinuxError(Errno.EISDIR)
    _require_uncovered(place)
    was_last = bool(notify.WATCHES) and notify.is_last_name(victim.inode)
    place.directory.inode.unlink(place.name)
    positions.removed(place.directory, place.name)
    notify.removed(place.directory, place.name, victim.inode, was_last=was_last)


@retried
def rmdir(context: FsContext, start: Dentry, path: bytes) -> None:
    """Remove an empty directory: also what unlinkat(2) does with AT_REMOVEDIR."""
    place = walk_parent(context, start, path)
    if not place.is_ordinary:
        refusals = {b".": Errno.EINVAL, b"..": Errno.ENOTEMPTY, b"": Errno.EBUSY}
        raise LinuxError(refusals[place.name])
    place.directory.mount.require_writable()
    victim = place.directory.child(place.name)
    _require_may_delete(context, place.directory, victim)
    if victim.inode.kind != S.IFDIR:
        raise LinuxError(Errno.ENOTDIR)
    _require_uncovered(place)
    if victim.covers:
        raise LinuxError(Errno.ENOTEMPTY)
    place.directory.inode.rmdir(place.name)
    positions.removed(place.directory, place.name)
    notify.removed(place.directory, place.name, victim.inode, was_last=True)


def _require_uncovered(place: LastComponent) -> None:
    if positions.is_mounted_on(place.directory, place.name):
        raise LinuxError(Errno.EBUSY)


def _require_may_delete(context: FsContext, directory: Dentry, victim: Dentry) -> None:
    """The victim has just been looked up."""
    parent, entry = directory.inode, victim.inode
    require_removable(parent.attributes(), entry.looked_up_attributes(), context.identity, parent)


def require_rename_flags(flags: int) -> None:
    """EINVAL."""
    others = flags & ~RENAME.EXCHANGE
    if others & ~(RENAME.NOREPLACE | RENAME.WHITEOUT) or (flags & RENAME.EXCHANGE and others):
        raise LinuxError(Errno.EINVAL)


@retried
def rename(
    context: FsContext,
    old_start: Dentry,
    old_path: bytes,
    new_start: Dentry,
    new_path: bytes,
    flags: int = 0,
) -> None:
    """renameat2(2), with flags that have been required."""
    old = walk_parent(context, old_start, old_path)
    new = walk_parent(context, new_start, new_path)
    _require_renamable(old, new, flags)
    source = old.directory.child(old.name)
    target = _target(new, flags)
    _require_matching_slashes(old, new, source, target, flags)
    _require_no_loop(old.directory, source, new.directory, target, flags)
    if target is not None and target.inode is source.inode:
        return
    _require_may_rename(context, old.directory, source, new.directory, target, flags)
    _require_uncovered(old)
    _require_uncovered(new)
    was_last = bool(notify.WATCHES) and target is not None and notify.is_last_name(target.inode)
    old.directory.inode.rename(old.name, new.directory.inode, new.name, flags)
    if flags & RENAME.WHITEOUT:
        _own_whiteout(context, old)
    is_exchange = bool(flags & RENAME.EXCHANGE)
    positions.renamed(old.directory, old.name, new.directory, new.name, exchange=is_exchange)
    if flags & RENAME.EXCHANGE and target is not None:
        notify.exchanged(old.directory, old.name, new.directory, new.name, source.inode, target.inode)
    else:
        replaced = target.inode if target is not None else None
        places = (old.directory, old.name, new.directory, new.name)
        notify.moved(*places, source.inode, replaced, was_last=was_last)


def _own_whiteout(context: FsContext, place: LastComponent) -> None:
    """It belongs to who has renamed the file, as what mknod makes does, as far as the host lets us say so."""
    directory = place.directory.inode
    made = directory.lookup(place.name)
    _, uid, gid = new_owner(context, directory.attributes(), S.IFCHR)
    try:
        made.change(Change(uid=uid, gid=gid))
    except LinuxError as error:
        if error.errno not in (Errno.EPERM, Errno.EOPNOTSUPP):
            raise


def _require_renamable(old: LastComponent, new: LastComponent, flags: int) -> None:
    if old.directory.mount is not new.directory.mount:
        raise LinuxError(Errno.EXDEV)
    if not old.is_ordinary:
        raise LinuxError(Errno.EBUSY)
    if not new.is_ordinary:
        raise LinuxError(Errno.EEXIST if flags & RENAME.NOREPLACE else Errno.EBUSY)
    old.directory.mount.require_writable()


def _target(new: LastComponent, flags: int) -> Dentry | None:
    """What has the new name already."""
    try:
        target = new.directory.child(new.name)
    except LinuxError as error:
        if error.errno is not Errno.ENOENT or flags & RENAME.EXCHANGE:
            raise
        return None
    if flags & RENAME.NOREPLACE:
        raise LinuxError(Errno.EEXIST)
    return target


def _require_matching_slashes(
    old: LastComponent, new: LastComponent, source: Dentry, target: Dentry | None, flags: int
) -> None:
    """A slash behind a name asks for a directory."""
    replaces = not flags & RENAME.EXCHANGE
    is_directory = source.inode.kind == S.IFDIR
    if not is_directory and (old.wants_directory or (replaces and new.wants_directory)):
        raise LinuxError(Errno.ENOTDIR)
    if not replaces and target is not None and new.wants_directory and target.inode.kind != S.IFDIR:
        raise LinuxError(Errno.ENOTDIR)


def _require_no_loop(old: Dentry, source: Dentry, new: Dentry, target: Dentry | None, flags: int) -> None:
    """A directory cannot move below itself, nor onto one that holds it."""
    if new.is_within(source):
        raise LinuxError(Errno.EINVAL)
    if target is not None and old.is_within(target):
        raise LinuxError(Errno.EINVAL if flags & RENAME.EXCHANGE else Errno.ENOTEMPTY)


def _require_may_rename(
    context: FsContext, old: Dentry, source: Dentry, new: Dentry, target: Dentry | None, flags: int
) -> None:
    _require_may_delete(context, old, source)
    is_directory = source.inode.kind == S.IFDIR
    if target is None:
        require_may_create(context, new)
    else:
        _require_may_delete(context, new, target)
        target_is_directory = target.inode.kind == S.IFDIR
        if not flags & RENAME.EXCHANGE and is_directory != target_is_directory:
            raise LinuxError(Errno.ENOTDIR if is_directory else Errno.EISDIR)
    if old.inode is new.inode:
        return
    # A directory that gets another parent has its ".." written.
    moved = [source] if is_directory else []
    if flags & RENAME.EXCHANGE and target is not None and target.inode.kind == S.IFDIR:
        moved.append(target)
    for directory in moved:
        require(directory.inode.attributes(), context.identity, ACCESS.W, directory.inode)
