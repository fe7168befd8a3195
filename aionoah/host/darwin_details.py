"""What macOS tells of a file beyond stat. linux_details.py has the same functions and describes them.

What Python may lack is looked up by name, so that this module can be imported anywhere.
"""

import errno
import os
from typing import Final, NoReturn

from aionoah.abi.stat import STATX_ATTR
from aionoah.host.libc import call
from aionoah.host.linux_details import HostDetails

_UF_NODUMP: Final = 0x1  # sys/stat.h
_IMMUTABLE: Final = 0x00020002  # by the user, by root
_APPEND: Final = 0x00040004


def details(fd: int) -> HostDetails:
    return details_of(os.fstat(fd))


def details_of(status: object) -> HostDetails:
    seconds: float | None = getattr(status, "st_birthtime", None)
    flags: int = getattr(status, "st_flags", 0)
    attributes = 0
    for host, linux in (
        (_IMMUTABLE, STATX_ATTR.IMMUTABLE),
        (_APPEND, STATX_ATTR.APPEND),
        (_UF_NODUMP, STATX_ATTR.NODUMP),
    ):
        attributes |= int(linux) if flags & host else 0
    known = int(STATX_ATTR.IMMUTABLE | STATX_ATTR.APPEND | STATX_ATTR.NODUMP)
    return HostDetails(None if seconds is None else int(seconds * 1_000_000_000), attributes, known)


def file_handle(fd: int) -> tuple[int, bytes]:  # noqa: ARG001
    """Darwin has handles for root only."""
    _refuse()


def flags(fd: int) -> int:  # noqa: ARG001
    """They are in stat, and others."""
    raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))


def control(fd: int, request: int, argument: bytes) -> bytes:  # noqa: ARG001
    raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))


def make_changeable(fd: int) -> bool:
    flags: int = getattr(os.fstat(fd), "st_flags", 0)
    if not flags & (_IMMUTABLE | _APPEND):
        return False
    call("fchflags", fd, flags & ~(_IMMUTABLE | _APPEND))
    return True


def share_same_blocks(*places: int) -> tuple[int, int]:  # noqa: ARG001
    _refuse()


def require_sharing(source: int, offset: int, length: int) -> None:  # noqa: ARG001
    _refuse()


def share_blocks(source: int, offset: int, length: int, target: int, target_offset: int) -> None:  # noqa: ARG001
    """clonefile(2) makes a new name, and has nothing for a file that is open already."""
    _refuse()


def open_handle(place: int, kind: int, handle: bytes) -> int:  # noqa: ARG001
    _refuse()


def filesystem_uuid(fd: int) -> bytes:  # noqa: ARG001
    _refuse()


def _refuse() -> NoReturn:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
