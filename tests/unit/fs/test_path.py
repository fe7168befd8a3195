"""Positions and paths: what a Dentry promises, path_of, walk_parent, and the flags of openat2."""

import gc

import pytest
from fakes.trees import EXCHANGE, Tree, outcome, user

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import RESOLVE
from aionoah.abi.stat import S
from aionoah.fs.inode import Attributes, FileSystem, Inode
from aionoah.fs.path import Dentry, path_of, walk, walk_parent
from aionoah.fs.tmpfs import TmpFileSystem


@pytest.fixture
def tree() -> Tree:
    made = Tree(TmpFileSystem(mode=0o755))
    made.mkdir(b"a")
    made.mkdir(b"a/b")
    made.write(b"a/b/file", b"text")
    return made


# -- positions --------------------------------------------------------------------------------------------


def test_a_position_is_the_same_object_while_it_is_held(tree: Tree) -> None:
    first = tree.walk(b"a/b/file")
    assert tree.walk(b"/a/./b/../b/file") is first
    assert tree.walk(b"a") is tree.walk(b"a/b").parent


def test_positions_that_nobody_holds_are_forgotten(tree: Tree) -> None:
    held = tree.walk(b"a")
    tree.walk(b"a/b/file")
    held.mount.recent.clear()
    gc.collect()
    assert not held.children
    assert list(tree.root.children) == [b"a"]


def test_a_new_file_of_an_old_name_is_another_position(tree: Tree) -> None:
    old = tree.walk(b"a/b/file")
    tree.unlink(b"a/b/file")
    tree.write(b"a/b/file", b"other")
    new = tree.walk(b"a/b/file")
    assert new is not old
    assert old.is_deleted
    assert not new.is_deleted
    del old
    assert tree.walk(b"a/b/file") is new


def test_a_rename_is_seen_by_all_who_are_below(tree: Tree) -> None:
    file = tree.open(b"a/b/file")
    tree.context.cwd = tree.walk(b"a/b")
    tree.rename(b"/a", b"/moved")
    assert tree.path(tree.context.cwd) == b"/moved/b"
    assert file.dentry is not None
    assert tree.path(file.dentry) == b"/moved/b/file"
    assert tree.walk(b"..") is tree.walk(b"/moved")


def test_an_exchange_swaps_positions(tree: Tree) -> None:
    tree.write(b"x", b"x")
    inner, outer = tree.walk(b"a/b"), tree.walk(b"x")
    tree.rename(b"a/b", b"x", EXCHANGE)
    assert (tree.path(inner), tree.path(outer)) == (b"/x", b"/a/b")
    assert tree.walk(b"x/file").parent is inner


def test_what_a_rename_replaces_is_deleted(tree: Tree) -> None:
    tree.write(b"new", b"new")
    replaced = tree.walk(b"a/b/file")
    tree.rename(b"new", b"a/b/file")
    assert tree.path(replaced) == b"/a/b/file (deleted)"
    assert tree.path(tree.walk(b"a/b/file")) == b"/a/b/file"


def test_a_removed_working_directory_takes_nothing_new_but_can_be_left(tree: Tree) -> None:
    tree.mkdir(b"a/gone")
    tree.context.cwd = tree.walk(b"a/gone")
    tree.rmdir(b"/a/gone")
    assert tree.context.cwd.is_deleted
    assert outcome(tree.mkdir, b"x") == "ENOENT"
    assert outcome(tree.write, b"x", b"") == "ENOENT"
    assert outcome(tree.walk, b"x") == "ENOENT"
    assert tree.walk(b"..") is tree.walk(b"/a")
    assert tree.walk(b".") is tree.context.cwd


def test_paths_end_at_the_root_that_asks(tree: Tree) -> None:
    file, directory = tree.walk(b"a/b/file"), tree.walk(b"a")
    assert path_of(tree.root, tree.root) == b"/"
    assert path_of(file, tree.root) == b"/a/b/file"
    assert path_of(file, directory) == b"/b/file"
    assert path_of(directory, file) == b"(unreachable)/a"


def test_a_changed_root_cannot_be_left(tree: Tree) -> None:
    tree.context.root = tree.context.cwd = tree.walk(b"a")
    assert tree.walk(b"../../b").parent is tree.context.root
    assert tree.walk(b"/b/../../../..") is tree.context.root
    tree.symlink(b"/b/file", b"link")
    assert tree.read(b"link") == b"text"


# -- limits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"", "ENOENT"),
        (b"x" * 255, "ENOENT"),
        (b"x" * 256, "ENAMETOOLONG"),
        (b"a/" + b"x" * 256 + b"/y", "ENAMETOOLONG"),
        (b"/." * 2047 + b"/", "/"),
        (b"/." * 2048, "ENAMETOOLONG"),
        (b"a/b/file/", "ENOTDIR"),
        (b"a/b/file/.", "ENOTDIR"),
        (b"a/b/file/..", "ENOTDIR"),
        (b"a//b///file", "/a/b/file"),
        (b"missing/..", "ENOENT"),
    ],
)
def test_odd_paths(tree: Tree, path: bytes, expected: str) -> None:
    found = outcome(tree.walk, path)
    assert (found if isinstance(found, str) else tree.path(found).decode()) == expected


def test_a_relative_path_needs_a_directory_to_begin_at(tree: Tree) -> None:
    tree.context.cwd = tree.walk(b"a/b/file")
    assert outcome(tree.walk, b"x") == "ENOTDIR"
    assert outcome(tree.walk, b".") == "ENOTDIR"
    assert tree.walk(b"/a") is not None


def test_every_directory_on_the_way_must_be_searchable(tree: Tree) -> None:
    tree.chmod(b"a", 0o700)
    with tree.acting_as(user(7)):
        assert outcome(tree.walk, b"a/b") == "EACCES"
        assert outcome(tree.walk, b"a/missing") == "EACCES"
        assert outcome(tree.walk, b"a/..") == "EACCES"
        assert tree.walk(b"a") is not None


# -- the last component -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "directory", "name", "wants_directory", "is_ordinary"),
    [
        (b"new", b"/", b"new", False, True),
        (b"a/b/new/", b"/a/b", b"new", True, True),
        (b"/", b"/", b"", True, False),
        (b"a/.", b"/a", b".", False, False),
        (b"a/b/..", b"/a/b", b"..", False, False),
        (b"up/new", b"/", b"new", False, True),
        (b"up", b"/", b"up", False, True),
    ],
)
def test_the_parent_of_a_path(
    tree: Tree, path: bytes, directory: bytes, name: bytes, *, wants_directory: bool, is_ordinary: bool
) -> None:
    tree.symlink(b"a/..", b"up")
    found = walk_parent(tree.context, tree.root, path)
    assert (tree.path(found.directory), found.name) == (directory, name)
    assert (found.wants_directory, found.is_ordinary) == (wants_directory, is_ordinary)


def test_a_name_that_is_to_be_made_must_fit(tree: Tree) -> None:
    assert outcome(walk_parent, tree.context, tree.root, b"a/" + b"x" * 256) == "ENAMETOOLONG"
    assert walk_parent(tree.context, tree.root, b"a/" + b"x" * 255).name == b"x" * 255


# -- openat2 --------------------------------------------------------------------------------------------------


def test_resolve_flags_bound_the_walk(tree: Tree) -> None:
    tree.symlink(b"/a", b"absolute")
    tree.symlink(b"../..", b"a/outside")
    here = tree.walk(b"a")

    def go(path: bytes, resolve: int) -> object:
        found = outcome(walk, tree.context, here, path, resolve=resolve)
        return tree.path(found) if isinstance(found, Dentry) else found

    assert go(b"..", RESOLVE.BENEATH) == "EXDEV"
    assert go(b"outside", RESOLVE.BENEATH) == "EXDEV"
    assert go(b"/a", RESOLVE.BENEATH) == "EXDEV"
    assert go(b"b/..", RESOLVE.BENEATH) == b"/a"
    assert go(b"../../b", RESOLVE.IN_ROOT) == b"/a/b"
    assert go(b"/b", RESOLVE.IN_ROOT) == b"/a/b"
    assert go(b"outside/b/file", RESOLVE.IN_ROOT) == b"/a/b/file"
    assert go(b"../absolute", RESOLVE.NO_SYMLINKS) == "ELOOP"
    assert go(b"../absolute", 0) == b"/a"


def test_no_xdev_stays_on_one_mount(tree: Tree) -> None:
    tree.namespace.mount(TmpFileSystem(), b"/a/b")
    tree.symlink(b"/a", b"link")
    inside = tree.walk(b"a/b")
    for start, path in [(tree.root, b"a/b"), (inside, b".."), (inside, b"/a"), (inside, b"../../link")]:
        assert outcome(walk, tree.context, start, path, resolve=RESOLVE.NO_XDEV) == "EXDEV"
    assert walk(tree.context, tree.root, b"link", resolve=RESOLVE.NO_XDEV) is tree.walk(b"a")


class MagicLink(Inode):
    """A link as /proc has them: its text leads nowhere."""

    def __init__(self, filesystem: FileSystem, target: Dentry) -> None:
        self.filesystem = filesystem
        self.target = target

    def attributes(self) -> Attributes:
        return Attributes(S.IFLNK | 0o777, 1, 1)

    def readlink(self) -> bytes:
        return b"nowhere"

    def magic_target(self) -> Dentry:
        return self.target


def test_magic_links_lead_to_an_object_and_not_along_a_path(tree: Tree) -> None:
    link = MagicLink(tree.root.mount.filesystem, tree.walk(b"a"))
    tree.root.mount.filesystem.root.names[b"magic"] = link  # type: ignore[attr-defined]
    assert tree.walk(b"magic") is link.target
    assert tree.walk(b"magic/b/..") is link.target
    assert tree.walk(b"magic", follow=False).inode is link
    for resolve, expected in {
        RESOLVE.NO_MAGICLINKS: "ELOOP",
        RESOLVE.NO_SYMLINKS: "ELOOP",
        RESOLVE.BENEATH: "EXDEV",
        RESOLVE.IN_ROOT: "EXDEV",
    }.items():
        assert outcome(tree.walk, b"magic", resolve=resolve) == expected
    link.target = tree.walk(b"a/b/file")
    assert tree.walk(b"magic") is link.target
    assert outcome(tree.walk, b"magic/x") == "ENOTDIR"
    assert outcome(tree.walk, b"magic/") == "ENOTDIR"


# -- a host that changes under us -----------------------------------------------------------------------------


class Slippery(Inode):
    """A directory whose lookups fail with ESTALE a number of times."""

    def __init__(self, inode: Inode, times: int) -> None:
        self.filesystem = inode.filesystem
        self.inode = inode
        self.times = times

    def attributes(self) -> Attributes:
        return self.inode.attributes()

    def lookup(self, name: bytes) -> Inode:
        self.times -= 1
        if self.times >= 0:
            raise LinuxError(Errno.ESTALE)
        return self.inode.lookup(name)


@pytest.mark.parametrize(("times", "expected"), [(0, "found"), (16, "found"), (17, "ESTALE")])
def test_a_walk_starts_again_when_the_host_was_quicker(tree: Tree, times: int, expected: str) -> None:
    tree.root.inode = Slippery(tree.root.inode, times)
    tree.root.trails = None
    found = outcome(tree.walk, b"a/b")
    assert ("found" if isinstance(found, Dentry) else found) == expected
