"""An upper layer that stays: one instance at a time writes to it."""

import errno
import fcntl
import os

from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.hostfs_owners import Owners


class UpperLock:
    """That of a directory, until it is closed or nobody holds it any more."""

    _fd = -1  # until it is open

    def __init__(self, path: bytes) -> None:
        """OSError: EBUSY if somebody has it."""
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise OSError(errno.EBUSY, "another instance writes to it") from None
        except OSError:
            return  # a file system without locks, where we do as well as we can

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


class KeptUpper(HostFileSystem):
    """The directory that a lock is held on."""

    def __init__(self, path: bytes, lock: UpperLock) -> None:
        """OSError."""
        self._lock = lock
        super().__init__(path, owners=Owners(), is_guests=True)

    def release(self) -> None:
        super().release()
        self._lock.close()
