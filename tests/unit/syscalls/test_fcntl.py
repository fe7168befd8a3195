"""fcntl, but for locks."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aionoah.abi.aarch64 import AARCH64
from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import AT_FDCWD, FD, F, O

HERE = AT_FDCWD


def test_duplicating(guest: Any, make: Callable[..., int]) -> None:
    fd = make(guest, b"file")
    assert guest.call("fcntl", fd, F.DUPFD, 10) == 10
    assert guest.call("fcntl", fd, F.DUPFD_CLOEXEC, 10) == 11
    assert guest.call("fcntl", 10, F.GETFD, 0) == 0
    assert guest.call("fcntl", 11, F.GETFD, 0) == FD.CLOEXEC
    assert guest.call("fcntl", fd, F.DUPFD_QUERY, 10) == 1
    other = guest.call("openat", HERE, b"file", O.RDONLY, 0)
    assert guest.call("fcntl", fd, F.DUPFD_QUERY, other) == 0


def test_refused_duplicates(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = make(k, b"file")
        for command in (F.DUPFD, F.DUPFD_CLOEXEC):
            yield k.call("fcntl", fd, command, -1), k.call("fcntl", fd, command, 1 << 30)
            yield k.call("fcntl", 999, command, 0)

    same(script)


def test_descriptor_flags(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = make(k, b"file")
        yield k.call("fcntl", fd, F.GETFD, 0)
        for flags in (1, 0xFE, 0xFF, 0):
            yield k.call("fcntl", fd, F.SETFD, flags), k.call("fcntl", fd, F.GETFD, 0)
        yield k.call("fcntl", 999, F.GETFD, 0), k.call("fcntl", -1, F.SETFD, 0)

    same(script)


@pytest.mark.parametrize("flags", [O.RDONLY, O.WRONLY | O.APPEND, O.RDWR | O.NONBLOCK | O.CLOEXEC, O.PATH])
def test_status_flags(same: Any, make: Callable[..., int], flags: int) -> None:
    def script(k: Any) -> Iterator[Any]:
        make(k, b"file")
        fd = k.call("openat", HERE, b"file", flags, 0)
        yield k.call("fcntl", fd, F.GETFL, 0)
        for new in (O.NONBLOCK | O.RDWR | O.CREAT, O.APPEND | O.EXCL | O.CLOEXEC, O.NOATIME, 0):
            yield k.call("fcntl", fd, F.SETFL, new), k.call("fcntl", fd, F.GETFL, 0)

    same(script)


def test_status_flags_of_other_files(same: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        fds = k.space(8)
        k.call("pipe2", fds, O.NONBLOCK)
        data = k.get(fds, 8)
        for fd in (int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")):
            yield k.call("fcntl", fd, F.GETFL, 0)
        yield k.call("fcntl", k.call("eventfd2", 0, 0), F.GETFL, 0)
        yield k.call("fcntl", k.call("openat", HERE, b".", O.DIRECTORY, 0), F.GETFL, 0)

    same(script)


def test_direct_transfers_are_for_what_has_a_cache(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        pair = k.space(8)
        k.call("pipe2", pair, 0)
        pipe = int.from_bytes(k.get(pair, 8)[:4], "little")
        memory = k.call("memfd_create", b"memory", 0)
        directory = k.call("openat", HERE, b".", O.DIRECTORY, 0)
        for fd in (make(k, b"file"), pipe, memory, directory, k.call("eventfd2", 0, 0)):
            yield k.call("fcntl", fd, F.SETFL, O.DIRECT), k.call("fcntl", fd, F.NOTIFY, 0)

    same(script)


def test_status_flags_in_the_numbers_of_the_guest(guest: Any, make: Callable[..., int]) -> None:
    make(guest, b"file")
    fd = guest.call("openat", HERE, b".", O.DIRECTORY, 0)
    assert guest.call("fcntl", fd, F.GETFL, 0) == O.DIRECTORY | O.LARGEFILE
    guest.task.architecture = AARCH64
    assert guest.call("fcntl", fd, F.GETFL, 0) == AARCH64.guest_open_flags(O.DIRECTORY | O.LARGEFILE)
    assert AARCH64.guest_open_flags(O.DIRECTORY) != O.DIRECTORY


def test_somebody_elses_access_time(guest: Any, make: Callable[..., int]) -> None:
    fd = make(guest, b"file")
    who = guest.task.credentials
    who.fsuid, who.effective = 4711, 0
    assert guest.call("fcntl", fd, F.SETFL, O.NOATIME) is Errno.EPERM


def test_what_a_path_descriptor_can_do(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        make(k, b"file")
        fd = k.call("openat", HERE, b"file", O.PATH, 0)
        for command in (F.SETFL, F.GETLK, F.GETOWN, F.GETPIPE_SZ, F.GET_SEALS, 9999):
            yield command, k.call("fcntl", fd, command, 0)
        yield k.call("fcntl", fd, F.GETFD, 0), k.call("fcntl", fd, F.SETFD, 1)

    same(script)


def test_pipe_sizes(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fds = k.space(8)
        k.call("pipe2", fds, 0)
        reader = int.from_bytes(k.get(fds, 4), "little")
        yield k.call("fcntl", reader, F.GETPIPE_SZ, 0)
        for size in (1, 4096, 4097, 100000, 0):
            yield k.call("fcntl", reader, F.SETPIPE_SZ, size), k.call("fcntl", reader, F.GETPIPE_SZ, 0)
        yield k.call("fcntl", make(k, b"file"), F.GETPIPE_SZ, 0)

    same(script)


def test_what_is_not_there(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = make(k, b"file")
        yield k.call("fcntl", fd, 9999, 0), k.call("fcntl", 999, 9999, 0), k.call("fcntl", fd, -1, 0)
        yield (
            k.call("fcntl", fd, F.GETOWN, 0),
            k.call("fcntl", fd, F.GETSIG, 0),
            k.call("fcntl", fd, F.GETLEASE, 0),
        )

    same(script)
