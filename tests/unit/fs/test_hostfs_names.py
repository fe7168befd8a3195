"""What is known of a directory that nobody else changes is what the host would say."""

from pathlib import Path

import pytest
from fakes.trees import Tree, outcome
from hypothesis import given, settings
from hypothesis import strategies as st

from aionoah.abi.fcntl import RENAME
from aionoah.fs.hostfs import HostDirectory, HostFileSystem

NAMES = [b"a", b"b", b"c"]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return ours_alone(tmp_path)


def ours_alone(path: Path) -> Tree:
    filesystem = HostFileSystem(str(path))
    filesystem.is_ours_alone = True
    return Tree(filesystem)


def test_a_name_that_was_missed_is_not_asked_for_again(tree: Tree, tmp_path: Path) -> None:
    assert outcome(tree.stat, b"a") == "ENOENT"
    (tmp_path / "a").touch()
    assert outcome(tree.stat, b"a") == "ENOENT"
    tree.write(b"b", b"")
    assert tree.stat(b"b").size == 0
    tree.unlink(b"b")
    assert outcome(tree.stat, b"b") == "ENOENT"


def test_elsewhere_the_host_is_asked(tmp_path: Path) -> None:
    tree = Tree(HostFileSystem(str(tmp_path)))
    assert outcome(tree.stat, b"a") == "ENOENT"
    (tmp_path / "a").touch()
    assert tree.stat(b"a").size == 0


def test_a_directory_that_takes_over_a_number_is_empty(tree: Tree) -> None:
    for _ in range(20):
        tree.mkdir(b"d")
        assert outcome(tree.stat, b"d/missing") == "ENOENT"
        tree.write(b"d/file", b"x")
        assert tree.read(b"d/file") == b"x"
        tree.unlink(b"d/file")
        tree.rmdir(b"d")


def act(tree: Tree, kind: str, old: bytes, new: bytes) -> object:
    if kind == "make":
        return outcome(tree.write, old, b"x")
    if kind == "mkdir":
        return outcome(tree.mkdir, old)
    if kind in ("unlink", "rmdir"):
        return outcome(getattr(tree, kind), old)
    if kind in ("link", "symlink"):
        return outcome(getattr(tree, kind), old, new)
    return outcome(tree.rename, old, new, int(RENAME.EXCHANGE) if kind == "exchange" else 0)


KINDS = st.sampled_from(["make", "mkdir", "unlink", "rmdir", "link", "symlink", "rename", "exchange"])
PATHS = st.sampled_from([*NAMES, *(b"d/" + name for name in NAMES)])


@settings(max_examples=20, deadline=None)
@given(actions=st.lists(st.tuples(KINDS, PATHS, PATHS), max_size=12))
def test_names_are_those_of_the_host(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, bytes, bytes]]
) -> None:
    top = tmp_path_factory.mktemp("top")
    (top / "d").mkdir()
    tree = ours_alone(top)
    outcome(tree.stat, b"missing")
    outcome(tree.stat, b"d/missing")
    for action in actions:
        act(tree, *action)
        for path, inode in ((top, tree.root.inode), (top / "d", tree.walk(b"d").inode)):
            assert isinstance(inode, HostDirectory)
            there = {each.name.encode() for each in path.iterdir()}
            assert {name for name in NAMES if not inode.names.lacks(name)} == there & set(NAMES)
