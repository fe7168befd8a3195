"""access and its family."""

from collections.abc import Callable, Iterator
from typing import Any

from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import AT, AT_FDCWD, O

HERE = AT_FDCWD


def populate(k: Any, make: Callable[..., int]) -> None:
    for mode in (0, 0o400, 0o100, 0o644, 0o755):
        make(k, b"%o" % mode)
        k.call("fchmodat", HERE, b"%o" % mode, mode)
    k.call("mkdirat", HERE, b"dir", 0o700)
    k.call("symlinkat", b"nowhere", HERE, b"dangling")


def test_modes(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        populate(k, make)
        for path in (b"0", b"400", b"100", b"644", b"755", b"dir", b"dangling", b"missing", b"", b"644/x"):
            for mode in range(8):
                yield path, mode, k.call("faccessat", HERE, path, mode)
        yield k.call("faccessat", HERE, b"644", 8), k.call("faccessat", 999, b"644", 8)

    same(script)


def test_flags(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        populate(k, make)
        fd = k.call("openat", HERE, b"644", O.PATH, 0)
        for flags in (0, AT.EACCESS, AT.SYMLINK_NOFOLLOW, AT.EMPTY_PATH, 1, AT.SYMLINK_FOLLOW):
            for path in (b"644", b"dangling", b""):
                yield [k.call("faccessat2", dirfd, path, 4, flags) for dirfd in (HERE, fd, 999)]
        yield k.call("faccessat2", k.call("eventfd2", 0, 0), b"", 1, AT.EMPTY_PATH)

    same(script)


def test_another_user(guest: Any, make: Callable[..., int]) -> None:
    populate(guest, make)
    who = guest.task.credentials
    who.euid = who.fsuid = who.uid + 1
    who.effective = 0
    who.egid = who.fsgid = who.gid + 1
    who.groups = ()
    assert guest.call("access", b"/", 4) == 0
    assert guest.call("faccessat2", HERE, b"/", 2, AT.EACCESS) is Errno.EACCES
