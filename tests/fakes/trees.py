"""File trees for tests: the same operations on our own VFS and on the kernel we run on.

Every operation gives what the call would: a value, or the name of the error.
"""

import ctypes
import os
import platform
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aionoah.abi.errno import LinuxError
from aionoah.abi.fcntl import RENAME, O
from aionoah.fs import operations
from aionoah.fs.context import FsContext
from aionoah.fs.file import File
from aionoah.fs.inode import Attributes, Change, FileSystem
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.path import Dentry
from aionoah.fs.permissions import BY_USER
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.host.errors import errno_of
from aionoah.memory.buffer import KernelBuffer
from aionoah.process.user_namespaces import FIRST, UserNamespace


class User(NamedTuple):
    """Credentials of a test."""

    uid: int = 0
    gid: int = 0
    groups: Collection[int] = ()
    fsuid: int = 0
    fsgid: int = 0
    effective: int = BY_USER
    permitted: int = BY_USER
    user_namespace: UserNamespace = FIRST


def user(uid: int, gid: int | None = None, groups: Collection[int] = ()) -> User:
    gid = uid if gid is None else gid
    return User(uid, gid, groups, uid, gid)


ROOT = User()
OURSELVES = user(os.geteuid(), os.getegid())


def own_tmpfs() -> TmpFileSystem:
    """An empty one, of the user that runs us."""
    made = TmpFileSystem(mode=0o755)
    made.root.change(Change(uid=OURSELVES.uid, gid=OURSELVES.gid))
    return made


def outcome(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """The result of a call, or the name of its error."""
    try:
        return call(*arguments, **named)
    except LinuxError as error:
        return error.errno.name
    except OSError as error:
        return errno_of(error).name


def read_all(file: File) -> bytes:
    """What is left to read, taken in odd pieces."""
    data = b""
    while True:
        piece = bytearray(37)
        count = file.read_nowait(KernelBuffer(piece))
        if not count:
            return data
        data += piece[:count]


class Tree:
    """A namespace with one file system at its root, and a task in it. Paths are relative to the root."""

    def __init__(self, filesystem: FileSystem, credentials: User = ROOT, *, read_only: bool = False) -> None:
        self.namespace = MountNamespace.of(filesystem, read_only=read_only)
        self.context = FsContext(self.namespace.root, credentials)

    def __del__(self) -> None:
        """The tree itself is full of cycles; let no test wait for the collector to close descriptors."""
        self.namespace.release()

    @property
    def root(self) -> Dentry:
        return self.namespace.root

    @contextmanager
    def acting_as(self, credentials: User) -> Iterator[None]:
        before = self.context.credentials
        self.context.credentials = credentials
        try:
            yield
        finally:
            self.context.credentials = before

    def walk(self, path: bytes, *, follow: bool = True, resolve: int = 0) -> Dentry:
        return operations.walk(self.context, self.context.cwd, path, follow=follow, resolve=resolve)

    def path(self, dentry: Dentry) -> bytes:
        return operations.path_of(dentry, self.context.root)

    def open(self, path: bytes, flags: int = O.RDONLY, mode: int = 0o644) -> File:
        return operations.open_file(self.context, self.context.cwd, path, O(flags), mode)

    def stat(self, path: bytes, *, follow: bool = True) -> Attributes:
        return self.walk(path, follow=follow).inode.attributes()

    # -- what Native has too ------------------------------------------------------------------------------

    def mkdir(self, path: bytes, mode: int = 0o755) -> None:
        operations.mkdir(self.context, self.context.cwd, path, mode)

    def mknod(self, path: bytes, mode: int, rdev: int = 0) -> None:
        operations.require_node_mode(mode)
        operations.mknod(self.context, self.context.cwd, path, mode, rdev)

    def symlink(self, target: bytes, path: bytes) -> None:
        operations.symlink(self.context, target, self.context.cwd, path)

    def link(self, old: bytes, new: bytes) -> None:
        operations.link_dentry(self.context, self.walk(old, follow=False), self.context.cwd, new)

    def unlink(self, path: bytes) -> None:
        operations.unlink(self.context, self.context.cwd, path)

    def rmdir(self, path: bytes) -> None:
        operations.rmdir(self.context, self.context.cwd, path)

    def rename(self, old: bytes, new: bytes, flags: int = 0) -> None:
        operations.require_rename_flags(flags)
        operations.rename(self.context, self.context.cwd, old, self.context.cwd, new, flags)

    def readlink(self, path: bytes) -> bytes:
        return operations.readlink(self.walk(path, follow=False))

    def write(self, path: bytes, data: bytes, flags: int = O.WRONLY | O.CREAT, mode: int = 0o644) -> int:
        file = self.open(path, flags, mode)
        try:
            return file.write_nowait(KernelBuffer(data))
        finally:
            file.drop()

    def read(self, path: bytes) -> bytes:
        file = self.open(path)
        try:
            return read_all(file)
        finally:
            file.drop()

    def chmod(self, path: bytes, mode: int) -> None:
        operations.chmod(self.context, self.walk(path), mode)

    def chown(self, path: bytes, uid: int | None, gid: int | None) -> None:
        operations.chown(self.context, self.walk(path), uid, gid)

    def truncate(self, path: bytes, length: int) -> None:
        operations.truncate(self.context, self.walk(path), length)

    def access(self, path: bytes, wanted: int) -> None:
        operations.access(self.context, self.walk(path), wanted, real=False)

    def try_open(self, path: bytes, flags: int, mode: int = 0o644) -> str:
        """Open and close: "ok", or the error."""
        self.open(path, flags, mode).drop()
        return "ok"

    def facts(self, path: bytes, *, follow: bool = True) -> tuple[int, int, int, int, int]:
        """Mode, links, owners and size (0 for directories, whose sizes differ between file systems)."""
        found = self.stat(path, follow=follow)
        size = 0 if stat.S_ISDIR(found.mode) else found.size
        return found.mode, found.nlink, found.uid, found.gid, size

    def names(self, path: bytes) -> list[bytes]:
        file = self.open(path, O.DIRECTORY)
        try:
            return sorted(entry.name for entry in file.entries() if entry.name not in (b".", b".."))
        finally:
            file.drop()


class Native:
    """The same on a directory of the kernel we run on. Paths must not lead out of it."""

    def __init__(self, top: Path) -> None:
        self.fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)

    def close(self) -> None:
        os.close(self.fd)

    def mkdir(self, path: bytes, mode: int = 0o755) -> None:
        os.mkdir(path, mode, dir_fd=self.fd)

    def mknod(self, path: bytes, mode: int, rdev: int = 0) -> None:
        os.mknod(path, mode, rdev, dir_fd=self.fd)

    def symlink(self, target: bytes, path: bytes) -> None:
        os.symlink(target, path, dir_fd=self.fd)

    def link(self, old: bytes, new: bytes) -> None:
        os.link(old, new, src_dir_fd=self.fd, dst_dir_fd=self.fd, follow_symlinks=False)

    def unlink(self, path: bytes) -> None:
        os.unlink(path, dir_fd=self.fd)

    def rmdir(self, path: bytes) -> None:
        os.rmdir(path, dir_fd=self.fd)

    def rename(self, old: bytes, new: bytes, flags: int = 0) -> None:
        call("renameat2", self.fd, old, self.fd, new, flags)

    def readlink(self, path: bytes) -> bytes:
        return os.readlink(path, dir_fd=self.fd)

    def write(self, path: bytes, data: bytes, flags: int = O.WRONLY | O.CREAT, mode: int = 0o644) -> int:
        fd = os.open(path, flags, mode, dir_fd=self.fd)
        try:
            return os.write(fd, data)
        finally:
            os.close(fd)

    def read(self, path: bytes) -> bytes:
        fd = os.open(path, os.O_RDONLY, dir_fd=self.fd)
        try:
            return os.read(fd, 1 << 20)
        finally:
            os.close(fd)

    def chmod(self, path: bytes, mode: int) -> None:
        os.chmod(path, mode, dir_fd=self.fd)

    def chown(self, path: bytes, uid: int | None, gid: int | None) -> None:
        os.chown(path, -1 if uid is None else uid, -1 if gid is None else gid, dir_fd=self.fd)

    def truncate(self, path: bytes, length: int) -> None:
        os.truncate(b"/proc/self/fd/%d/%s" % (self.fd, path), length)

    def access(self, path: bytes, wanted: int) -> None:
        call("faccessat", self.fd, path, wanted, 0x200)

    def try_open(self, path: bytes, flags: int, mode: int = 0o644) -> str:
        os.close(os.open(path, flags, mode, dir_fd=self.fd))
        return "ok"

    def facts(self, path: bytes, *, follow: bool = True) -> tuple[int, int, int, int, int]:
        found = os.stat(path, dir_fd=self.fd, follow_symlinks=follow)
        size = 0 if stat.S_ISDIR(found.st_mode) else found.st_size
        return found.st_mode, found.st_nlink, found.st_uid, found.st_gid, size

    def names(self, path: bytes) -> list[bytes]:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.fd)
        try:
            return sorted(map(os.fsencode, os.listdir(fd)))
        finally:
            os.close(fd)

    def open_beneath(self, path: bytes, flags: int, resolve: int) -> int:
        """A descriptor by openat2 with O_PATH, which can take the directory for the root of all."""
        how = ctypes.create_string_buffer(
            (os.O_PATH | os.O_CLOEXEC | flags).to_bytes(8, "little")
            + bytes(8)
            + resolve.to_bytes(8, "little"),
            24,
        )
        while True:
            try:
                return call("syscall", 437, self.fd, path, how, 24)
            except BlockingIOError:
                continue  # something was renamed meanwhile, anywhere (openat2(2), EAGAIN)


EXCHANGE = int(RENAME.EXCHANGE)
IS_LINUX = platform.system() == "Linux"
_libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> int:
    """A function of the C library that Python's os module lacks. OSError."""
    result: int = getattr(_libc, name)(*arguments)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def snapshot(tree: Tree | Native, path: bytes = b".") -> dict[bytes, Any]:
    """Everything there is, for comparing trees."""
    found: dict[bytes, Any] = {}
    for name in tree.names(path):
        child = path + b"/" + name
        facts = tree.facts(child, follow=False)
        detail: Any = None
        if stat.S_ISDIR(facts[0]):
            found |= snapshot(tree, child)
        elif stat.S_ISLNK(facts[0]):
            detail = tree.readlink(child)
        elif stat.S_ISREG(facts[0]):
            detail = tree.read(child)
        found[child] = (facts, detail)
    return found
