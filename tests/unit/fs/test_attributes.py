"""Reading and changing attributes; who may is compared with Linux in test_permissions."""

import os
import time
from pathlib import Path

import pytest
from fakes.trees import Tree, User, outcome, user

from aionoah.abi.fcntl import ACCESS
from aionoah.abi.stat import S
from aionoah.abi.statfs import MAGIC, ST
from aionoah.fs import operations
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.inode import NOW
from aionoah.fs.tmpfs import TmpFileSystem


@pytest.fixture(params=["tmpfs", "hostfs"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    tmp_path.chmod(0o755)
    made = Tree(TmpFileSystem() if request.param == "tmpfs" else HostFileSystem(str(tmp_path)))
    made.mkdir(b"dir")
    made.write(b"file", b"text")
    made.symlink(b"file", b"link")
    return made


def times(tree: Tree, path: bytes) -> tuple[int, int]:
    found = tree.stat(path, follow=False)
    return found.atime_ns, found.mtime_ns


def set_times(
    tree: Tree, path: bytes, atime: int | None, mtime: int | None, *, follow: bool = True
) -> object:
    return outcome(operations.set_times, tree.context, tree.walk(path, follow=follow), atime, mtime)


def test_times_are_set_one_by_one_and_to_the_present(tree: Tree) -> None:
    set_times(tree, b"file", 1_000_000_001, 2_000_000_002)
    assert times(tree, b"file") == (1_000_000_001, 2_000_000_002)
    set_times(tree, b"file", None, 3_000_000_003)
    assert times(tree, b"file") == (1_000_000_001, 3_000_000_003)
    set_times(tree, b"file", 4_000_000_004, None)
    assert times(tree, b"file") == (4_000_000_004, 3_000_000_003)
    before = time.time_ns() - 1_000_000_000
    set_times(tree, b"file", NOW, None)
    assert times(tree, b"file")[0] >= before
    assert times(tree, b"file")[1] == 3_000_000_003
    set_times(tree, b"file", NOW, NOW)
    assert min(times(tree, b"file")) >= before


def test_times_of_links_and_directories(tree: Tree) -> None:
    set_times(tree, b"link", 1_000_000_000, 2_000_000_000, follow=False)
    set_times(tree, b"dir", 3_000_000_000, 4_000_000_000)
    assert times(tree, b"link") == (1_000_000_000, 2_000_000_000)
    assert times(tree, b"dir") == (3_000_000_000, 4_000_000_000)
    assert times(tree, b"file")[1] > 4_000_000_000


def test_who_may_set_times() -> None:
    tree = Tree(TmpFileSystem())
    tree.write(b"file", b"")
    tree.chown(b"file", 5, 5)
    tree.chmod(b"file", 0o646)
    with tree.acting_as(user(7)):  # may write, but is not the owner
        assert set_times(tree, b"file", NOW, NOW) is None
        assert set_times(tree, b"file", 1, 1) == "EPERM"
        assert set_times(tree, b"file", NOW, None) == "EPERM"
        assert set_times(tree, b"file", None, None) is None
    tree.chmod(b"file", 0o644)
    with tree.acting_as(user(7)):
        assert set_times(tree, b"file", NOW, NOW) == "EACCES"
    with tree.acting_as(user(5)):
        assert set_times(tree, b"file", 1, 1) is None


def test_modes_and_owners(tree: Tree) -> None:
    tree.chmod(b"file", 0o4755)
    assert tree.stat(b"file").mode == S.IFREG | 0o4755
    tree.chmod(b"dir", 0o1700)
    assert tree.stat(b"dir").mode == S.IFDIR | 0o1700
    link = tree.walk(b"link", follow=False)
    assert outcome(operations.chmod, tree.context, link, 0o600) == "EOPNOTSUPP"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
def test_owners_and_privilege(tree: Tree) -> None:
    tree.chmod(b"file", 0o6755)
    tree.chown(b"file", 12, None)
    found = tree.stat(b"file")
    assert (found.uid, found.gid, found.mode) == (12, 0, S.IFREG | 0o755)
    tree.chmod(b"dir", 0o2755)
    tree.chown(b"dir", 12, 13)
    assert tree.facts(b"dir")[0] == S.IFDIR | 0o2755
    link = tree.walk(b"link", follow=False)
    operations.chown(tree.context, link, 14, 15)
    assert tree.stat(b"link", follow=False)[4:6] == (14, 15)
    assert tree.stat(b"link").uid == 12


def test_truncation_by_path(tree: Tree) -> None:
    tree.truncate(b"link", 2)
    assert tree.read(b"file") == b"te"
    tree.truncate(b"file", 5)
    assert tree.read(b"file") == b"te\0\0\0"
    assert outcome(tree.truncate, b"dir", 0) == "EISDIR"
    assert outcome(tree.truncate, b"file", -1) == "EINVAL"
    tree.mknod(b"socket", S.IFSOCK | 0o600)
    assert outcome(tree.truncate, b"socket", 0) == "EINVAL"


def test_access_asks_for_the_real_user_or_the_effective(tree: Tree) -> None:
    tree.chmod(b"file", 0o600)
    with tree.acting_as(User(uid=7, gid=7, fsuid=0, fsgid=0)):
        file = tree.walk(b"file")
        assert outcome(operations.access, tree.context, file, ACCESS.R, real=True) == "EACCES"
        assert outcome(operations.access, tree.context, file, 0, real=True) is None
        assert outcome(operations.access, tree.context, file, ACCESS.R, real=False) is None


def test_special_files_are_not_written_to_the_mount() -> None:
    tree = Tree(TmpFileSystem())
    tree.mknod(b"fifo", S.IFIFO | 0o600)
    tree.root.mount.is_read_only = True
    assert outcome(tree.access, b"fifo", ACCESS.W) is None
    assert outcome(tree.access, b".", ACCESS.W) == "EROFS"


def test_where_one_may_go(tree: Tree) -> None:
    def enter(path: bytes) -> object:
        return outcome(operations.require_enterable, tree.context, tree.walk(path))

    assert enter(b"dir") is None
    assert enter(b"file") == "ENOTDIR"
    tree.chmod(b"dir", 0o600)
    with tree.acting_as(user(7)):
        assert enter(b"dir") == "EACCES"


def test_readlink_is_for_links(tree: Tree) -> None:
    assert tree.readlink(b"link") == b"file"
    assert outcome(tree.readlink, b"file") == "EINVAL"
    assert outcome(tree.readlink, b"dir") == "EINVAL"


def test_statfs_knows_the_mount(tree: Tree) -> None:
    writable = operations.filesystem_status(tree.walk(b"dir"))
    assert writable.magic in (MAGIC.TMPFS, MAGIC.HOSTFS)
    assert writable.flags == ST.VALID | ST.RELATIME
    assert 0 < writable.blocks_available <= writable.blocks_free <= writable.blocks
    assert writable.name_length == 255
    tree.root.mount.is_read_only = True
    assert operations.filesystem_status(tree.root).flags == ST.VALID | ST.RDONLY | ST.RELATIME
