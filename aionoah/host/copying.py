"""The contents of one file of the host into another one."""

import errno
import os
from collections.abc import Callable, Iterator
from typing import Final

from aionoah.abi.fcntl import SEEK
from aionoah.host import platform
from aionoah.host.blocking import start_blocking
from aionoah.host.errors import host_errors

_STEP: Final = 16 << 20  # bytes between two questions whether to stop
_CHUNK: Final = 1 << 20
_FATAL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


def copy_contents(source: int, target: int, size: int, is_stopped: Callable[[], bool]) -> None:
    """Make an empty file like another one of `size` bytes: holes stay holes, blocks are shared where the host can.

    Needs no lock, and takes long. `is_stopped` is asked now and then: then it ends with InterruptedError. OSError.
    """
    for start, end in _data(source, size):
        offset = start
        while offset < end:
            if is_stopped():
                raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR))
            step = min(offset + _STEP, end)
            _copy_part(source, target, offset, step)
            offset = step
    os.ftruncate(target, size)


def flush_later(fd: int) -> None:
    """Let the contents reach the disk soon, while others go on. OSError."""
    copy = os.dup(fd)

    def flush() -> None:
        try:
            with host_errors():
                os.fsync(copy)
        finally:
            os.close(copy)

    start_blocking(flush, lambda _failure: None)


def _data(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Where the data of a file are."""
    offset = 0
    while offset < size:
        try:
            start = os.lseek(fd, offset, platform.host_whence(SEEK.DATA))
            offset = min(os.lseek(fd, start, platform.host_whence(SEEK.HOLE)), size)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # a hole to the end
            if error.errno != errno.EINVAL:
                raise
            start, offset = offset, size  # it knows no holes
        if start < offset:
            yield start, offset


def _copy_part(source: int, target: int, offset: int, end: int) -> None:
    offset = _copy_inside(source, target, offset, end)
    while offset < end:
        data = os.pread(source, min(_CHUNK, end - offset), offset)
        if not data:
            return  # it has become shorter
        offset += os.pwrite(target, data, offset)


def _copy_inside(source: int, target: int, offset: int, end: int) -> int:
    """Let the host copy as far as it can; returns how far it got."""
    while offset < end:
        try:
            done = platform.copy_range(source, offset, target, offset, end - offset)
        except OSError as error:
            if error.errno in _FATAL:
                raise
            return offset
        if not done:
            return offset
        offset += done
    return offset
