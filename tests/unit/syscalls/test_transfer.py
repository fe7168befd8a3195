"""sendfile and copy_file_range."""

from collections.abc import Callable, Iterator
from typing import Any

from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import AT_FDCWD, O
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.syscalls.results import Suspended

HERE = AT_FDCWD
WILD = 8
BIG = (1 << 63) - 1


def new_pipe(k: Any, flags: int = 0) -> tuple[int, int]:
    fds = k.space(8)
    assert k.call("pipe2", fds, flags) == 0
    data = k.get(fds, 8)
    return int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")


def offset(k: Any, value: int) -> int:
    return int(k.put(value.to_bytes(8, "little", signed=True)))


def contents(k: Any, fd: int) -> bytes:
    buffer = k.space(64)
    return bytes(k.get(buffer, k.call("pread64", fd, buffer, 64, 0)))


def test_sendfile(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        source, target = make(k, b"source", b"0123456789"), make(k, b"target")
        k.call("lseek", source, 0, 0)
        yield k.call("sendfile", target, source, None, 3), k.call("lseek", source, 0, 1)
        where = offset(k, 6)
        yield k.call("sendfile", target, source, where, 2), k.get(where, 8), k.call("lseek", source, 0, 1)
        yield k.call("sendfile", target, source, None, 100), k.call("sendfile", target, source, None, 100)
        yield (
            k.call("sendfile", target, source, offset(k, 50), 100),
            k.call("sendfile", target, source, None, 0),
        )
        yield contents(k, target), k.call("lseek", target, 0, 1)

    same(script)


def every_kind(k: Any, make: Callable[..., int]) -> list[int]:
    make(k, b"file", b"0123456789")
    flags = (O.RDWR, O.RDONLY, O.WRONLY, O.PATH, O.WRONLY | O.APPEND)
    fds = [k.call("openat", HERE, b"file", flag, 0) for flag in flags]
    return [*fds, k.call("openat", HERE, b".", O.RDONLY, 0), *new_pipe(k, O.NONBLOCK), 999]


def test_refused_sendfile(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fds = every_kind(k, make)
        for index, source in enumerate(fds):
            for number, target in enumerate(fds):
                if (index, number) != (6, 7):  # what a pipe gives a pipe differs between kernels
                    yield index, number, k.call("sendfile", target, source, offset(k, 0), 0)
                    yield k.call("sendfile", target, source, offset(k, -1), 1)
        yield k.call("sendfile", fds[0], fds[1], WILD, 1)

    same(script)


def test_sending_to_a_full_pipe(guest: Any, make: Callable[..., int]) -> None:
    """One that is full is waited for; then it takes what it has room for, and the rest is for another call."""
    source = make(guest, b"file", bytes(100_000))
    guest.call("lseek", source, 0, 0)
    reader, writer = new_pipe(guest)
    assert guest.call("sendfile", writer, source, None, 100_000) == 65536
    sleeping = guest.start("sendfile", writer, source, None, 100_000)
    assert isinstance(sleeping, Suspended)
    buffer = guest.space(70_000)
    assert guest.call("read", reader, buffer, 65536) == 65536
    assert guest.resume(sleeping) == 100_000 - 65536
    assert guest.call("lseek", source, 0, 1) == 100_000
    assert guest.call("read", reader, buffer, 65536) == 100_000 - 65536


def test_copying(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        source, target = make(k, b"source", b"0123456789"), make(k, b"target")
        k.call("lseek", source, 2, 0)
        yield k.call("copy_file_range", source, None, target, None, 3, 0)
        yield k.call("lseek", source, 0, 1), k.call("lseek", target, 0, 1)
        start, end = offset(k, 8), offset(k, 5)
        yield k.call("copy_file_range", source, start, target, end, 9, 0), k.get(start, 8), k.get(end, 8)
        yield k.call("lseek", source, 0, 1), k.call("lseek", target, 0, 1), contents(k, target)
        yield k.call("copy_file_range", source, offset(k, 10), target, None, 9, 0)
        yield k.call("copy_file_range", source, offset(k, 0), source, offset(k, 5), 5, 0), contents(k, source)
        for start_in, start_out, size in ((0, 4, 5), (4, 0, 5), (0, 0, 1), (0, 10, 20)):
            yield k.call(
                "copy_file_range", source, offset(k, start_in), source, offset(k, start_out), size, 0
            )

    same(script)


def test_refused_copying(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fds = every_kind(k, make)
        make(k, b"other")
        other = k.call("openat", HERE, b"other", O.RDWR, 0)
        for index, fd in enumerate(fds):
            yield index, k.call("copy_file_range", fd, None, other, None, 1, 0)
            yield index, k.call("copy_file_range", other, None, fd, None, 1, 0)
        for start, size in ((-1, 1), (-5, 1), (BIG, 1), (0, 0), (3, 1 << 63)):
            yield k.call("copy_file_range", fds[0], offset(k, start), other, None, size, 0)
        yield k.call("copy_file_range", fds[0], WILD, other, None, 1, 0)
        yield k.call("copy_file_range", fds[0], None, other, None, 1, 1)

    same(script)


def test_not_between_file_systems(guest: Any, make: Callable[..., int]) -> None:
    guest.task.kernel.mounts.mount(TmpFileSystem(), b"/mnt")
    source, target = make(guest, b"file", b"data"), make(guest, b"/mnt/file")
    assert guest.call("copy_file_range", source, offset(guest, 0), target, None, 4, 0) is Errno.EXDEV
    assert guest.call("sendfile", target, source, offset(guest, 0), 4) == 4
