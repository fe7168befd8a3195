"""read, write and their vectors."""

from collections.abc import Callable, Iterator
from struct import pack
from typing import Any

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import AT_FDCWD, O
from aionoah.abi.signal import SIG, signal_bit
from aionoah.syscalls.results import Suspended

WILD = 8
HERE = AT_FDCWD


def test_read_and_write(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = make(k, b"file", b"0123456789")
        buffer = k.space(32)
        yield k.call("read", fd, buffer, 4), k.call("lseek", fd, 2, 0)
        yield k.call("read", fd, buffer, 4), k.get(buffer, 5)
        yield k.call("read", fd, buffer, 100), k.get(buffer, 8), k.call("read", fd, buffer, 1)
        yield k.call("write", fd, k.put(b"ab"), 2), k.call("lseek", fd, 0, 0)
        yield k.call("read", fd, buffer, 32), k.get(buffer, 12)

    same(script)


def test_what_cannot_be_read_or_written(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        make(k, b"file", b"data")
        buffer = k.space(8)
        for flags in (O.RDONLY, O.WRONLY, O.PATH, O.ACCMODE):
            fd = k.call("openat", HERE, b"file", flags, 0)
            for call in ("read", "write"):
                yield [k.call(call, fd, where, count) for where in (buffer, WILD) for count in (0, 1)]
        directory = k.call("openat", HERE, b".", O.RDONLY, 0)
        yield k.call("read", directory, buffer, 1), k.call("write", directory, buffer, 1)
        yield k.call("read", -1, WILD, 1), k.call("write", 999, buffer, 1), k.call("readv", 999, WILD, 1)

    same(script)


def test_transfers_stop_where_memory_ends(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = make(k, b"file", b"0123456789")
        yield k.call("lseek", fd, 0, 0)
        yield k.call("read", fd, k.edge - 4, 10), k.get(k.edge - 4, 4), k.call("lseek", fd, 0, 1)
        yield k.call("read", fd, k.edge, 10), k.call("lseek", fd, 0, 1)
        k.set(k.edge - 4, b"wxyz")
        yield k.call("write", fd, k.edge - 4, 10), k.call("lseek", fd, 0, 1)
        yield k.call("write", fd, k.edge, 1), k.call("write", fd, 1 << 62, 1)

    same(script)


def vector(k: Any, *parts: tuple[int, int]) -> int:
    """The address of an array of struct iovec."""
    return int(k.put(b"".join(pack("<QQ", base, length) for base, length in parts)))


def test_vectors(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = make(k, b"file")
        abc, defg = k.put(b"abc"), k.put(b"defg")
        yield k.call("writev", fd, vector(k, (abc, 3), (0, 0), (defg, 4)), 3), k.call("lseek", fd, 0, 0)
        one, two = k.space(8), k.space(8)
        yield k.call("readv", fd, vector(k, (one, 2), (two, 8)), 2), k.get(one, 3), k.get(two, 6)
        yield k.call("lseek", fd, 0, 0)
        yield k.call("readv", fd, vector(k, (one, 2), (WILD, 2), (two, 2)), 3), k.call("lseek", fd, 0, 1)
        yield k.call("readv", fd, vector(k, (WILD, 2), (two, 2)), 2), k.call("lseek", fd, 0, 1)

    same(script)


def test_vectors_that_are_refused(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = make(k, b"file", b"data")
        one = vector(k, (k.space(8), 8))
        many = vector(k, *[(0, 0)] * 1025)
        for call in ("readv", "writev"):
            yield k.call(call, fd, one, 0), k.call(call, fd, WILD, 0), k.call(call, fd, WILD, 1)
            yield k.call(call, fd, many, 1024), k.call(call, fd, many, 1025), k.call(call, fd, one, -1)
            yield k.call(call, fd, vector(k, (one, 1), (one, (1 << 64) - 1)), 2)

    same(script)


def test_appending(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        make(k, b"file", b"0123456789")
        fd = k.call("openat", HERE, b"file", O.RDWR | O.APPEND, 0)
        yield k.call("lseek", fd, 3, 0), k.call("write", fd, k.put(b"xy"), 2), k.call("lseek", fd, 0, 1)

    same(script)


def new_pipe(k: Any, flags: int = 0) -> tuple[int, int]:
    """Two descriptors."""
    fds = k.space(8)
    assert k.call("pipe2", fds, flags) == 0
    data = k.get(fds, 8)
    return int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")


def test_a_reader_sleeps_until_something_is_written(guest: Any) -> None:
    reader, writer = new_pipe(guest)
    buffer = guest.space(8)
    sleeping = guest.start("read", reader, buffer, 8)
    assert isinstance(sleeping, Suspended)
    assert guest.call("write", writer, guest.put(b"abc"), 3) == 3
    assert sleeping.waiter.is_woken
    assert guest.resume(sleeping) == 3
    assert guest.get(buffer, 4) == b"abc\0"


def test_a_signal_interrupts_a_reader(guest: Any) -> None:
    reader, _ = new_pipe(guest)
    sleeping = guest.start("read", reader, guest.space(8), 8)
    try:
        guest.resume(sleeping, LinuxError(Errno.ERESTARTSYS))
    except LinuxError as error:
        assert error.errno is Errno.ERESTARTSYS  # noqa: PT017 - the only result
    else:
        raise AssertionError


def test_a_broken_pipe_raises_sigpipe(guest: Any) -> None:
    reader, writer = new_pipe(guest)
    assert guest.call("close", reader) == 0
    assert not guest.task.signals.pending.bits
    assert guest.call("write", writer, guest.put(b"abc"), 3) is Errno.EPIPE
    assert guest.task.signals.pending.bits == signal_bit(SIG.PIPE)


def test_nonblocking_ends(same: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        reader, writer = new_pipe(k, O.NONBLOCK)
        buffer = k.space(8)
        yield k.call("read", reader, buffer, 8), k.call("read", reader, buffer, 0)
        yield k.call("write", writer, k.put(b"abc"), 3), k.call("read", reader, WILD, 3)
        yield k.call("read", reader, buffer, 8), k.get(buffer, 3)
        yield k.call("read", writer, buffer, 1), k.call("write", reader, buffer, 1)

    same(script)
