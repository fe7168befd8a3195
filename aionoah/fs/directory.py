"""Open directories, and files opened with O_PATH: both are the same for every file system."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aionoah.abi.dirent import PackedEntries
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.stat import directory_type
from aionoah.fs.file import File
from aionoah.fs.inode import DirectoryEntry, Inode, Row, numbered
from aionoah.fs.regular import seek_endless

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry


class FixedDirectory(Inode):
    """A directory without operations that make or move something by name: EPERM, as Linux has it for those."""

    def mkdir(self, name: bytes, mode: int, uid: int, gid: int) -> Inode:  # noqa: ARG002
        raise LinuxError(Errno.EPERM)

    def mknod(self, name: bytes, mode: int, rdev: int, uid: int, gid: int) -> Inode:  # noqa: ARG002
        raise LinuxError(Errno.EPERM)

    def symlink(self, name: bytes, target: bytes, uid: int, gid: int) -> Inode:  # noqa: ARG002
        raise LinuxError(Errno.EPERM)

    def link(self, name: bytes, inode: Inode) -> None:  # noqa: ARG002
        raise LinuxError(Errno.EPERM)

    def rename(self, name: bytes, directory: Inode, new_name: bytes, flags: int) -> None:  # noqa: ARG002
        raise LinuxError(Errno.EPERM)


class DirectoryFile(File):
    """An open directory. Its position is the index of an entry in the listing that was taken when
    reading began at the start, so that cookies stay good whatever is created and removed meanwhile.
    """

    dentry: "Dentry"
    is_seekable = True
    gives_splices = False

    def __init__(self, flags: O, dentry: "Dentry") -> None:
        super().__init__(flags, dentry)
        self._entries: PackedEntries | None = None

    def entries(self) -> Iterator[DirectoryEntry]:
        """The entries from the position on. The position passes an entry when the next one is asked
        for: whoever has no room for one just stops, and finds it again.
        """
        for entry in numbered(self.listing(), self.offset):
            yield entry
            self.offset = entry.cookie

    def listing(self) -> list[Row]:
        return self.packed().rows()

    def packed(self) -> PackedEntries:
        if self.dentry.is_deleted:
            raise LinuxError(Errno.ENOENT)
        if self._entries is None or self.offset == 0:
            self._entries = self._list()
        return self._entries

    def _list(self) -> PackedEntries:
        if not self.dentry.covers:
            return self.dentry.inode.packed_listing()
        found = self.dentry.inode.listing()
        names = {name for _, _, name in found}
        for name, cover in self.dentry.covers.items():
            if name not in names:
                attributes = cover.inode.attributes()
                found.append((attributes.ino, directory_type(attributes.mode), name))
        return PackedEntries.of(found)

    def read_nowait(self, dst: object) -> int:  # noqa: ARG002
        raise LinuxError(Errno.EISDIR)

    def pread(self, dst: object, offset: int) -> int:  # noqa: ARG002
        raise LinuxError(Errno.EISDIR)

    def pwrite(self, src: object, offset: int) -> int:  # noqa: ARG002
        raise LinuxError(Errno.EBADF)  # a directory is never open for writing

    def seek(self, offset: int, whence: int) -> int:
        """SEEK_SET takes a cookie, or 0 to read the directory anew. EINVAL."""
        return seek_endless(self, offset, whence)

    def sync(self, *, data_only: bool) -> None:
        """Nothing to do, unless the file system overrides it."""


class PathFile(File):
    """A file opened with O_PATH: it names a place, and no data can be reached through it.

    `held` lives as long, and keeps the file that is there.
    """

    def __init__(self, flags: O, dentry: "Dentry", held: object = None) -> None:
        super().__init__(flags, dentry)
        self._held = held
        dentry.inode.mounted()

    def release(self) -> None:
        self._held = None
        self.inode.unmounted()

    def describe(self) -> bytes:
        return b""
