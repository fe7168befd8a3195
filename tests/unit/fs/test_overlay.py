"""An overlay: what is copied up and how, what hides what, and what other tools find in the upper layer."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.trees import EXCHANGE, IS_LINUX, Tree, outcome, read_all

from aionoah.abi.fcntl import O
from aionoah.abi.stat import DT, S
from aionoah.fs import operations
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.hostfs_owners import Owners
from aionoah.fs.inode import FileSystem
from aionoah.fs.overlay import OverlayFileSystem
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.memory.buffer import KernelBuffer

NO_XATTRS = not hasattr(os, "setxattr")


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    for name in ("upper", "work", "merged", "middle/dir", "lower/dir/deep", "lower/other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "lower/dir/file").write_text("below")
    (tmp_path / "lower/dir/deep/x").write_text("x")
    (tmp_path / "lower/one").write_text("linked")
    os.link(tmp_path / "lower/one", tmp_path / "lower/two")
    (tmp_path / "lower/link").symlink_to("dir/file")
    (tmp_path / "middle/dir/middle").write_text("middle")
    return tmp_path


def overlay(layers: Path, upper: FileSystem | Callable[[], FileSystem] | None) -> Tree:
    lowers = [HostFileSystem(str(layers / name)) for name in ("middle", "lower")]
    return Tree(OverlayFileSystem(lowers, upper))


def kept(layers: Path) -> FileSystem:
    return HostFileSystem(str(layers / "upper"), owners=Owners(), is_guests=True)


@pytest.fixture(params=["tmpfs", "hostfs"])
def tree(layers: Path, request: pytest.FixtureRequest) -> Iterator[Tree]:
    made = overlay(layers, TmpFileSystem(mode=0o755) if request.param == "tmpfs" else kept(layers))
    yield made
    made.namespace.release()


# -- copying up -------------------------------------------------------------------------------------------


def test_what_is_below_stays_as_it_is(tree: Tree, layers: Path) -> None:
    tree.write(b"dir/file", b"new")
    tree.unlink(b"one")
    tree.chmod(b"other", 0o700)
    assert (layers / "lower/dir/file").read_text() == "below"
    assert (layers / "lower/one").exists()
    assert (layers / "lower/other").stat().st_mode & 0o777 == 0o755
    assert tree.read(b"dir/file") == b"newow"


def test_numbers_stay_the_same(tree: Tree) -> None:
    before = {path: tree.stat(path)[1:3] for path in (b"dir", b"dir/file", b"other", b"one")}
    tree.write(b"dir/file", b"x")
    tree.chmod(b"other", 0o700)
    tree.truncate(b"two", 3)
    assert {path: tree.stat(path)[1:3] for path in before} == before
    listed = {entry.name: entry.ino for entry in tree.open(b"dir").entries()}
    assert listed[b"file"] == before[b"dir/file"][0]
    assert listed[b"."] == before[b"dir"][0]


def test_everything_is_copied(tree: Tree, layers: Path) -> None:
    file = layers / "lower/dir/file"
    with file.open("r+b") as sparse:
        sparse.truncate(1 << 20)
        sparse.seek(1 << 19)
        sparse.write(b"data")
    file.chmod(0o750)
    os.utime(file, ns=(10**18, 2 * 10**18))
    if not NO_XATTRS:
        os.setxattr(file, "user.note", b"kept")
    times = tree.stat(b"dir").mtime_ns
    tree.walk(b"dir/file").inode.set_xattr(b"user.other", b"1", 0) if not NO_XATTRS else None
    found = tree.stat(b"dir/file")
    assert (found.mode, found.size, found.mtime_ns) == (S.IFREG | 0o750, 1 << 20, 2 * 10**18)
    assert found.blocks * 512 < 1 << 18  # holes stay holes
    assert tree.read(b"dir/file") == file.read_bytes()
    assert tree.stat(b"dir").mtime_ns == times
    assert NO_XATTRS or tree.walk(b"dir/file").inode.get_xattr(b"user.note") == b"kept"


def test_a_reader_goes_on_with_the_old_contents(tree: Tree) -> None:
    """As on Linux; its fstat tells of the copy."""
    reader = tree.open(b"dir/file")
    tree.write(b"dir/file", b"longer text")
    assert read_all(reader) == b"below"
    assert reader.attributes().size == 11
    assert tree.read(b"dir/file") == b"longer text"


def test_a_removed_file_that_is_open_can_be_changed(tree: Tree) -> None:
    reader = tree.open(b"dir/file")
    tree.unlink(b"dir/file")
    assert reader.attributes().nlink == 0
    from aionoah.fs.inode import Change

    reader.inode.change(Change(mode=0o600))
    assert reader.attributes().mode == S.IFREG | 0o600
    assert b"file" not in tree.names(b"dir")


def test_all_names_of_a_file_see_a_change(tree: Tree) -> None:
    tree.write(b"one", b"LINKED")
    assert tree.read(b"two") == b"LINKED"
    assert tree.stat(b"one").nlink == tree.stat(b"two").nlink == 2
    tree.unlink(b"one")
    assert (tree.read(b"two"), tree.stat(b"two").nlink) == (b"LINKED", 1)
    tree.link(b"two", b"three")
    tree.write(b"three", b"linked")
    assert (tree.read(b"two"), tree.stat(b"two").nlink) == (b"linked", 2)


def test_a_name_of_a_linked_file_that_is_removed_first(tree: Tree) -> None:
    tree.unlink(b"two")
    assert tree.stat(b"one").nlink == 1
    tree.write(b"one", b"x")
    assert tree.stat(b"one").nlink == 1


def test_a_linked_file_that_has_lost_all_names_gets_no_other(tree: Tree) -> None:
    held = tree.walk(b"one")
    tree.write(b"one", b"x")
    tree.unlink(b"one")
    operations.link_dentry(tree.context, held, tree.root, b"three")
    for name in (b"two", b"three"):
        tree.unlink(name)
    assert held.inode.attributes().nlink == 0
    assert outcome(operations.link_dentry, tree.context, held, tree.root, b"four") == "ENOENT"


def test_mappings_before_and_after(layers: Path) -> None:
    tree = overlay(layers, kept(layers))
    before = tree.open(b"dir/file").mapping()
    writer = tree.open(b"dir/file", O.RDWR)
    after = writer.mapping()
    writer.pwrite(KernelBuffer(b"B"), 0)
    assert (os.pread(before.fd, 5, 0), os.pread(after.fd, 5, 0)) == (b"below", b"Below")


# -- hiding -----------------------------------------------------------------------------------------------


def test_layers_are_merged(tree: Tree) -> None:
    assert tree.names(b"dir") == [b"deep", b"file", b"middle"]
    assert tree.names(b".") == [b"dir", b"link", b"one", b"other", b"two"]
    tree.write(b"dir/own", b"")
    assert tree.names(b"dir") == [b"deep", b"file", b"middle", b"own"]


def test_a_new_directory_shows_nothing_of_the_old(tree: Tree) -> None:
    assert outcome(tree.rmdir, b"dir") == "ENOTEMPTY"
    for path in (b"dir/file", b"dir/middle", b"dir/deep/x"):
        tree.unlink(path)
    tree.rmdir(b"dir/deep")
    tree.rmdir(b"dir")
    assert outcome(tree.stat, b"dir") == "ENOENT"
    tree.mkdir(b"dir")
    assert tree.names(b"dir") == []
    tree.mkdir(b"new")
    tree.write(b"new/inner", b"1")
    tree.rmdir(b"dir")
    tree.rename(b"new", b"dir")
    assert tree.names(b"dir") == [b"inner"]


def test_directories_from_below_cannot_be_renamed(tree: Tree) -> None:
    assert outcome(tree.rename, b"dir", b"moved") == "EXDEV"
    assert outcome(tree.rename, b"other", b"moved") == "EXDEV"
    tree.mkdir(b"own")
    tree.rename(b"own", b"owned")
    assert b"owned" in tree.names(b".")


def test_exchanging(tree: Tree) -> None:
    tree.mkdir(b"own")
    tree.rename(b"one", b"own", EXCHANGE)
    assert tree.read(b"own") == b"linked"
    assert tree.names(b"one") == []
    assert tree.names(b".") == [b"dir", b"link", b"one", b"other", b"own", b"two"]


def test_guests_cannot_make_or_see_the_signs(tree: Tree) -> None:
    assert outcome(tree.mknod, b"white", S.IFCHR, 0) == "EPERM"
    inode = tree.walk(b"dir").inode
    for name in (b"trusted.overlay.opaque", b"user.overlay.opaque"):
        assert outcome(inode.set_xattr, name, b"y", 0) == "EOPNOTSUPP"
    assert outcome(tree.stat, b".wh..wh.aionoah") == "ENOENT"


def test_without_an_upper_layer_nothing_changes(layers: Path) -> None:
    tree = overlay(layers, None)
    assert outcome(tree.write, b"dir/file", b"x") == "EROFS"
    assert tree.read(b"dir/file") == b"below"


def test_the_upper_layer_is_made_by_the_first_change(layers: Path) -> None:
    made: list[FileSystem] = []

    def make() -> FileSystem:
        made.append(TmpFileSystem())
        return made[0]

    tree = overlay(layers, make)
    assert tree.read(b"dir/file") == b"below"
    assert not made
    tree.write(b"new", b"x")
    assert tree.stat(b".").mode == S.IFDIR | (layers / "middle").stat().st_mode & 0o7777
    assert made[0].root.lookup(b"new")


def test_many_entries(layers: Path) -> None:
    """Each layer is read once: 3,000 entries below and 100 whiteouts above are no work worth mentioning."""
    for number in range(3000):
        (layers / f"lower/other/{number}").touch()
    tree = overlay(layers, kept(layers))
    for number in range(0, 3000, 30):
        tree.unlink(b"other/%d" % number)
    assert len(tree.names(b"other")) == 2900


# -- on disk ----------------------------------------------------------------------------------------------


def test_an_upper_layer_is_found_again(layers: Path) -> None:
    tree = overlay(layers, kept(layers))
    tree.write(b"dir/file", b"changed")
    tree.unlink(b"one")
    tree.mknod(b"null", S.IFCHR | 0o666, 0x103)
    tree.chown(b"dir/file", 12, 34)
    tree.namespace.release()
    assert sorted(os.listdir(layers / "upper")) == ["dir", "null", "one"]
    again = overlay(layers, kept(layers))
    assert again.read(b"dir/file") == b"changed"
    assert again.facts(b"dir/file")[2:4] == (12, 34)
    assert again.names(b".") == [b"dir", b"link", b"null", b"other", b"two"]
    assert (again.stat(b"null").mode, again.stat(b"null").rdev) == (S.IFCHR | 0o644, 0x103)
    assert {entry.name: entry.kind for entry in again.open(b".").entries()}[b"dir"] == DT.DIR


@pytest.mark.skipif(not IS_LINUX, reason="the form that Linux has")
def test_the_form_is_linuxs(layers: Path) -> None:
    tree = overlay(layers, kept(layers))
    tree.unlink(b"one")
    tree.unlink(b"dir/deep/x")
    tree.rmdir(b"dir/deep")
    tree.mkdir(b"dir/deep")
    status = (layers / "upper/one").stat()
    assert (status.st_mode & S.IFMT, status.st_rdev) == (S.IFCHR, 0)
    deep = layers / "upper/dir/deep"
    marks = {name: os.getxattr(deep, name) for name in os.listxattr(deep) if "overlay" in name}
    assert list(marks.values()) == [b"y"]


@pytest.mark.skipif(not IS_LINUX or os.geteuid() != 0, reason="mounts a file system")
def test_linux_reads_what_we_have_written(layers: Path) -> None:
    tree = overlay(layers, kept(layers))
    tree.write(b"dir/file", b"changed")
    tree.unlink(b"dir/middle")
    tree.unlink(b"dir/deep/x")
    tree.rmdir(b"dir/deep")
    tree.mkdir(b"dir/deep")
    tree.rename(b"link", b"renamed")
    seen = {path: tree.names(path) for path in (b".", b"dir", b"dir/deep")}
    tree.namespace.release()
    options = f"lowerdir={layers}/middle:{layers}/lower,upperdir={layers}/upper,workdir={layers}/work"
    mounted = subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o", options, layers / "merged"],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("overlays cannot be mounted here")
    try:
        theirs = {
            path: sorted(map(os.fsencode, os.listdir(layers / "merged" / path.decode()))) for path in seen
        }
        assert theirs == seen
        assert (layers / "merged/dir/file").read_text() == "changed"
    finally:
        subprocess.run(["umount", layers / "merged"], check=True)


@pytest.mark.skipif(not IS_LINUX or os.geteuid() != 0, reason="mounts a file system")
def test_linux_wrote_what_we_read(layers: Path) -> None:
    options = f"lowerdir={layers}/middle:{layers}/lower,upperdir={layers}/upper,workdir={layers}/work"
    merged = layers / "merged"
    command = ["mount", "-t", "overlay", "overlay", "-o", options, merged]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("overlays cannot be mounted here")
    try:
        (merged / "dir/file").write_text("theirs")
        (merged / "dir/middle").unlink()
        (merged / "dir/deep/x").unlink()
        (merged / "dir/deep").rmdir()
        (merged / "dir/deep").mkdir()
        theirs = {
            path: sorted(map(os.fsencode, os.listdir(merged / path))) for path in (".", "dir", "dir/deep")
        }
    finally:
        subprocess.run(["umount", merged], check=True)
    tree = overlay(layers, kept(layers))
    assert {path: tree.names(path.encode()) for path in theirs} == theirs
    assert tree.read(b"dir/file") == b"theirs"


@pytest.mark.skipif(NO_XATTRS, reason="Python knows no extended attributes here")
def test_whiteouts_that_are_files(layers: Path) -> None:
    """As tools write them that may not make devices."""
    (layers / "upper/dir").mkdir()
    (layers / "upper/dir/file").touch()
    os.setxattr(layers / "upper/dir/file", "user.overlay.whiteout", b"y")
    os.setxattr(layers / "upper/dir", "user.overlay.opaque", b"x")
    (layers / "upper/dir/empty").touch()
    tree = overlay(layers, kept(layers))
    assert tree.names(b"dir") == [b"deep", b"empty", b"middle"]
    assert outcome(tree.stat, b"dir/file") == "ENOENT"
    tree.write(b"dir/file", b"again")
    assert tree.read(b"dir/file") == b"again"


def test_what_a_crash_left_behind_goes(layers: Path) -> None:
    (layers / "upper/.wh..wh.aionoah/sub").mkdir(parents=True)
    (layers / "upper/.wh..wh.aionoah/half").write_text("half")
    tree = overlay(layers, kept(layers))
    assert not (layers / "upper/.wh..wh.aionoah").exists()
    assert tree.names(b".") == [b"dir", b"link", b"one", b"other", b"two"]
