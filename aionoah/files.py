"""The guests' files for the application: `linux.files`.

Everything goes through the same mounts and the same path walk as a guest's own system calls, while guests run.
"""

import os
import posixpath
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import SEEK, O
from aionoah.abi.stat import S
from aionoah.boot import host_errno
from aionoah.fs import file as open_files
from aionoah.fs import operations
from aionoah.fs.context import FsContext
from aionoah.fs.file import File
from aionoah.fs.inode import NOW, Attributes, MustWait
from aionoah.host.application import answered
from aionoah.memory.buffer import KernelBuffer
from aionoah.process.credentials import Credentials

if TYPE_CHECKING:
    from aionoah.file_watch import Watch
    from aionoah.fs.path import Dentry
    from aionoah.process.kernel import Kernel
    from aionoah.reactor import Reactor

GuestPath = str | bytes | os.PathLike[str]
Progress = Callable[[int, int], None]

_CHUNK: Final = 1 << 18
_MODES: Final = {
    "r": O.RDONLY,
    "r+": O.RDWR,
    "w": O.WRONLY | O.CREAT | O.TRUNC,
    "w+": O.RDWR | O.CREAT | O.TRUNC,
    "a": O.WRONLY | O.CREAT | O.APPEND,
    "x": O.WRONLY | O.CREAT | O.EXCL,
}


class Entry(NamedTuple):
    """One name in a directory; `stat` is of the name itself, not of where a link leads."""

    name: str
    stat: os.stat_result

    @property
    def is_dir(self) -> bool:
        return self.stat.st_mode & S.IFMT == S.IFDIR

    @property
    def is_symlink(self) -> bool:
        return self.stat.st_mode & S.IFMT == S.IFLNK


class Files:
    """What guests see, by absolute guest paths; relative ones begin at the root.

    Methods are coroutines of the application's event loop and raise OSError (FileNotFoundError, …) with the guest
    path. They act as root, unless `as_user` says otherwise. RuntimeError outside the `async with` block of the
    Linux.
    """

    def __init__(
        self,
        kernel: "Callable[[], Kernel]",
        reactor: "Callable[[], Reactor]",
        user: tuple[int, int] = (0, 0),
    ) -> None:
        self._kernel, self._reactor, self._user = kernel, reactor, user

    def as_user(self, uid: int, gid: int) -> "Files":
        """The same files with a user's rights; what it makes is the user's."""
        return Files(self._kernel, self._reactor, (uid, gid))

    @property
    def kernel(self) -> "Kernel":
        return self._kernel()

    async def perform(self, path: GuestPath, act: "Callable[[FsContext, Dentry, bytes], Any]") -> Any:  # noqa: ANN401
        """What kernel code does with a path; LinuxErrors become OSErrors."""
        name, context = os.fsencode(path), self._context()
        return await self.run(path, lambda: act(context, context.root, name))

    async def run(self, path: GuestPath, attempt: Callable[[], Any]) -> Any:  # noqa: ANN401
        try:
            return await self._reactor().run(answered(attempt))
        except LinuxError as error:
            number = host_errno(error)
            raise OSError(number, os.strerror(number), os.fsdecode(path)) from None

    def _context(self) -> FsContext:
        return FsContext(self._kernel().mounts.root, Credentials(*self._user, []))

    # -- contents --------------------------------------------------------------------------------------------

    def open(self, path: GuestPath, mode: str = "r", *, permissions: int = 0o644) -> "_Opening":
        """`async with linux.files.open(path) as file`, or `file = await …`. Modes as open's, always in bytes."""
        plain = mode.replace("b", "")
        if plain not in _MODES:
            raise ValueError(f"invalid mode: {mode!r}")
        return _Opening(self._open(path, O(_MODES[plain] | O.LARGEFILE), permissions))

    async def _open(self, path: GuestPath, flags: O, permissions: int) -> "GuestFile":
        context, name = self._context(), os.fsencode(path)

        async def attempt() -> File:
            try:
                return operations.open_file(context, context.root, name, flags, permissions)
            except MustWait as condition:
                return await condition.opening()

        return GuestFile(self, path, await self.run(path, attempt))

    async def read(self, path: GuestPath) -> bytes:
        """All that is in a file."""
        async with self.open(path) as file:
            return b"".join([part async for part in file])

    async def write(
        self, path: GuestPath, data: bytes | str, *, append: bool = False, permissions: int = 0o644
    ) -> None:
        """Replace a file's contents, or add to them; the file is made if need be. Text is written as UTF-8."""
        async with self.open(path, "a" if append else "w", permissions=permissions) as file:
            await file.write(data.encode() if isinstance(data, str) else data)

    # -- looking ---------------------------------------------------------------------------------------------

    async def stat(self, path: GuestPath, *, follow_symlinks: bool = True) -> os.stat_result:
        """As os.stat, in Linux's numbers."""

        def look(context: FsContext, start: "Dentry", name: bytes) -> Attributes:
            return operations.stat(context, start, name, follow=follow_symlinks)[1]

        return _stat_result(await self.perform(path, look))

    async def exists(self, path: GuestPath) -> bool:
        try:
            await self.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    async def listdir(self, path: GuestPath = "/") -> list[str]:
        """Names in a directory, in its own order, without "." and ".."."""

        def names(context: FsContext, start: "Dentry", name: bytes) -> list[str]:
            directory = operations.open_file(context, start, name, O(O.RDONLY | O.DIRECTORY))
            try:
                found = [entry.name for entry in directory.entries()]
            finally:
                directory.drop()
            return [os.fsdecode(entry) for entry in found if entry not in (b".", b"..")]

        listed: list[str] = await self.perform(path, names)
        return listed

    async def scandir(self, path: GuestPath = "/") -> list[Entry]:
        """Names with what lstat says of each; what vanishes meanwhile is left out."""
        entries = []
        for name in await self.listdir(path):
            try:
                entries.append(Entry(name, await self.stat(join(path, name), follow_symlinks=False)))
            except FileNotFoundError:
                continue
        return entries

    async def walk(self, top: GuestPath = "/") -> AsyncIterator[tuple[str, list[str], list[str]]]:
        """As os.walk from the top down: directories, and everything else; links are not followed. Whoever takes
        names out of the list of directories is spared those.
        """
        entries = await self.scandir(top)
        directories = [entry.name for entry in entries if entry.is_dir]
        yield os.fsdecode(top), directories, [entry.name for entry in entries if not entry.is_dir]
        for name in directories:
            async for below in self.walk(join(top, name)):
                yield below

    async def readlink(self, path: GuestPath) -> str:
        found: bytes = await self.perform(
            path,
            lambda context, start, name: operations.readlink(
                operations.walk(context, start, name, follow=False)
            ),
        )
        return os.fsdecode(found)

    # -- changing --------------------------------------------------------------------------------------------

    async def mkdir(
        self, path: GuestPath, permissions: int = 0o755, *, parents: bool = False, exist_ok: bool = False
    ) -> None:
        """As Path.mkdir."""
        try:
            await self.perform(
                path, lambda context, start, name: operations.mkdir(context, start, name, permissions)
            )
        except FileNotFoundError:
            above = posixpath.dirname(os.fsdecode(path).rstrip("/"))
            if not parents or not above.strip("/"):
                raise
            await self.mkdir(above, parents=True, exist_ok=True)
            await self.mkdir(path, permissions, exist_ok=exist_ok)
        except FileExistsError:
            if not exist_ok or (await self.stat(path)).st_mode & S.IFMT != S.IFDIR:
                raise

    async def remove(self, path: GuestPath, *, recursive: bool = False) -> None:
        """Remove a file, link or empty directory; with `recursive` all that is below."""
        found = await self.stat(path, follow_symlinks=False)
        if found.st_mode & S.IFMT != S.IFDIR:
            await self.perform(path, operations.unlink)
            return
        if recursive:
            for name in await self.listdir(path):
                await self.remove(join(path, name), recursive=True)
        await self.perform(path, operations.rmdir)

    async def rename(self, path: GuestPath, new_path: GuestPath) -> None:
        """Move within one file system; what has the new name is replaced."""
        new_name = os.fsencode(new_path)
        await self.perform(
            path, lambda context, start, name: operations.rename(context, start, name, start, new_name)
        )

    async def symlink(self, target: GuestPath, path: GuestPath) -> None:
        text = os.fsencode(target)
        await self.perform(path, lambda context, start, name: operations.symlink(context, text, start, name))

    async def chmod(self, path: GuestPath, permissions: int) -> None:
        await self._change(path, lambda context, place: operations.chmod(context, place, permissions))

    async def chown(self, path: GuestPath, uid: int, gid: int) -> None:
        """-1 leaves an owner as it is. A link itself is changed, not where it leads."""
        ids = (None if uid == -1 else uid, None if gid == -1 else gid)
        await self._change(path, lambda context, place: operations.chown(context, place, *ids), follow=False)

    async def utime(self, path: GuestPath, times_ns: tuple[int, int] | None = None) -> None:
        """Set access and modification time in nanoseconds since the epoch; None is the present."""
        times = times_ns or (NOW, NOW)
        await self._change(
            path, lambda context, place: operations.set_times(context, place, *times), follow=False
        )

    async def _change(
        self, path: GuestPath, act: "Callable[[FsContext, Dentry], None]", *, follow: bool = True
    ) -> None:
        await self.perform(
            path,
            lambda context, start, name: act(context, operations.walk(context, start, name, follow=follow)),
        )

    def watch(self, *paths: GuestPath) -> "Watch":
        """Changes to files, or to what is in directories (not below those), as they happen:

        async with linux.files.watch("/tmp") as changes:
            async for change in changes: ...
        """
        from aionoah.file_watch import Watch  # noqa: PLC0415 - it knows this module

        return Watch(self, paths)

    # -- between host and guests -----------------------------------------------------------------------------

    async def copy_in(
        self, source: str | os.PathLike[str], path: GuestPath, *, progress: Progress | None = None
    ) -> None:
        """Copy a host file, or a directory with all below it, to a guest path. Files that are there are replaced,
        directories filled. Permissions, times and symbolic links are kept; sockets and devices left out.

        `progress(done, total)` is called with bytes as they arrive.
        """
        from aionoah.file_copies import copy_in  # noqa: PLC0415 - it knows this module

        await copy_in(self, source, path, progress)

    async def copy_out(
        self, path: GuestPath, target: str | os.PathLike[str], *, progress: Progress | None = None
    ) -> None:
        """Copy a guest file or directory to a host path, as `copy_in` does. No symbolic link that is below the
        target on the host is followed: FileExistsError where one is in the way.
        """
        from aionoah.file_copies import copy_out  # noqa: PLC0415

        await copy_out(self, path, target, progress)


class _Opening:
    """What `open` returns: to be awaited, or entered."""

    def __init__(self, opening: Coroutine[Any, Any, "GuestFile"]) -> None:
        self._opening = opening
        self._file: GuestFile | None = None

    def __await__(self) -> Any:  # noqa: ANN401 - a generator of the loop's
        return self._opening.__await__()

    async def __aenter__(self) -> "GuestFile":
        self._file = await self._opening
        return self._file

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            await self._file.close()


class GuestFile:
    """An open file of the guests'. Reading waits where a guest would: at a FIFO, for a file system in Python.

    `async for part in file` gives what is there in parts of 256 KiB at most.
    """

    def __init__(self, files: Files, path: GuestPath, file: File) -> None:
        self._files, self._path, self._file = files, path, file
        self._is_open = True

    def _run(self, attempt: Callable[[], Any]) -> Awaitable[Any]:
        if not self._is_open:
            raise ValueError("I/O operation on closed file")
        return self._files.run(self._path, attempt)

    async def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, b"" at the end; all that is left if negative."""
        if size < 0:
            return b"".join([part async for part in self])
        buffer = bytearray(size)
        count: int = await self._run(lambda: self._checked_read(buffer))
        return bytes(memoryview(buffer)[:count])

    async def _checked_read(self, buffer: bytearray) -> int:
        if not self._file.is_readable:
            raise LinuxError(Errno.EBADF)
        return await open_files.read(self._file, KernelBuffer(buffer))

    async def write(self, data: bytes | bytearray | memoryview) -> int:
        """All of it."""
        rest = memoryview(data).cast("B")
        while rest:
            part = rest[:_CHUNK]
            rest = rest[await self._run(partial(self._checked_write, part)) :]
        return len(data)

    async def _checked_write(self, part: memoryview) -> int:
        if not self._file.is_writable:
            raise LinuxError(Errno.EBADF)
        return await open_files.write(self._file, KernelBuffer(part))

    async def seek(self, offset: int, whence: int = SEEK.SET) -> int:
        """The new position."""
        position: int = await self._run(lambda: self._file.seek(offset, whence))
        return position

    async def truncate(self, size: int) -> None:
        await self._run(lambda: self._file.truncate(size))

    async def sync(self) -> None:
        """fsync(2)."""
        await self._run(lambda: self._file.sync(data_only=False))

    async def stat(self) -> os.stat_result:
        return _stat_result(await self._run(self._file.attributes))

    async def close(self) -> None:
        """An error says that what was written has not arrived; the file is closed all the same."""
        if not self._is_open:
            return
        try:
            await self._run(self._file.flush)
        finally:
            self._is_open = False
            await self._files.run(self._path, self._file.drop)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._parts()

    async def _parts(self) -> AsyncIterator[bytes]:
        while part := await self.read(_CHUNK):
            yield part

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def join(path: GuestPath, name: str) -> str:
    return posixpath.join(os.fsdecode(path), name)


def _stat_result(attributes: Attributes) -> os.stat_result:
    times = attributes.atime_ns, attributes.mtime_ns, attributes.ctime_ns
    fields = (
        *(attributes.mode, attributes.ino, attributes.dev, attributes.nlink, attributes.uid, attributes.gid),
        *(attributes.size, *(time // 1_000_000_000 for time in times)),
    )
    exact: dict[str, Any] = {
        f"st_{name}time{suffix}": time / 1e9 if not suffix else time
        for name, time in zip("amc", times, strict=True)
        for suffix in ("", "_ns")
    }
    rest = {"st_blocks": attributes.blocks, "st_blksize": attributes.blksize, "st_rdev": attributes.rdev}
    return os.stat_result(fields, exact | rest)
