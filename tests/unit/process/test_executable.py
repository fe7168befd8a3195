"""Finding and opening what is to be executed, and the sentences for what may not be."""

import pytest
from fakes.trees import Tree, User

from aionoah.abi.errno import Errno
from aionoah.abi.stat import S
from aionoah.fs.mount import Mount
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.process.elf import ExecError
from aionoah.process.executable import find_executable

SOMEBODY = User(uid=1000, gid=1000, fsuid=1000, fsgid=1000)


@pytest.fixture
def tree() -> Tree:
    made = Tree(TmpFileSystem())
    made.mkdir(b"/bin")
    made.write(b"/bin/program", b"0123456789", mode=0o755)
    made.write(b"/bin/text", b"text", mode=0o644)
    made.write(b"/bin/private", b"x", mode=0o700)
    made.write(b"/bin/unreadable", b"secret", mode=0o711)
    made.mkdir(b"/closed", 0o700)
    made.write(b"/closed/program", b"x", mode=0o755)
    made.symlink(b"program", b"/bin/link")
    made.symlink(b"loop", b"/bin/loop")
    made.mknod(b"/bin/fifo", S.IFIFO | 0o777)
    return made


def refusal(tree: Tree, path: bytes) -> tuple[Errno, str]:
    with pytest.raises(ExecError) as caught:
        find_executable(tree.context, path)
    return caught.value.errno, caught.value.reason


def test_a_program_is_opened_and_read(tree: Tree) -> None:
    with find_executable(tree.context, b"/bin/program") as executable:
        assert executable.name == b"program"
        assert executable.path == b"/bin/program"
        assert executable.attributes.size == 10
        assert executable.read(2, 3) == b"234"
        assert executable.read(8, 100) == b"89"
        assert executable.read(50, 5) == b""
        assert executable.file.offset == 0


def test_links_are_followed_and_the_name_is_the_links(tree: Tree) -> None:
    with find_executable(tree.context, b"/bin/link") as executable:
        assert executable.name == b"link"
        assert executable.dentry.name == b"program"


def test_relative_paths_start_where_one_says(tree: Tree) -> None:
    tree.context.cwd = tree.walk(b"/bin")
    find_executable(tree.context, b"program").__exit__()
    find_executable(tree.context, b"bin/program", tree.root).__exit__()
    assert refusal(tree, b"bin/program")[0] is Errno.ENOENT


@pytest.mark.parametrize(
    ("path", "errno", "words"),
    [
        (b"/nosuch", Errno.ENOENT, "/nosuch does not exist"),
        (b"/bin/text/x", Errno.ENOTDIR, "/bin/text/x does not exist: part of its path is not a directory"),
        (b"/bin/loop", Errno.ELOOP, "/bin/loop cannot be reached: too many symbolic links"),
        (b"/" + b"x" * 300, Errno.ENAMETOOLONG, "/" + "x" * 300 + " cannot exist: its path is too long"),
        (b"/bin", Errno.EACCES, "/bin is a directory"),
        (b"", Errno.EACCES, " is a directory"),
        (b"/bin/fifo", Errno.EACCES, "/bin/fifo is not a regular file"),
        (b"/bin/text", Errno.EACCES, "/bin/text is not executable"),
    ],
)
def test_what_cannot_be_executed(tree: Tree, path: bytes, errno: Errno, words: str) -> None:
    assert refusal(tree, path) == (errno, words)


def test_permissions(tree: Tree) -> None:
    with tree.acting_as(SOMEBODY):
        assert refusal(tree, b"/bin/private") == (
            Errno.EACCES,
            "/bin/private may not be executed by this user",
        )
        assert refusal(tree, b"/closed/program") == (
            Errno.EACCES,
            "/closed/program cannot be reached: a directory on its path may not be searched",
        )
        with find_executable(tree.context, b"/bin/unreadable") as executable:
            assert executable.read(0, 6) == b"secret"


def test_noexec_mounts(tree: Tree) -> None:
    mount = tree.namespace.mount(TmpFileSystem(), b"/data", options=b"nosuid,noexec,nodev")
    assert isinstance(mount, Mount)
    tree.write(b"/data/program", b"x", mode=0o755)
    assert refusal(tree, b"/data/program") == (
        Errno.EACCES,
        "/data/program is on a file system mounted with noexec",
    )


def test_the_file_is_held_while_it_is_used(tree: Tree) -> None:
    released = []
    executable = find_executable(tree.context, b"/bin/program")
    executable.file.release = lambda: released.append(True)  # type: ignore[method-assign]
    with executable:
        assert not released
    assert released
