"""Links, symbolic links, removal, renaming."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import AT, AT_FDCWD, RENAME, O

HERE = AT_FDCWD
WILD = 8
PATHS = (b"file", b"dir", b"full", b"link", b"dangling", b"missing", b"", b".", b"dir/..", b"file/", b"new/")


def populate(k: Any, make: Callable[..., int]) -> None:
    k.call("close", make(k, b"file", b"data"))
    k.call("close", make(k, b"other", b"other data"))
    k.call("mkdirat", HERE, b"dir", 0o755)
    k.call("mkdirat", HERE, b"full", 0o755)
    k.call("close", make(k, b"full/entry"))
    k.call("symlinkat", b"file", HERE, b"link")
    k.call("symlinkat", b"nowhere", HERE, b"dangling")


def present(k: Any) -> list[bytes]:
    """Which of the names are there."""
    names = [*PATHS[:6], b"new", b"full/entry", b"full/new", b"nowhere", b"other"]
    return [name for name in names if k.call("faccessat2", HERE, name, 0, AT.SYMLINK_NOFOLLOW) == 0]


@pytest.mark.parametrize("old", PATHS)
def test_linking(same: Any, make: Callable[..., int], old: bytes) -> None:
    def script(k: Any) -> Iterator[Any]:
        populate(k, make)
        for new in PATHS:
            yield new, k.call("linkat", HERE, old, HERE, new, 0)
        yield k.call("linkat", HERE, old, HERE, b"full/new", AT.SYMLINK_FOLLOW), present(k)

    same(script)


def test_link_flags(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        populate(k, make)
        fd = k.call("openat", HERE, b"file", O.RDONLY, 0)
        yield (
            k.call("linkat", fd, b"", HERE, b"one", 0),
            k.call("linkat", 999, b"", HERE, b"one", AT.EMPTY_PATH),
        )
        yield (
            k.call("linkat", fd, b"", HERE, b"one", AT.EMPTY_PATH),
            k.call("linkat", HERE, b"file", 999, b"x", 0),
        )
        yield k.call("linkat", HERE, b"file", HERE, b"two", 1), k.call("linkat", HERE, WILD, HERE, b"two", 0)

    same(script)


def test_symlinks(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        populate(k, make)
        for path in PATHS:
            yield path, k.call("symlinkat", b"target", HERE, path)
        yield k.call("symlinkat", b"", HERE, b"x"), k.call("symlinkat", b"t", 999, b"x"), present(k)

    same(script)


def test_readlink(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        populate(k, make)
        buffer = k.put(b"." * 16)
        for path in PATHS:
            yield path, k.call("readlinkat", HERE, path, buffer, 16)
        yield k.call("readlinkat", HERE, b"dangling", buffer, 3), k.get(buffer, 8)
        yield [k.call("readlinkat", HERE, b"link", buffer, size) for size in (0, -1, 1 << 31)]
        yield k.call("readlinkat", HERE, b"link", WILD, 16)
        for path in (b"link", b"file"):
            fd = k.call("openat", HERE, path, O.PATH | O.NOFOLLOW, 0)
            yield k.call("readlinkat", fd, b"", buffer, 16)
        yield k.call("readlinkat", 999, b"", buffer, 16)

    same(script)


@pytest.mark.parametrize("flags", [0, AT.REMOVEDIR, 1])
def test_removal(same: Any, make: Callable[..., int], flags: int) -> None:
    def script(k: Any) -> Iterator[Any]:
        populate(k, make)
        for path in (*PATHS, b"/", b"..", b"full/entry/x", b"dir/"):
            yield path, k.call("unlinkat", HERE, path, flags)
        yield k.call("unlinkat", 999, b"file", flags), k.call("unlinkat", 999, b"", flags), present(k)

    same(script)


@pytest.mark.parametrize("flags", [0, RENAME.NOREPLACE, RENAME.EXCHANGE])
@pytest.mark.parametrize("old", PATHS)
def test_renaming(same: Any, make: Callable[..., int], old: bytes, flags: int) -> None:
    def script(k: Any) -> Iterator[Any]:
        populate(k, make)
        for new in (*PATHS, b"full/new", b"full/entry", old + b"/below", old):
            yield new, k.call("renameat2", HERE, old, HERE, new, flags), present(k)

    same(script)


def test_refused_renaming(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        populate(k, make)
        yield k.call("renameat2", HERE, b"file", HERE, b"new", RENAME.NOREPLACE | RENAME.EXCHANGE)
        yield (
            k.call("renameat2", HERE, b"file", HERE, b"new", 8),
            k.call("renameat2", 999, b"file", HERE, b"n", 0),
            k.call("renameat2", 999, b"file", HERE, b"n", 8),
        )
        yield (
            k.call("renameat2", HERE, b"file", 999, b"new", 0),
            k.call("renameat2", HERE, WILD, HERE, b"new", 0),
        )
        yield present(k)

    same(script)


def test_the_older_calls(guest: Any, make: Callable[..., int]) -> None:
    populate(guest, make)
    assert guest.call("link", b"file", b"one") == 0
    assert guest.call("symlink", b"target", b"two") == 0
    buffer = guest.space(16)
    assert guest.call("readlink", b"two", buffer, 16) == 6
    assert guest.call("rename", b"one", b"three") == 0
    assert guest.call("renameat", HERE, b"three", HERE, b"four") == 0
    assert guest.call("unlink", b"four") == 0
    assert guest.call("unlink", b"four") is Errno.ENOENT
    assert guest.call("rmdir", b"dir") == 0
    assert guest.call("rmdir", b"file") is Errno.ENOTDIR
