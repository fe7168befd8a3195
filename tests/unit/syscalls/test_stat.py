"""stat and its family."""

from collections.abc import Callable, Iterator
from struct import unpack_from
from typing import Any

from aionoah.abi.aarch64 import AARCH64
from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import AT, AT_FDCWD, O
from aionoah.abi.stat import STATX, STATX_ATTR, S, Statx
from aionoah.abi.statfs import MAGIC, Statfs
from aionoah.abi.x86_64 import Stat
from aionoah.fs.inode import Attributes
from aionoah.syscalls.stat import pack_stat

HERE = AT_FDCWD
WILD = 8
_SECOND = 1_000_000_000


def populate(k: Any, make: Callable[..., int]) -> None:
    k.call("close", make(k, b"file", b"0123456789", 0o640))
    k.call("symlinkat", b"file", HERE, b"link")
    k.call("symlinkat", b"nowhere", HERE, b"dangling")
    k.call("mkdirat", HERE, b"dir", 0o751)
    k.call("mknodat", HERE, b"fifo", S.IFIFO | 0o620, 0)


def seen(k: Any, status: int) -> tuple[Any, ...]:
    """What of a struct stat does not depend on the file system: links, mode, owner, size."""
    found = k.architecture.stat_struct.unpack(k.get(status, k.architecture.stat_struct.SIZE))
    is_directory = found.st_mode & S.IFMT == S.IFDIR
    return found.st_mode, found.st_uid, found.st_gid, is_directory or (found.st_nlink, found.st_size)


def test_every_kind_of_file(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        populate(k, make)
        status = k.space(256)
        for path in (
            b"file",
            b"link",
            b"dangling",
            b"dir",
            b"fifo",
            b".",
            b"missing",
            b"",
            b"file/",
            b"dir/",
        ):
            for flags in (0, AT.SYMLINK_NOFOLLOW, AT.EMPTY_PATH):
                result = k.call("newfstatat", HERE, path, status, flags)
                yield path, flags, result or seen(k, status)

    same(script)


def test_descriptors(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        populate(k, make)
        status = k.space(256)
        fds = [k.call("openat", HERE, b"file", flags, 0) for flags in (O.RDONLY, O.PATH)]
        fds.append(k.call("openat", HERE, b"link", O.PATH | O.NOFOLLOW, 0))
        fds.append(k.call("openat", HERE, b"dir", O.RDONLY, 0))
        fds.append(k.call("eventfd2", 0, 0))
        for fd in fds:
            yield k.call("fstat", fd, status), seen(k, status)
            yield k.call("newfstatat", fd, b"", status, AT.EMPTY_PATH), seen(k, status)
            yield k.call("newfstatat", fd, b"", status, 0), k.call("newfstatat", fd, b"x", status, 0)
        yield k.call("fstat", 999, status), k.call("fstat", fds[0], WILD)
        yield k.call("newfstatat", 999, b"", status, AT.EMPTY_PATH)
        yield k.call("newfstatat", 999, b"/", status, 0), k.call("newfstatat", HERE, b"file", WILD, 0)
        yield k.call("newfstatat", HERE, b"file", status, 1), k.call("newfstatat", HERE, None, status, 0)
        yield k.call("newfstatat", fds[0], None, status, AT.EMPTY_PATH)

    same(script)


def test_the_older_calls(guest: Any, make: Callable[..., int]) -> None:
    populate(guest, make)
    status = guest.space(256)
    assert guest.call("stat", b"link", status) == 0
    assert Stat.unpack(guest.get(status, Stat.SIZE)).st_mode == S.IFREG | 0o640
    assert guest.call("lstat", b"link", status) == 0
    assert Stat.unpack(guest.get(status, Stat.SIZE)).st_mode == S.IFLNK | 0o777


def test_statx(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        populate(k, make)
        buffer = k.put(b"\xff" * 256)
        for path, flags in (
            (b"file", 0),
            (b"link", AT.SYMLINK_NOFOLLOW),
            (b"dir", AT.NO_AUTOMOUNT | AT.STATX_FORCE_SYNC),
            (b"", AT.EMPTY_PATH),
        ):
            result = k.call("statx", HERE, path, flags, STATX.BASIC_STATS, buffer)
            found = Statx.unpack(k.get(buffer, 256))
            yield result, found.stx_mask & STATX.BASIC_STATS, found.stx_mode, found.stx_uid
            yield found.stx_attributes & ~(1 << 23), found.stx_mtime.tv_nsec < _SECOND
            if found.stx_mode & S.IFMT != S.IFDIR:
                yield found.stx_size, found.stx_nlink, found.stx_rdev_major
        for flags in (1, AT.STATX_SYNC_TYPE, AT.EMPTY_PATH):
            yield k.call("statx", HERE, b"file", flags, STATX.TYPE, buffer)
        yield k.call("statx", HERE, b"file", 0, STATX.RESERVED, buffer)
        yield k.call("statx", HERE, b"file", 0, 0, WILD), k.call("statx", HERE, WILD, 0, 0, buffer)
        yield k.call("statx", 999, b"", AT.EMPTY_PATH, 0, buffer), k.call("statx", HERE, None, 0, 0, buffer)

    same(script)


def test_birth_time_only_if_wanted(guest: Any, make: Callable[..., int]) -> None:
    make(guest, b"file")
    buffer = guest.space(256)
    assert guest.call("statx", HERE, b"file", 0, STATX.BASIC_STATS, buffer) == 0
    assert Statx.unpack(guest.get(buffer, 256)).stx_mask == STATX.BASIC_STATS | STATX.MNT_ID
    assert guest.call("statx", HERE, b"file", 0, STATX.MNT_ID | STATX.BTIME, buffer) == 0
    found = Statx.unpack(guest.get(buffer, 256))
    assert found.stx_mask & STATX.MNT_ID
    assert found.stx_mnt_id == guest.task.fs.root.mount.identifier
    assert (found.stx_btime.tv_sec != 0) is bool(found.stx_mask & STATX.BTIME)


def test_the_root_of_a_mount_says_so(guest: Any) -> None:
    buffer = guest.space(256)
    for path, expected in ((b"/", STATX_ATTR.MOUNT_ROOT), (b".", 0)):
        assert guest.call("statx", HERE, path, 0, STATX.TYPE, buffer) == 0
        assert Statx.unpack(guest.get(buffer, 256)).stx_attributes == expected


def test_times_before_the_epoch() -> None:
    attributes = Attributes(S.IFREG, 1, 2, atime_ns=-1, mtime_ns=-_SECOND, ctime_ns=_SECOND + 5)
    for kind in (Stat, AARCH64.stat_struct):
        packed: Any = kind.unpack(pack_stat(kind, attributes))
        assert (packed.st_atime, packed.st_atime_nsec) == (-1, _SECOND - 1)
        assert (packed.st_mtime, packed.st_mtime_nsec) == (-1, 0)
        assert (packed.st_ctime, packed.st_ctime_nsec) == (1, 5)


def test_statfs(guest: Any, make: Callable[..., int]) -> None:
    fd = make(guest, b"file", b"data")
    one, two = guest.space(120), guest.space(120)
    assert guest.call("statfs", b"file", one) == 0
    assert guest.call("fstatfs", fd, two) == 0
    assert guest.get(one, 120) == guest.get(two, 120)
    found = Statfs.unpack(guest.get(one, 120))
    assert found.f_type == MAGIC.TMPFS
    assert found.f_bsize == found.f_frsize == 4096
    assert 0 < found.f_bfree < found.f_blocks
    assert unpack_from("<q", guest.get(one, 120))[0] == MAGIC.TMPFS


def test_statfs_of_a_pipe_and_of_nothing(guest: Any) -> None:
    buffer = guest.space(120)
    guest.call("pipe2", buffer, 0)
    assert guest.call("fstatfs", 0, buffer) == 0
    assert Statfs.unpack(guest.get(buffer, 120)).f_type == MAGIC.PIPEFS
    assert guest.call("statfs", b"missing", buffer) is Errno.ENOENT
    assert guest.call("fstatfs", 999, buffer) is Errno.EBADF
    assert guest.call("fstatfs", 0, WILD) is Errno.EFAULT
