"""mkdir, mknod, getdents, chdir, chroot, umask."""

from collections.abc import Callable, Iterator
from struct import unpack_from
from typing import Any

import pytest

from aionoah.abi.capability import CAP_FULL_SET
from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import AT, AT_FDCWD, O
from aionoah.abi.stat import S

HERE = AT_FDCWD
WILD = 8


def mode_of(k: Any, path: bytes) -> int:
    status = k.space(256)
    assert k.call("newfstatat", HERE, path, status, AT.SYMLINK_NOFOLLOW) == 0
    return int(k.architecture.stat_struct.unpack(k.get(status, 128 + 16)).st_mode)


def test_making_directories(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        make(k, b"file")
        k.call("symlinkat", b"nowhere", HERE, b"dangling")
        for path, mode in ((b"a", 0o777), (b"a/b/", 0o7777), (b"c", 0o100700)):
            yield k.call("mkdirat", HERE, path, mode), mode_of(k, path)
        for path in (
            b"a",
            b"file",
            b"dangling",
            b"",
            b".",
            b"..",
            b"/",
            b"x/y",
            b"file/x",
            b"a/.",
            b"n" * 256,
        ):
            yield path, k.call("mkdirat", HERE, path, 0o755)
        yield (
            k.call("mkdirat", 999, b"x", 0),
            k.call("mkdirat", 999, b"/", 0),
            k.call("mkdirat", HERE, WILD, 0),
        )

    same(script)


def test_making_nodes(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        make(k, b"file")
        for path, mode in (
            (b"r", S.IFREG | 0o666),
            (b"z", 0o640),
            (b"p", S.IFIFO | 0o777),
            (b"s", S.IFSOCK | 0o600),
        ):
            yield k.call("mknodat", HERE, path, mode, 0), mode_of(k, path)
        for mode in (S.IFDIR, S.IFLNK, S.IFMT, 0o030000):
            yield k.call("mknodat", HERE, b"x", mode | 0o644, 0)
        for path in (b"file", b"", b"x/", b"missing/x"):
            yield path, k.call("mknodat", HERE, path, S.IFIFO | 0o644, 0)
        yield k.call("mknodat", 999, b"x", S.IFIFO, 0)
        yield k.call("mknodat", 999, b"x", S.IFDIR, 0), k.call("mknodat", 999, b"x", S.IFLNK, 0)

    same(script)


def test_device_numbers(guest: Any) -> None:
    guest.task.fs.credentials.fsuid, guest.task.fs.credentials.effective = 0, CAP_FULL_SET
    device = 0x12345 & 0xFF | 0x12345 >> 8 << 20 | 0xABC << 8
    assert guest.call("mknod", b"node", S.IFCHR | 0o600, device) == 0
    buffer = guest.space(256)
    assert guest.call("statx", HERE, b"node", 0, 0x7FF, buffer) == 0
    assert unpack_from("<II", guest.get(buffer, 256), 0x80) == (0xABC, 0x12345)


def entries(k: Any, fd: int, size: int) -> tuple[list[tuple[bytes, int]], list[int | Errno]]:
    """Names and types in order of name, and what each call returned, up to the one that ended it."""
    buffer, found, results = k.space(size), [], []
    while True:
        result = k.call("getdents64", fd, buffer, size)
        results.append(result)
        if isinstance(result, Errno) or result == 0:
            return sorted(found), results
        data, at = k.get(buffer, result), 0
        while at < result:
            length, kind = unpack_from("<HB", data, at + 16)
            found.append((data[at + 19 : at + length].split(b"\0")[0], kind))
            at += length


@pytest.mark.parametrize("size", [24, 48, 100, 4096])
def test_listing(same: Any, make: Callable[..., int], size: int) -> None:
    def script(k: Any) -> Iterator[Any]:
        k.call("mkdirat", HERE, b"dir", 0o755)
        for name in (b"a", b"bb", b"ccc"):
            k.call("close", make(k, b"dir/" + name))
        k.call("symlinkat", b"x", HERE, b"dir/link")
        k.call("mkdirat", HERE, b"dir/sub", 0o755)
        fd = k.call("openat", HERE, b"dir", O.RDONLY, 0)
        found, results = entries(k, fd, size)
        yield found, len(results), results[-1]
        yield k.call("lseek", fd, 0, 0), entries(k, fd, 4096)[0] == found

    same(script)


def test_refused_listing(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        file = make(k, b"file")
        fd = k.call("openat", HERE, b".", O.RDONLY, 0)
        path = k.call("openat", HERE, b".", O.PATH, 0)
        buffer = k.space(64)
        yield [k.call("getdents64", which, buffer, 64) for which in (file, path, 999)]
        yield k.call("getdents64", fd, buffer, 0), k.call("getdents64", fd, buffer, 23)
        yield k.call("getdents64", fd, WILD, 4096), k.call("getdents64", fd, buffer, 24)

    same(script)


def test_an_address_that_is_refused_loses_nothing(guest: Any, make: Callable[..., int]) -> None:
    make(guest, b"file")
    fd = guest.call("openat", HERE, b".", O.RDONLY, 0)
    assert guest.call("getdents64", fd, WILD, 4096) is Errno.EFAULT
    assert [name for name, _ in entries(guest, fd, 4096)[0]] == [b".", b"..", b"file"]


def test_the_older_listing_has_the_type_last(guest: Any, make: Callable[..., int]) -> None:
    make(guest, b"name")
    fd = guest.call("openat", HERE, b".", O.RDONLY, 0)
    buffer = guest.space(256)
    size = guest.call("getdents", fd, buffer, 256)
    data = guest.get(buffer, size)
    records, at = {}, 0
    while at < size:
        (length,) = unpack_from("<H", data, at + 16)
        record = data[at : at + length]
        records[record[18:].split(b"\0")[0]] = record[-1]
        at += length
    assert records == {b".": 4, b"..": 4, b"name": 8}


def test_a_removed_directory_is_empty(same: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        k.call("mkdirat", HERE, b"dir", 0o755)
        fd = k.call("openat", HERE, b"dir", O.RDONLY, 0)
        yield k.call("unlinkat", HERE, b"dir", AT.REMOVEDIR), entries(k, fd, 256)
        yield k.call("openat", fd, b"x", O.CREAT | O.RDWR, 0o644), k.call("mkdirat", fd, b"x", 0)

    same(script)


def test_the_working_directory(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        make(k, b"file")
        k.call("mkdirat", HERE, b"dir", 0o755)
        home = k.call("openat", HERE, b".", O.PATH, 0)
        buffer = k.space(4096)
        for path in (b"missing", b"file", b"", b"dir/x", WILD, b"dir"):
            yield k.call("chdir", path)
        length = k.call("getcwd", buffer, 4096)
        yield k.get(buffer, length).endswith(b"/home/dir\0")
        yield [k.call("getcwd", buffer, size) for size in (0, 1, length - 1)], k.call("getcwd", WILD, 4096)
        yield k.call("unlinkat", home, b"dir", AT.REMOVEDIR), k.call("getcwd", buffer, 4096)
        yield k.call("fchdir", 999), k.call("fchdir", AT_FDCWD), k.call("fchdir", k.call("eventfd2", 0, 0))
        yield k.call("fchdir", home), k.call("chdir", b"."), k.call("getcwd", buffer, 4096) == length - 4

    same(script)


def test_a_new_root(guest: Any) -> None:
    guest.task.credentials.effective = (1 << 40) - 1
    guest.call("mkdir", b"jail", 0o755)
    assert guest.call("chroot", b"missing") is Errno.ENOENT
    assert guest.call("chroot", b"jail") == 0
    assert guest.call("chdir", b"/") == 0
    buffer = guest.space(8)
    assert guest.call("getcwd", buffer, 8) == 2
    assert guest.get(buffer, 2) == b"/\0"
    assert guest.call("openat", HERE, b"../home", O.RDONLY, 0) is Errno.ENOENT


def test_a_new_root_is_a_privilege(guest: Any) -> None:
    guest.task.credentials.effective = 0
    assert guest.call("chroot", b".") is Errno.EPERM


def test_umask(guest: Any) -> None:
    assert guest.call("umask", 0o1027) == 0o022
    assert guest.call("umask", 0) == 0o027
