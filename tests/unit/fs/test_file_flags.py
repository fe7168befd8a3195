"""Flags of files: what they keep from being done, and who may set them."""

from collections.abc import Callable
from typing import Any

import pytest
from fakes.trees import Tree, outcome, user

from aionoah.abi.fcntl import FALLOC, O
from aionoah.abi.ioctl import FS_FL, FS_XFLAG, Fsxattr
from aionoah.fs import file_flags
from aionoah.fs.tmpfs import TmpFileSystem


@pytest.fixture
def tree() -> Tree:
    made = Tree(TmpFileSystem())
    made.mkdir(b"d")
    made.write(b"d/f", b"text")
    return made


def mark(tree: Tree, path: bytes, flags: int) -> None:
    file_flags.set_flags(tree.context, tree.walk(path), flags)


CHANGES: dict[str, Callable[[Tree], Any]] = {
    "write": lambda tree: tree.open(b"d/f", O.WRONLY).drop(),
    "append": lambda tree: tree.open(b"d/f", O.WRONLY | O.APPEND).drop(),
    "reserve": lambda tree: tree.open(b"d/f", O.RDWR | O.APPEND).allocate(FALLOC.KEEP_SIZE, 0, 9),
    "punch": lambda tree: tree.open(b"d/f", O.RDWR | O.APPEND).allocate(
        FALLOC.KEEP_SIZE | FALLOC.PUNCH_HOLE, 0, 9
    ),
    "chmod": lambda tree: tree.chmod(b"d/f", 0o600),
    "link": lambda tree: tree.link(b"d/f", b"g"),
    "rename": lambda tree: tree.rename(b"d/f", b"d/g"),
    "unlink": lambda tree: tree.unlink(b"d/f"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_nothing_changes_what_is_immutable(tree: Tree, name: str) -> None:
    mark(tree, b"d/f", FS_FL.IMMUTABLE)
    assert outcome(CHANGES[name], tree) == "EPERM"
    mark(tree, b"d/f", 0)
    assert outcome(CHANGES[name], tree) is None


@pytest.mark.parametrize("name", sorted(CHANGES.keys() - {"append", "reserve"}))
def test_what_is_appended_to_is_kept(tree: Tree, name: str) -> None:
    mark(tree, b"d/f", FS_FL.APPEND)
    assert outcome(CHANGES[name], tree) == "EPERM"
    assert outcome(CHANGES["append"], tree) is None
    assert outcome(CHANGES["reserve"], tree) is None


def test_directories(tree: Tree) -> None:
    mark(tree, b"d", FS_FL.APPEND)
    tree.write(b"d/new", b"")
    assert outcome(tree.unlink, b"d/new") == "EPERM"
    mark(tree, b"d", FS_FL.IMMUTABLE)
    assert outcome(tree.write, b"d/other", b"") == "EPERM"
    assert outcome(tree.unlink, b"d/f") == "EPERM"
    tree.write(b"d/f", b"the file itself is not")
    assert outcome(tree.rmdir, b"d") == "EPERM"


def test_who_may_set_them(tree: Tree) -> None:
    with tree.acting_as(user(1000)):
        assert outcome(mark, tree, b"d/f", FS_FL.NODUMP) == "EPERM"
    tree.chown(b"d/f", 1000, 1000)
    with tree.acting_as(user(1000)):
        assert outcome(mark, tree, b"d/f", FS_FL.IMMUTABLE) == "EPERM"
        assert outcome(mark, tree, b"d/f", FS_FL.COMPR) == "EOPNOTSUPP"
        mark(tree, b"d/f", FS_FL.NODUMP)
    assert file_flags.extended(tree.walk(b"d/f").inode).fsx_xflags == FS_XFLAG.NODUMP


def test_the_other_form(tree: Tree) -> None:
    place = tree.walk(b"d/f")
    file_flags.set_extended(tree.context, place, Fsxattr(int(FS_XFLAG.NOATIME), 0, 0, 0, 0))
    assert place.inode.flags() == FS_FL.NOATIME
    for refused in (Fsxattr(int(FS_XFLAG.DAX), 0, 0, 0, 0), Fsxattr(0, 0, 0, 7, 0)):
        assert outcome(file_flags.set_extended, tree.context, place, refused) == "EOPNOTSUPP"
