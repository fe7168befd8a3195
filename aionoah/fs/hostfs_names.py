"""What a directory of the host is known to have in it, and how that is confirmed."""

import os
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from aionoah.abi.fcntl import RENAME
from aionoah.abi.stat import S

if TYPE_CHECKING:
    from aionoah.fs.hostfs import HostDirectory
    from aionoah.fs.hostfs_inode import HostInode

# What is the same as long as a name leads to the same file with the same rights. A link is changed by making another
# one, which may get the number of the old one.
_likeness: Final = attrgetter("st_ino", "st_mode", "st_dev", "st_uid", "st_gid")
_likeness_of_links: Final = attrgetter("st_ino", "st_mode", "st_dev", "st_uid", "st_gid", "st_ctime_ns")


class Names:
    """The names in a directory that nobody but us changes: so what is not among them need not be asked for.

    They are found out when the first one is missed, and every change of ours is noted.
    """

    __slots__ = ("_names", "changes")

    def __init__(self) -> None:
        self._names: set[bytes] | None = None
        self.changes = 0  # how many there have been

    def lacks(self, name: bytes) -> bool:
        return self._names is not None and name not in self._names

    def found(self, names: set[bytes]) -> None:
        self._names = names

    @property
    def are_found(self) -> bool:
        return self._names is not None

    def forget(self) -> None:
        """The directory is not held any more, and another one may get its number."""
        self.changes += 1
        self._names = None

    def rights_changed(self) -> None:
        """Of an entry, which the host need not show: what guests are to believe of owners and modes is an attribute."""
        self.changes += 1

    def made(self, name: bytes) -> None:
        self.changes += 1
        if self._names is not None:
            self._names.add(name)

    def gone(self, name: bytes) -> None:
        self.changes += 1
        if self._names is not None:
            self._names.discard(name)

    def moved(self, name: bytes, target: "Names", new_name: bytes, flags: int) -> None:
        """RENAME_EXCHANGE and RENAME_WHITEOUT leave something under the old name."""
        self.changes += 1
        if not flags & (RENAME.EXCHANGE | RENAME.WHITEOUT):
            self.gone(name)
        target.made(new_name)


class Finding:
    """What a lookup has found under a name, to be compared with what is there later."""

    __slots__ = ("_changes", "_directory", "_expected", "_inode", "_likeness", "_name")

    def __init__(self, directory: "HostDirectory", name: bytes, inode: "HostInode") -> None:
        self._directory = directory
        self._name = name
        self._inode = inode
        is_link = inode.seen.st_mode & S.IFMT == S.IFLNK
        self._likeness = _likeness_of_links if is_link else _likeness
        self._expected = self._likeness(inode.seen)
        self._changes = directory.names.changes

    def is_there(self) -> bool:
        """Whether the name still leads to the same file with the same rights; asks the host."""
        fd = self._directory.open_descriptor
        if fd < 0:
            return False
        try:
            status = os.stat(self._name, dir_fd=fd, follow_symlinks=False)
        except OSError:
            return False
        if self._likeness(status) != self._expected:
            return False
        self._inode.seen = status
        return True

    def is_unchanged(self) -> bool:
        """The same, where nobody but us makes changes."""
        return (
            self._directory.names.changes == self._changes
            and self._directory.open_descriptor >= 0
            and self._likeness(self._inode.seen) == self._expected
        )
