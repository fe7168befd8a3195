"""Locks of guests on files of the host, shown to the host's programs, and theirs to guests.

What a guest has locked, the host locks for it through a descriptor whose open file description stands for the
lock's owner. flock and the locks of open file descriptions use the guest file's own host descriptor. All guests are
one process to the host, so the record locks of fcntl become the host's locks of open file descriptions too, through a
descriptor that is opened for this process and file alone.
"""

import fcntl
import os
from typing import Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.fs.file import File, WouldBlock
from aionoah.host import platform, reserve
from aionoah.host.errors import errno_of, host_errors

_HELD: Final = (Errno.EAGAIN, Errno.EACCES)


class HostConflict(WouldBlock):
    """A program of the host has the lock: nobody tells when it is free, so it has to be tried again."""


class Holder(NamedTuple):
    """A lock of a program of the host that is in the way."""

    is_exclusive: bool
    start: int
    length: int  # 0 to the end of the file
    is_description: bool


class Mirror:
    """The host's record locks for one owner of locks on one file."""

    def __init__(self, file: File, fd: int, *, is_own: bool) -> None:
        """`is_own`: the descriptor was opened for this."""
        self._unobserved = file.unobserved
        self._fd = fd
        self._is_own = is_own

    def close(self) -> None:
        """Give back all the locks."""
        if self._is_own:
            with self._unobserved():
                os.close(self._fd)
        else:
            self.unlock(0, 0)

    def lock(self, start: int, length: int, *, exclusive: bool) -> None:
        """HostConflict. A file that the host does not let us lock is locked among guests only."""
        try:
            platform.lock_range(self._fd, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, start, length)
        except OSError as error:
            errno = errno_of(error)
            if errno in _HELD:
                raise HostConflict from None
            if errno is Errno.ENOLCK:
                raise LinuxError(errno) from None

    def unlock(self, start: int, length: int) -> None:
        try:
            platform.lock_range(self._fd, fcntl.LOCK_UN, start, length)
        except OSError:
            return  # then it has never been locked

    def holder(self, start: int, length: int, *, exclusive: bool) -> Holder | None:
        """Who is in the way of a lock."""
        try:
            found = platform.range_holder(self._fd, start, length, exclusive=exclusive)
        except OSError:
            return None
        return None if found is None else Holder(*found)


def mirror_of(file: File, *, of_description: bool) -> Mirror | None:
    """For the owner of a lock on a file; None for what is no file of the host. ENOLCK if it has no more descriptors."""
    fd = file.lock_descriptor()
    if fd is None:
        return None
    if of_description:
        return Mirror(file, fd, is_own=False)
    for flags in (os.O_RDWR, os.O_WRONLY if file.is_writable else os.O_RDONLY):
        with file.unobserved():
            try:
                return Mirror(file, reserve.require_more(platform.reopen(fd, flags)), is_own=True)
            except OSError as error:
                if errno_of(error) in (Errno.ENFILE, Errno.EMFILE):
                    raise LinuxError(Errno.ENOLCK) from None
    return None


def lock_whole(fd: int, *, exclusive: bool) -> None:
    """flock(2). HostConflict."""
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        with host_errors():
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except LinuxError as error:
        if error.errno in _HELD:
            raise HostConflict from None
        raise


def unlock_whole(fd: int) -> None:
    with host_errors():
        fcntl.flock(fd, fcntl.LOCK_UN)
