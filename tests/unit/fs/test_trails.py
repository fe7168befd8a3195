"""Remembered ways: whatever changes on one, a walk finds what it would have found without."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from stat import S_IFMT, S_ISREG
from tempfile import TemporaryDirectory

import pytest
from fakes.trees import ROOT, Tree, outcome, user
from hypothesis import given
from hypothesis import strategies as st

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


def test_there_are_not_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reserve.resource, "getrlimit", lambda _: (1 << 14, 1 << 14))
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


# -- ways that end too early ----------------------------------------------------------------------------------


def follows(tree: Tree, way: bytes) -> bool:
    trail = tree.root.trails.get(way) if tree.root.trails is not None else None
    return trail is not None and trail.follow(tree.context.identity, tree.root) is not None


@pytest.mark.parametrize("make", [on_host, on_overlay])
@pytest.mark.parametrize("missing", [b"/one/two/no/such/file", b"//one///two//no//such/file"])
def test_what_there_is_of_a_way_is_remembered(
    host: Path, make: Callable[[Path], FileSystem], missing: bytes
) -> None:
    """Searches ask for many names in directories that are not there."""
    tree = Tree(make(host))
    for _ in range(3):
        assert outcome(tree.stat, missing) == "ENOENT"
    assert follows(tree, missing[: missing.index(b"/no")])
    (host / "one/two/no/such").mkdir(parents=True)
    (host / "one/two/no/such/file").write_text("new")
    for _ in range(3):
        assert tree.read(missing) == b"new"
    assert follows(tree, missing.rpartition(b"/")[0])


def test_a_known_way_is_the_beginning_of_others(host: Path) -> None:
    (host / "link").symlink_to("one/two")
    (host / "one/two/three/four").mkdir()
    (host / "one/two/three/four/file").write_text("deep")
    tree = Tree(on_host(host))
    for path in (b"/link/three/file", b"/link/three/none/file", b"/link/none/file", b"/link/three/four/file"):
        theirs = outcome((host / path[1:].decode()).read_bytes)
        assert [outcome(tree.read, path) for _ in range(3)] == [theirs] * 3
    assert follows(tree, b"/link/three")
    assert follows(tree, b"/link/three/four")
    replaced(host)
    assert tree.read(b"/link/three/file") == b"new"
    assert outcome(tree.read, b"/link/three/four/file") == "ENOENT"


NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(st.sampled_from(["a", "b", "c", "a", "b", "..", ".", ""]), min_size=1, max_size=6).map(
    "/".join
)
PLACES = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
CHANGES = st.one_of(
    st.tuples(st.just("make"), PLACES),
    st.tuples(st.just("rename"), PLACES, PLACES),
    st.tuples(st.just("link"), PLACES, PLACES),
    st.tuples(st.just("write"), PLACES),
    st.tuples(st.just("remove"), PLACES),
)


def change_host(top: Path, action: str, place: str, other: str = "") -> None:
    path = top / place
    match action:
        case "make":
            path.mkdir(parents=True, exist_ok=True)
        case "rename":
            path.rename(top / other)
        case "link":
            path.symlink_to(other)
        case "write":
            path.write_text(place)
        case _:
            path.unlink() if path.is_symlink() or path.is_file() else path.rmdir()


def kind_of(tree: Tree, path: str) -> tuple[int, int]:
    found = tree.stat(os.fsencode("/" + path))
    return S_IFMT(found.mode), found.size if S_ISREG(found.mode) else 0


def host_kind_of(top: Path, path: str) -> tuple[int, int]:
    found = os.stat(f"{top}/{path}")  # pathlib drops dots and slashes
    return S_IFMT(found.st_mode), found.st_size if S_ISREG(found.st_mode) else 0


@pytest.mark.parametrize("make", [on_host, on_overlay])
@given(steps=st.lists(st.one_of(st.lists(PATHS, min_size=3, max_size=6), CHANGES), max_size=30))
def test_whatever_is_remembered_what_is_there_is_found(
    make: Callable[[Path], FileSystem], steps: list[list[str] | tuple[str, ...]]
) -> None:
    with TemporaryDirectory() as above:
        top = Path(above) / "top"
        top.mkdir()
        tree = Tree(make(top))
        for step in steps:
            if isinstance(step, tuple):
                with suppress(OSError):
                    change_host(top, *step)
                continue
            for path in step * 2:
                ours = outcome(kind_of, tree, path)
                theirs = outcome(host_kind_of, top, path)
                assert ours == theirs or ".." in path, "that may lead out of the tree on the host"


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
