"""Name spaces of mounts: what a copy is, what is known of each, and what ends with one."""

from pathlib import Path

import pytest
from fakes.trees import ROOT, Tree, outcome

from aionoah.abi.mount import MNT, MS
from aionoah.fs import mounting, operations
from aionoah.fs.context import FsContext
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.inode import Inode
from aionoah.fs.mount import Mount
from aionoah.fs.mount_copying import Copying
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.path import Dentry
from aionoah.fs.tmpfs import TmpFileSystem


class View(Tree):
    """What a task in a copy of a tree's name space sees."""

    def __init__(self, tree: Tree, number: int = 0xF000_0001) -> None:
        self.copying = Copying(tree.namespace, number)
        self.namespace = self.copying.namespace
        root, cwd = (self.copying.position(place) for place in (tree.context.root, tree.context.cwd))
        self.context = FsContext(root, ROOT, cwd)

    def __del__(self) -> None:
        """The tree releases what both have."""


def new(namespace: MountNamespace, place: Dentry, filesystem: TmpFileSystem | None = None) -> Mount:
    return mounting.mount_new(namespace, filesystem or TmpFileSystem(), place, 0, b"none", b"")


def paths(view: Tree) -> list[bytes]:
    return [view.path(mount.root) for mount in view.namespace.mounts]


@pytest.fixture
def tree() -> Tree:
    made = Tree(TmpFileSystem())
    for name in (b"a", b"a/b", b"c"):
        made.mkdir(name)
    return made


def test_a_remembered_way_is_of_one_name_space(tmp_path: Path) -> None:
    (tmp_path / "one/two/three").mkdir(parents=True)
    (tmp_path / "one/two/three/file").write_text("old")
    tree = Tree(HostFileSystem(str(tmp_path)))
    way, file = b"/one/two/three", b"/one/two/three/file"
    for _ in range(2):
        assert tree.read(file) == b"old"
    view = View(tree)
    for _ in range(2):
        assert view.read(file) == b"old"
    for each in (tree, view):
        assert each.root.trails is not None
        assert each.root.trails.get(way) is not None
    assert tree.root.trails is not view.root.trails
    new(view.namespace, view.walk(b"/one/two"))
    for _ in range(2):
        assert tree.read(file) == b"old"
        assert outcome(view.read, file) == "ENOENT"
    view.mkdir(b"/one/two/three")
    view.write(file, b"new")
    for _ in range(2):
        assert view.read(file) == b"new"
        assert tree.read(file) == b"old"
    new(tree.namespace, tree.walk(b"/one"))
    assert outcome(tree.read, file) == "ENOENT"
    assert view.read(file) == b"new"
    mounting.unmount(view.namespace, view.walk(b"/one/two"), MNT.DETACH, view.root)
    assert view.read(file) == b"old"


def test_positions_move_to_the_copy(tree: Tree) -> None:
    new(tree.namespace, tree.walk(b"a"))
    tree.mkdir(b"a/deep")
    tree.mkdir(b"a/deep/er")
    tree.context.cwd = tree.walk(b"a/deep/er")
    view = View(tree)
    assert view.path(view.context.cwd) == b"/a/deep/er"
    assert view.context.cwd.mount is not tree.context.cwd.mount
    assert view.context.cwd.mount.filesystem is tree.context.cwd.mount.filesystem
    assert view.walk(b"../../..") is view.root
    new(view.namespace, view.walk(b".."))
    assert view.names(b"..") == []
    assert tree.names(b"..") == [b"er"]


def test_a_removed_directory_stays_removed(tree: Tree) -> None:
    tree.context.cwd = tree.walk(b"a/b")
    tree.context.cwd, gone = tree.root, tree.context.cwd
    tree.rmdir(b"a/b")
    found = View(tree).copying.position(gone)
    assert found.is_deleted
    assert found.inode is gone.inode
    elsewhere = Mount(TmpFileSystem()).root
    assert View(tree, 0xF000_0002).copying.position(elsewhere) is elsewhere


def test_everything_is_copied_in_whatever_order_it_was_mounted(tree: Tree) -> None:
    tree.namespace.mount(TmpFileSystem(), b"/made/up/place", read_only=True).is_unbindable = True
    new(tree.namespace, tree.walk(b"c"))
    tree.mkdir(b"c/in")
    new(tree.namespace, tree.walk(b"c/in"))
    new(tree.namespace, tree.walk(b"a"))
    new(tree.namespace, tree.walk(b"a"))  # over the other one
    tree.mkdir(b"a/c")
    mounting.move(tree.namespace, tree.walk(b"c"), tree.walk(b"a/c"))
    new(tree.namespace, tree.walk(b"/"))
    view = View(tree)
    assert sorted(paths(view)) == sorted(paths(tree))
    assert paths(tree).count(b"/a") == 2
    assert len({mount.identifier for each in (tree, view) for mount in each.namespace.mounts}) == 14
    copied = view.walk(b"/made/up/place").mount
    assert copied.is_unbindable
    assert (copied.is_read_only, copied.is_ceiling_read_only) == (True, True)
    for _ in range(2):
        mounting.unmount(view.namespace, view.walk(b"/a"), MNT.DETACH, view.root)
    assert view.names(b"/a") == [b"b"]
    assert tree.names(b"/a") == [b"c"]


def test_directories_that_are_made_up_for_mounts_are_there(tmp_path: Path) -> None:
    tree = Tree(HostFileSystem(str(tmp_path)))
    tree.namespace.mount(TmpFileSystem(), b"/made/up/place")
    tree.context.cwd = tree.walk(b"/made/up")
    view = View(tree)
    assert view.path(view.context.cwd) == b"/made/up"
    assert view.names(b"/made/up") == [b"place"]
    mounting.unmount(view.namespace, view.walk(b"place"), 0, view.root)
    assert view.names(b"/made/up") == []
    assert tree.names(b"/made/up") == [b"place"]


def test_what_is_shared_stays_shared(tree: Tree) -> None:
    mounting.set_propagation(tree.namespace, tree.root, MS.SHARED)
    view = View(tree)
    new(view.namespace, view.walk(b"a"))
    assert paths(tree) == [b"/", b"/a"]
    mounting.unmount(tree.namespace, tree.walk(b"a"), 0, tree.root)
    assert paths(view) == [b"/"]
    mounting.set_propagation(view.namespace, view.root, MS.PRIVATE)
    new(tree.namespace, tree.walk(b"a"))
    assert paths(view) == [b"/"]


def test_the_mounts_of_others_are_not_ones_own(tree: Tree) -> None:
    new(tree.namespace, tree.walk(b"a"))
    view = View(tree)
    namespace, theirs = view.namespace, tree.walk(b"a")
    assert outcome(new, namespace, theirs) == "EINVAL"
    assert outcome(mounting.bind, namespace, theirs, view.walk(b"c"), recursive=False) == "EINVAL"
    assert outcome(mounting.bind, namespace, view.walk(b"c"), theirs, recursive=False) == "EINVAL"
    assert outcome(mounting.move, namespace, theirs, view.walk(b"c")) == "EINVAL"
    assert outcome(mounting.move, namespace, view.walk(b"a"), theirs) == "EINVAL"
    assert outcome(mounting.remount, namespace, theirs, 0) == "EINVAL"
    assert outcome(mounting.set_propagation, namespace, theirs, MS.SHARED) == "EINVAL"
    assert outcome(mounting.unmount, namespace, theirs, MNT.DETACH, view.root) == "EINVAL"
    assert outcome(mounting.pivot_root, namespace, theirs, theirs, view.root) == "EINVAL"


def test_file_systems_end_with_the_last_name_space(tree: Tree) -> None:
    kept, alone = TmpFileSystem(), TmpFileSystem()
    new(tree.namespace, tree.walk(b"c"), kept)
    view = View(tree)
    own = new(view.namespace, view.walk(b"a"), alone)
    assert view.namespace in tree.namespace.forest.trees
    view.namespace.hold()
    view.namespace.drop()
    assert not alone.is_unmounted
    view.namespace.drop()
    assert view.namespace not in tree.namespace.forest.trees
    assert alone.is_unmounted
    assert not kept.is_unmounted
    assert own.root.parent is None
    assert own.namespace is None
    assert paths(tree) == [b"/", b"/c"]


def test_an_open_directory_outlives_its_name_space(tree: Tree) -> None:
    view = View(tree)
    new(view.namespace, view.walk(b"a"))
    view.mkdir(b"a/in")
    place = view.walk(b"a/in")
    view.namespace.drop()
    operations.mkdir(view.context, place, b"more", 0o755)
    assert not place.mount.filesystem.is_unmounted
    assert outcome(new, tree.namespace, place) == "EINVAL"
    assert view.walk(b"/a/b").inode is tree.walk(b"/a/b").inode  # what was covered


class KeptBy(TmpFileSystem):
    """As a file that keeps a name space."""

    def __init__(self, namespace: MountNamespace) -> None:
        super().__init__()
        self.namespace = namespace


def test_a_chain_of_name_spaces_ends_without_recursion(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(inode: Inode) -> None:
        if isinstance(inode.filesystem, KeptBy):
            inode.filesystem.namespace.drop()

    monkeypatch.setattr(Inode, "unmounted", ended)
    first = last = View(tree).namespace
    for number in range(1500):
        next_one = Copying(tree.namespace, 0xF000_0002 + number).namespace
        new(last, last.root, KeptBy(next_one))
        last = next_one
    assert len(tree.namespace.forest.trees) == 1502
    first.drop()
    assert tree.namespace.forest.trees == [tree.namespace]


def test_a_name_space_never_comes_to_keep_itself(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    view = View(tree)
    young = TmpFileSystem()
    allowed = {young: view.namespace.number}

    def may_be(inode: Inode, number: int) -> bool:
        return number < allowed.get(inode.filesystem, number + 1)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(Inode, "may_be_mounted_in", may_be)
    mounting.bind(tree.namespace, tree.walk(b"a"), tree.walk(b"a"), recursive=False)
    mounting.set_propagation(tree.namespace, tree.walk(b"a"), MS.SHARED)
    third = View(tree, 0xF000_0002)
    new(tree.namespace, tree.walk(b"c"), young)
    assert paths(third) == [b"/", b"/a"]
    mounting.move(tree.namespace, tree.walk(b"c"), tree.walk(b"a/b"))
    assert paths(tree) == [b"/", b"/a", b"/a/b"]
    assert paths(third) == [b"/", b"/a"]
    assert b"/a/b" not in paths(View(tree, 0xF000_0003))


def test_there_are_not_too_many(tree: Tree) -> None:
    found: list[object] = []
    for number in range(1000):
        tree.mkdir(b"c/%d" % number)
        new(tree.namespace, tree.walk(b"c/%d" % number))
    while found[-1:] != ["ENOSPC"]:
        found.append(outcome(Copying, tree.namespace, 0xF000_0001 + len(found)))
    assert 10 < len(found) < 40


def test_what_happens_to_names_happens_in_all(tree: Tree) -> None:
    view = View(tree)
    for name in (b"gone", b"renamed", b"covered", b"carried"):
        tree.mkdir(name)
    gone, renamed = view.walk(b"gone"), view.walk(b"renamed")
    new(view.namespace, view.walk(b"covered"))
    view.mkdir(b"covered/in")
    new(view.namespace, view.walk(b"covered/in"))
    carried = new(view.namespace, view.walk(b"carried"))
    tree.rmdir(b"gone")
    assert gone.is_deleted
    tree.rename(b"renamed", b"a/b/again")
    assert view.path(renamed) == b"/a/b/again"
    assert view.walk(b"a/b/again") is renamed
    tree.rename(b"carried", b"c/carried")
    assert view.walk(b"c/carried") is carried.root
    assert outcome(view.walk, b"carried") == "ENOENT"
    tree.rmdir(b"covered")
    assert outcome(view.walk, b"covered") == "ENOENT"
    assert paths(view) == [b"/", b"/c/carried"]
    assert outcome(view.rmdir, b"c/carried") == "EBUSY"


def test_a_name_leaves_what_a_mount_shows(tree: Tree) -> None:
    tree.mkdir(b"a/b/in")
    mounting.bind(tree.namespace, tree.walk(b"a"), tree.walk(b"c"), recursive=False)
    held = tree.walk(b"c/b/in")
    assert outcome(tree.rename, b"a/b", b"out") is None
    assert tree.path(held) == b"/c/b/in"  # for those in it
    assert outcome(tree.walk, b"c/b") == "ENOENT"
    tree.mkdir(b"a/point")
    new(tree.namespace, tree.walk(b"c/point"))
    assert outcome(tree.rmdir, b"a/point") == "EBUSY"
    assert outcome(tree.rename, b"a/point", b"a/other") == "EBUSY"
    tree.write(b"c/file", b"x")
    tree.unlink(b"a/file")
    assert tree.names(b"c") == [b"point"]
