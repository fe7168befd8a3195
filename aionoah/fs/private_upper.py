"""An upper layer that ends with the instance: a directory among the host's temporary files.

It is made by the first change. While an instance uses it, it holds a lock on it; so what a killed one left
behind is known by its lock being free, and goes when the next is made.
"""

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path
from time import time
from typing import Final

from aionoah.fs.hostfs import HIDDEN, HostFileSystem
from aionoah.fs.hostfs_owners import Owners
from aionoah.host.trees import remove_tree

_PREFIX: Final = "aionoah-upper-"
_UNLOCKED: Final = "aionoah-new-"  # a directory is called that until its lock is held
_DAY: Final = 24 * 3600  # seconds


class PrivateUpper(HostFileSystem):
    """Removed with all that is in it when it is released."""

    is_volatile = True
    is_ours_alone = True

    def __init__(self, directory: str | None = None) -> None:
        """Made in `directory`, by default the host's place for large temporary files. OSError."""
        place = directory or _temporary_directory()
        _remove_abandoned(place)
        unlocked = tempfile.mkdtemp(prefix=_UNLOCKED, dir=place)
        status = os.stat(unlocked)  # noqa: PTH116 - text
        self._identity = status.st_dev, status.st_ino
        HIDDEN.add(self._identity)  # the root may well show the place that it is in
        self._lock = os.open(unlocked, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path = Path(place, _PREFIX + unlocked.rpartition(_UNLOCKED)[2])
        Path(unlocked).rename(self.path)
        # It gets the mode of the root below: what keeps others out is the one around it.
        layer = self.path / "diff"
        layer.mkdir()
        super().__init__(str(layer), owners=Owners(is_ours_alone=True), is_guests=True)

    def release(self) -> None:
        super().release()
        HIDDEN.discard(self._identity)
        remove_tree(str(self.path))
        os.close(self._lock)


def _temporary_directory() -> str:
    """TMPDIR if it is set, else /var/tmp, which is on a disk more often than /tmp."""
    if "TMPDIR" not in os.environ and os.access("/var/tmp", os.W_OK | os.X_OK):  # noqa: S108 - mkdtemp
        return "/var/tmp"  # noqa: S108
    return tempfile.gettempdir()


def _remove_abandoned(place: str) -> None:
    """Directories of this user that no instance holds a lock on."""
    for entry in os.scandir(place):
        if entry.name.startswith((_PREFIX, _UNLOCKED)) and entry.is_dir(follow_symlinks=False):
            with contextlib.suppress(OSError):
                _remove_unless_locked(entry)


def _remove_unless_locked(entry: "os.DirEntry[str]") -> None:
    """A new one without a lock may just be about to get it: such are left for a day."""
    status = entry.stat(follow_symlinks=False)
    is_young = entry.name.startswith(_UNLOCKED) and time() - status.st_mtime < _DAY
    if status.st_uid != os.geteuid() or is_young:
        return
    fd = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove_tree(entry.path)
    finally:
        os.close(fd)
