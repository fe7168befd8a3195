"""New names, beyond what the comparison with Linux covers."""

import pytest
from fakes.trees import Tree, outcome, user

from aionoah.abi.stat import S
from aionoah.fs import operations
from aionoah.fs.creation import new_owner, without_privilege
from aionoah.fs.inode import Attributes
from aionoah.fs.tmpfs import TmpFileSystem


@pytest.fixture
def tree() -> Tree:
    made = Tree(TmpFileSystem(mode=0o777))
    made.mkdir(b"dir")
    made.write(b"file", b"")
    made.symlink(b"missing", b"dangling")
    return made


def test_names_that_are_taken_or_odd(tree: Tree) -> None:
    for path in (b"dir", b"file", b"dangling", b"/", b".", b"dir/..", b"dir/"):
        assert outcome(tree.mkdir, path) == "EEXIST", path
    assert outcome(tree.symlink, b"x", b"new/") == "ENOENT"
    assert outcome(tree.mknod, b"new/", S.IFREG) == "ENOENT"
    assert outcome(tree.mkdir, b"missing/new") == "ENOENT"
    assert outcome(tree.mkdir, b"file/new") == "ENOTDIR"
    tree.mkdir(b"new/")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (0, None),
        (S.IFREG, None),
        (S.IFIFO, None),
        (S.IFSOCK, None),
        (S.IFCHR, None),
        (S.IFBLK, None),
        (S.IFDIR, "EPERM"),
        (S.IFLNK, "EINVAL"),
        (0o030000, "EINVAL"),
    ],
)
def test_kinds_of_nodes(tree: Tree, kind: int, expected: str | None) -> None:
    assert outcome(tree.mknod, b"new", kind | 0o600, 0x501) == expected
    if expected is None:
        found = tree.stat(b"new")
        assert found.mode & S.IFMT == kind or S.IFREG
        assert found.rdev == (0x501 if kind not in (0, S.IFREG) else 0)


def test_devices_are_for_root_but_for_the_whiteout(tree: Tree) -> None:
    with tree.acting_as(user(7)):
        assert outcome(tree.mknod, b"a", S.IFCHR | 0o600, 0x501) == "EPERM"
        assert outcome(tree.mknod, b"b", S.IFBLK | 0o600, 0) == "EPERM"
        assert outcome(tree.mknod, b"c", S.IFCHR | 0o600, 0) is None


def test_targets_of_links(tree: Tree) -> None:
    assert outcome(tree.symlink, b"", b"new") == "ENOENT"
    assert outcome(tree.symlink, b"x" * 4096, b"new") == "ENAMETOOLONG"
    tree.symlink(b"x" * 4095, b"new")
    assert tree.readlink(b"new") == b"x" * 4095
    assert tree.stat(b"new", follow=False).size == 4095


def test_hard_links(tree: Tree) -> None:
    tree.link(b"file", b"dir/other")
    assert tree.walk(b"dir/other").inode is tree.walk(b"file").inode
    assert tree.stat(b"file").nlink == 2
    assert outcome(tree.link, b"dir", b"new") == "EPERM"
    tree.symlink(b"file", b"link")
    tree.link(b"link", b"same")
    assert tree.readlink(b"same") == b"file"
    operations.link_dentry(tree.context, tree.walk(b"link"), tree.root, b"followed")
    assert tree.stat(b"file").nlink == 3
    held = tree.walk(b"file")
    for name in (b"file", b"dir/other", b"followed"):
        tree.unlink(name)
    assert outcome(operations.link_dentry, tree.context, held, tree.root, b"back") == "ENOENT"


def test_a_set_group_id_directory_passes_its_group_on(tree: Tree) -> None:
    tree.chown(b"dir", 1, 50)
    tree.chmod(b"dir", 0o2777)
    directory = tree.walk(b"dir")
    with tree.acting_as(user(7, 8)):
        assert new_owner(tree.context, directory.inode.attributes(), S.IFDIR | 0o700) == (
            S.IFDIR | 0o2700,
            7,
            50,
        )
        assert new_owner(tree.context, directory.inode.attributes(), S.IFREG | 0o2710) == (
            S.IFREG | 0o710,
            7,
            50,
        )
        assert new_owner(tree.context, directory.inode.attributes(), S.IFREG | 0o2700) == (
            S.IFREG | 0o2700,
            7,
            50,
        )
        assert new_owner(tree.context, tree.root.inode.attributes(), S.IFREG | 0o2710) == (
            S.IFREG | 0o2710,
            7,
            8,
        )
    with tree.acting_as(user(7, 8, (50,))):
        assert new_owner(tree.context, directory.inode.attributes(), S.IFREG | 0o2710) == (
            S.IFREG | 0o2710,
            7,
            50,
        )


@pytest.mark.parametrize(
    ("mode", "expected"), [(0o644, None), (0o4755, 0o755), (0o2755, 0o755), (0o6644, 0o644), (0o1644, None)]
)
def test_what_a_change_by_others_takes_away(tree: Tree, mode: int, expected: int | None) -> None:
    with tree.acting_as(user(7)):
        assert without_privilege(tree.context, Attributes(S.IFREG | mode, 1, 1, uid=1, gid=1)) == expected


def test_mandatory_locking_marks_stay_for_members(tree: Tree) -> None:
    """Set-group-ID without the right to execute is no privilege of a program."""
    with tree.acting_as(user(7, 1)):
        assert without_privilege(tree.context, Attributes(S.IFREG | 0o2644, 1, 1, gid=1)) is None
