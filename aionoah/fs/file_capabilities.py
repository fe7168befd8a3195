"""Capabilities of files, in the attribute security.capability (capabilities(7); Linux security/commoncap.c).

There is one user name space, so those of revision 3 count if its root is user 0, and read like revision 2.
"""

import struct
from typing import Final, NamedTuple

from aionoah.abi.capability import (
    CAP_FULL_SET,
    VFS_CAP_FLAGS_EFFECTIVE,
    VFS_CAP_REVISION_1,
    VFS_CAP_REVISION_2,
    VFS_CAP_REVISION_3,
    VFS_CAP_REVISION_MASK,
    XATTR_CAPS_SZ_1,
    XATTR_CAPS_SZ_2,
    XATTR_CAPS_SZ_3,
    XATTR_NAME_CAPS,
)
from aionoah.abi.errno import Errno, LinuxError
from aionoah.fs.inode import Inode

_ABSENT: Final = (Errno.ENODATA, Errno.EOPNOTSUPP, Errno.EPERM, Errno.EACCES)
_SIZES: Final = {
    VFS_CAP_REVISION_1: XATTR_CAPS_SZ_1,
    VFS_CAP_REVISION_2: XATTR_CAPS_SZ_2,
    VFS_CAP_REVISION_3: XATTR_CAPS_SZ_3,
}


class FileCapabilities(NamedTuple):
    """Sets as bits; with `is_effective` a program starts with what it is permitted."""

    permitted: int
    inheritable: int
    is_effective: bool


def capabilities_of(inode: Inode) -> FileCapabilities | None:
    """What execve goes by; None for a file without. EINVAL for a malformed attribute."""
    try:
        value = inode.get_xattr(XATTR_NAME_CAPS)
    except LinuxError as error:
        if error.errno not in _ABSENT:
            raise
        return None
    return parse(value)


def parse(value: bytes) -> FileCapabilities | None:
    """None for those of another name space's root. EINVAL."""
    magic = _magic(value)
    revision = magic & VFS_CAP_REVISION_MASK
    words = struct.unpack(f"<{len(value) // 4}I", value)[1:]
    if revision == VFS_CAP_REVISION_3 and words[4]:
        return None
    permitted, inheritable = words[:2]
    if revision != VFS_CAP_REVISION_1:
        permitted |= words[2] << 32
        inheritable |= words[3] << 32
    is_effective = bool(magic & VFS_CAP_FLAGS_EFFECTIVE)
    return FileCapabilities(permitted & CAP_FULL_SET, inheritable & CAP_FULL_SET, is_effective)


def _magic(value: bytes) -> int:
    magic = int.from_bytes(value[:4], "little")
    if len(value) != _SIZES.get(magic & VFS_CAP_REVISION_MASK):
        raise LinuxError(Errno.EINVAL)
    return magic


def require_settable(value: bytes) -> None:
    """Revision 1 can be read, not set: EINVAL."""
    if _magic(value) & VFS_CAP_REVISION_MASK == VFS_CAP_REVISION_1:
        raise LinuxError(Errno.EINVAL)


def shown(value: bytes) -> bytes:
    """What getxattr(2) gives. EINVAL for what is malformed or of revision 1."""
    require_settable(value)
    if len(value) == XATTR_CAPS_SZ_3 and not any(value[XATTR_CAPS_SZ_2:]):
        flags = _magic(value) & VFS_CAP_FLAGS_EFFECTIVE
        return (VFS_CAP_REVISION_2 | flags).to_bytes(4, "little") + value[4:XATTR_CAPS_SZ_2]
    return value


def remove_capabilities(inode: Inode) -> None:
    """The contents or the owner are about to change: who may do that need not be who gave the capabilities."""
    try:
        inode.get_xattr(XATTR_NAME_CAPS)
        inode.remove_xattr(XATTR_NAME_CAPS)
    except LinuxError as error:
        if error.errno not in _ABSENT:
            raise
