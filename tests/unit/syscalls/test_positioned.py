"""lseek, and reading and writing at a position."""

from collections.abc import Callable, Iterator
from struct import pack
from typing import Any

import pytest

from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import AT_FDCWD, O
from aionoah.abi.signal import SIG
from aionoah.abi.uio import RWF
from aionoah.syscalls.results import Suspended

HERE = AT_FDCWD
WILD = 8


def vector(k: Any, base: int, length: int) -> int:
    return int(k.put(pack("<QQ", base, length)))


def test_vectors_of_nothing_ask_no_file(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        make(k, b"file")
        directory = k.call("openat", HERE, b".", O.RDONLY, 0)
        empty = vector(k, WILD, 0)
        yield k.call("readv", directory, empty, 1), k.call("preadv", directory, empty, 1, 0)
        yield (
            k.call("preadv", directory, empty, 0, 0),
            k.call("readv", directory, vector(k, k.space(8), 8), 1),
        )

    same(script)


def new_pipe(k: Any, flags: int = 0) -> tuple[int, int]:
    fds = k.space(8)
    assert k.call("pipe2", fds, flags) == 0
    data = k.get(fds, 8)
    return int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")


def test_seeking(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = make(k, b"file", b"0123456789")
        for offset, whence in (
            *((3, 0), (2, 1), (-6, 1), (0, 2), (5, 2), (-10, 2), (-11, 2)),
            *((0, 3), (0, 4), (9, 3), (10, 3), (11, 4), (-1, 3), (0, 5), (0, -1), (-1, 0)),
        ):
            yield offset, whence, k.call("lseek", fd, offset, whence)
        reader, _ = new_pipe(k)
        yield k.call("lseek", reader, 0, 0), k.call("lseek", reader, 0, 9), k.call("lseek", 999, 0, 9)

    same(script)


def test_pread_and_pwrite(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = make(k, b"file", b"0123456789")
        buffer = k.space(16)
        yield k.call("pread64", fd, buffer, 4, 8), k.get(buffer, 4), k.call("pread64", fd, buffer, 4, 99)
        yield k.call("pwrite64", fd, k.put(b"ab"), 2, 12), k.call("lseek", fd, 0, 1)
        yield k.call("pread64", fd, buffer, 16, 0), k.get(buffer, 16)
        yield k.call("pread64", fd, k.edge - 4, 10, 0), k.call("pread64", fd, k.edge, 10, 0)
        yield k.call("pwrite64", fd, k.edge - 4, 10, 0), k.call("pwrite64", fd, WILD, 1, 0)
        yield k.call("pread64", fd, buffer, 1, -1), k.call("pread64", 999, buffer, 1, -1)
        yield k.call("preadv", fd, vector(k, buffer, 3), 1, 2), k.get(buffer, 4)
        yield k.call("pwritev", fd, vector(k, buffer, 3), 1, 20), k.call("lseek", fd, 0, 2)

    same(script)


def test_what_cannot_seek_says_so_first(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        make(k, b"file", b"data")
        buffer = k.space(8)
        fds = [*new_pipe(k), k.call("openat", HERE, b"file", O.WRONLY, 0)]
        fds += [k.call("openat", HERE, b"file", O.RDONLY, 0), k.call("openat", HERE, b".", O.RDONLY, 0)]
        fds += [k.call("openat", HERE, b"file", O.PATH, 0), k.call("eventfd2", 1, 0), 999]
        for fd in fds:
            for offset in (0, -1):
                yield [k.call(call, fd, buffer, 8, offset) for call in ("pread64", "pwrite64")]
                yield [k.call(call, fd, vector(k, buffer, 8), 1, offset) for call in ("preadv", "pwritev")]

    same(script)


def test_the_second_versions(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = make(k, b"file", b"0123456789")
        buffer = k.space(16)
        one = vector(k, buffer, 4)
        yield k.call("lseek", fd, 1, 0), k.call("preadv2", fd, one, 1, -1, 0, 0), k.call("lseek", fd, 0, 1)
        yield k.call("preadv2", fd, one, 1, 8, 0, 0), k.get(buffer, 4), k.call("lseek", fd, 0, 1)
        yield k.call("pwritev2", fd, one, 1, -1, 0, RWF.DSYNC), k.call("lseek", fd, 0, 1)
        yield k.call("pwritev2", fd, one, 1, 0, 0, RWF.APPEND), k.call("lseek", fd, 0, 1)
        yield k.call("pwritev2", fd, one, 1, -1, 0, RWF.APPEND), k.call("lseek", fd, 0, 1)
        yield k.call("pwritev2", fd, one, 1, 30, 0, RWF.SYNC | RWF.HIPRI), k.call("lseek", fd, 0, 2)
        yield k.call("preadv2", fd, one, 1, 0, 0, 1 << 20), k.call("pwritev2", fd, one, 1, 0, 0, 1 << 20)
        yield k.call("preadv2", fd, one, 1, -2, 0, 0), k.call("preadv2", 999, one, 1, -1, 0, 0)
        yield k.call("preadv2", fd, WILD, 1, 0, 0, 0)

    same(script)


def test_not_waiting(same: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        reader, writer = new_pipe(k)
        one = vector(k, k.space(8), 8)
        yield k.call("preadv2", reader, one, 1, -1, 0, RWF.NOWAIT)
        yield k.call("pwritev2", writer, one, 1, -1, 0, RWF.NOWAIT)
        yield k.call("preadv2", reader, one, 1, -1, 0, RWF.NOWAIT)
        big = vector(k, k.space(70000), 70000)
        yield k.call("pwritev2", writer, big, 1, -1, 0, RWF.NOWAIT)
        yield k.call("pwritev2", writer, big, 1, -1, 0, RWF.NOWAIT)

    same(script)


def test_without_a_position_a_pipe_waits(guest: Any) -> None:
    reader, writer = new_pipe(guest)
    sleeping = guest.start("preadv2", reader, vector(guest, guest.space(8), 8), 1, -1, 0, 0)
    assert isinstance(sleeping, Suspended)
    assert guest.call("pwritev2", writer, vector(guest, guest.put(b"ab"), 2), 1, -1, 0, 0) == 2
    assert guest.resume(sleeping) == 2


def test_unsupported_flags(guest: Any, make: Callable[..., int]) -> None:
    fd = make(guest, b"file", b"data")
    one = vector(guest, guest.space(8), 8)
    for flag in (RWF.ATOMIC, RWF(0x200)):
        assert guest.call("pwritev2", fd, one, 1, 0, 0, flag) is Errno.EOPNOTSUPP


@pytest.mark.parametrize("flags", [0, RWF.NOWAIT])
def test_nobody_is_killed_by_a_pipe_without_readers(guest: Any, flags: int) -> None:
    reader, writer = new_pipe(guest)
    guest.call("close", reader)
    one, signals = vector(guest, guest.space(8), 8), guest.task.signals
    assert guest.call("pwritev2", writer, one, 1, -1, 0, flags | RWF.NOSIGNAL) is Errno.EPIPE
    assert not signals.all_pending
    assert guest.call("pwritev2", writer, one, 1, -1, 0, flags) is Errno.EPIPE
    assert signals.all_pending == 1 << (SIG.PIPE - 1)


def test_above_what_the_file_says(guest: Any, make: Callable[..., int]) -> None:
    guest.call("close", make(guest, b"file", b"0123456789"))
    fd = guest.call("openat", HERE, b"file", O.RDWR | O.APPEND, 0)
    word = vector(guest, guest.put(b"ab"), 2)
    assert guest.call("pwritev2", fd, word, 1, 4, 0, RWF.NOAPPEND) == 2
    assert guest.call("pwritev2", fd, word, 1, 4, 0, 0) == 2
    assert guest.call("pwritev2", fd, word, 1, -1, 0, RWF.NOAPPEND) == 2
    assert guest.call("lseek", fd, 0, 1) == 2
    assert guest.call("pwritev2", fd, word, 1, -1, 0, RWF.APPEND) == 2
    assert guest.call("lseek", fd, 0, 1) == 14
    text = guest.space(16)
    assert guest.call("pread64", fd, text, 16, 0) == 14
    assert guest.get(text, 14) == b"ab23ab6789abab"
    assert guest.call("pwritev2", fd, word, 1, 0, 0, RWF.APPEND | RWF.NOAPPEND) is Errno.EINVAL
