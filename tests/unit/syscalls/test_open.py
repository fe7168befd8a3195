"""open, openat, openat2, creat."""

from collections.abc import Callable, Iterator
from struct import pack
from typing import Any

import pytest

from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import AT_FDCWD, RESOLVE, O
from aionoah.abi.stat import S
from aionoah.syscalls.results import Suspended

HERE = AT_FDCWD
WILD = 8


def opened(k: Any, result: int | Errno) -> Errno | None:
    """The error, or None after closing what was opened."""
    if isinstance(result, Errno):
        return result
    k.call("close", result)
    return None


def populate(k: Any, make: Callable[..., int]) -> None:
    k.call("close", make(k, b"file", b"data"))
    k.call("mkdirat", HERE, b"dir", 0o755)
    k.call("symlinkat", b"file", HERE, b"link")
    k.call("symlinkat", b"loop", HERE, b"loop")
    k.call("symlinkat", b"nowhere", HERE, b"dangling")


PATHS = (b"file", b"dir", b"link", b"loop", b"dangling", b"missing", b"", b".", b"file/", b"dir/", b"file/x")


@pytest.mark.parametrize(
    "flags",
    [
        O.RDONLY,
        O.WRONLY,
        O.RDONLY | O.DIRECTORY,
        O.RDONLY | O.NOFOLLOW,
        O.PATH,
        O.PATH | O.NOFOLLOW,
        O.RDWR | O.CREAT | O.EXCL,
        O.RDONLY | O.CREAT,
        O.RDONLY | O.TRUNC,
        O.RDONLY | O.CREAT | O.DIRECTORY,
    ],
)
def test_every_kind_of_path(same: Any, make: Callable[..., int], flags: int) -> None:
    def script(k: Any) -> Iterator[Any]:
        populate(k, make)
        for path in PATHS:
            yield path, opened(k, k.call("openat", HERE, path, flags, 0o644))

    same(script)


def test_directory_descriptors(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        populate(k, make)
        directory = k.call("openat", HERE, b"dir", O.PATH, 0)
        file = k.call("openat", HERE, b"file", O.RDONLY, 0)
        for dirfd in (directory, file, 999, -1):
            for path in (b"new", b"", b"../file", b"/"):
                yield opened(k, k.call("openat", dirfd, path, O.RDONLY, 0))
        yield opened(k, k.call("openat", directory, b"new", O.CREAT | O.RDWR, 0o600))
        yield opened(k, k.call("openat", HERE, b"dir/new", O.RDONLY, 0))
        yield k.call("openat", HERE, WILD, 0, 0), k.call("openat", HERE, None, 0, 0)
        yield k.call("openat", HERE, b"x" * 255, 0, 0), k.call("openat", HERE, b"x" * 256, 0, 0)
        yield k.call("openat", HERE, b"x/" * 2047, 0, 0), k.call("openat", HERE, b"x/" * 2048, 0, 0)

    same(script)


def test_the_older_calls(guest: Any) -> None:
    fd = guest.call("open", b"file", O.CREAT | O.RDWR, 0o640)
    assert fd == 0
    assert guest.call("creat", b"file", 0o600) == 1
    assert guest.call("write", 1, guest.put(b"x"), 1) == 1
    assert guest.call("read", 1, guest.space(1), 1) is Errno.EBADF


def test_modes_and_umask(same: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        status = k.space(256)
        for umask, mode in ((0o022, 0o777), (0o077, 0o666), (0, 0o107777), (0o777, 0o777)):
            k.call("umask", umask)
            name = b"file-%o" % mode
            yield opened(k, k.call("openat", HERE, name, O.CREAT | O.WRONLY, mode))
            yield k.call("statx", HERE, name, 0, 2, status), k.get(status + 28, 2)
        yield k.call("umask", 0o22)

    same(script)


def how(k: Any, flags: int = 0, mode: int = 0, resolve: int = 0, more: bytes = b"") -> int:
    return int(k.put(pack("<QQQ", flags, mode, resolve) + more))


def test_what_openat2_refuses(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        populate(k, make)
        for flags, mode, resolve in (
            (O.RDONLY, 0, 0),
            (O.RDONLY, 0o644, 0),
            (O.CREAT | O.RDWR, 0o644, 0),
            (O.CREAT | O.RDWR, 0o200000, 0),
            (1 << 40, 0, 0),
            (1 << 26, 0, 0),
            (O.PATH | O.RDWR, 0, 0),
            (O.PATH | O.NOFOLLOW | O.CLOEXEC, 0, 0),
            (O.RDONLY, 0, 1 << 40),
            (O.RDONLY, 0, RESOLVE.BENEATH | RESOLVE.IN_ROOT),
        ):
            yield opened(k, k.call("openat2", HERE, b"file", how(k, flags, mode, resolve), 24))
        for size in (0, 8, 23, 25, 32, 4096, 4097):
            yield opened(k, k.call("openat2", HERE, b"file", how(k, more=bytes(4096)), size))
        yield k.call("openat2", HERE, b"file", how(k, more=b"\0\1" + bytes(30)), 32)
        yield k.call("openat2", HERE, b"file", WILD, 24), k.call("openat2", HERE, b"file", k.edge - 8, 24)

    same(script)


def test_restricted_walks(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        populate(k, make)
        k.call("symlinkat", b"/etc", HERE, b"absolute")
        k.call("symlinkat", b"../file", HERE, b"dir/up")
        for resolve in (RESOLVE.BENEATH, RESOLVE.IN_ROOT, RESOLVE.NO_SYMLINKS, RESOLVE.NO_XDEV):
            for path in (b"file", b"link", b"absolute", b"dir/..", b"dir/../..", b"dir/up", b"/file"):
                if (resolve, path) != (RESOLVE.NO_XDEV, b"absolute"):  # depends on the mounts
                    yield path, opened(k, k.call("openat2", HERE, path, how(k, resolve=resolve), 24))

    same(script)


def test_a_cached_walk_is_always_refused(guest: Any, make: Callable[..., int]) -> None:
    make(guest, b"file")
    assert guest.call("openat2", HERE, b"file", how(guest, resolve=RESOLVE.CACHED), 24) is Errno.EAGAIN


def test_a_failed_open_takes_no_descriptor(guest: Any) -> None:
    assert guest.call("openat", HERE, b"missing", O.RDONLY, 0) is Errno.ENOENT
    assert guest.call("openat", HERE, b"file", O.RDWR | O.CREAT | O.CLOEXEC, 0o644) == 0
    assert guest.task.files.is_close_on_exec(0)


def test_opening_a_fifo_waits_for_the_other_side(guest: Any) -> None:
    assert guest.call("mknodat", HERE, b"fifo", S.IFIFO | 0o600, 0) == 0
    assert guest.call("openat", HERE, b"fifo", O.WRONLY | O.NONBLOCK, 0) is Errno.ENXIO
    sleeping = guest.start("openat", HERE, b"fifo", O.RDONLY, 0)
    assert isinstance(sleeping, Suspended)
    assert guest.call("openat", HERE, b"fifo", O.WRONLY, 0) == 1  # 0 is reserved by the sleeper
    assert sleeping.waiter.is_woken
    assert guest.resume(sleeping) == 0


def test_no_descriptor_is_left_for_a_file_limit_of_zero(guest: Any, make: Callable[..., int]) -> None:
    make(guest, b"file")
    guest.task.files._limit = lambda: 1
    assert guest.call("openat", HERE, b"file", O.RDONLY, 0) is Errno.EMFILE
    assert guest.call("openat", HERE, b"missing", O.RDONLY, 0) is Errno.EMFILE
