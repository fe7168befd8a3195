"""Who may use which extended attribute: xattr(7); Linux fs/xattr.c (xattr_permission)."""

from typing import Final, Protocol

from aionoah.abi.capability import CAP, XATTR_NAME_CAPS
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import ACCESS
from aionoah.abi.stat import S, is_directory, is_regular
from aionoah.abi.xattr import (
    XATTR_SECURITY_PREFIX,
    XATTR_SYSTEM_PREFIX,
    XATTR_TRUSTED_PREFIX,
    XATTR_USER_PREFIX,
)
from aionoah.fs import file_capabilities, lists
from aionoah.fs.context import FsContext
from aionoah.fs.path import Dentry
from aionoah.fs.permissions import require

_PREFIXES: Final = (XATTR_SECURITY_PREFIX, XATTR_TRUSTED_PREFIX, XATTR_USER_PREFIX)


class Capable(Protocol):
    """What is asked of credentials."""

    def has_capability(self, capability: int) -> bool: ...

    def require(self, capability: int) -> None: ...


def require_xattr(context: FsContext, who: Capable, place: Dentry, name: bytes, *, write: bool) -> None:
    """EROFS, EACCES; EPERM where an attribute cannot be written, ENODATA where it cannot be read; EINVAL for a
    prefix without a name, EOPNOTSUPP for any other prefix.
    """
    _require_permission(context, who, place, name, write=write)
    if name in _PREFIXES:
        raise LinuxError(Errno.EINVAL)
    if not name.startswith(_PREFIXES) and name not in lists.NAMES:
        raise LinuxError(Errno.EOPNOTSUPP)


def _require_permission(context: FsContext, who: Capable, place: Dentry, name: bytes, *, write: bool) -> None:
    if write:
        place.mount.require_writable()
    if name.startswith(XATTR_SECURITY_PREFIX) and write:
        who.require(CAP.SETFCAP if name == XATTR_NAME_CAPS else CAP.SYS_ADMIN)
    if name.startswith((XATTR_SECURITY_PREFIX, XATTR_SYSTEM_PREFIX)):
        return
    refusal = Errno.EPERM if write else Errno.ENODATA
    attributes = place.inode.attributes()
    if name.startswith(XATTR_TRUSTED_PREFIX):
        if not who.has_capability(CAP.SYS_ADMIN):
            raise LinuxError(refusal)
        return
    if name.startswith(XATTR_USER_PREFIX):
        if not is_regular(attributes.mode) and not is_directory(attributes.mode):
            raise LinuxError(refusal)
        is_sticky = is_directory(attributes.mode) and attributes.mode & S.ISVTX
        if write and is_sticky and not context.identity.may_act_as(attributes.uid):
            raise LinuxError(Errno.EPERM)
    require(attributes, context.identity, ACCESS.W if write else ACCESS.R)


def require_value(name: bytes, value: bytes) -> None:
    """EINVAL for malformed capabilities, before permissions are looked at."""
    if name == XATTR_NAME_CAPS:
        file_capabilities.require_settable(value)


def set_xattr(context: FsContext, place: Dentry, name: bytes, value: bytes, flags: int) -> None:
    """After require_xattr. An access control list changes the mode too."""
    if name in lists.NAMES:
        lists.set_list(context, place.inode, name, value)
        return
    place.inode.set_xattr(name, value, flags)


def get_xattr(place: Dentry, name: bytes) -> bytes:
    """After require_xattr. ENODATA, EOPNOTSUPP."""
    value = place.inode.get_xattr(name)
    return file_capabilities.shown(value) if name == XATTR_NAME_CAPS else value


def remove_xattr(context: FsContext, place: Dentry, name: bytes) -> None:
    if name in lists.NAMES:
        lists.remove_list(context, place.inode, name)
    else:
        place.inode.remove_xattr(name)


def visible_names(who: Capable, names: list[bytes]) -> list[bytes]:
    """What listxattr shows: trusted attributes to the privileged only."""
    if who.has_capability(CAP.SYS_ADMIN):
        return names
    return [name for name in names if not name.startswith(XATTR_TRUSTED_PREFIX)]
