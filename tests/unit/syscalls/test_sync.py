"""truncate, fallocate, fsync and advice."""

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aionoah.abi.fcntl import AT_FDCWD, FADV, FALLOC, SYNC, O
from aionoah.host.waiting import kernel_lock

HERE = AT_FDCWD
WILD = 8
BIG = (1 << 63) - 1


def every_kind(k: Any, make: Callable[..., int]) -> list[int]:
    """Descriptors of files of all kinds."""
    make(k, b"file", b"0123456789")
    fds = [k.call("openat", HERE, b"file", flags, 0) for flags in (O.RDWR, O.RDONLY, O.WRONLY, O.PATH)]
    fds.append(k.call("openat", HERE, b".", O.RDONLY, 0))
    pair = k.space(8)
    k.call("pipe2", pair, 0)
    fds += [int.from_bytes(k.get(pair + at, 4), "little") for at in (0, 4)]
    return [*fds, k.call("eventfd2", 1, 0), 999]


def size_of(k: Any, fd: int) -> int:
    return int(k.call("lseek", fd, 0, 2))


def test_truncate(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fds = every_kind(k, make)
        for length in (20, 5, 0, -1):
            for fd in fds:
                yield k.call("ftruncate", fd, length)
            yield size_of(k, fds[0])
        k.call("mkdirat", HERE, b"dir", 0o755)
        k.call("symlinkat", b"file", HERE, b"link")
        for path in (b"file", b"link", b"dir", b"missing", b"", b"file/", WILD):
            yield path, k.call("truncate", path, 7), size_of(k, fds[0])
        yield k.call("truncate", b"missing", -1), k.call("truncate", b"file", -1)

    same(script)


def test_a_longer_file_has_zeros(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd, buffer = make(k, b"file", b"0123456789"), k.space(16)
        yield k.call("ftruncate", fd, 4), k.call("ftruncate", fd, 8)
        yield k.call("pread64", fd, buffer, 16, 0), k.get(buffer, 8)

    same(script)


def test_fallocate(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fds = every_kind(k, make)
        for fd in fds:
            for mode, offset, length in (
                *((0, -1, 1), (0, 0, 0), (0, 0, -1), (1 << 20, 0, 1), (0, BIG, 1), (0, 1, BIG)),
                *((FALLOC.PUNCH_HOLE, 0, 1), (FALLOC.KEEP_SIZE, 0, 1), (0, 0, 5)),
            ):
                yield mode, offset, length, k.call("fallocate", fd, mode, offset, length)
        yield k.call("fallocate", fds[0], 0, 0, 100), size_of(k, fds[0])
        yield k.call("fallocate", fds[0], FALLOC.KEEP_SIZE, 100, 100), size_of(k, fds[0])
        hole = FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE
        buffer = k.space(16)
        yield (
            k.call("fallocate", fds[0], hole, 2, 3),
            k.call("pread64", fds[0], buffer, 10, 0),
            k.get(buffer, 10),
        )

    same(script)


def test_flushing(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        for fd in every_kind(k, make):
            yield k.call("fsync", fd), k.call("fdatasync", fd), k.call("syncfs", fd)
            for offset, length, flags in ((0, 0, 0), (-1, 0, 0), (0, -1, 0), (1, BIG, 0), (0, 0, 8)):
                yield k.call("sync_file_range", fd, offset, length, flags)
            yield k.call("sync_file_range", fd, 0, 4, SYNC.WAIT_BEFORE | SYNC.WRITE | SYNC.WAIT_AFTER)

    same(script)


def test_everything(guest: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host does it, on another thread."""
    threads, woken = [], threading.Event()
    monkeypatch.setattr(os, "sync", lambda: threads.append(threading.get_ident()))
    with kernel_lock:
        sleeping = guest.start("sync")
        sleeping.waiter.on_wake = woken.set
    assert woken.wait(200)
    assert guest.resume(sleeping) == 0
    assert threads != [threading.get_ident()]
    assert len(threads) == 1


def test_advice(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        for fd in every_kind(k, make):
            for length, advice in ((0, FADV.NORMAL), (-1, 0), (10, FADV.WILLNEED), (0, 6), (0, -1)):
                yield k.call("fadvise64", fd, 0, length, advice)
            yield k.call("readahead", fd, 0, 4096)

    same(script)
