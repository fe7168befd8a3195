"""Single files made of functions: devices, and texts as in /proc.

The functions are called as the methods of a FileSystem are: coroutines on the application's loop, plain ones on
threads.
"""

import itertools
import os
from collections.abc import Callable
from functools import partial
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.stat import S, makedev
from aionoah.abi.statfs import MAGIC
from aionoah.fs.device_numbers import anonymous_device
from aionoah.fs.file import File
from aionoah.fs.inode import Attributes, Change, FileSystem, FileSystemStatus, Inode
from aionoah.fs.python import protocol
from aionoah.fs.python.calls import Caller, checked_count, checked_data, refuse
from aionoah.fs.python.protocol import Result
from aionoah.fs.regular import seek_endless
from aionoah.memory.buffer import Buffer

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry
    from aionoah.host.application import Application

_MAX_PART: Final = 1 << 20
_LOCAL_MAJOR: Final = 240  # of devices that nobody else has (Documentation/admin-guide/devices.txt)
_minors: Final = itertools.count()


class Device:
    """A character device. read(size) gives what is there now, at most `size` bytes, and nothing at its end; it
    may await until there is something. write(data) takes data, or as many bytes as it returns.

    A direction without a function is refused with EINVAL, as Linux does for devices.
    """

    kind = S.IFCHR

    def __init__(
        self,
        read: Callable[[int], Result[bytes]] | None = None,
        write: Callable[[bytes], Result[int | None]] | None = None,
        *,
        mode: int = 0o666,
    ) -> None:
        self.read = read
        self.write = write
        self.mode = mode
        self.rdev = makedev(_LOCAL_MAJOR, next(_minors))

    def open(self, flags: O, dentry: "Dentry", caller: Caller) -> File:
        return DeviceFile(flags, dentry, self, caller)


class TextFile:
    """A file as in /proc. read() makes the whole text, each time that somebody begins to read at its start;
    write(data) gets what one write call brings.
    """

    kind = S.IFREG
    rdev = 0

    def __init__(
        self,
        read: Callable[[], Result[str | bytes]] | None = None,
        write: Callable[[bytes], Result[int | None]] | None = None,
        *,
        mode: int | None = None,
    ) -> None:
        self.read = read
        self.write = write
        self.mode = (0o444 if read else 0) | (0o200 if write else 0) if mode is None else mode

    def open(self, flags: O, dentry: "Dentry", caller: Caller) -> File:
        return ComputedFile(flags, dentry, self, caller)


class CallableFileSystem(FileSystem):
    """One file, to be mounted on a file."""

    type_name = b"python"

    def __init__(self, node: Device | TextFile, application: "Application | None" = None) -> None:
        self.device = anonymous_device()
        self.caller = Caller(protocol.FileSystem(), application)
        self.root = CallableInode(self, node)

    def status(self) -> FileSystemStatus:
        return FileSystemStatus(MAGIC.FUSE)

    def release(self) -> None:
        self.caller.close()


class CallableInode(Inode):
    filesystem: CallableFileSystem

    def __init__(self, filesystem: CallableFileSystem, node: Device | TextFile) -> None:
        self.filesystem = filesystem
        self._node = node
        self._made_ns = time_ns()
        self._ids = os.getuid(), os.getgid()  # the application's

    def attributes(self) -> Attributes:
        node, made = self._node, self._made_ns
        uid, gid = self._ids
        mode = node.kind | node.mode
        times = {"atime_ns": made, "mtime_ns": made, "ctime_ns": made}
        return Attributes(mode, 1, self.filesystem.device, uid=uid, gid=gid, rdev=node.rdev, **times)

    def open(self, flags: O, dentry: "Dentry") -> File:
        return self._node.open(flags, dentry, self.filesystem.caller)

    def change(self, change: Change) -> None:
        """Sizes and times may be set, and nothing comes of it; the rest is refused."""
        if change.mode is not None or change.uid is not None or change.gid is not None:
            raise LinuxError(Errno.EPERM)


class DeviceFile(File):
    def __init__(self, flags: O, dentry: "Dentry", node: Device, caller: Caller) -> None:
        super().__init__(flags, dentry)
        self._node = node
        self._caller = caller

    def read_nowait(self, dst: Buffer) -> int:
        if self._node.read is None:
            raise LinuxError(Errno.EINVAL)
        if not dst.length:
            return 0
        dst.segments(1)  # EFAULT before anything is taken
        size = min(dst.length, _MAX_PART)
        data = checked_data(_ask(self, self._caller, partial(self._node.read, size)), size)
        return dst.fill(data) if data else 0

    def write_nowait(self, src: Buffer) -> int:
        if self._node.write is None:
            raise LinuxError(Errno.EINVAL)
        data = src.take(_MAX_PART)
        return checked_count(_ask(self, self._caller, partial(self._node.write, data)), len(data))


class ComputedFile(File):
    is_seekable = True

    def __init__(self, flags: O, dentry: "Dentry", node: TextFile, caller: Caller) -> None:
        super().__init__(flags, dentry)
        self._node = node
        self._caller = caller
        self._text: bytes | None = None

    def read_nowait(self, dst: Buffer) -> int:
        done = self.pread(dst, self.offset)
        self.offset += done
        return done

    def pread(self, dst: Buffer, offset: int) -> int:
        if self._node.read is None:
            raise LinuxError(Errno.EIO)
        if self._text is None or not offset:
            self._text = _text(_ask(self, self._caller, self._node.read))
        part = self._text[offset : offset + dst.length]
        return dst.fill(part) if part else 0

    def write_nowait(self, src: Buffer) -> int:
        done = self.pwrite(src, self.offset)
        self.offset += done
        return done

    def pwrite(self, src: Buffer, offset: int) -> int:  # noqa: ARG002 - what is written is a message
        if self._node.write is None:
            raise LinuxError(Errno.EIO)
        data = src.take(_MAX_PART)
        return checked_count(_ask(self, self._caller, partial(self._node.write, data)), len(data))

    def seek(self, offset: int, whence: int) -> int:
        """EINVAL from the end, which nobody knows yet."""
        return seek_endless(self, offset, whence)

    def truncate(self, length: int) -> None:
        """Accepted and without effect, so that `echo … >file` works."""


def _ask(file: File, caller: Caller, function: Callable[[], Any]) -> Any:  # noqa: ANN401 - the application's
    return caller.call_function(function, ("call", id(file)))


def _text(found: object) -> bytes:
    if isinstance(found, str):
        try:
            return found.encode()
        except UnicodeEncodeError:
            refuse("the text of a file", found)
    if not isinstance(found, bytes | bytearray):
        refuse("the text of a file", found)
    return bytes(found)
