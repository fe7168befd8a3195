"""Flags and extents of files: what lsattr, chattr and filefrag ask for.

A file of the host has the host's. Sources: FS_IOC_GETFLAGS(2const), FS_IOC_FSGETXATTR(2const); Linux fs/file_attr.c,
Documentation/filesystems/fiemap.rst.
"""

from typing import Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ioctl import FS_FL, FS_XFLAG, IOCTL, Fsxattr
from aionoah.abi.stat import S
from aionoah.fs.context import FsContext
from aionoah.fs.hostfs_inode import HostInode
from aionoah.fs.inode import Inode
from aionoah.fs.overlay_inode import OverlayInode, real_of
from aionoah.fs.path import Dentry
from aionoah.host.errors import host_errors

_FOR_PRIVILEGED: Final = int(FS_FL.IMMUTABLE | FS_FL.APPEND)
_SHARED: Final = (
    (FS_FL.SYNC, FS_XFLAG.SYNC),
    (FS_FL.IMMUTABLE, FS_XFLAG.IMMUTABLE),
    (FS_FL.APPEND, FS_XFLAG.APPEND),
    (FS_FL.NODUMP, FS_XFLAG.NODUMP),
    (FS_FL.NOATIME, FS_XFLAG.NOATIME),
)


def set_flags(context: FsContext, place: Dentry, flags: int) -> None:
    """FS_IOC_SETFLAGS. EROFS, EPERM, EOPNOTSUPP."""
    place.mount.require_writable()
    present = place.inode.flags()
    _require_owner(context, place.inode)
    _require_capable(context, place.inode, present ^ flags)
    real = _to_change(place.inode)
    if isinstance(real, HostInode):
        control(real, IOCTL.FS_IOC_SETFLAGS, flags.to_bytes(8, "little"))
    else:
        real.set_flags(flags)


def extended(inode: Inode) -> Fsxattr:
    """FS_IOC_FSGETXATTR."""
    real = real_of(inode)
    if isinstance(real, HostInode):
        return Fsxattr.unpack(control(real, IOCTL.FS_IOC_FSGETXATTR, bytes(Fsxattr.SIZE)))
    flags = real.flags()
    return Fsxattr(sum(shown for flag, shown in _SHARED if flags & flag), 0, 0, 0, 0)


def set_extended(context: FsContext, place: Dentry, wanted: Fsxattr) -> None:
    """FS_IOC_FSSETXATTR. EROFS, EPERM, EOPNOTSUPP."""
    place.mount.require_writable()
    present = extended(place.inode)
    _require_owner(context, place.inode)
    changed = present.fsx_xflags ^ wanted.fsx_xflags
    _require_capable(context, place.inode, sum(flag for flag, shown in _SHARED if changed & shown))
    real = _to_change(place.inode)
    if isinstance(real, HostInode):
        control(real, IOCTL.FS_IOC_FSSETXATTR, wanted.pack())
    elif wanted.fsx_xflags & ~sum(shown for _, shown in _SHARED) or any(
        (wanted.fsx_extsize, wanted.fsx_projid, wanted.fsx_cowextsize)
    ):
        raise LinuxError(Errno.EOPNOTSUPP)
    else:
        real.set_flags(sum(flag for flag, shown in _SHARED if wanted.fsx_xflags & shown))


def extents(inode: Inode, request: bytes) -> bytes:
    """FS_IOC_FIEMAP: struct fiemap with room for extents. EOPNOTSUPP."""
    real = real_of(inode)
    if not isinstance(real, HostInode):
        raise LinuxError(Errno.EOPNOTSUPP)
    return control(real, IOCTL.FS_IOC_FIEMAP, request)


def is_host(inode: Inode) -> bool:
    """Whether the host has it as a file or a directory of its own."""
    real = real_of(inode)
    return isinstance(real, HostInode) and real.kind in (S.IFREG, S.IFDIR)


def control(inode: Inode, request: int, argument: bytes) -> bytes:
    """Ask the host about a regular file or a directory. ENOTTY for what is none of the host's."""
    from aionoah.host.file_details import control as ask  # noqa: PLC0415 - slow to import, and few ask

    real = real_of(inode)
    if not isinstance(real, HostInode) or not is_host(real):
        raise LinuxError(Errno.ENOTTY)
    with real.pinned() as fd, host_errors():
        return ask(fd, request, argument)


def _to_change(inode: Inode) -> Inode:
    """The same, copied up if need be."""
    while isinstance(inode, OverlayInode):
        inode = inode.copied_up()
    return inode


def _require_owner(context: FsContext, inode: Inode) -> None:
    if not context.identity.may_act_as(inode.attributes().uid):
        raise LinuxError(Errno.EPERM)


def _require_capable(context: FsContext, inode: Inode, changed: int) -> None:
    """The host would ask for the rights of whoever runs us."""
    identity = context.identity
    if changed & _FOR_PRIVILEGED and not identity.has(CAP.LINUX_IMMUTABLE):
        raise LinuxError(Errno.EPERM)
    if changed & FS_FL.JOURNAL_DATA and is_host(inode) and not identity.has(CAP.SYS_RESOURCE):
        raise LinuxError(Errno.EPERM)
