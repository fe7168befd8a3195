"""Moving bytes between buffers and host files at an offset."""

import os
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from aionoah.abi.errno import Errno
from aionoah.host.errors import errno_of, host_errors
from aionoah.memory.buffer import Buffer

T = TypeVar("T")
_MAX_SEGMENTS: Final = 1024  # IOV_MAX of both hosts


def read_at(fd: int, dst: Buffer, offset: int, limit: int | None = None) -> int:
    """Read up to `limit` bytes; fewer only at the end of the file, or where `dst` ends early."""
    return _in_parts(os.preadv, fd, dst.segments(limit), offset)


def write_at(fd: int, src: Buffer, offset: int, limit: int | None = None) -> int:
    """Write up to `limit` bytes; fewer where the host takes fewer."""
    return _in_parts(os.pwritev, fd, src.segments(limit), offset)


def _in_parts(
    call: Callable[[int, Sequence[memoryview], int], int],
    fd: int,
    segments: Sequence[memoryview],
    offset: int,
) -> int:
    """One host call for up to IOV_MAX segments. An error after the first part ends the transfer."""
    done = 0
    with host_errors():
        for first in range(0, len(segments), _MAX_SEGMENTS):
            part = segments[first : first + _MAX_SEGMENTS]
            try:
                count = call(fd, part, offset + done)
            except OSError:
                if not done:
                    raise
                break
            done += count
            if count < sum(map(len, part)):
                break
    return done


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
