"""Open files of the application's file systems.

Mapping one shows a copy of its contents, taken when an open file description is first mapped (and again once
its size or time has changed). So programs run from such a file system, and what maps privately or only to
read works; a shared mapping that could be written is refused with ENODEV, since nobody would be told of what
is written.
"""

import inspect
import os
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.fs.file import File, HostMapping
from aionoah.fs.inode import Attributes
from aionoah.fs.python.calls import checked_count, checked_data
from aionoah.fs.regular import MAX_OFFSET, RegularFile
from aionoah.host import platform, reserve
from aionoah.host.errors import host_errors
from aionoah.host.waiting import WaitQueue
from aionoah.memory.buffer import Buffer

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry
    from aionoah.fs.python.inode import PythonInode

_MAX_PART: Final = 1 << 24  # bytes asked for at a time


class PythonFile(RegularFile):
    """One open file description."""

    def __init__(self, flags: O, dentry: "Dentry", inode: "PythonInode") -> None:
        super().__init__(flags, dentry)
        self._inode = inode
        self._is_dirty = False
        self._copy: Snapshot | None = None

    def _call(self, method: str, *args: Any, key: Hashable = None) -> Any:  # noqa: ANN401 - the application's
        return self._inode.call(method, *args, key=key)

    def size(self) -> int:
        return self._inode.attributes().size

    def pread(self, dst: Buffer, offset: int) -> int:
        length = min(dst.length, _MAX_PART)
        if not length:
            return 0
        dst.segments(1)  # EFAULT before anybody is asked
        data = checked_data(self._call("read", offset, length), length)
        return dst.fill(data) if data else 0

    def _store(self, src: Buffer, offset: int) -> int:
        data = src.take(_MAX_PART)
        done = checked_count(self._call("write", offset, data, key=("write", offset, len(data))), len(data))
        self._is_dirty = True
        return done

    def truncate(self, length: int) -> None:
        if not 0 <= length <= MAX_OFFSET:
            raise LinuxError(Errno.EINVAL)
        self.changing()
        self._call("truncate", length)
        self._is_dirty = True

    def sync(self, *, data_only: bool) -> None:  # noqa: ARG002 - it is the same
        if self._inode.filesystem.caller.has("flush"):
            self._call("flush")
        self._is_dirty = False

    def flush(self) -> None:
        """close(2) tells whether it could be written back."""
        if self._is_dirty:
            self.sync(data_only=False)

    def release(self) -> None:
        """Closed in a way that cannot wait, such as by the end of a process."""
        if self._copy is not None:
            self._copy.drop()
        filesystem, path = self._inode.filesystem, self._inode.path
        if not self._is_dirty or not filesystem.caller.has("flush"):
            return
        done = filesystem.flushing[path] = WaitQueue()

        def has_ended() -> None:
            if filesystem.flushing.get(path) is done:
                del filesystem.flushing[path]
            done.wake()

        filesystem.caller.call_in_background("flush", path, then=has_ended)

    # -- mapping ---------------------------------------------------------------------------------------------

    def for_mapping(self, *, shared: bool) -> File:
        if shared and self.is_writable:
            raise LinuxError(Errno.ENODEV)
        attributes = self._inode.attributes()
        if self._copy is None or self._copy.shows != attributes:
            made = Snapshot(O(O.RDONLY), self.dentry, attributes, self._contents())
            if self._copy is not None:
                self._copy.drop()
            self._copy = made
        return self._copy

    def _contents(self) -> bytearray:
        """All of the file, by one question."""
        caller, path = self._inode.filesystem.caller, self._inode.path
        read: Callable[..., Any] = partial(caller.target.read, path)
        whole = _read_later if inspect.iscoroutinefunction(caller.target.read) else _read_now
        contents = caller.call_function(partial(whole, read), ("contents", self._inode))
        return bytearray(contents)


def _read_now(read: Callable[[int, int], object]) -> bytearray:
    contents = bytearray()
    while part := checked_data(read(len(contents), _MAX_PART), _MAX_PART):
        contents += part
    return contents


async def _read_later(read: Callable[[int, int], Awaitable[object]]) -> bytearray:
    contents = bytearray()
    while part := checked_data(await read(len(contents), _MAX_PART), _MAX_PART):
        contents += part
    return contents


class Snapshot(File):
    """What a file of the application's contained when it was mapped, in a host file without a name."""

    def __init__(self, flags: O, dentry: "Dentry | None", shows: Attributes, contents: bytearray) -> None:
        super().__init__(flags, dentry)
        self.shows = shows
        self._size = len(contents)
        with host_errors():
            self._fd = reserve.require_more(platform.anonymous_file("python"))
            with os.fdopen(os.dup(self._fd), "wb") as host_file:
                host_file.write(contents)

    def attributes(self) -> Attributes:
        return self.shows._replace(size=self._size)

    def mapping(self) -> HostMapping:
        return HostMapping(self._fd, 0)

    def sync(self, *, data_only: bool) -> None:
        """Nobody could have written to it."""

    def release(self) -> None:
        os.close(self._fd)
