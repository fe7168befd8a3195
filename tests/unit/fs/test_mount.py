"""Several file systems in one tree."""

from pathlib import Path

import pytest
from fakes.trees import Tree, outcome

from aionoah.abi.fcntl import O
from aionoah.abi.stat import DT, S
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.inode import FileSystem
from aionoah.fs.path import attributes
from aionoah.fs.tmpfs import TmpFileSystem


@pytest.fixture
def host(tmp_path: Path) -> Tree:
    """A host tree that cannot be written."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root")
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    (tmp_path / "dangling").symlink_to("nowhere/at/all")
    return Tree(HostFileSystem(str(tmp_path)), read_only=True)


def test_mounts_are_crossed_both_ways(host: Tree) -> None:
    mount = host.namespace.mount(TmpFileSystem(), b"/data")
    host.write(b"data/new", b"x")
    assert host.walk(b"data") is mount.root
    assert host.walk(b"data/..") is host.root
    assert host.path(host.walk(b"data/new")) == b"/data/new"
    assert host.names(b"data") == [b"new"]


def test_a_read_only_mount_refuses_every_change_first(host: Tree) -> None:
    for name, *arguments in [
        ("mkdir", b"new"),
        ("rmdir", b"data"),
        ("unlink", b"etc/passwd"),
        ("unlink", b"missing"),
        ("symlink", b"x", b"new"),
        ("link", b"etc/passwd", b"new"),
        ("rename", b"etc", b"new"),
        ("mknod", b"new", S.IFREG | 0o644),
        ("write", b"new", b""),
        ("write", b"etc/passwd", b""),
        ("try_open", b"etc/passwd", O.RDONLY | O.TRUNC),
        ("chmod", b"etc", 0o700),
        ("chown", b"etc", 1, 1),
        ("truncate", b"etc/passwd", 0),
        ("access", b"etc/passwd", 2),
    ]:
        assert outcome(getattr(host, str(name)), *arguments) == "EROFS", name
    assert outcome(host.mkdir, b"etc") == "EEXIST"
    assert host.read(b"etc/passwd") == b"root"
    assert host.try_open(b"etc/passwd", O.RDONLY | O.CREAT) == "ok"


def test_mountpoints_need_not_exist_on_the_host(host: Tree, tmp_path: Path) -> None:
    host.namespace.mount(TmpFileSystem(), b"/made/up/place")
    host.namespace.mount(TmpFileSystem(), b"/etc/extra")
    host.write(b"made/up/place/file", b"x")
    assert host.names(b".") == [b"dangling", b"data", b"etc", b"link", b"made"]
    assert host.names(b"made") == [b"up"]
    assert host.names(b"etc") == [b"extra", b"passwd"]
    assert host.path(host.walk(b"made/up/place/file")) == b"/made/up/place/file"
    assert host.walk(b"made/up/place/../../..") is host.root
    assert host.facts(b"made/up")[0] == S.IFDIR | 0o755
    assert not (tmp_path / "made").exists()
    file = host.open(b".", O.DIRECTORY)
    kinds = {entry.name: entry.kind for entry in file.entries()}
    assert kinds[b"made"] == DT.DIR


def test_made_up_directories_cannot_be_changed(host: Tree) -> None:
    host.namespace.mount(TmpFileSystem(), b"/made/up")
    assert outcome(host.mkdir, b"made/new") == "EROFS"
    assert outcome(host.write, b"made/new", b"") == "EROFS"
    assert outcome(host.walk, b"made/missing") == "ENOENT"
    assert outcome(host.rmdir, b"made") == "EROFS"
    assert outcome(host.rename, b"made/up", b"made/down") == "EROFS"


def test_in_memory_the_way_to_a_mountpoint_is_made_for_good() -> None:
    tree = Tree(TmpFileSystem())
    tree.namespace.mount(TmpFileSystem(), b"/run/lock/x")
    tree.write(b"run/lock/beside", b"x")
    assert tree.names(b"run/lock") == [b"beside", b"x"]


def test_links_on_the_way_to_a_mountpoint_are_followed(host: Tree) -> None:
    mount = host.namespace.mount(TmpFileSystem(), b"/link/below")
    assert host.path(mount.root) == b"/data/below"
    over = host.namespace.mount(TmpFileSystem(), b"/link")
    assert host.walk(b"data") is over.root
    assert host.walk(b"link") is over.root
    dangling = host.namespace.mount(TmpFileSystem(), b"/dangling")
    assert host.walk(b"dangling") is dangling.root


def test_the_latest_mount_hides_the_earlier(host: Tree) -> None:
    first = host.namespace.mount(TmpFileSystem(), b"/data")
    held = host.walk(b"data")
    second = host.namespace.mount(TmpFileSystem(), b"/data")
    assert host.walk(b"data") is second.root
    assert held is first.root
    assert host.path(second.root) == b"/data"
    assert [mount.identifier for mount in host.namespace.mounts] == [1, 2, 3]


def test_a_single_file_can_be_mounted_over_another(host: Tree, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("mine")
    host.namespace.mount(HostFileSystem(str(own)), b"/etc/passwd")
    assert host.read(b"etc/passwd") == b"mine"
    host.write(b"etc/passwd", b"more")
    assert own.read_text() == "more"
    assert outcome(host.walk, b"etc/passwd/x") == "ENOTDIR"
    assert outcome(attributes, host.context, host.root, b"/etc/passwd/") == "ENOTDIR"


def test_a_part_of_a_file_system_can_be_mounted() -> None:
    shared = TmpFileSystem()
    tree = Tree(shared)
    tree.mkdir(b"inner")
    tree.write(b"inner/file", b"x")
    tree.mkdir(b"elsewhere")
    tree.namespace.mount(shared, b"/elsewhere", root=tree.walk(b"inner").inode)
    assert tree.read(b"elsewhere/file") == b"x"
    assert outcome(tree.link, b"inner/file", b"elsewhere/link") == "EXDEV"
    assert outcome(tree.rename, b"inner/file", b"elsewhere/link") == "EXDEV"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/", "EBUSY"),
        (b"", "EBUSY"),
        (b"/a/../b", "EINVAL"),
        (b"/etc/passwd", "ENOTDIR"),
        (b"/etc/passwd/x", "ENOTDIR"),
    ],
)
def test_where_nothing_can_be_mounted(host: Tree, path: bytes, expected: str) -> None:
    assert outcome(host.namespace.mount, TmpFileSystem(), path) == expected
    assert len(host.namespace.mounts) == 1


def test_a_file_does_not_cover_a_directory(host: Tree, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("mine")
    assert outcome(host.namespace.mount, HostFileSystem(str(own)), b"/etc") == "ENOTDIR"


def test_mountpoints_are_busy_but_their_parents_may_move() -> None:
    tree = Tree(TmpFileSystem())
    tree.mkdir(b"a")
    tree.mkdir(b"a/point")
    mount = tree.namespace.mount(TmpFileSystem(), b"/a/point")
    assert outcome(tree.rmdir, b"a/point") == "EBUSY"
    assert outcome(tree.rename, b"a/point", b"b") == "EBUSY"
    assert outcome(tree.rmdir, b"a") == "ENOTEMPTY"
    tree.rename(b"a", b"b")
    assert tree.walk(b"b/point") is mount.root
    assert tree.path(mount.root) == b"/b/point"


def test_what_proc_mounts_shows(host: Tree) -> None:
    data = host.namespace.mount(TmpFileSystem(), b"/data", source=b"shm", options=b"nosuid")
    assert (data.source, data.option_text) == (b"shm", b"rw,nosuid,relatime")
    twice = host.namespace.mount(TmpFileSystem(), b"/data", options=b"nosuid,nosuid")
    assert twice.option_text == b"rw,nosuid,relatime"
    top = host.namespace.mounts[0]
    assert (top.source, top.option_text) == (b"hostfs", b"ro,relatime")


def test_every_file_system_is_released_once() -> None:
    released: list[FileSystem] = []

    class Counting(TmpFileSystem):
        def release(self) -> None:
            released.append(self)

    shared, other = Counting(), Counting()
    tree = Tree(shared)
    tree.namespace.mount(other, b"/a")
    tree.namespace.mount(other, b"/b")
    tree.namespace.release()
    tree.namespace.release()
    assert released == [other, shared]
