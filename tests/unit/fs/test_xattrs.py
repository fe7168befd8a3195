"""Who may use which extended attribute."""

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.fs.context import FsContext
from aionoah.fs.inode import Change
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.operations import mkdir, symlink, walk
from aionoah.fs.path import Dentry
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.fs.xattrs import require_xattr, visible_names
from aionoah.process.credentials import Credentials

OWNER = 1000


@pytest.fixture
def tree() -> MountNamespace:
    """A directory of OWNER, a sticky one that all may write, and a symbolic link."""
    made = MountNamespace.of(TmpFileSystem(mode=0o755))
    context = FsContext(made.root, Credentials())
    mkdir(context, made.root, b"own", 0o755).inode.change(Change(uid=OWNER))
    mkdir(context, made.root, b"sticky", 0o755).inode.change(Change(mode=0o1777))
    symlink(context, b"own", made.root, b"link")
    return made


def place(tree: MountNamespace, path: bytes) -> Dentry:
    context = FsContext(tree.root, Credentials())
    return walk(context, tree.root, path, follow=False)


def outcome(tree: MountNamespace, path: bytes, name: bytes, *, uid: int, write: bool) -> Errno | None:
    who = Credentials(uid)
    try:
        require_xattr(FsContext(tree.root, who), who, place(tree, path), name, write=write)
    except LinuxError as error:
        return error.errno
    return None


@pytest.mark.parametrize(
    ("path", "name", "uid", "reading", "writing"),
    [
        (b"own", b"user.x", OWNER, None, None),
        (b"own", b"user.x", 2000, None, Errno.EACCES),
        (b"own", b"user.x", 0, None, None),
        (b"own", b"trusted.x", OWNER, Errno.ENODATA, Errno.EPERM),
        (b"own", b"trusted.x", 0, None, None),
        (b"own", b"security.x", 2000, None, Errno.EPERM),
        (b"own", b"security.x", 0, None, None),
        (b"own", b"security.capability", OWNER, None, Errno.EPERM),
        (b"own", b"security.capability", 0, None, None),
        (b"own", b"user.", OWNER, Errno.EINVAL, Errno.EINVAL),
        (b"own", b"other.x", OWNER, Errno.EOPNOTSUPP, Errno.EOPNOTSUPP),
        (b"link", b"user.x", 0, Errno.ENODATA, Errno.EPERM),
        (b"sticky", b"user.x", OWNER, None, Errno.EPERM),
        (b"sticky", b"user.x", 0, None, None),
    ],
)
def test_who_may(
    tree: MountNamespace, path: bytes, name: bytes, uid: int, reading: Errno | None, writing: Errno | None
) -> None:
    assert outcome(tree, path, name, uid=uid, write=False) is reading
    assert outcome(tree, path, name, uid=uid, write=True) is writing


def test_nothing_is_written_to_a_read_only_mount() -> None:
    tree = MountNamespace.of(TmpFileSystem(), read_only=True)
    assert outcome(tree, b"/", b"security.x", uid=0, write=True) is Errno.EROFS
    assert outcome(tree, b"/", b"security.x", uid=0, write=False) is None


def test_what_a_list_shows() -> None:
    names = [b"user.a", b"trusted.b", b"security.c"]
    assert visible_names(Credentials(), names) == names
    assert visible_names(Credentials(OWNER), names) == [b"user.a", b"security.c"]
