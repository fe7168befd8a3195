"""Extended attributes."""

from collections.abc import Callable, Iterator
from typing import Any

from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import AT_FDCWD, O
from aionoah.abi.stat import S
from aionoah.abi.xattr import XATTR

HERE = AT_FDCWD
WILD = 8


def populate(k: Any, make: Callable[..., int]) -> int:
    fd = make(k, b"file")
    k.call("symlinkat", b"file", HERE, b"link")
    k.call("mkdirat", HERE, b"dir", 0o755)
    k.call("mknodat", HERE, b"fifo", S.IFIFO | 0o644, 0)
    return fd


def test_set_get_list_remove(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd, value, buffer = populate(k, make), k.put(b"value"), k.space(64)
        yield k.call("setxattr", b"file", b"user.one", value, 5, 0)
        yield k.call("setxattr", b"link", b"user.two", value, 0, XATTR.CREATE)
        yield k.call("fsetxattr", fd, b"user.one", value, 3, XATTR.CREATE)
        yield k.call("fsetxattr", fd, b"user.one", value, 3, XATTR.REPLACE)
        yield k.call("setxattr", b"file", b"user.three", value, 3, XATTR.REPLACE)
        for size in (0, 2, 3, 64):
            yield k.call("getxattr", b"file", b"user.one", buffer, size), k.get(buffer, 4)
            yield k.call("fgetxattr", fd, b"user.two", buffer, size)
        yield k.call("getxattr", b"file", b"user.three", buffer, 64)
        size = k.call("listxattr", b"file", buffer, 64)
        yield sorted(k.get(buffer, size).split(b"\0")), k.call("flistxattr", fd, buffer, 0)
        yield k.call("llistxattr", b"link", buffer, 64), k.call("listxattr", b"link", buffer, 3)
        yield k.call("removexattr", b"file", b"user.one"), k.call("fremovexattr", fd, b"user.one")
        yield k.call("removexattr", b"link", b"user.two"), k.call("listxattr", b"file", buffer, 64)

    same(script)


def test_where_user_attributes_may_be(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        populate(k, make)
        value, buffer = k.put(b"value"), k.space(64)
        for path in (b"dir", b"fifo", b"link", b"missing", b""):
            for call in ("setxattr", "lsetxattr"):
                yield path, k.call(call, path, b"user.x", value, 5, 0)
            for call in ("getxattr", "lgetxattr"):
                yield path, k.call(call, path, b"user.x", buffer, 64)
            yield path, k.call("lremovexattr", path, b"user.x")

    same(script)


def test_refused_arguments(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd, value = populate(k, make), k.put(b"value")
        for name in (
            b"",
            b"user.",
            b"user." + b"x" * 250,
            b"user." + b"x" * 251,
            b"noprefix",
            b"no.such",
            WILD,
        ):
            yield name, k.call("setxattr", b"file", name, value, 5, 0)
            yield name, k.call("getxattr", b"file", name, value, 5), k.call("removexattr", b"file", name)
        yield k.call("setxattr", b"file", b"user.x", value, 65537, 0)
        yield (
            k.call("setxattr", b"file", b"user.x", value, 5, 4),
            k.call("setxattr", b"file", b"user.x", value, 5, 3),
        )
        yield (
            k.call("setxattr", b"file", b"user.x", WILD, 5, 0),
            k.call("fgetxattr", 999, b"user.x", value, 5),
        )
        yield (
            k.call("setxattr", b"file", b"user.x", value, 5, 0),
            k.call("getxattr", b"file", b"user.x", WILD, 9),
        )
        yield k.call("listxattr", b"file", WILD, 64), k.call("flistxattr", 999, WILD, 64)
        path = k.call("openat", HERE, b"file", O.PATH, 0)
        yield k.call("fgetxattr", path, b"user.x", value, 5), k.call("fremovexattr", fd, b"user.y")

    same(script)


def test_what_is_given_is_looked_at_before_the_file(guest: Any, make: Callable[..., int]) -> None:
    """As since Linux 6.13."""
    make(guest, b"file")
    value = guest.put(b"value")
    assert guest.call("setxattr", b"missing", b"user.x", value, 65537, 0) is Errno.E2BIG
    assert guest.call("setxattr", b"missing", b"user.x", value, 5, 4) is Errno.EINVAL
    assert guest.call("setxattr", b"missing", b"user.x", WILD, 5, 0) is Errno.EFAULT
    assert guest.call("lsetxattr", b"missing", b"", value, 5, 0) is Errno.ERANGE
    assert guest.call("fsetxattr", 999, b"", value, 5, 0) is Errno.ERANGE
    assert guest.call("getxattr", b"missing", b"", value, 5) is Errno.ERANGE
    assert guest.call("fremovexattr", 999, b"") is Errno.ERANGE


def test_trusted_attributes_are_for_the_privileged(guest: Any, make: Callable[..., int]) -> None:
    make(guest, b"file")
    value, buffer = guest.put(b"value"), guest.space(64)
    guest.task.credentials.effective = (1 << 40) - 1
    assert guest.call("setxattr", b"file", b"trusted.x", value, 5, 0) == 0
    assert guest.call("listxattr", b"file", buffer, 64) == 10
    guest.task.credentials.effective = 0
    assert guest.call("listxattr", b"file", buffer, 64) == 0
    assert guest.call("getxattr", b"file", b"trusted.x", buffer, 64) is Errno.ENODATA
    assert guest.call("setxattr", b"file", b"trusted.x", value, 5, 0) is Errno.EPERM
    assert guest.call("removexattr", b"file", b"trusted.x") is Errno.EPERM
