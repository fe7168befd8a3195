"""Moving bytes between buffers and host files at an offset."""

import os
from collections.abc import Callable
from typing import TypeVar

from aionoah.abi.errno import Errno
from aionoah.host.errors import errno_of, raise_linux_error
from aionoah.memory.buffer import Buffer

T = TypeVar("T")


def read_at(fd: int, dst: Buffer, offset: int, limit: int | None = None) -> int:
    """Read up to `limit` bytes; fewer only at the end of the file, or where `dst` ends early."""
    try:
        return os.preadv(fd, dst.segments(limit), offset)
    except OSError as error:
        raise_linux_error(error)


def write_at(fd: int, src: Buffer, offset: int, limit: int | None = None) -> int:
    """Write up to `limit` bytes; fewer where the host takes fewer."""
    try:
        return os.pwritev(fd, src.segments(limit), offset)
    except OSError as error:
        raise_linux_error(error)


def on_descriptor(fd: int, call: Callable[[int | str], T]) -> T:
    """Do something to the file of a descriptor. Linux refuses with EBADF for those made with O_PATH, and
    does it through their name in /proc.
    """
    try:
        return call(fd)
    except OSError as error:
        if errno_of(error) is not Errno.EBADF:
            raise
    return call(f"/proc/self/fd/{fd}")
