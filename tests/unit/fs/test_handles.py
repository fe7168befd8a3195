"""File handles: what they find, and what they do not."""

from pathlib import Path

import pytest
from fakes.trees import Tree, outcome

from aionoah.fs import handles, mounting
from aionoah.fs.handles import Handle, find
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.inode import FileSystem
from aionoah.fs.overlay import OverlayFileSystem
from aionoah.fs.tmpfs import TmpFileSystem


def filesystem(kind: str, path: Path) -> FileSystem:
    if kind == "tmpfs":
        return TmpFileSystem()
    host = HostFileSystem(str(path))
    return host if kind == "hostfs" else OverlayFileSystem([host], TmpFileSystem())


@pytest.fixture(params=["tmpfs", "hostfs", "overlay"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    made = Tree(filesystem(request.param, tmp_path))
    for path in (b"dir", b"dir/deep", b"bound"):
        made.mkdir(path)
    made.write(b"dir/deep/file", b"text")
    made.write(b"dir/other", b"text")
    return made


def handle(tree: Tree, path: bytes) -> Handle:
    place = tree.walk(path)
    return place.mount.filesystem.handle_of(place.inode)


def test_a_file_is_found_where_it_is_by_now(tree: Tree) -> None:
    file, directory = handle(tree, b"dir/deep/file"), handle(tree, b"dir")
    assert file == handle(tree, b"dir/deep/file") != directory
    tree.rename(b"dir", b"elsewhere", 0)
    tree.rename(b"elsewhere/deep/file", b"elsewhere/file", 0)
    mount = tree.namespace.mounts[0]
    assert find(mount, file).inode is tree.walk(b"elsewhere/file").inode
    assert find(mount, directory) is tree.walk(b"elsewhere")


def test_what_is_gone_is_stale(tree: Tree) -> None:
    file = handle(tree, b"dir/other")
    tree.unlink(b"dir/other")
    assert outcome(find, tree.namespace.mounts[0], file) == "ESTALE"
    assert outcome(find, tree.namespace.mounts[0], Handle(7, b"nonsense")) == "ESTALE"


def test_nothing_is_found_outside_of_a_mount(tree: Tree) -> None:
    """On Linux it would be: who may bind a directory is not meant to get the rest with it."""
    inside, outside = handle(tree, b"dir/deep/file"), handle(tree, b"dir/other")
    mounting.bind(tree.namespace, tree.walk(b"dir/deep"), tree.walk(b"bound"), recursive=False)
    mount = tree.namespace.mounts[-1]
    assert find(mount, inside).inode is tree.walk(b"dir/deep/file").inode
    assert find(mount, inside) is tree.walk(b"bound/file")
    assert outcome(find, mount, outside) == "ESTALE"


def test_older_handles_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "_REMEMBERED", 2)
    tree = Tree(HostFileSystem(str(tmp_path)))
    given = []
    for name in (b"a", b"b", b"c"):
        tree.write(name, b"")
        given.append(handle(tree, name))
    found = [outcome(find, tree.namespace.mounts[0], each) for each in given]
    assert found[0] == "ESTALE"
    assert [place.name for place in found[1:]] == [b"b", b"c"]
