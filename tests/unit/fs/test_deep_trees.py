"""Trees of directories that are deeper than Python's stack."""

import sys
from pathlib import Path

from fakes.trees import Tree

from aionoah.fs.hostfs import HostDirectory, HostFileSystem
from aionoah.fs.inode import Inode
from aionoah.fs.overlay import OverlayFileSystem, clear
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.host.trees import remove_tree

DEPTH = sys.getrecursionlimit() + 100


def make_deep(top: Inode) -> Inode:
    here = top
    for _ in range(DEPTH):
        here = here.mkdir(b"d", 0o755, 0, 0)
    return here


def deepest(top: Inode) -> Inode:
    here = top
    for _ in range(DEPTH):
        here = here.lookup(b"d")
    return here


def test_in_memory() -> None:
    tree = Tree(TmpFileSystem())
    make_deep(tree.namespace.root.inode)
    tree.namespace.release()
    assert tree.namespace.mounts == []


def test_copying_up_and_clearing() -> None:
    lower, upper = TmpFileSystem(), TmpFileSystem()
    make_deep(lower.root).create(b"file", 0o644, 0, 0)
    overlay = OverlayFileSystem([lower], upper)
    deepest(overlay.root).create(b"other", 0o644, 0, 0)
    assert deepest(upper.root).lookup(b"other").attributes().nlink == 1
    upper.root.mkdir(b"removed-0", 0o755, 0, 0)  # a name that is taken
    clear(upper.root, b"d")
    assert [name for _, _, name in upper.root.listing()][2:] == [OverlayFileSystem.WORK, b"removed-0"]


def test_descriptors_are_opened_anew(tmp_path: Path) -> None:
    """As after all of them were let go of, for the sake of a watch."""
    filesystem = HostFileSystem(str(tmp_path))
    here: Inode | None = make_deep(filesystem.root)
    last = here
    while isinstance(here, HostDirectory) and here.directory is not None:
        here.close()
        here = here.directory
    assert last is not None
    last.create(b"file", 0o644, 0, 0)
    assert [name for _, _, name in last.listing()][2:] == [b"file"]
    filesystem.release()
    remove_tree(str(tmp_path))  # pytest could not
