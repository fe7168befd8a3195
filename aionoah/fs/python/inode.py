"""A file system of the application's as the kernel sees it: its inodes."""

import os
from collections.abc import Hashable
from hashlib import blake2b
from time import time, time_ns
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import RENAME, O
from aionoah.abi.stat import DT, S
from aionoah.abi.statfs import MAGIC
from aionoah.abi.time import NSEC_PER_SEC
from aionoah.fs.device_numbers import anonymous_device
from aionoah.fs.directory import DirectoryFile
from aionoah.fs.file import File
from aionoah.fs.inode import NOW, Attributes, Change, FileSystem, FileSystemStatus, Inode, Row
from aionoah.fs.python import protocol
from aionoah.fs.python.calls import Caller, checked_names, checked_stat, checked_target
from aionoah.fs.python.protocol import Stat
from aionoah.host.application import Application, NotYet, answer_of
from aionoah.host.waiting import WaitQueue

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry

_BLOCK: Final = 4096


class PythonFileSystem(FileSystem):
    """A file system of the application's, mounted."""

    def __init__(self, target: protocol.FileSystem, application: Application | None = None) -> None:
        self.target = target
        self.caller = Caller(target, application)
        self.type_name = target.type_name.encode()
        self.is_read_only = self.caller.is_read_only
        self.device = anonymous_device()
        self.made_ns = time_ns()
        self.ids = os.getuid(), os.getgid()  # of the application
        self._inodes: WeakValueDictionary[str, PythonInode] = WeakValueDictionary()
        self.flushing: dict[str, WaitQueue] = {}  # files that are written back in the background
        self.root = self.inode_at("/", checked_stat(Stat("directory"), read_only=self.is_read_only))

    def inode_at(self, path: str, found: Stat) -> "PythonInode":
        """The inode of a path; while somebody holds it and it is of the same kind, the same object."""
        known = self._inodes.get(path)
        if known is not None and known.kind == (found.mode or 0) & S.IFMT:
            known.found = found
            return known
        made = PythonInode(self, path, found)
        self._inodes[path] = made
        return made

    def was_removed(self, path: str) -> None:
        self._inodes.pop(path, None)

    def was_renamed(self, path: str, new_path: str) -> None:
        """Inodes that are held go with their files."""
        self.was_removed(new_path)
        below = path + "/"
        moved = [
            (known, inode)
            for known, inode in self._inodes.items()
            if known == path or known.startswith(below)
        ]
        for known, inode in moved:
            del self._inodes[known]
            inode.path = new_path + known[len(path) :]
            self._inodes[inode.path] = inode

    def call(self, method: str, path: str, *args: Any, key: Hashable = None) -> Any:  # noqa: ANN401
        """What a method says of a path, once what was written there has arrived; NotYet, LinuxError."""
        flushing = self.flushing.get(path)
        if flushing is not None:
            raise NotYet((self, path), lambda: answer_of(flushing))
        return self.caller.call(method, path, *args, key=None if key is None else (path, key))

    def status(self) -> FileSystemStatus:
        total, free = (amount // _BLOCK for amount in self.caller.space())
        return FileSystemStatus(
            MAGIC.FUSE, _BLOCK, blocks=total, blocks_free=free, blocks_available=free, name_length=255
        )

    def release(self) -> None:
        self.caller.close()
        self.target.close()


class PythonInode(Inode):
    """What there is at a path. `found` is what the application said of it last."""

    filesystem: PythonFileSystem

    def __init__(self, filesystem: PythonFileSystem, path: str, found: Stat) -> None:
        self.filesystem = filesystem
        self.path = path
        self.found = found
        self._ino = int.from_bytes(blake2b(os.fsencode(path), digest_size=7).digest(), "little") or 1

    @property
    def kind(self) -> int:
        return (self.found.mode or 0) & S.IFMT

    def call(self, method: str, *args: Any, key: Hashable = None) -> Any:  # noqa: ANN401 - the application's
        """Ask about this path; NotYet, LinuxError."""
        return self.filesystem.call(method, self.path, *args, key=key)

    @property
    def key(self) -> Hashable:
        """Without asking the application."""
        return self.filesystem, self.path

    def attributes(self) -> Attributes:
        if self.path != "/" or self.filesystem.caller.has("stat"):
            self.found = self._stat(self.path)
        return self.looked_up_attributes()

    def _stat(self, path: str) -> Stat:
        found = self.filesystem.call("stat", path)
        return checked_stat(found, read_only=self.filesystem.is_read_only)

    def looked_up_attributes(self) -> Attributes:
        found, filesystem = self.found, self.filesystem
        time = filesystem.made_ns if found.mtime is None else int(found.mtime * NSEC_PER_SEC)
        uid, gid = filesystem.ids
        return Attributes(
            found.mode or 0,
            self._ino if found.ino is None else found.ino,
            filesystem.device,
            nlink=2 if found.kind == "directory" else 1,
            uid=uid if found.uid is None else found.uid,
            gid=gid if found.gid is None else found.gid,
            size=found.size,
            blocks=-(-found.size // 512),
            atime_ns=time,
            mtime_ns=time,
            ctime_ns=time,
        )

    # -- directories ---------------------------------------------------------------------------------------

    def _child(self, name: bytes) -> str:
        if self.kind != S.IFDIR:
            raise LinuxError(Errno.ENOTDIR)
        return f"{self.path.rstrip('/')}/{os.fsdecode(name)}"

    def lookup(self, name: bytes) -> Inode:
        path = self._child(name)
        return self.filesystem.inode_at(path, self._stat(path))

    def listing(self) -> list[Row]:
        """Of what kind they are is not known before somebody looks: DT_UNKNOWN."""
        entries = ((self._ino, DT.UNKNOWN, name) for name in checked_names(self.call("listdir")))
        return [(self._ino, DT.DIR, b"."), (self._ino, DT.DIR, b".."), *entries]

    def _make(self, method: str, name: bytes, *args: Any) -> Inode:  # noqa: ANN401
        path = self._child(name)
        self.filesystem.call(method, path, *args)
        return self.filesystem.inode_at(path, self._stat(path))

    def create(self, name: bytes, mode: int, uid: int, gid: int) -> Inode:  # noqa: ARG002 - the application's
        return self._make("create", name, mode)

    def mkdir(self, name: bytes, mode: int, uid: int, gid: int) -> Inode:  # noqa: ARG002
        return self._make("mkdir", name, mode)

    def symlink(self, name: bytes, target: bytes, uid: int, gid: int) -> Inode:  # noqa: ARG002
        return self._make("symlink", name, os.fsdecode(target))

    def mknod(self, name: bytes, mode: int, rdev: int, uid: int, gid: int) -> Inode:  # noqa: ARG002
        raise LinuxError(Errno.EPERM)

    def link(self, name: bytes, inode: Inode) -> None:  # noqa: ARG002 - there are no hard links
        raise LinuxError(Errno.EPERM)

    def unlink(self, name: bytes) -> None:
        self._remove("remove", name)

    def rmdir(self, name: bytes) -> None:
        self._remove("rmdir", name)

    def _remove(self, method: str, name: bytes) -> None:
        path = self._child(name)
        self.filesystem.call(method, path)
        self.filesystem.was_removed(path)

    def rename(self, name: bytes, directory: Inode, new_name: bytes, flags: int) -> None:
        if not isinstance(directory, PythonInode) or directory.filesystem is not self.filesystem:
            raise LinuxError(Errno.EXDEV)
        if flags & RENAME.EXCHANGE:
            raise LinuxError(Errno.EINVAL)
        path, new_path = self._child(name), directory._child(new_name)  # noqa: SLF001 - of the same class
        self.filesystem.call("rename", path, new_path)
        self.filesystem.was_renamed(path, new_path)

    # -- everything ----------------------------------------------------------------------------------------

    def readlink(self) -> bytes:
        return checked_target(self.call("readlink"))

    def open(self, flags: O, dentry: "Dentry") -> File:
        if self.kind == S.IFDIR:
            return DirectoryFile(flags, dentry)
        from aionoah.fs.python.file import PythonFile  # noqa: PLC0415 - it knows this module

        return PythonFile(flags, dentry, self)

    def change(self, change: Change) -> None:
        if change.size is not None:
            self.call("truncate", change.size)
        if change.mode is not None:
            self.call("chmod", change.mode)
        if change.uid is not None or change.gid is not None:
            self.call(
                "chown", -1 if change.uid is None else change.uid, -1 if change.gid is None else change.gid
            )
        if change.atime_ns is not None or change.mtime_ns is not None:
            times = _seconds(change.atime_ns), _seconds(change.mtime_ns)
            self.call("utime", *times, key="times")  # the present is another one at each beginning


def _seconds(time_ns: int | None) -> float | None:
    if time_ns is None:
        return None
    return time() if time_ns == NOW else time_ns / NSEC_PER_SEC
