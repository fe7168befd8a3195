"""The host's files: what is passed through, what is kept shut, and what is given back."""

import gc
import os
import resource
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.trees import IS_LINUX, Tree, outcome, read_all, user

from aionoah.abi.fcntl import O
from aionoah.abi.stat import DT, S
from aionoah.abi.statfs import MAGIC
from aionoah.abi.uio import RWF
from aionoah.abi.xattr import XATTR
from aionoah.fs.hostfs import HostDirectory, HostFileSystem
from aionoah.fs.inode import MustWait
from aionoah.fs.operations import link_dentry, open_dentry, open_path
from aionoah.fs.regular import RegularFile
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.host import reserve
from aionoah.memory.buffer import KernelBuffer


@pytest.fixture
def top(tmp_path: Path) -> Path:
    made = tmp_path / "top"
    made.mkdir()
    (made / "dir").mkdir()
    (made / "dir/file").write_text("text")
    (made / "link").symlink_to("dir/file")
    (tmp_path / "secret").write_text("secret")
    return made


@pytest.fixture
def tree(top: Path) -> Iterator[Tree]:
    made = Tree(HostFileSystem(str(top)))
    yield made
    made.namespace.release()


def open_descriptors() -> int:
    gc.collect()
    return len(list(Path("/dev/fd").iterdir()))


# -- what is passed through -------------------------------------------------------------------------------


def test_attributes_are_the_hosts(tree: Tree, top: Path) -> None:
    for name in ("dir", "dir/file", "link"):
        status = (top / name).lstat()
        found = tree.stat(name.encode(), follow=False)
        assert (found.mode, found.ino, found.nlink) == (status.st_mode, status.st_ino, status.st_nlink)
        assert (found.uid, found.gid, found.size) == (status.st_uid, status.st_gid, status.st_size)
        assert (found.mtime_ns, found.ctime_ns) == (status.st_mtime_ns, status.st_ctime_ns)
        assert not IS_LINUX or found.dev == status.st_dev


def test_listings_have_the_hosts_numbers(tree: Tree, top: Path) -> None:
    os.mkfifo(top / "fifo")
    found = {entry.name: entry for entry in tree.open(b".", O.DIRECTORY).entries()}
    assert {name: entry.kind for name, entry in found.items()} == {
        b".": DT.DIR,
        b"..": DT.DIR,
        b"dir": DT.DIR,
        b"link": DT.LNK,
        b"fifo": DT.FIFO,
    }
    assert found[b"dir"].ino == (top / "dir").stat().st_ino
    inner = {entry.name: entry for entry in tree.open(b"dir").entries()}
    assert inner[b".."].ino == top.stat().st_ino


def test_names_are_bytes(tree: Tree, top: Path) -> None:
    name = b"caf\xe9" if IS_LINUX else "café".encode()
    tree.write(name, b"x")
    assert name in tree.names(b".")
    assert (top / os.fsdecode(name)).exists()


def test_new_files_have_the_wanted_mode_whatever_our_umask(tree: Tree, top: Path) -> None:
    previous = os.umask(0o077)
    try:
        tree.context.umask = 0
        tree.write(b"f", b"", mode=0o4666)
        tree.mkdir(b"d", 0o1777)
        tree.mknod(b"s", S.IFSOCK | 0o666)
    finally:
        os.umask(previous)
    modes = [(top / name).stat().st_mode for name in "fds"]
    assert modes == [S.IFREG | 0o4666, S.IFDIR | 0o1777, S.IFSOCK | 0o666]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
def test_new_files_belong_to_who_makes_them(tree: Tree, top: Path) -> None:
    top.chmod(0o777)
    with tree.acting_as(user(7, 8)):
        tree.write(b"f", b"")
        tree.mkdir(b"d")
        tree.symlink(b"x", b"l")
    for name in "fdl":
        status = (top / name).lstat()
        assert (status.st_uid, status.st_gid) == (7, 8)


def test_changes_of_the_host_are_seen_at_once(tree: Tree, top: Path) -> None:
    assert tree.read(b"dir/file") == b"text"
    (top / "dir/file").write_text("changed")
    assert tree.read(b"dir/file") == b"changed"
    (top / "dir").rename(top / "moved")
    assert outcome(tree.walk, b"dir") == "ENOENT"
    assert tree.read(b"moved/file") == b"changed"
    (top / "moved/file").unlink()
    (top / "moved/file").symlink_to("../link")
    assert outcome(tree.walk, b"moved/file") == "ENOENT"
    (top / "dir").write_text("no directory any more")
    assert tree.facts(b"dir")[0] & S.IFMT == S.IFREG


def test_a_file_stays_the_same_inode_while_it_is_held(tree: Tree, top: Path) -> None:
    os.link(top / "dir/file", top / "other")
    held = tree.walk(b"dir/file").inode
    assert tree.walk(b"other").inode is held
    tree.rename(b"dir/file", b"renamed")
    assert tree.walk(b"renamed").inode is held
    (top / "other").unlink()
    assert held.attributes().nlink == 1


def test_what_is_open_is_asked_by_descriptor(tree: Tree, top: Path) -> None:
    file = tree.open(b"dir/file", O.RDWR)
    (top / "dir/file").rename(top / "dir/elsewhere")
    (top / "dir/file").write_text("another file")
    tree.context.cwd = tree.root
    assert file.attributes().size == 4
    assert file.dentry is not None
    from aionoah.fs import operations

    operations.chmod(tree.context, file.dentry, 0o640)
    assert (top / "dir/elsewhere").stat().st_mode & 0o777 == 0o640
    assert (top / "dir/file").stat().st_mode & 0o777 != 0o640
    file.drop()


@pytest.mark.skipif(not IS_LINUX, reason="needs Linux's /proc/self/fd")
def test_what_is_open_is_opened_again_whatever_name_of_it_has_gone(tree: Tree) -> None:
    held = tree.open(b"dir/file", O.RDWR)
    tree.link(b"dir/file", b"other")
    assert tree.read(b"other") == b"text"
    tree.unlink(b"other")
    assert held.dentry is not None
    again = open_dentry(tree.context, held.dentry, O(O.RDWR))
    assert read_all(again) == b"text"
    link_dentry(tree.context, held.dentry, tree.root, b"third")
    assert tree.read(b"third") == b"text"
    for file in (held, again):
        file.drop()


def test_lines_are_appended_behind_those_of_others(tree: Tree, top: Path) -> None:
    file = tree.open(b"log", O.WRONLY | O.CREAT | O.APPEND)
    file.write_nowait(KernelBuffer(b"ours\n"))
    with (top / "log").open("a") as theirs:
        theirs.write("theirs\n")
    file.write_nowait(KernelBuffer(b"ours\n"))
    assert (top / "log").read_text() == "ours\ntheirs\nours\n"
    assert file.offset == 17
    file.drop()


@pytest.mark.skipif(shutil.which("chattr") is None or os.geteuid() != 0, reason="needs root and chattr")
def test_what_may_only_be_appended_to_is(tree: Tree, top: Path) -> None:
    path = top / "dir/file"
    if subprocess.run(["chattr", "+a", path], capture_output=True, check=False).returncode:
        pytest.skip("the file system knows no such attribute")
    try:
        assert outcome(tree.open, b"dir/file", O.WRONLY) == "EPERM"
        assert outcome(tree.open, b"dir/file", O.WRONLY | O.APPEND | O.TRUNC) == "EPERM"
        file = tree.open(b"dir/file", O.RDWR | O.APPEND)
        assert isinstance(file, RegularFile)
        file.write_nowait(KernelBuffer(memoryview(bytearray(b"+1"))))
        file.pwrite(KernelBuffer(memoryview(bytearray(b"+2"))), 0)
        assert (
            outcome(file.write_with, KernelBuffer(memoryview(bytearray(b"no"))), 0, RWF.NOAPPEND) == "EPERM"
        )
        file.drop()
    finally:
        subprocess.run(["chattr", "-a", path], check=True)
    assert path.read_text() == "text+1+2"


def test_a_file_made_unreadable_can_be_used_by_its_maker(tree: Tree, top: Path) -> None:
    """As git makes its objects: mode 0444, open for writing."""
    file = tree.open(b"object", O.RDWR | O.CREAT | O.EXCL, 0o444)
    assert file.write_nowait(KernelBuffer(b"x")) == 1
    assert (top / "object").stat().st_mode & 0o777 == 0o444
    file.drop()


def test_sync_of_files_and_directories(tree: Tree) -> None:
    for path in (b"dir", b"dir/file"):
        file = tree.open(path)
        file.sync(data_only=True)
        file.sync(data_only=False)
        file.drop()


def test_status_of_the_file_system(tree: Tree, top: Path) -> None:
    status, host = tree.root.mount.filesystem.status(), os.statvfs(top)
    assert status.magic == MAGIC.HOSTFS
    assert (status.block_size, status.blocks, status.files) == (host.f_frsize, host.f_blocks, host.f_files)


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="Python knows no extended attributes here")
def test_extended_attributes(tree: Tree, top: Path) -> None:
    for path in (b"dir", b"dir/file"):
        inode = tree.walk(path).inode
        inode.set_xattr(b"user.a", b"1", 0)
        assert os.getxattr(top / path.decode(), "user.a") == b"1"
        assert inode.get_xattr(b"user.a") == b"1"
        assert b"user.a" in inode.list_xattrs()
        assert outcome(inode.set_xattr, b"user.a", b"2", XATTR.CREATE) == "EEXIST"
        inode.remove_xattr(b"user.a")
        assert outcome(inode.get_xattr, b"user.a") == "ENODATA"
        assert outcome(inode.set_xattr, b"user.containers.override_stat", b"0:0:0777", 0) == "EPERM"


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="Python knows no extended attributes here")
def test_security_attributes_are_for_guests_only(tree: Tree, top: Path) -> None:
    inode = tree.walk(b"dir/file").inode
    inode.set_xattr(b"security.capability", b"x", 0)
    assert inode.get_xattr(b"security.capability") == b"x"
    assert inode.list_xattrs() == [b"security.capability"]
    assert os.listxattr(top / "dir/file") == ["user.aionoah.security.capability"]
    inode.remove_xattr(b"security.capability")
    assert inode.list_xattrs() == []


# -- what is kept shut ------------------------------------------------------------------------------------


def test_nothing_but_regular_files_is_opened_on_the_host(tree: Tree, top: Path) -> None:
    os.mkfifo(top / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(top / "socket"))
        for path, expected in ((b"fifo", "ENXIO"), (b"socket", "ENXIO")):
            for flags in (O.RDONLY, O.WRONLY | O.NONBLOCK, O.RDWR):
                assert outcome(tree.try_open, path, flags) == expected
        assert tree.facts(b"fifo")[0] & S.IFMT == S.IFIFO
        assert tree.facts(b"socket")[0] & S.IFMT == S.IFSOCK


@pytest.mark.parametrize("device", [b"null", b"zero", b"tty"])
def test_devices_of_the_host_stay_shut(device: bytes) -> None:
    tree = Tree(HostFileSystem("/dev"))
    assert tree.facts(device)[0] & S.IFMT == S.IFCHR
    assert outcome(tree.try_open, device, O.RDWR) == "EACCES"
    assert outcome(tree.mknod, b"new", S.IFCHR | 0o666, 0x103) == "EPERM"
    tree.namespace.release()


@pytest.mark.skipif(not IS_LINUX, reason="/proc is Linux's")
def test_our_own_process_cannot_be_reached_through_proc() -> None:
    tree = Tree(HostFileSystem("/"))
    for path in (b"/proc/self/mem", b"/proc/self/environ", b"/proc/%d/maps" % os.getpid()):
        assert outcome(tree.try_open, path, O.RDONLY) == "EACCES"
    assert outcome(tree.truncate, b"/proc/self/coredump_filter", 0) == "EACCES"
    tree.namespace.release()


def test_links_lead_through_our_tree_and_not_the_hosts(tree: Tree, top: Path) -> None:
    (top / "absolute").symlink_to(top / "dir/file")
    (top / "up").symlink_to("../secret")
    (top / "root").symlink_to("/")
    assert outcome(tree.walk, b"absolute") == "ENOENT"
    assert outcome(tree.walk, b"up") == "ENOENT"
    assert tree.walk(b"root") is tree.root
    assert tree.walk(b"root/../../..") is tree.root
    assert tree.read(b"root/link") == b"text"


async def test_fifos_that_guests_make_are_theirs(tree: Tree, top: Path) -> None:
    tree.mknod(b"fifo", S.IFIFO | 0o600)
    assert S.IFMT & (top / "fifo").stat().st_mode == S.IFIFO
    with pytest.raises(MustWait) as caught:
        tree.open(b"fifo", O.RDONLY | O.NONBLOCK)
    (await caught.value.opening()).drop()


def test_a_fifo_stays_the_guests_while_it_is_held(tree: Tree, top: Path) -> None:
    tree.mknod(b"fifo", S.IFIFO | 0o600)
    place = tree.walk(b"fifo")
    held = open_path(place, O(O.PATH))
    tree.unlink(b"fifo")
    os.mkfifo(top / "fifo")  # of the host's programs
    assert outcome(tree.open, b"fifo", O.RDWR) == "ENXIO"
    with pytest.raises(MustWait):
        open_dentry(tree.context, place, O(O.RDWR))
    held.drop()


# -- a single file ------------------------------------------------------------------------------------------


def test_a_file_can_be_a_file_system(top: Path) -> None:
    tree = Tree(TmpFileSystem())
    tree.namespace.mount(HostFileSystem(str(top / "link")), b"/file")
    assert tree.read(b"file") == b"text"
    tree.write(b"file", b"TE")
    assert (top / "dir/file").read_text() == "TExt"
    tree.chmod(b"file", 0o600)
    assert tree.stat(b"file").mode & 0o777 == 0o600
    tree.namespace.release()


def test_what_is_not_there_cannot_be_a_file_system(tmp_path: Path) -> None:
    before = open_descriptors()
    with pytest.raises(FileNotFoundError, match="missing"):
        HostFileSystem(str(tmp_path / "missing"))
    assert open_descriptors() == before


# -- descriptors ----------------------------------------------------------------------------------------------


def test_no_descriptor_is_left(top: Path) -> None:
    for number in range(600):
        (top / str(number)).mkdir()
        (top / str(number) / "file").write_text("x")
    before = open_descriptors()
    tree = Tree(HostFileSystem(str(top)))
    files = [tree.open(b"%d/file" % number) for number in range(10)]
    for number in range(600):
        tree.read(b"%d/file" % number)
        tree.names(b"%d" % number)
        outcome(tree.open, b"%d/file" % number, O.DIRECTORY)
    held = open_descriptors() - before
    assert held <= reserve.held_directories() + 22, "directories that nobody holds are closed"
    for file in files:
        file.drop()
    tree.write(b"new", b"x")
    tree.mknod(b"node", S.IFREG | 0o600)
    tree.namespace.release()
    del tree, files, file
    assert open_descriptors() == before


@pytest.mark.skipif(not IS_LINUX, reason="needs O_TMPFILE")
def test_guests_do_not_get_the_last_descriptors(tree: Tree, top: Path) -> None:
    for number in range(40):
        (top / f"dir{number}").mkdir()
    held: list[object] = []
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 90, before[1]))
    try:
        for call in (make_one, make_nameless, enter_one):
            tries = [outcome(call, tree, number) for number in range(40)]
            held += tries
            assert tries[-1] == "ENFILE"
        free = [os.dup(0) for _ in range(50)]  # for us
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    for fd in free:
        os.close(fd)
    made = sum(1 for each in held[:40] if each != "ENFILE")
    assert 0 < made < 40
    assert len(list(top.glob("made*"))) == made


def make_one(tree: Tree, number: int) -> object:
    return tree.open(b"/made%d" % number, O.CREAT | O.RDWR)


def make_nameless(tree: Tree, number: int) -> object:
    del number
    return tree.open(b"/", O.TMPFILE | O.RDWR)


def enter_one(tree: Tree, number: int) -> object:
    place = tree.walk(b"/dir%d" % number)
    outcome(tree.walk, b"/dir%d/x" % number)
    assert isinstance(place.inode, HostDirectory)
    place.inode.descriptor()
    return place


def test_after_release_nothing_can_be_found(top: Path) -> None:
    tree = Tree(HostFileSystem(str(top)))
    held = tree.walk(b"dir")
    tree.namespace.release()
    assert outcome(held.inode.lookup, b"file") == "EIO"
    assert outcome(tree.walk, b"dir") == "EIO"


def test_a_directory_is_opened_only_when_it_is_needed(tree: Tree) -> None:
    tree.walk(b"dir")
    before = open_descriptors()
    held = tree.walk(b"dir")
    assert open_descriptors() == before
    assert isinstance(held.inode, HostDirectory)
    held.inode.descriptor()
    assert open_descriptors() == before + 1
    assert read_all(tree.open(b"dir/file")) == b"text"
