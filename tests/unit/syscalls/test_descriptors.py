"""close, dup, pipe, eventfd."""

from collections.abc import Callable, Iterator
from typing import Any

from aionoah.abi.close_range import CLOSE_RANGE
from aionoah.abi.errno import Errno
from aionoah.abi.eventfd import EFD
from aionoah.abi.fcntl import FD, F, O

WILD = 8


def test_closing(guest: Any, make: Callable[..., int]) -> None:
    fd = make(guest, b"file")
    assert guest.call("close", fd) == 0
    assert guest.call("close", fd) is Errno.EBADF
    assert guest.call("close", -1) is Errno.EBADF


def test_duplicates_share_the_position(guest: Any, make: Callable[..., int]) -> None:
    fd = make(guest, b"file", b"data")
    copy = guest.call("dup", fd)
    assert (fd, copy) == (0, 1)
    assert guest.call("lseek", copy, 1, 0) == 1
    assert guest.call("lseek", fd, 0, 1) == 1
    assert guest.call("dup2", fd, 7) == 7
    assert guest.call("dup3", fd, 8, O.CLOEXEC) == 8
    assert guest.call("fcntl", 8, F.GETFD, 0) == FD.CLOEXEC
    assert guest.call("fcntl", 7, F.GETFD, 0) == 0


def test_refused_duplicates(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = make(k, b"file")
        yield k.call("dup", 999), k.call("dup", -1)
        yield k.call("dup2", 999, 999), k.call("dup2", fd, -1), k.call("dup2", fd, 1 << 30)
        yield k.call("dup3", fd, fd, 0), k.call("dup3", 999, 999, 0), k.call("dup3", fd, fd, O.APPEND)
        yield k.call("dup3", 999, fd, 0), k.call("dup3", fd, 1 << 30, 0)

    same(script)


def test_closing_a_range(guest: Any, make: Callable[..., int]) -> None:
    fd = make(guest, b"file")
    for new in (3, 4, 5, 6):
        guest.call("dup2", fd, new)
    assert guest.call("close_range", 4, 5, 0) == 0
    assert list(guest.task.files) == [0, 3, 6]
    assert guest.call("close_range", 6, 0xFFFF_FFFF, CLOSE_RANGE.CLOEXEC) == 0
    assert guest.task.files.is_close_on_exec(6)
    assert guest.call("close_range", 5, 4, 0) is Errno.EINVAL
    assert guest.call("close_range", 4, 5, 1) is Errno.EINVAL


def test_closing_a_range_of_a_table_of_ones_own(guest: Any, make: Callable[..., int]) -> None:
    make(guest, b"file")
    shared = guest.task.files.share()
    assert guest.call("close_range", 0, 10, CLOSE_RANGE.UNSHARE) == 0
    assert guest.task.files is not shared
    assert list(guest.task.files) == []
    assert list(shared) == [0]
    shared.leave()


def pair(k: Any, address: int) -> tuple[int, int]:
    data = k.get(address, 8)
    return int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")


def test_pipes(guest: Any) -> None:
    fds = guest.space(8)
    assert guest.call("pipe", fds) == 0
    assert pair(guest, fds) == (0, 1)
    assert guest.call("pipe2", fds, O.CLOEXEC | O.NONBLOCK) == 0
    assert pair(guest, fds) == (2, 3)
    assert guest.task.files.is_close_on_exec(2)
    assert not guest.task.files.is_close_on_exec(0)
    assert guest.call("read", 2, guest.space(1), 1) is Errno.EAGAIN


def test_a_pipe_that_cannot_be_told_is_not_made(guest: Any) -> None:
    assert guest.call("pipe2", WILD, 0) is Errno.EFAULT
    assert guest.call("pipe2", WILD, O.APPEND) is Errno.EINVAL
    assert list(guest.task.files) == []
    guest.task.files._limit = lambda: 1
    fds = guest.put(b"untouched")
    assert guest.call("pipe2", fds, 0) is Errno.EMFILE
    assert guest.get(fds, 9) == b"untouched"
    assert guest.call("eventfd2", 0, 0) == 0


def test_eventfd(same: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        buffer = k.space(16)
        for flags in (EFD.NONBLOCK, EFD.NONBLOCK | EFD.SEMAPHORE):
            fd = k.call("eventfd2", 2, flags)
            yield k.call("read", fd, buffer, 8), k.get(buffer, 8), k.call("read", fd, buffer, 16)
            yield k.call("read", fd, buffer, 8), k.call("read", fd, buffer, 7), k.call("write", fd, buffer, 7)
            yield k.call("write", fd, k.put(bytes([5] + [0] * 7)), 8), k.call("read", fd, buffer, 8)
            yield k.get(buffer, 8)
            yield k.call("write", fd, k.put(b"\xff" * 8), 8)
            yield k.call("write", fd, k.put(b"\xfe" + b"\xff" * 7), 8)
            yield k.call("write", fd, k.put(b"\xfe" + b"\xff" * 7), 8), k.call("write", fd, WILD, 8)
            yield k.call("lseek", fd, 5, 0), k.call("fsync", fd), k.call("ftruncate", fd, 0)
        yield k.call("eventfd2", 0, 1 << 3), k.call("eventfd2", 0, 2)

    same(script)


def test_the_older_eventfd(guest: Any) -> None:
    fd = guest.call("eventfd", 7)
    buffer = guest.space(8)
    assert guest.call("read", fd, buffer, 8) == 8
    assert guest.get(buffer, 8) == bytes([7] + [0] * 7)
