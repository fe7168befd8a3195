"""chmod and chown."""

import os
from collections.abc import Callable, Iterator
from typing import Any

from aionoah.abi.capability import CAP_FULL_SET
from aionoah.abi.fcntl import AT, AT_FDCWD, O

HERE = AT_FDCWD
WILD = 8
UNCHANGED = -1


def populate(k: Any, make: Callable[..., int]) -> int:
    fd = make(k, b"file", b"data")
    k.call("symlinkat", b"file", HERE, b"link")
    k.call("symlinkat", b"nowhere", HERE, b"dangling")
    k.call("mkdirat", HERE, b"dir", 0o755)
    return fd


def owner_and_mode(k: Any, path: bytes) -> tuple[int, int, int]:
    status = k.space(256)
    assert k.call("newfstatat", HERE, path, status, AT.SYMLINK_NOFOLLOW) == 0
    found = k.architecture.stat_struct.unpack(k.get(status, k.architecture.stat_struct.SIZE))
    return found.st_uid, found.st_gid, found.st_mode


def test_chmod(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = populate(k, make)
        for path, mode in ((b"file", 0o600), (b"link", 0o177755), (b"dir", 0o1777), (b".", 0o700)):
            yield k.call("fchmodat", HERE, path, mode), owner_and_mode(k, path)
        yield k.call("fchmod", fd, 0o4711), owner_and_mode(k, b"file")
        for path in (b"dangling", b"missing", b"", b"file/", WILD):
            yield path, k.call("fchmodat", HERE, path, 0o644)
        yield k.call("fchmod", 999, 0), k.call("fchmodat", 999, b"file", 0)
        yield k.call("fchmod", k.call("openat", HERE, b"file", O.PATH, 0), 0)

    same(script)


def test_chmod_flags(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = populate(k, make)
        yield k.call("fchmodat2", fd, b"", 0o640, AT.EMPTY_PATH), owner_and_mode(k, b"file")
        yield k.call("fchmodat2", fd, b"", 0o640, 0), k.call("fchmodat2", HERE, b"file", 0o640, 1)
        yield k.call("fchmodat2", HERE, b"file", 0o600, AT.SYMLINK_NOFOLLOW), owner_and_mode(k, b"file")

    same(script)


def test_chown(same: Any, make: Callable[..., int]) -> None:
    uid, gid = os.geteuid(), os.getegid()

    def script(k: Any) -> Iterator[Any]:
        fd = populate(k, make)
        for path in (b"file", b"link", b"dir", b"dangling", b"missing", b"", b"file/", WILD):
            for flags in (0, AT.SYMLINK_NOFOLLOW, AT.EMPTY_PATH, *([] if path == WILD else [1])):
                yield path, k.call("fchownat", HERE, path, uid, gid, flags)
                yield k.call("fchownat", HERE, path, UNCHANGED, UNCHANGED, flags)
        yield k.call("fchown", fd, uid, UNCHANGED), k.call("fchown", 999, uid, gid)
        yield k.call("fchownat", fd, b"", uid, gid, AT.EMPTY_PATH), k.call("fchownat", fd, b"", uid, gid, 0)
        yield k.call("fchown", k.call("openat", HERE, b"file", O.PATH, 0), uid, gid)

    same(script)


def test_chown_takes_set_id_bits(same: Any, make: Callable[..., int]) -> None:
    uid, gid = os.geteuid(), os.getegid()

    def script(k: Any) -> Iterator[Any]:
        populate(k, make)
        for path in (b"file", b"dir"):
            for mode in (0o6755, 0o6744, 0o2710):
                k.call("fchmodat", HERE, path, mode)
                yield k.call("fchownat", HERE, path, uid, gid, 0), owner_and_mode(k, path)

    same(script)


def test_other_owners(guest: Any, make: Callable[..., int]) -> None:
    populate(guest, make)
    guest.task.credentials.fsuid, guest.task.credentials.effective = 0, CAP_FULL_SET
    assert guest.call("chown", b"link", 12, 34) == 0
    assert owner_and_mode(guest, b"file")[:2] == (12, 34)
    assert guest.call("lchown", b"link", 56, UNCHANGED) == 0
    assert owner_and_mode(guest, b"link")[0] == 56
    assert guest.call("chmod", b"file", 0o604) == 0
    assert owner_and_mode(guest, b"file") == (12, 34, 0o100604)
