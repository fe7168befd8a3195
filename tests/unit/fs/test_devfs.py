"""/dev, compared with the host's where it has the same devices."""

import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll
from aionoah.abi.stat import S, makedev
from aionoah.fs.context import FsContext
from aionoah.fs.devfs import new_devfs
from aionoah.fs.devices import open_device
from aionoah.fs.file import File
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.path import Dentry, walk
from aionoah.memory.buffer import Buffer, KernelBuffer
from aionoah.process.credentials import Credentials
from aionoah.process.current import set_current
from aionoah.terminal.files import SlaveFile
from aionoah.terminal.pty import Ptys

DEVICES = [b"null", b"zero", b"full", b"random", b"urandom"]
IN, OUT = Poll.IN | Poll.RDNORM, Poll.OUT | Poll.WRNORM


@pytest.fixture
def find() -> Callable[..., Dentry]:
    tree = MountNamespace.of(new_devfs())
    context = FsContext(tree.root, Credentials())
    return lambda name, **options: walk(context, tree.root, name, **options)


@pytest.fixture
def opened(find: Callable[..., Dentry]) -> Iterator[Callable[[bytes], File]]:
    files: list[File] = []

    def open_name(name: bytes) -> File:
        dentry = find(name)
        files.append(dentry.inode.open(O(O.RDWR), dentry))
        return files[-1]

    yield open_name
    for file in files:
        file.drop()


def result(call: Callable[[], object]) -> object:
    """What a call of ours or of the host gives: a value, or the name of the error."""
    try:
        return call()
    except LinuxError as error:
        return error.errno.name
    except OSError as error:
        return Errno(error.errno or 0).name


def read_length(file: File, length: int) -> int:
    return file.read_nowait(KernelBuffer(bytearray(length)))


@pytest.mark.parametrize("name", DEVICES)
def test_same_as_the_hosts(name: bytes, find: Callable[..., Dentry], opened: Callable[[bytes], File]) -> None:
    path = Path(os.fsdecode(b"/dev/" + name))
    theirs = path.stat()
    ours = find(name).inode.attributes()
    assert ours.mode == theirs.st_mode
    assert ours.rdev == makedev(os.major(theirs.st_rdev), os.minor(theirs.st_rdev))
    file, fd = opened(name), os.open(path, os.O_RDWR)
    try:
        for mine, host in (
            (lambda: read_length(file, 10), lambda: len(os.read(fd, 10))),
            (lambda: file.write_nowait(KernelBuffer(b"abc")), lambda: os.write(fd, b"abc")),
            (lambda: file.pread(KernelBuffer(bytearray(10)), 5), lambda: len(os.pread(fd, 10, 5))),
            (lambda: file.pwrite(KernelBuffer(b"abc"), 5), lambda: os.pwrite(fd, b"abc", 5)),
            (lambda: file.seek(77, 0), lambda: os.lseek(fd, 77, 0)),
            (lambda: file.seek(-77, 1), lambda: os.lseek(fd, -77, 1)),
            (lambda: file.truncate(0), lambda: os.ftruncate(fd, 0)),
            (lambda: file.sync(data_only=False), lambda: os.fsync(fd)),
            (lambda: file.allocate(0, 0, 1), lambda: os.posix_fallocate(fd, 0, 1)),
        ):
            assert result(mine) == result(host)
    finally:
        os.close(fd)


def test_what_is_read(opened: Callable[[bytes], File]) -> None:
    for name in (b"zero", b"full"):
        memory = bytearray(b"x" * 200000)
        assert opened(name).read_nowait(KernelBuffer(memory)) == 200000
        assert not any(memory)
    for name in (b"random", b"urandom"):
        memory = bytearray(3 << 20)
        assert opened(name).read_nowait(KernelBuffer(memory)) == 3 << 20
        assert memory[: 1 << 20] != memory[1 << 20 : 2 << 20]
        assert len(set(memory)) == 256


def test_scattered_memory_is_filled(opened: Callable[[bytes], File]) -> None:
    class Scattered(KernelBuffer):
        parts = (bytearray(b"xx"), bytearray(b"yyy"))

        def segments(self, limit: int | None = None) -> list[memoryview]:
            return [memoryview(part) for part in self.parts]

    buffer: Buffer = Scattered(b"")
    assert opened(b"zero").read_nowait(buffer) == 5
    assert Scattered.parts == (bytearray(2), bytearray(3))


def test_readiness(opened: Callable[[bytes], File]) -> None:
    assert {name: int(opened(name).poll()) for name in DEVICES} == {
        b"null": IN | OUT,
        b"zero": IN | OUT,
        b"full": IN | OUT,
        b"random": IN,
        b"urandom": IN | OUT,
    }


def test_mapping_zeros(opened: Callable[[bytes], File]) -> None:
    zero = opened(b"zero")
    mapping = zero.mapping()
    assert zero.mapping().fd == mapping.fd
    with mmap.mmap(mapping.fd, 8192) as memory:
        assert memory[:] == bytes(8192)
        memory[5000] = 1
    for name in (b"null", b"full", b"urandom"):
        assert result(opened(name).mapping) == "ENODEV"


def test_an_unknown_device() -> None:
    with pytest.raises(LinuxError, match="ENXIO"):
        open_device(makedev(1, 2), O(O.RDWR))
    assert isinstance(open_device(makedev(1, 3), O(O.RDWR)), File), "wherever its node lies"


def test_standard_streams(find: Callable[..., Dentry]) -> None:
    for name, target in {
        b"fd": b"/proc/self/fd",
        b"stdin": b"/proc/self/fd/0",
        b"stdout": b"/proc/self/fd/1",
        b"stderr": b"/proc/self/fd/2",
    }.items():
        link = find(name, follow=False).inode
        assert link.readlink() == target
        assert link.attributes().size == len(target)


def test_directories_to_mount_on(find: Callable[..., Dentry]) -> None:
    root = find(b"/").inode
    assert root.attributes().mode == S.IFDIR | 0o755
    assert root.filesystem.type_name == b"devtmpfs"
    for name, mode in ((b"shm", 0o1777), (b"pts", 0o755), (b"mqueue", 0o1777)):
        directory = find(name).inode
        assert directory.attributes().mode == S.IFDIR | mode
        assert len(directory.listing()) == 2


def test_servers_put_their_sockets_there(find: Callable[..., Dentry]) -> None:
    root = find(b"/").inode
    root.mknod(b"log", S.IFSOCK | 0o666, 0, 0, 0)
    assert find(b"log").inode.attributes().mode == S.IFSOCK | 0o666
    root.unlink(b"log")
    assert result(lambda: find(b"log")) == "ENOENT"


# -- the controlling terminal -------------------------------------------------------------------------------


@pytest.fixture
def process() -> Iterator[Any]:
    """The current process, which may be given a terminal."""
    process = SimpleNamespace(terminal=None, session=5, pid=5)
    set_current(SimpleNamespace(kernel=SimpleNamespace(console=None), process=process))  # type: ignore[arg-type]
    yield process
    set_current(None)


def test_the_controlling_terminal(process: Any, opened: Callable[[bytes], File]) -> None:
    assert result(lambda: opened(b"tty")) == "ENXIO"
    assert result(lambda: opened(b"console")) == "ENODEV"
    process.terminal = Ptys().new(uid=0)
    assert result(lambda: opened(b"tty")) == "EIO"  # locked
    process.terminal.is_locked = False
    tty = opened(b"tty")
    assert isinstance(tty, SlaveFile)
    assert tty.pty is process.terminal
    assert tty.flags == O.RDWR
    elsewhere = open_device(makedev(5, 0), O(O.RDWR))
    assert isinstance(elsewhere, SlaveFile)
    assert elsewhere.pty is tty.pty
    elsewhere.drop()
