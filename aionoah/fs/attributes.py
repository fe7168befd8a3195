"""Reading and changing what an inode says of itself: access, chmod, chown, utimensat, truncate, statfs.

Sources: access(2), chmod(2), chown(2), utimensat(2), truncate(2); Linux fs/attr.c, fs/open.c, fs/utimes.c.
All take a position that a path walk or an open file has given.
"""

from collections.abc import Callable

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import ACCESS, O
from aionoah.abi.mount import MS
from aionoah.abi.stat import S
from aionoah.abi.statfs import ST
from aionoah.fs import notify
from aionoah.fs.context import FsContext
from aionoah.fs.creation import may_keep_setgid, without_privilege
from aionoah.fs.file_capabilities import remove_capabilities
from aionoah.fs.inode import NOW, Attributes, Change, FileSystemStatus
from aionoah.fs.leases import LEASES, ask_holders
from aionoah.fs.lists import follow_mode
from aionoah.fs.path import Dentry
from aionoah.fs.permissions import effective_identity, real_identity, require, require_not_running

_MOUNT_FLAGS = (
    (MS.NOSUID, ST.NOSUID),
    (MS.NODEV, ST.NODEV),
    (MS.NOEXEC, ST.NOEXEC),
    (MS.NOATIME, ST.NOATIME),
    (MS.NODIRATIME, ST.NODIRATIME),
    (MS.RELATIME, ST.RELATIME),
    (MS.NOSYMFOLLOW, ST.NOSYMFOLLOW),
)
_SPECIAL = (S.IFCHR, S.IFBLK, S.IFIFO, S.IFSOCK)


def access(
    context: FsContext, dentry: Dentry, wanted: int, *, real: bool, attributes: Attributes | None = None
) -> None:
    """Check rights for a program that asks: `wanted` are bits of ACCESS, 0 for existence; `real` unless
    AT_EACCESS; `attributes` if they are known. EACCES, EROFS.
    """
    credentials = context.credentials
    identity = real_identity(credentials) if real else effective_identity(credentials)
    attributes = attributes or dentry.inode.attributes()
    require(attributes, identity, wanted, dentry.inode)
    if wanted & ACCESS.W and attributes.mode & S.IFMT not in _SPECIAL:
        dentry.mount.require_writable()


def require_enterable(context: FsContext, dentry: Dentry) -> None:
    """Whether it can become a working or root directory: ENOTDIR, EACCES."""
    if dentry.inode.kind != S.IFDIR:
        raise LinuxError(Errno.ENOTDIR)
    require(dentry.inode.attributes(), context.identity, ACCESS.X, dentry.inode)


def chmod(context: FsContext, dentry: Dentry, mode: int) -> None:
    """fchmodat(2) and fchmod(2). EROFS, EOPNOTSUPP for symbolic links, EPERM."""
    dentry.mount.require_writable()
    attributes = dentry.inode.attributes()
    if attributes.mode & S.IFMT == S.IFLNK:
        raise LinuxError(Errno.EOPNOTSUPP)
    _require_owner(context, attributes)
    mode &= S.IALLUGO
    if not may_keep_setgid(context, attributes.gid):
        mode &= ~S.ISGID
    _change(dentry, Change(mode=mode))
    follow_mode(dentry.inode, mode)


def _require_owner(context: FsContext, attributes: Attributes) -> None:
    if not context.identity.may_act_as(attributes.uid):
        raise LinuxError(Errno.EPERM)


def chown(context: FsContext, dentry: Dentry, uid: int | None, gid: int | None) -> None:
    """fchownat(2) and fchown(2); None leaves an owner as it is. EROFS, EPERM.

    Set-user-ID, set-group-ID and capabilities of anything but a directory are lost, root's too.
    """
    dentry.mount.require_writable()
    attributes = dentry.inode.attributes()
    identity = context.identity
    is_owner = identity.uid == attributes.uid
    if not identity.has_over(CAP.CHOWN, attributes.uid, attributes.gid) and (
        (uid is not None and not (is_owner and uid == attributes.uid))
        or (gid is not None and not (is_owner and (gid == attributes.gid or identity.is_member(gid))))
    ):
        raise LinuxError(Errno.EPERM)
    mode = None if attributes.mode & S.IFMT == S.IFDIR else without_privilege(context, attributes)
    if mode is not None:
        _require_owner(context, attributes)
    if attributes.mode & S.IFMT == S.IFREG:
        remove_capabilities(dentry.inode)
    _change(dentry, Change(mode=mode, uid=uid, gid=gid))


def set_times(context: FsContext, dentry: Dentry, atime_ns: int | None, mtime_ns: int | None) -> None:
    """utimensat(2); None is UTIME_OMIT and inode.NOW is UTIME_NOW. EROFS, EACCES, EPERM.

    Whoever may write may set both times to the present; anything else is for the owner.
    """
    if atime_ns is None and mtime_ns is None:
        return
    dentry.mount.require_writable()
    attributes = dentry.inode.attributes()
    if atime_ns == mtime_ns == NOW:
        if not context.identity.may_act_as(attributes.uid):
            require(attributes, context.identity, ACCESS.W, dentry.inode)
    else:
        _require_owner(context, attributes)
    _change(dentry, Change(atime_ns=atime_ns, mtime_ns=mtime_ns))


def truncate(
    context: FsContext, dentry: Dentry, length: int, require_size: Callable[[int, int], None] | None = None
) -> None:
    """Set the size of a file. EISDIR, EINVAL, EACCES, EROFS. `require_size` has the last word: from what size to what."""
    if length < 0:
        raise LinuxError(Errno.EINVAL)
    attributes = dentry.inode.attributes()
    kind = attributes.mode & S.IFMT
    if kind != S.IFREG:
        raise LinuxError(Errno.EISDIR if kind == S.IFDIR else Errno.EINVAL)
    dentry.mount.require_writable()
    require(attributes, context.identity, ACCESS.W, dentry.inode)
    require_not_running(attributes, dentry.inode, context.programs)
    if LEASES:
        ask_holders(dentry.inode, O.WRONLY)
    if require_size is not None:
        require_size(attributes.size, length)
    mode = None if context.identity.has(CAP.FSETID) else without_privilege(context, attributes)
    remove_capabilities(dentry.inode)
    _change(dentry, Change(mode=mode, size=length))


def _change(dentry: Dentry, change: Change) -> None:
    dentry.inode.change(change)
    notify.changed(dentry, change)


def readlink(dentry: Dentry) -> bytes:
    """readlinkat(2) of a position that was walked without following. EINVAL unless it is a link."""
    if dentry.inode.kind != S.IFLNK:
        raise LinuxError(Errno.EINVAL)
    return dentry.inode.readlink()


def filesystem_status(dentry: Dentry) -> FileSystemStatus:
    """statfs(2), with the flags of the mount."""
    status = dentry.inode.filesystem_status()
    flags = sum(shown for flag, shown in _MOUNT_FLAGS if dentry.mount.flags & flag)
    read_only = ST.RDONLY if dentry.mount.is_read_only else 0
    return status._replace(flags=status.flags | ST.VALID | read_only | flags)
