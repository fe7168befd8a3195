"""Open directories, and files opened with O_PATH: both are the same for every file system."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import SEEK, O
from aionoah.abi.stat import directory_type
from aionoah.fs.file import File
from aionoah.fs.inode import DirectoryEntry

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry


class DirectoryFile(File):
    """An open directory. Its position is the index of an entry in the listing that was taken when
    reading began at the start, so that cookies stay good whatever is created and removed meanwhile.
    """

    dentry: "Dentry"
    is_seekable = True

    def __init__(self, flags: O, dentry: "Dentry") -> None:
        super().__init__(flags, dentry)
        self._listing: list[DirectoryEntry] | None = None

    def entries(self) -> Iterator[DirectoryEntry]:
        """The entries from the position on. The position passes an entry when the next one is asked
        for: whoever has no room for one just stops, and finds it again.
        """
        if self.dentry.is_deleted:
            raise LinuxError(Errno.ENOENT)
        if self._listing is None or self.offset == 0:
            self._listing = self._list()
        listing = self._listing
        while self.offset < len(listing):
            entry = listing[self.offset]
            yield entry
            self.offset = entry.cookie

    def _list(self) -> list[DirectoryEntry]:
        found = list(self.dentry.inode.entries(0))
        covers = self.dentry.covers or {}
        names = {entry.name for entry in found}
        for name, cover in covers.items():
            if name not in names:
                attributes = cover.inode.attributes()
                found.append(DirectoryEntry(attributes.ino, 0, directory_type(attributes.mode), name))
        return [entry._replace(cookie=index) for index, entry in enumerate(found, 1)]

    def read_nowait(self, dst: object) -> int:  # noqa: ARG002
        raise LinuxError(Errno.EISDIR)

    def pread(self, dst: object, offset: int) -> int:  # noqa: ARG002
        raise LinuxError(Errno.EISDIR)

    def pwrite(self, src: object, offset: int) -> int:  # noqa: ARG002
        raise LinuxError(Errno.EBADF)  # a directory is never open for writing

    def seek(self, offset: int, whence: int) -> int:
        """SEEK_SET takes a cookie, or 0 to read the directory anew. EINVAL."""
        if whence == SEEK.CUR:
            offset += self.offset
        elif whence != SEEK.SET:
            raise LinuxError(Errno.EINVAL)
        if offset < 0:
            raise LinuxError(Errno.EINVAL)
        self.offset = offset
        return offset

    def sync(self, *, data_only: bool) -> None:
        """Nothing to do, unless the file system overrides it."""


class PathFile(File):
    """A file opened with O_PATH: it names a place, and no data can be reached through it."""

    def describe(self) -> bytes:
        return b""
