"""What programs do to the tree of mounts."""

from pathlib import Path

import pytest
from fakes.trees import Tree, outcome

from aionoah.abi.mount import MNT, MS
from aionoah.fs import mounting
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.mount import MOUNTS_MAX
from aionoah.fs.tmpfs import TmpFileSystem


@pytest.mark.parametrize("kind", [MS.PRIVATE, MS.SHARED])
def test_a_tree_that_is_bound_below_itself_ends_at_the_limit(kind: int) -> None:
    tree = Tree(TmpFileSystem())
    namespace = tree.namespace
    tree.mkdir(b"top")
    mounting.bind(namespace, tree.walk(b"top"), tree.walk(b"top"), recursive=False)
    mounting.set_propagation(namespace, tree.walk(b"top"), kind)
    found: list[object] = []
    while found[-1:] != ["ENOSPC"]:
        name = b"top/%d" % len(found)
        tree.mkdir(name)
        before = len(namespace.mounts)
        found.append(outcome(mounting.bind, namespace, tree.walk(b"top"), tree.walk(name), recursive=True))
    assert 3 < len(found) < 20
    assert len(namespace.mounts) == before <= MOUNTS_MAX
    mounting.unmount(namespace, tree.walk(b"top"), MNT.DETACH, tree.root)
    assert len(namespace.mounts) == 1


def test_a_remembered_way_ends_at_a_mount_that_follows_no_links(tmp_path: Path) -> None:
    (tmp_path / "data/dir").mkdir(parents=True)
    (tmp_path / "data/link").symlink_to("dir")
    (tmp_path / "data/dir/file").write_text("text")
    (tmp_path / "mountpoint").mkdir()
    tree = Tree(HostFileSystem(str(tmp_path)))
    mounting.bind(tree.namespace, tree.walk(b"data"), tree.walk(b"mountpoint"), recursive=False)
    for _ in range(3):
        assert tree.read(b"mountpoint/link/file") == b"text"
    mounting.remount(tree.namespace, tree.walk(b"mountpoint"), MS.BIND | MS.NOSYMFOLLOW)
    assert outcome(tree.read, b"mountpoint/link/file") == "ELOOP"
    mounting.remount(tree.namespace, tree.walk(b"mountpoint"), MS.BIND)
    assert tree.read(b"mountpoint/link/file") == b"text"


def test_all_that_is_below_goes_whatever_was_mounted_first() -> None:
    tree = Tree(TmpFileSystem())
    for name in (b"top", b"outer"):
        tree.mkdir(name)
        tree.namespace.mount(TmpFileSystem(), b"/" + name)
    tree.mkdir(b"outer/inner")
    tree.namespace.mount(TmpFileSystem(), b"outer/inner")
    tree.mkdir(b"top/outer")
    mounting.move(tree.namespace, tree.walk(b"outer"), tree.walk(b"top/outer"))
    mounting.unmount(tree.namespace, tree.walk(b"top"), MNT.DETACH, tree.root)
    assert len(tree.namespace.mounts) == 1
