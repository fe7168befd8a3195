"""What the *at calls share."""

from collections.abc import Callable
from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import AT, AT_FDCWD, O
from aionoah.abi.stat import S
from aionoah.syscalls.paths import base, locate, own_place, place_of


def test_where_a_path_begins(guest: Any, make: Callable[..., int]) -> None:
    guest.call("mkdir", b"dir", 0o755)
    fd = guest.call("open", b"dir", O.RDONLY, 0)
    task = guest.task
    assert base(task, AT_FDCWD, b"x") is task.fs.cwd
    assert base(task, 999, b"/x") is task.fs.cwd
    assert base(task, fd, b"x") is task.files[fd].dentry
    for dirfd, path, expected in ((999, b"x", Errno.EBADF), (999, b"", Errno.ENOENT)):
        with pytest.raises(LinuxError) as caught:
            base(task, dirfd, path)
        assert caught.value.errno is expected


def test_links_are_followed_unless_told_otherwise(guest: Any, make: Callable[..., int]) -> None:
    make(guest, b"file")
    guest.call("symlink", b"file", b"link")
    assert locate(guest.task, AT_FDCWD, b"link").inode.kind == S.IFREG
    assert locate(guest.task, AT_FDCWD, b"link", AT.SYMLINK_NOFOLLOW).inode.kind == S.IFLNK


def test_an_empty_path(guest: Any, make: Callable[..., int]) -> None:
    fd = make(guest, b"file")
    assert locate(guest.task, fd, b"", AT.EMPTY_PATH).inode.kind == S.IFREG
    assert locate(guest.task, AT_FDCWD, b"", AT.EMPTY_PATH) is guest.task.fs.cwd
    assert own_place(guest.task, AT_FDCWD) is guest.task.fs.cwd
    with pytest.raises(LinuxError):
        locate(guest.task, fd, b"")


def test_files_without_a_place_have_one_of_their_own(guest: Any) -> None:
    fd = guest.call("eventfd2", 0, 0)
    place = place_of(guest.task.files[fd])
    assert place.inode is guest.task.files[fd].inode
    assert place.mount is not guest.task.fs.root.mount
