r"""What an application implements to show guests a file system of its own.

>>> class Squares(FileSystem):
...     def stat(self, path: str) -> Stat:
...         return Stat("directory") if path == "/" else Stat(size=len(self.read(path, 0, 99)))
...
...     def listdir(self, path: str) -> list[str]:
...         return [str(number) for number in range(10)]
...
...     def read(self, path: str, offset: int, size: int) -> bytes:
...         return b"%d\n" % int(path[1:]) ** 2
"""

from collections.abc import Awaitable, Iterable
from os import stat_result
from typing import Literal, NamedTuple, TypeAlias, TypeVar

T = TypeVar("T")
Result: TypeAlias = T | Awaitable[T]


class Stat(NamedTuple):
    """What there is at a path."""

    kind: Literal["file", "directory", "link"] = "file"
    size: int = 0
    """In bytes. A file is read until `read` gives nothing, whatever its size says."""
    mode: int | None = None
    """Permission bits; None is 0o755 for directories, 0o777 for links, 0o644 for files, without the write
    permissions if the file system has no method to write with."""
    mtime: float | None = None
    """Seconds since the epoch, as time.time() counts; None is when the file system was mounted."""
    uid: int | None = None
    """None is the application's own user, as which guests run by default; so is the group."""
    gid: int | None = None
    ino: int | None = None
    """A number of its own for each file; None makes one from the path."""


class FileSystem:
    """Override what the file system can do. `stat`, `listdir` and `read` are enough to be looked at.

    Paths are absolute within the file system ("/", "/a/b"), with neither "." nor ".." in them; file names that
    are not UTF-8 come as os.fsdecode makes them. Each method may be `def` or `async def`:

    * Coroutines run on the application's event loop. While one awaits, only the guest that asked sleeps. A
      signal for that guest, or its end, cancels the coroutine.
    * Plain methods run on threads of this file system, so they may block, and must bear being called from
      several threads at once. With `is_quick` they are called right where the guest is instead, one at a time
      and with all other guests waiting: for what only looks into memory.

    A call may ask several times. There are no hard links and no open files behind these methods: what is removed is
    gone for those, too, who have it open (ENOENT).

    An OSError is what the guest gets as errno (FileNotFoundError: ENOENT); any other exception, and a result
    that makes no sense, is EIO for the call that asked, and is logged ("aionoah.fs").
    """

    is_quick = False
    type_name = "python"
    """What /proc/mounts says."""

    # -- looking -------------------------------------------------------------------------------------------

    def stat(self, path: str) -> Result[Stat | stat_result]:
        """What there is; FileNotFoundError if nothing. What os.lstat returns does as well."""
        raise FileNotFoundError(path)

    def listdir(self, path: str) -> Result[Iterable[str]]:
        """The names in a directory."""
        raise NotImplementedError

    def read(self, path: str, offset: int, size: int) -> Result[bytes]:
        """At most `size` bytes from a place in a file; fewer, or none, at its end."""
        raise NotImplementedError

    def readlink(self, path: str) -> Result[str]:
        """The text of a symbolic link."""
        raise NotImplementedError

    # -- writing -------------------------------------------------------------------------------------------

    def write(self, path: str, offset: int, data: bytes) -> Result[int | None]:
        """Put data at a place in a file. Returns how many bytes were taken; None means all."""
        raise NotImplementedError

    def truncate(self, path: str, size: int) -> Result[None]:
        """Cut a file short, or make it longer with zeros."""
        raise NotImplementedError

    def create(self, path: str, mode: int) -> Result[None]:
        """Make an empty file; FileExistsError."""
        raise NotImplementedError

    def flush(self, path: str) -> Result[None]:
        """A file that was written to is closed, or fsync was called: bring its data to where it belongs."""

    def remove(self, path: str) -> Result[None]:
        """Remove a file or symbolic link."""
        raise NotImplementedError

    def mkdir(self, path: str, mode: int) -> Result[None]:
        raise NotImplementedError

    def rmdir(self, path: str) -> Result[None]:
        """Remove an empty directory."""
        raise NotImplementedError

    def rename(self, path: str, new_path: str) -> Result[None]:
        """Move a file or directory; what has the new name is replaced."""
        raise NotImplementedError

    def symlink(self, path: str, target: str) -> Result[None]:
        """Make a symbolic link with a text."""
        raise NotImplementedError

    def chmod(self, path: str, mode: int) -> Result[None]:
        raise NotImplementedError

    def chown(self, path: str, uid: int, gid: int) -> Result[None]:
        """Set the owner; -1 leaves one as it is."""
        raise NotImplementedError

    def utime(self, path: str, atime: float | None, mtime: float | None) -> Result[None]:
        """Set times in seconds since the epoch; None leaves one as it is."""
        raise NotImplementedError

    # -- as a whole ----------------------------------------------------------------------------------------

    def space(self) -> tuple[int, int]:
        """Bytes in all and bytes free, for df. Must not block; (0, 0) if nobody knows."""
        return 0, 0

    def close(self) -> None:
        """The Linux that showed this file system has ended."""
