"""Removing and renaming, beyond what the comparison with Linux covers."""

import os
from pathlib import Path

import pytest
from fakes.trees import Tree, outcome, user

from aionoah.abi.fcntl import RENAME
from aionoah.abi.stat import S
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.inode import Change
from aionoah.fs.tmpfs import TmpFileSystem


@pytest.fixture(params=["tmpfs", "hostfs"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    made = Tree(TmpFileSystem() if request.param == "tmpfs" else HostFileSystem(str(tmp_path)))
    made.mkdir(b"dir")
    made.write(b"dir/inner", b"inner")
    made.write(b"file", b"file")
    made.symlink(b"dir", b"link")
    return made


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("unlink", b"dir", "EISDIR"),
        ("unlink", b"dir/", "EISDIR"),
        ("unlink", b"file/", "ENOTDIR"),
        ("unlink", b".", "EISDIR"),
        ("unlink", b"/", "EISDIR"),
        ("unlink", b"missing", "ENOENT"),
        ("unlink", b"link/", "ENOTDIR"),
        ("rmdir", b"dir", "ENOTEMPTY"),
        ("rmdir", b"file", "ENOTDIR"),
        ("rmdir", b".", "EINVAL"),
        ("rmdir", b"dir/..", "ENOTEMPTY"),
        ("rmdir", b"/", "EBUSY"),
        ("rmdir", b"link", "ENOTDIR"),
        ("rmdir", b"link/", "ENOTDIR"),
        ("rmdir", b"missing", "ENOENT"),
    ],
)
def test_what_cannot_be_removed(tree: Tree, name: str, path: bytes, expected: str) -> None:
    assert outcome(getattr(tree, name), path) == expected
    assert tree.names(b".") == [b"dir", b"file", b"link"]


@pytest.mark.parametrize(
    ("old", "new", "flags", "expected"),
    [
        (b".", b"x", 0, "EBUSY"),
        (b"file", b"dir/..", 0, "EBUSY"),
        (b"file", b"dir/..", RENAME.NOREPLACE, "EEXIST"),
        (b"file", b"dir", 0, "EISDIR"),
        (b"dir", b"file", 0, "ENOTDIR"),
        (b"file", b"new/", 0, "ENOTDIR"),
        (b"file/", b"new", 0, "ENOTDIR"),
        (b"file", b"dir/inner", RENAME.NOREPLACE, "EEXIST"),
        (b"file", b"missing", RENAME.EXCHANGE, "ENOENT"),
        (b"dir", b"dir/below", 0, "EINVAL"),
        (b"dir/inner", b"dir", 0, "ENOTEMPTY"),
        (b"dir/inner", b"dir", RENAME.EXCHANGE, "EINVAL"),
        (b"file", b"new", RENAME.WHITEOUT | RENAME.EXCHANGE, "EINVAL"),
        (b"file", b"new", RENAME.EXCHANGE | RENAME.NOREPLACE, "EINVAL"),
        (b"missing", b"new", 0, "ENOENT"),
        (b"file", b"missing/new", 0, "ENOENT"),
    ],
)
def test_what_cannot_be_renamed(tree: Tree, old: bytes, new: bytes, flags: int, expected: str) -> None:
    assert outcome(tree.rename, old, new, flags) == expected
    assert tree.names(b".") == [b"dir", b"file", b"link"]
    assert tree.read(b"dir/inner") == b"inner"


def test_renames_that_work(tree: Tree) -> None:
    tree.rename(b"file", b"dir/inner")
    assert tree.read(b"link/inner") == b"file"
    tree.mkdir(b"empty")
    tree.rename(b"dir/", b"empty/")
    assert tree.names(b".") == [b"empty", b"link"]
    tree.write(b"other", b"other")
    tree.rename(b"other", b"empty", RENAME.EXCHANGE)
    assert tree.read(b"empty") == b"other"
    assert tree.read(b"other/inner") == b"file"
    tree.rename(b"link", b"moved", RENAME.NOREPLACE)
    assert tree.readlink(b"moved") == b"dir"


def test_two_names_of_one_file_are_left_alone(tree: Tree) -> None:
    tree.link(b"file", b"same")
    tree.rename(b"file", b"same")
    assert tree.read(b"file") == tree.read(b"same") == b"file"


def test_an_open_file_outlives_its_name(tree: Tree) -> None:
    file = tree.open(b"file")
    tree.unlink(b"file")
    assert file.dentry is not None
    assert tree.path(file.dentry) == b"/file (deleted)"
    assert file.attributes().nlink == 0
    assert file.attributes().size == 4
    file.drop()


def test_the_file_system_root_of_another_mount_cannot_be_reached(tree: Tree) -> None:
    tree.namespace.mount(TmpFileSystem(), b"/other")
    assert outcome(tree.rename, b"file", b"other/file") == "EXDEV"
    assert outcome(tree.rename, b"other", b"new") == "EBUSY"
    assert outcome(tree.rename, b"file", b"other") == ("EISDIR")


def test_moving_a_directory_needs_the_right_to_write_it() -> None:
    """Its entry `..` changes."""
    tree = Tree(TmpFileSystem(mode=0o777))
    for name in (b"a", b"b", b"a/mine"):
        tree.mkdir(name)
        tree.chmod(name, 0o777)
    tree.chmod(b"a/mine", 0o555)
    with tree.acting_as(user(7)):
        assert outcome(tree.rename, b"a/mine", b"b/mine") == "EACCES"
        assert outcome(tree.rename, b"a/mine", b"a/yours") is None
    tree.mkdir(b"b/other")
    with tree.acting_as(user(7)):
        assert outcome(tree.rename, b"b/other", b"a/yours", RENAME.EXCHANGE) == "EACCES"


def test_a_whiteout_is_left_behind(tree: Tree) -> None:
    tree.write(b"moving", b"x")
    tree.rename(b"moving", b"moved", RENAME.WHITEOUT)
    assert tree.read(b"moved") == b"x"
    assert (tree.stat(b"moving").mode & S.IFMT, tree.stat(b"moving").rdev) == (S.IFCHR, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
def test_a_whiteout_belongs_to_who_makes_it(tree: Tree) -> None:
    tree.chmod(b".", 0o755)
    tree.walk(b"dir").inode.change(Change(mode=0o2777, gid=7))
    with tree.acting_as(user(1000)):
        tree.rename(b"dir/inner", b"dir/moved", RENAME.WHITEOUT)
    made = tree.stat(b"dir/inner")
    assert (made.mode, made.rdev, made.uid, made.gid) == (S.IFCHR, 0, 1000, 7)
    assert tree.stat(b"dir/moved").uid == 0
