"""Who may do what: the mode bits by themselves, and against the kernel with several users."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fakes.trees import IS_LINUX, Native, Tree, User, outcome, user
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import ACCESS, O
from aionoah.abi.stat import S
from aionoah.fs.inode import Attributes
from aionoah.fs.permissions import (
    Identity,
    allows,
    effective_identity,
    real_identity,
    require,
    require_removable,
)
from aionoah.fs.tmpfs import TmpFileSystem

OWNER, FRIEND, STRANGER = user(1001, 500), user(1002, 777, (500,)), user(1003, 888)


def attributes(mode: int, uid: int = 1001, gid: int = 500) -> Attributes:
    return Attributes(mode, 1, 1, uid=uid, gid=gid)


@pytest.mark.parametrize(
    ("who", "shift"),
    [(Identity(1001, 9), 6), (Identity(9, 500), 3), (Identity(9, 9, (500,)), 3), (Identity(9, 9), 0)],
)
@pytest.mark.parametrize("wanted", range(8))
def test_only_one_class_of_bits_counts(who: Identity, shift: int, wanted: int) -> None:
    for granted in range(8):
        mode = S.IFREG | granted << shift
        assert allows(attributes(mode), who, wanted) == (wanted & granted == wanted)
        others = S.IFREG | 0o777 & ~(7 << shift)
        assert not wanted or not allows(attributes(others), who, wanted)


def test_root_may_all_but_execute_what_nobody_may() -> None:
    root = Identity(0, 0)
    assert allows(attributes(S.IFREG), root, ACCESS.R | ACCESS.W)
    assert not allows(attributes(S.IFREG | 0o666), root, ACCESS.X)
    assert allows(attributes(S.IFREG | 0o001), root, ACCESS.X)
    assert allows(attributes(S.IFDIR), root, ACCESS.X | ACCESS.W)


@given(st.integers(0, 0o777), st.integers(0, 7))
def test_require_raises_exactly_when_it_is_not_allowed(mode: int, wanted: int) -> None:
    found, who = attributes(S.IFREG | mode), Identity(1001, 500)
    if allows(found, who, wanted):
        require(found, who, wanted)
    else:
        with pytest.raises(LinuxError) as caught:
            require(found, who, wanted)
        assert caught.value.errno is Errno.EACCES


def test_sticky_directories_protect_what_belongs_to_others() -> None:
    sticky = attributes(S.IFDIR | S.ISVTX | 0o777, uid=0)
    theirs = attributes(S.IFREG | 0o666, uid=1001)
    require_removable(sticky, theirs, Identity(1001, 1))
    require_removable(sticky, theirs, Identity(0, 0))
    require_removable(attributes(S.IFDIR | S.ISVTX | 0o777, uid=7), theirs, Identity(7, 7))
    with pytest.raises(LinuxError) as caught:
        require_removable(sticky, theirs, Identity(1002, 1))
    assert caught.value.errno is Errno.EPERM


def test_identities_come_from_the_right_ids() -> None:
    credentials = User(uid=1, gid=2, groups=(3,), fsuid=4, fsgid=5)
    assert effective_identity(credentials) == Identity(4, 5, (3,))
    assert real_identity(credentials) == Identity(1, 2, (3,))
    assert effective_identity(credentials).is_member(3)
    assert not real_identity(credentials).is_member(5)


# -- against the kernel ---------------------------------------------------------------------------------------


@contextmanager
def becoming(who: User) -> Iterator[None]:
    """Let this very process act as another user."""
    before = os.getgroups()
    os.setgroups(list(who.groups))
    os.setegid(who.gid)
    os.seteuid(who.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


def prepare(tree: Tree | Native) -> None:
    """Directories and files of one owner with all kinds of modes."""
    for name, mode in {
        b"open": 0o777,
        b"sticky": 0o1777,
        b"group": 0o770,
        b"searchable": 0o711,
        b"readable": 0o744,
        b"closed": 0o700,
        b"nobody": 0,
        b"setgid": 0o2777,
    }.items():
        tree.mkdir(name)
        for file, file_mode in {
            b"all": 0o666,
            b"own": 0o600,
            b"none": 0,
            b"run": 0o755,
            b"suid": 0o6755,
        }.items():
            tree.write(name + b"/" + file, b"contents")
            tree.chown(name + b"/" + file, OWNER.uid, OWNER.gid)
            tree.chmod(name + b"/" + file, file_mode)
        tree.mkdir(name + b"/sub")
        tree.chown(name + b"/sub", OWNER.uid, OWNER.gid)
        tree.chown(name, OWNER.uid, OWNER.gid)
        tree.chmod(name, mode)


DIRECTORIES = [b"open", b"sticky", b"group", b"searchable", b"readable", b"closed", b"nobody", b"setgid"]
FILES = [b"all", b"own", b"none", b"run", b"suid", b"missing"]
STEPS: list[tuple[Any, ...]] = [
    *(("facts", b"%s/%s"),),
    *(("access", b"%s/%s", wanted) for wanted in range(8)),
    *(("try_open", b"%s/%s", flags) for flags in (O.RDONLY, O.WRONLY, O.RDWR, O.CREAT, O.TRUNC, O.NOATIME)),
    ("chmod", b"%s/%s", 0o6777),
    ("chmod", b"%s", 0o2777),
    ("truncate", b"%s/%s", 3),
    ("chown", b"%s/%s", None, None),
    ("chown", b"%s/%s", None, 500),
    ("chown", b"%s/%s", None, 777),
    ("chown", b"%s/%s", 1003, None),
    ("chown", b"%s/%s", 1001, 500),
    ("mkdir", b"%s/new", 0o7777),
    ("mkdir", b"%s/sub/new", 0o755),
    ("write", b"%s/made", b"x", O.CREAT | O.WRONLY, 0o7777),
    ("facts", b"%s/made"),
    ("mknod", b"%s/node", S.IFCHR | 0o666),
    ("mknod", b"%s/socket", S.IFSOCK | 0o666),
    ("symlink", b"x", b"%s/link"),
    ("rename", b"%s/%s", b"open/moved"),
    ("rename", b"%s/sub", b"open/moved-sub"),
    ("unlink", b"%s/%s"),
    ("rmdir", b"%s/sub"),
    ("names", b"%s"),
]


@pytest.fixture
def top() -> Iterator[Path]:
    """A directory that everybody gets to, which pytest's are not."""
    with TemporaryDirectory(prefix="aionoah-") as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.mark.skipif(not IS_LINUX or os.geteuid() != 0, reason="becomes other users of a Linux kernel")
@pytest.mark.parametrize("who", [OWNER, FRIEND, STRANGER], ids=["owner", "friend", "stranger"])
@pytest.mark.parametrize("directory", DIRECTORIES, ids=bytes.decode)
def test_users_may_what_linux_lets_them(who: User, directory: bytes, top: Path) -> None:
    native, tree = Native(top), Tree(TmpFileSystem(mode=0o777))
    prepare(native)
    prepare(tree)
    previous = os.umask(0o022)
    try:
        for name, path, *rest in STEPS:
            for file in FILES if path.count(b"%s") == 2 else [b""]:
                arguments = [path % ((directory, file)[: path.count(b"%s")]), *rest]
                if name == "symlink":
                    arguments = [path, rest[0] % directory]
                with becoming(who):
                    expected = outcome(getattr(native, name), *arguments)
                with tree.acting_as(who):
                    assert outcome(getattr(tree, name), *arguments) == expected, (name, arguments)
                after = [
                    outcome(each.facts, b"%s/%s" % (directory, file or b"made")) for each in (tree, native)
                ]
                assert after[0] == after[1], (name, arguments)
    finally:
        os.umask(previous)
        native.close()
