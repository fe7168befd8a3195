"""Remembered ways: whatever changes on one, a walk finds what it would have found without."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.trees import ROOT, Tree, outcome, user

from aionoah.abi.acl import ACL, XATTR_POSIX_ACL_ACCESS
from aionoah.fs.acl import Entry, pack
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.hostfs_owners import Owners
from aionoah.fs.inode import FileSystem
from aionoah.fs.lists import set_list
from aionoah.fs.overlay import OverlayFileSystem
from aionoah.fs.path import Dentry, attributes, walk
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.fs.trails import Trails
from aionoah.host import reserve

WAY = b"/one/two/three"
FILE = WAY + b"/file"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "top/one/two/three").mkdir(parents=True)
    (tmp_path / "top/one/two/three/file").write_text("old")
    return tmp_path / "top"


def on_host(top: Path) -> FileSystem:
    return HostFileSystem(str(top))


def on_overlay(top: Path) -> FileSystem:
    upper = top.parent / "upper"
    upper.mkdir()
    return OverlayFileSystem([HostFileSystem(str(top))], HostFileSystem(str(upper)))


@pytest.fixture(params=[on_host, on_overlay])
def tree(request: pytest.FixtureRequest, host: Path) -> Tree:
    made = Tree(request.param(host))
    for _ in range(2):
        assert made.read(FILE) == b"old"
    assert has_trail(made)
    return made


def has_trail(tree: Tree) -> bool:
    trails = tree.root.trails
    return trails is not None and trails.get(WAY) is not None


@pytest.mark.parametrize("make", [on_host, on_overlay])
def test_ways_to_hundreds_of_directories_are_remembered_where_descriptors_suffice(
    host: Path, make: Callable[[Path], FileSystem], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of a search for modules, which goes round all of them again and again."""
    monkeypatch.setattr(reserve.resource, "getrlimit", lambda _: (1 << 16, 1 << 16))
    ways = [b"/one/%d/three" % number for number in range(200)]
    for way in ways:
        os.makedirs(os.fsencode(host) + way)
    tree = Tree(make(host))
    for way in ways * 2:
        assert outcome(tree.stat, way + b"/missing") == "ENOENT"
    trails, identity = tree.root.trails, tree.context.identity
    assert trails is not None
    known = [trails.get(way) for way in ways]
    ends = [trail.follow(identity, tree.root) for trail in known if trail is not None]
    assert [end.parent.name for end in ends if end is not None and end.parent is not None] == [
        b"%d" % number for number in range(200)
    ]


def replaced(top: Path) -> None:
    (top / "one/two").rename(top / "one/gone")
    (top / "one/two/three").mkdir(parents=True)
    (top / "one/two/three/file").write_text("new")


def linked(top: Path) -> None:
    replaced(top)
    (top / "one/two").rename(top / "one/new")
    (top / "one/two").symlink_to("new")


@pytest.mark.parametrize("change", [replaced, linked])
def test_a_directory_on_the_way_becomes_another(
    tree: Tree, host: Path, change: Callable[[Path], None]
) -> None:
    change(host)
    assert tree.read(FILE) == b"new"
    assert tree.read(FILE) == b"new"


def test_what_is_held_is_not_taken_for_what_has_replaced_it(tree: Tree, host: Path) -> None:
    held = tree.walk(b"/one/two").inode
    number = held.looked_up_attributes().ino
    replaced(host)
    (host / "one/two").chmod(0o711)
    assert tree.read(FILE) == b"new"
    assert held.looked_up_attributes().ino == number


def test_a_directory_on_the_way_goes(tree: Tree, host: Path) -> None:
    (host / "one/two").rename(host / "one/gone")
    assert outcome(tree.read, FILE) == "ENOENT"
    (host / "one/two").write_text("a file")
    assert outcome(tree.read, FILE) == "ENOTDIR"


def test_a_link_on_the_way_is_made_anew(tree: Tree, host: Path) -> None:
    (host / "link").symlink_to("one")
    for _ in range(2):
        assert tree.read(b"/link/two/three/file") == b"old"
    (host / "other/two/three").mkdir(parents=True)
    (host / "other/two/three/file").write_text("new")
    (host / "link").unlink()
    (host / "link").symlink_to("other")
    assert tree.read(b"/link/two/three/file") == b"new"


def test_a_guest_renames_a_directory(host: Path) -> None:
    tree = Tree(on_host(host))
    tree.read(FILE)
    tree.read(FILE)
    tree.rename(b"/one/two", b"/one/new")
    assert outcome(tree.read, FILE) == "ENOENT"
    assert tree.read(b"/one/new/three/file") == b"old"
    assert tree.path(tree.walk(b"/one/new/three")) == b"/one/new/three"


def test_a_way_is_closed_to_a_user(host: Path) -> None:
    tree = Tree(on_host(host), user(os.geteuid() + 1))
    for _ in range(2):
        assert tree.read(FILE) == b"old"
    (host / "one").chmod(0o700)
    assert outcome(tree.walk, FILE) == "EACCES"
    with tree.acting_as(ROOT):
        assert isinstance(tree.walk(FILE), Dentry)
        assert isinstance(tree.walk(FILE), Dentry)
    assert outcome(tree.walk, FILE) == "EACCES"


@pytest.mark.parametrize("on_the_way", [0, 1, 3])
def test_there_are_no_more_links_than_on_linux(host: Path, on_the_way: int) -> None:
    """Neither in names that lead to one another, nor on the ways there; however often one asks."""
    way = ""
    for number in range(on_the_way):
        (host / f"to{number}").symlink_to(".")
        way += f"to{number}/"
    count = 50 // (on_the_way + 1)
    (host / "link0").write_text("text")
    for number in range(1, count):
        (host / f"link{number}").symlink_to(f"{way}link{number - 1}")
    tree = Tree(on_host(host))
    theirs = [_opens(host / f"link{number}") for number in range(count)]
    for _ in range(3):
        ours = [outcome(tree.read, b"/link%d" % number) == b"text" for number in range(count)]
        asked = [outcome(tree.stat, b"/link%d" % number) != "ELOOP" for number in range(count)]
        assert ours == asked == theirs


def _opens(path: Path) -> bool:
    try:
        return path.read_text() == "text"
    except OSError:
        return False


def test_a_link_at_the_end_is_followed_as_it_is_now(tree: Tree, host: Path) -> None:
    (host / "one/link").symlink_to("two/three/file")
    for _ in range(3):
        assert tree.read(b"/one/link") == b"old"
        assert tree.stat(b"/one/link").size == 3
    (host / "one/other").write_text("another")
    (host / "one/link").unlink()
    (host / "one/link").symlink_to("/one/other")
    for _ in range(3):
        assert tree.read(b"/one/link") == b"another"
        assert tree.stat(b"/one/link").size == 7
    (host / "one/other").unlink()
    assert outcome(tree.stat, b"/one/link") == "ENOENT"


class _Unprivileged(Owners):
    """As if another user ran us: owners and modes are what guests believe, and the host's stay."""

    def __init__(self) -> None:
        super().__init__(is_ours_alone=True)
        self._uid, self._gid, self._groups = 4711, 4711, {4711}


def on_private_upper(top: Path) -> Tree:
    (top.parent / "upper").mkdir()
    upper = HostFileSystem(str(top.parent / "upper"), owners=_Unprivileged(), is_guests=True)
    upper.is_ours_alone = True
    tree = Tree(OverlayFileSystem([HostFileSystem(str(top))], upper))
    tree.write(FILE, b"old")
    tree.chown(b"/one/two", 1000, 1000)
    tree.chmod(b"/one/two", 0o700)
    with tree.acting_as(user(1000)):
        for _ in range(2):
            assert tree.read(FILE) == b"old"
    return tree


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="Python knows no extended attributes here")
@pytest.mark.parametrize("mode", [0o000, 0o600])
def test_owners_close_what_the_host_leaves_open(host: Path, mode: int) -> None:
    tree = on_private_upper(host)
    with tree.acting_as(user(1000)):
        tree.chmod(b"/one/two", mode)
        assert outcome(tree.read, FILE) == "EACCES"
        assert outcome(attributes, tree.context, tree.context.cwd, FILE) == "EACCES"


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="Python knows no extended attributes here")
def test_a_directory_gets_another_owner_that_the_host_does_not_see(host: Path) -> None:
    tree = on_private_upper(host)
    tree.chown(b"/one/two", 1001, 1001)
    with tree.acting_as(user(1000)):
        assert outcome(tree.read, FILE) == "EACCES"


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="Python knows no extended attributes here")
def test_the_first_list_closes_a_directory(host: Path) -> None:
    tree = Tree(on_overlay(host))
    tree.write(FILE, b"old")
    with tree.acting_as(user(1000)):
        for _ in range(2):
            assert tree.read(FILE) == b"old"
    entries = [Entry(ACL.USER_OBJ, 7), Entry(ACL.USER, 0, 1000), Entry(ACL.GROUP_OBJ, 5)]
    entries += [Entry(ACL.MASK, 5), Entry(ACL.OTHER, 5)]
    set_list(tree.context, tree.walk(b"/one/two").inode, XATTR_POSIX_ACL_ACCESS, pack(entries))
    with tree.acting_as(user(1000)):
        assert outcome(tree.read, FILE) == "EACCES"


def test_a_mount_covers_a_directory(tree: Tree) -> None:
    other = Tree(TmpFileSystem())
    tree.namespace.mount(other.root.inode.filesystem, b"/one/two")
    assert outcome(tree.read, FILE) == "ENOENT"


def test_a_directory_is_copied_up_and_hidden(host: Path) -> None:
    tree = Tree(on_overlay(host))
    tree.read(FILE)
    tree.read(FILE)
    tree.write(WAY + b"/new", b"x")
    assert tree.read(WAY + b"/new") == b"x"
    for name in (b"/new", b"/file"):
        tree.unlink(WAY + name)
    tree.rmdir(WAY)
    assert outcome(tree.read, FILE) == "ENOENT"
    tree.mkdir(WAY)
    assert outcome(tree.read, FILE) == "ENOENT"


def test_there_are_not_too_many(tmp_path: Path) -> None:
    tree = Tree(on_host(tmp_path))
    for number in range(600):
        path = b"/directory%d" % number
        tree.mkdir(path)
        tree.write(path + b"/file", b"%d" % number)
        assert tree.read(path + b"/file") == b"%d" % number
    trails = tree.root.trails
    assert isinstance(trails, Trails)
    assert trails.get(b"/directory0") is None
    assert trails.get(b"/directory599") is not None


def test_where_a_way_begins_may_be_closed_later(tree: Tree) -> None:
    start = tree.walk(b"/one")
    with tree.acting_as(user(1000)):
        for _ in range(2):
            assert walk(tree.context, start, b"two/three/file").name == b"file"
    tree.chmod(b"/one", 0o700)
    with tree.acting_as(user(1000)):
        assert outcome(walk, tree.context, start, b"two/three/file") == "EACCES"
    assert walk(tree.context, start, b"two/three/file").name == b"file"


def test_a_mount_where_a_way_ends_may_be_closed_later(tree: Tree) -> None:
    tree.namespace.mount(TmpFileSystem(mode=0o755), WAY + b"/mounted")
    tree.write(WAY + b"/mounted/file", b"text")
    with tree.acting_as(user(1000)):
        for _ in range(2):
            assert tree.stat(WAY + b"/mounted/file").size == 4
    tree.chmod(WAY + b"/mounted", 0o700)
    with tree.acting_as(user(1000)):
        assert outcome(attributes, tree.context, tree.root, WAY + b"/mounted/file") == "EACCES"
    assert tree.stat(WAY + b"/mounted/file").size == 4
