"""The file system in memory: what it keeps, counts and gives back."""

import gc
import os
import resource
from pathlib import Path

import pytest
from fakes.trees import EXCHANGE, Tree, outcome
from hypothesis import given, settings
from hypothesis import strategies as st

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.fcntl import FALLOC, SEEK, O
from aionoah.abi.stat import S, major
from aionoah.abi.statfs import MAGIC
from aionoah.abi.xattr import XATTR
from aionoah.fs.inode import Change, Inode
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.fs.tmpfs_data import Contents, Quota
from aionoah.fs.tmpfs_inode import TmpRegular
from aionoah.memory.buffer import KernelBuffer


@pytest.fixture
def tree() -> Tree:
    return Tree(TmpFileSystem())


def open_descriptors() -> int:
    gc.collect()  # what earlier tests have left
    return len(list(Path("/dev/fd").iterdir()))


# -- contents ---------------------------------------------------------------------------------------------


def test_small_files_take_no_host_descriptor(tree: Tree) -> None:
    before = open_descriptors()
    for number in range(100):
        tree.write(b"%d" % number, b"x" * 16 * PAGE_SIZE)
    assert open_descriptors() == before
    tree.write(b"large", b"x" * (16 * PAGE_SIZE + 1))
    assert open_descriptors() == before + 1


def test_what_gets_no_room_takes_no_host_descriptor() -> None:
    tree = Tree(TmpFileSystem(limit=PAGE_SIZE))
    tree.write(b"all", b"x")
    before = open_descriptors()
    for number in range(10):
        assert outcome(tree.write, b"%d" % number, b"x" * 10000) == "ENOSPC"
    assert open_descriptors() == before


def test_the_last_host_descriptors_are_not_for_files(tree: Tree) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 80, before[1]))
    try:
        outcomes = {outcome(tree.write, b"%d" % number, b"x" * 17 * PAGE_SIZE) for number in range(80)}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert outcomes == {17 * PAGE_SIZE, "ENFILE"}


def test_host_descriptors_are_given_back(tree: Tree) -> None:
    before = open_descriptors()
    tree.write(b"large", b"x" * 100_000)
    file = tree.open(b"large")
    tree.unlink(b"large")
    assert file.attributes().size == 100_000
    file.drop()
    del file
    assert open_descriptors() == before


def test_release_frees_the_whole_tree() -> None:
    before = open_descriptors()
    tree = Tree(TmpFileSystem())
    tree.mkdir(b"a")
    tree.mkdir(b"a/b")
    tree.write(b"a/b/large", b"x" * 100_000)
    held = tree.open(b"a/b/large")
    tree.write(b"other", b"x" * 100_000)
    tree.namespace.release()
    assert open_descriptors() == before + 1
    assert held.attributes().size == 100_000
    held.drop()
    del held
    assert open_descriptors() == before


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9000), st.binary(min_size=1, max_size=5000)), max_size=8))
def test_contents_are_those_of_a_byte_array(writes: list[tuple[int, bytes]]) -> None:
    contents, model = Contents(Quota(100)), bytearray()
    for offset, data in writes:
        assert contents.write(KernelBuffer(data), offset) == len(data)
        model.extend(bytes(max(0, offset - len(model))))
        model[offset : offset + len(data)] = data
    found = bytearray(20000)
    count = contents.read(KernelBuffer(found), 0)
    assert found[:count] == model
    assert contents.size == len(model)
    contents.release()


_CHANGES = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 70_000), st.integers(1, 9000)),
    st.tuples(st.just("append"), st.just(0), st.integers(1, 30_000)),
    st.tuples(st.just("truncate"), st.integers(0, 70_000), st.just(0)),
    st.tuples(st.just("map"), st.just(0), st.just(0)),
)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs Linux's own files in memory")
@settings(deadline=None)
@given(st.lists(_CHANGES, max_size=8))
def test_pages_and_holes_are_those_of_linux(changes: list[tuple[str, int, int]]) -> None:
    contents, fd = Contents(Quota(1000)), os.memfd_create("oracle")
    for change, offset, length in changes:
        if change == "truncate":
            contents.truncate(offset)
            os.ftruncate(fd, offset)
        elif change == "map":
            contents.descriptor()
        else:
            place = contents.size if change == "append" else offset
            assert contents.write(KernelBuffer(b"x" * length), place) == length
            os.pwrite(fd, b"x" * length, place)
        status = os.fstat(fd)
        assert (contents.size, contents.pages * 8) == (status.st_size, status.st_blocks)
        for whence in (SEEK.DATA, SEEK.HOLE):
            for start in range(0, contents.size, 3 * PAGE_SIZE):
                assert contents.seek(start, whence) == sought(fd, start, whence)
    found = bytearray(1 << 20)
    assert contents.read(KernelBuffer(found), 0) == os.fstat(fd).st_size
    assert found[: contents.size] == os.pread(fd, 1 << 20, 0)
    contents.release()
    os.close(fd)


def sought(fd: int, start: int, whence: int) -> int:
    try:
        return os.lseek(fd, start, whence)
    except OSError:
        return -1


def test_a_file_that_becomes_a_mapping_keeps_its_bytes(tree: Tree) -> None:
    tree.write(b"f", b"small")
    file = tree.open(b"f", O.RDWR)
    mapping = file.mapping()
    assert os.pread(mapping.fd, 10, mapping.offset) == b"small"
    os.pwrite(mapping.fd, b"S", 0)
    assert tree.read(b"f") == b"Small"
    file.pwrite(KernelBuffer(b"er"), 5)
    assert os.pread(mapping.fd, 10, 0) == b"Smaller"


def test_writes_through_a_mapping_are_noticed(tree: Tree) -> None:
    tree.write(b"f", b"small")
    file = tree.open(b"f", O.RDWR)
    before = tree.stat(b"f").mtime_ns
    fd = file.mapping().fd
    assert tree.stat(b"f").mtime_ns == before
    os.utime(fd, ns=(0, before + 10))  # as the host notices one
    assert (tree.stat(b"f").mtime_ns, tree.stat(b"f").ctime_ns) == (before + 10, before + 10)
    file.mapping()
    assert tree.stat(b"f").mtime_ns == before + 10
    tree.walk(b"f").inode.change(Change(mtime_ns=5))
    assert tree.stat(b"f").mtime_ns == 5
    file.drop()


def test_holes_cost_nothing(tree: Tree) -> None:
    file = tree.open(b"f", O.RDWR | O.CREAT)
    file.truncate(1 << 40)
    file.pwrite(KernelBuffer(b"x"), 1 << 39)
    found = file.attributes()
    assert (found.size, found.blocks) == (1 << 40, 8)
    assert file.seek(0, SEEK.DATA) == 1 << 39
    assert file.seek(0, SEEK.HOLE) == 0
    assert outcome(file.seek, (1 << 39) + PAGE_SIZE, SEEK.DATA) == "ENXIO"


def test_a_file_cannot_be_too_large(tree: Tree) -> None:
    file = tree.open(b"f", O.RDWR | O.CREAT)
    assert outcome(file.pwrite, KernelBuffer(b"xy"), (1 << 63) - 2) == "EFBIG"
    assert outcome(file.truncate, -1) == "EINVAL"
    assert outcome(file.truncate, 1 << 63) == "EINVAL"
    assert file.pwrite(KernelBuffer(b""), 1 << 70) == 0


def test_kinds_of_allocation(tree: Tree) -> None:
    file = tree.open(b"f", O.RDWR | O.CREAT)
    assert outcome(file.allocate, FALLOC.ZERO_RANGE, 0, 1) == "EOPNOTSUPP"
    file.allocate(0, 0, 5000)
    assert (file.attributes().size, file.attributes().blocks) == (5000, 16)


# -- limits -----------------------------------------------------------------------------------------------


def test_a_full_file_system_takes_what_fits() -> None:
    filesystem = TmpFileSystem(limit=4 * PAGE_SIZE)
    tree = Tree(filesystem)
    assert tree.write(b"a", b"x" * (6 * PAGE_SIZE)) == 4 * PAGE_SIZE
    assert outcome(tree.write, b"b", b"x") == "ENOSPC"
    assert outcome(tree.write, b"a", b"more", O.WRONLY | O.APPEND) == "ENOSPC"
    assert tree.write(b"a", b"y" * PAGE_SIZE) == PAGE_SIZE  # what is there may be written again
    assert filesystem.status().blocks_free == 0
    tree.truncate(b"a", 2 * PAGE_SIZE)
    assert filesystem.status().blocks_free == 2
    assert tree.write(b"b", b"x") == 1
    assert filesystem.status().blocks_free == 1
    file = tree.open(b"a", O.RDWR)
    assert outcome(file.allocate, 0, 0, 4 * PAGE_SIZE) == "ENOSPC"
    file.allocate(0, 0, 3 * PAGE_SIZE)
    assert filesystem.status().blocks_free == 0


def test_room_is_found_around_holes() -> None:
    tree = Tree(TmpFileSystem(limit=3 * PAGE_SIZE))
    tree.write(b"a", b"x" * (3 * PAGE_SIZE))
    file = tree.open(b"a", O.RDWR)
    file.allocate(FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, PAGE_SIZE, PAGE_SIZE)
    tree.write(b"b", b"x")
    assert file.pwrite(KernelBuffer(b"y" * (3 * PAGE_SIZE)), 0) == PAGE_SIZE
    assert outcome(file.pwrite, KernelBuffer(b"y"), PAGE_SIZE) == "ENOSPC"


def test_removed_files_give_their_room_back() -> None:
    filesystem = TmpFileSystem(limit=4 * PAGE_SIZE)
    tree = Tree(filesystem)
    for name in (b"small", b"large"):
        tree.write(name, b"x" * (PAGE_SIZE if name == b"small" else 2 * PAGE_SIZE))
        tree.unlink(name)
    assert filesystem.status().blocks_free == 4


def test_there_is_a_limit_of_files() -> None:
    filesystem = TmpFileSystem(inode_limit=3)
    tree = Tree(filesystem)
    tree.write(b"a", b"")
    tree.mkdir(b"b")
    for name, *arguments in (
        ("write", b"c", b""),
        ("mkdir", b"c"),
        ("symlink", b"x", b"c"),
        ("mknod", b"c", S.IFIFO),
    ):
        assert outcome(getattr(tree, str(name)), *arguments) == "ENOSPC"
    assert tree.names(b".") == [b"a", b"b"]
    assert filesystem.status().files_free == 0
    tree.unlink(b"a")
    tree.write(b"c", b"")


# -- what stat shows ----------------------------------------------------------------------------------------


def test_file_systems_have_devices_of_their_own(tree: Tree) -> None:
    other = TmpFileSystem()
    assert other.device != tree.root.mount.filesystem.device
    assert major(other.device) == 0
    tree.write(b"a", b"")
    assert tree.stat(b"a").dev == tree.root.mount.filesystem.device
    assert other.status().magic == MAGIC.TMPFS


def test_links_of_directories(tree: Tree) -> None:
    def links(path: bytes) -> int:
        return tree.stat(path).nlink

    tree.mkdir(b"a")
    tree.mkdir(b"b")
    assert (links(b"."), links(b"a")) == (4, 2)
    tree.mkdir(b"a/c")
    tree.rename(b"a/c", b"b/c")
    assert (links(b"a"), links(b"b")) == (2, 3)
    tree.write(b"file", b"")
    tree.rename(b"file", b"b/c", EXCHANGE)
    assert (links(b"."), links(b"b"), links(b"file")) == (5, 2, 2)
    tree.rmdir(b"file")
    assert links(b".") == 4
    assert {entry.name: entry.ino for entry in tree.open(b"b").entries()}[b".."] == tree.stat(b".").ino


def test_a_moved_directory_knows_its_new_parent(tree: Tree) -> None:
    for name in (b"a", b"a/c", b"b"):
        tree.mkdir(name)
    tree.rename(b"a/c", b"b/c")
    dots = {entry.name: entry.ino for entry in tree.open(b"b/c").entries()}
    assert dots[b".."] == tree.stat(b"b").ino


def test_times_follow_what_is_done(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000]
    for module in ("tmpfs", "tmpfs_inode"):
        monkeypatch.setattr(f"aionoah.fs.{module}.time_ns", lambda: now[0])

    def times(path: bytes) -> tuple[int, int, int, int | None]:
        found = tree.stat(path, follow=False)
        return found.atime_ns, found.mtime_ns, found.ctime_ns, found.btime_ns

    def at(moment: int) -> None:
        now[0] = moment

    tree.write(b"f", b"")
    assert times(b"f") == (1_000, 1_000, 1_000, 1_000)
    at(2_000)
    tree.write(b"f", b"x")
    assert times(b"f") == (1_000, 2_000, 2_000, 1_000)
    at(3_000)
    tree.read(b"f")
    assert times(b"f") == (3_000, 2_000, 2_000, 1_000)
    at(4_000)
    tree.read(b"f")
    assert times(b"f")[0] == 3_000, "relatime: nothing has changed since"
    at(3_001 + 24 * 3600 * 10**9)
    tree.read(b"f")
    assert times(b"f")[0] == now[0], "relatime: once a day"
    before = times(b"f")
    at(now[0] + 1)
    tree.chmod(b"f", 0o600)
    assert times(b"f") == (*before[:2], now[0], 1_000)
    at(now[0] + 1)
    tree.link(b"f", b"g")
    assert (times(b"f")[2], times(b".")[1], times(b".")[2]) == (now[0],) * 3
    at(now[0] + 1)
    tree.unlink(b"g")
    assert (times(b"f")[2], times(b".")[1]) == (now[0],) * 2


def test_reading_without_a_trace(tree: Tree) -> None:
    tree.write(b"f", b"x")
    before = tree.stat(b"f").atime_ns
    file = tree.open(b"f", O.NOATIME)
    file.read_nowait(KernelBuffer(bytearray(1)))
    file.for_mapping(shared=True)
    assert tree.stat(b"f").atime_ns == before
    tree.open(b"f", O(0)).for_mapping(shared=True)
    assert tree.stat(b"f").atime_ns > before


# -- extended attributes --------------------------------------------------------------------------------------


def test_extended_attributes(tree: Tree) -> None:
    tree.write(b"f", b"")
    inode = tree.walk(b"f").inode
    inode.set_xattr(b"user.a", b"1", 0)
    inode.set_xattr(b"user.b", b"", XATTR.CREATE)
    assert inode.get_xattr(b"user.a") == b"1"
    assert sorted(inode.list_xattrs()) == [b"user.a", b"user.b"]
    assert outcome(inode.set_xattr, b"user.a", b"2", XATTR.CREATE) == "EEXIST"
    assert outcome(inode.set_xattr, b"user.c", b"2", XATTR.REPLACE) == "ENODATA"
    assert outcome(inode.set_xattr, b"system.x", b"2", 0) == "EOPNOTSUPP"
    assert outcome(inode.get_xattr, b"other") == "EOPNOTSUPP"
    inode.remove_xattr(b"user.a")
    assert outcome(inode.get_xattr, b"user.a") == "ENODATA"
    assert outcome(inode.remove_xattr, b"user.a") == "ENODATA"


# -- the inode's own guard ------------------------------------------------------------------------------------


def test_inodes_refuse_what_they_are_not(tree: Tree) -> None:
    tree.write(b"f", b"")
    tree.mkdir(b"d")
    tree.mkdir(b"d/full")
    root, file = tree.root.inode, tree.walk(b"f").inode
    assert outcome(root.unlink, b"d") == "EISDIR"
    assert outcome(root.rmdir, b"f") == "ENOTDIR"
    assert outcome(root.rmdir, b"d") == "ENOTEMPTY"
    assert outcome(root.create, b"f", 0o644, 0, 0) == "EEXIST"
    assert outcome(root.rename, b"f", root, b"d", 1) == "EEXIST"
    assert outcome(root.rename, b"missing", root, b"x", 0) == "ENOENT"
    assert outcome(root.rename, b"f", TmpFileSystem().root, b"x", 0) == "EXDEV"
    assert outcome(root.link, b"x", Inode()) == "EXDEV"
    assert outcome(file.readlink) == "EINVAL"
    assert outcome(file.lookup, b"x") == "ENOTDIR"
    assert isinstance(file, TmpRegular)
    directory = tree.walk(b"d").inode
    assert outcome(directory.readlink) == "EINVAL"
    root.rename(b"f", root, b"f", 0)
    assert tree.names(b".") == [b"d", b"f"]


def test_a_removed_directory_is_no_target(tree: Tree) -> None:
    tree.mkdir(b"d")
    tree.write(b"f", b"")
    gone = tree.walk(b"d").inode
    tree.rmdir(b"d")
    assert outcome(gone.create, b"x", 0o644, 0, 0) == "ENOENT"
    assert outcome(tree.root.inode.rename, b"f", gone, b"x", 0) == "ENOENT"
