"""utime, utimes, futimesat, utimensat."""

from collections.abc import Callable, Iterator
from struct import pack
from typing import Any

from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import AT, AT_FDCWD, O
from aionoah.abi.stat import UTIME

HERE = AT_FDCWD
WILD = 8


def times_of(k: Any, path: bytes) -> tuple[int, int, int, int]:
    status = k.space(256)
    assert k.call("newfstatat", HERE, path, status, AT.SYMLINK_NOFOLLOW) == 0
    found = k.architecture.stat_struct.unpack(k.get(status, k.architecture.stat_struct.SIZE))
    return found.st_atime, found.st_atime_nsec, found.st_mtime, found.st_mtime_nsec


def pair(k: Any, *words: int) -> int:
    return int(k.put(pack("<qqqq", *words)))


def test_utimensat(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = make(k, b"file")
        k.call("symlinkat", b"file", HERE, b"link")
        yield k.call("utimensat", HERE, b"file", pair(k, 1, 2, 3, 4), 0), times_of(k, b"file")
        yield k.call("utimensat", HERE, b"link", pair(k, 5, 6, 7, 8), AT.SYMLINK_NOFOLLOW)
        yield times_of(k, b"link"), times_of(k, b"file")
        yield k.call("utimensat", fd, None, pair(k, 9, UTIME.OMIT, 10, 11), 0), times_of(k, b"file")
        yield (
            k.call("utimensat", fd, b"", pair(k, 12, 13, 0, UTIME.OMIT), AT.EMPTY_PATH),
            times_of(k, b"file"),
        )
        yield k.call("utimensat", HERE, b"file", pair(k, 0, UTIME.NOW, 5, 5), 0)
        yield times_of(k, b"file")[0] > 1_000_000_000, times_of(k, b"file")[2:]
        yield k.call("utimensat", HERE, b"file", None, 0), times_of(k, b"file")[2] > 1_000_000_000

    same(script)


def test_refused_times(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = make(k, b"file")
        good, bad = pair(k, 1, 2, 3, 4), pair(k, 1, 1_000_000_000, 3, 4)
        omit = pair(k, 0, UTIME.OMIT, 0, UTIME.OMIT)
        for path in (b"file", b"missing", b"", None):
            for dirfd in (HERE, fd, 999):
                for times in (good, bad, omit, WILD):
                    for flags in (0, AT.EMPTY_PATH, 1):
                        yield path, flags, k.call("utimensat", dirfd, path, times, flags)
        yield k.call("utimensat", k.call("openat", HERE, b"file", O.PATH, 0), None, good, 0)

    same(script)


def test_the_older_calls(guest: Any, make: Callable[..., int]) -> None:
    fd = make(guest, b"file")
    assert guest.call("utime", b"file", guest.put(pack("<qq", 100, 200))) == 0
    assert times_of(guest, b"file") == (100, 0, 200, 0)
    assert guest.call("utimes", b"file", pair(guest, 1, 2, 3, 999_999)) == 0
    assert times_of(guest, b"file") == (1, 2000, 3, 999_999_000)
    assert guest.call("futimesat", fd, None, pair(guest, 4, 5, 6, 7)) == 0
    assert times_of(guest, b"file") == (4, 5000, 6, 7000)
    assert guest.call("utimes", b"missing", pair(guest, 1, 1_000_000, 3, 4)) is Errno.EINVAL
    assert guest.call("utime", b"file", WILD) is Errno.EFAULT
    assert guest.call("utime", b"file", None) == 0
    assert times_of(guest, b"file")[0] > 1_000_000_000
