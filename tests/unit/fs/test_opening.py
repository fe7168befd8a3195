"""What open's flags ask for, beyond what the comparison with Linux covers."""

import os
from pathlib import Path

import pytest
from fakes.trees import Tree, outcome, read_all, user

from aionoah.abi.fcntl import RESOLVE, O
from aionoah.abi.stat import S
from aionoah.fs import operations
from aionoah.fs.directory import DirectoryFile, PathFile
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.inode import MustWait
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.memory.buffer import KernelBuffer


@pytest.fixture
def tree() -> Tree:
    made = Tree(TmpFileSystem(mode=0o777))
    made.mkdir(b"dir")
    made.write(b"file", b"text")
    made.symlink(b"file", b"link")
    made.symlink(b"nowhere", b"dangling")
    made.mknod(b"fifo", S.IFIFO | 0o644)
    made.mknod(b"socket", S.IFSOCK | 0o644)
    made.mknod(b"device", S.IFCHR | 0o644, 0x103)
    return made


def test_a_program_that_runs_is_not_written(tree: Tree) -> None:
    tree.write(b"program", b"text", mode=0o755)
    tree.context.programs = lambda: [tree.walk(b"program").inode]
    for flags in (O.WRONLY, O.RDWR | O.CREAT, O.RDONLY | O.TRUNC):
        assert outcome(tree.open, b"program", flags) == "ETXTBSY"
    assert outcome(tree.truncate, b"program", 0) == "ETXTBSY"
    assert tree.read(b"program") == b"text"
    assert tree.write(b"file", b"x") == 1
    tree.rename(b"file", b"program")
    assert outcome(tree.open, b"program", O.RDWR) != "ETXTBSY"


@pytest.mark.parametrize(
    ("path", "flags", "expected"),
    [
        (b"file", O.RDONLY, "ok"),
        (b"missing", O.RDONLY, "ENOENT"),
        (b"", O.CREAT, "ENOENT"),
        (b"dir", O.WRONLY, "EISDIR"),
        (b"dir", O.RDONLY | O.TRUNC, "EISDIR"),
        (b"dir", O.CREAT, "EISDIR"),
        (b".", O.CREAT | O.EXCL, "EEXIST"),
        (b".", O.CREAT, "EISDIR"),
        (b"/", O.CREAT, "EISDIR"),
        (b"dir/", O.CREAT, "EISDIR"),
        (b"new/", O.CREAT, "EISDIR"),
        (b"file", O.DIRECTORY, "ENOTDIR"),
        (b"link", O.NOFOLLOW, "ELOOP"),
        (b"link", O.NOFOLLOW | O.DIRECTORY, "ENOTDIR"),
        (b"link", O.CREAT | O.EXCL, "EEXIST"),
        (b"dangling", O.CREAT | O.EXCL, "EEXIST"),
        (b"dangling", O.CREAT | O.NOFOLLOW, "ELOOP"),
        (b"dangling", O.RDONLY, "ENOENT"),
        (b"file", O.CREAT | O.DIRECTORY, "EINVAL"),
        (b"file", O.TMPFILE | O.RDWR, "ENOTDIR"),
        (b"dir", O.TMPFILE, "EINVAL"),
        (b"socket", O.RDONLY, "ENXIO"),
        (b"device", O.RDONLY, "ok"),
        (b"x" * 256, O.CREAT, "ENAMETOOLONG"),
        (b"file", O.PATH | O.DIRECTORY, "ENOTDIR"),
        (b"link/", O.RDONLY, "ENOTDIR"),
    ],
)
def test_what_open_says(tree: Tree, path: bytes, flags: int, expected: str) -> None:
    assert outcome(tree.try_open, path, flags) == expected


def test_a_dangling_link_is_created_through(tree: Tree) -> None:
    tree.write(b"dangling", b"x")
    assert tree.read(b"nowhere") == b"x"
    assert tree.readlink(b"dangling") == b"nowhere"


def test_truncation_needs_no_right_to_write_in_the_descriptor(tree: Tree) -> None:
    file = tree.open(b"file", O.RDONLY | O.TRUNC)
    assert tree.stat(b"file").size == 0
    assert read_all(file) == b""
    assert not file.is_writable


def test_flags_that_stay_with_the_file(tree: Tree) -> None:
    file = tree.open(b"file", O.RDWR | O.CREAT | O.TRUNC | O.APPEND | O.NONBLOCK | O.CLOEXEC | O.NOCTTY)
    assert file.flags == O.RDWR | O.APPEND | O.NONBLOCK | O.LARGEFILE
    assert file.is_nonblocking
    assert file.is_readable
    assert file.is_writable


def test_the_umask_and_the_mode_make_a_file(tree: Tree) -> None:
    tree.context.umask = 0o077
    tree.write(b"a", b"", mode=0o4777)
    tree.mkdir(b"b", 0o7777)
    tree.mknod(b"c", S.IFIFO | 0o666)
    assert [tree.facts(name)[0] for name in (b"a", b"b", b"c")] == [
        S.IFREG | 0o4700,
        S.IFDIR | S.ISVTX | 0o700,
        S.IFIFO | 0o600,
    ]


def test_a_new_file_is_open_whatever_its_mode_forbids(tree: Tree) -> None:
    with tree.acting_as(user(7)):
        file = tree.open(b"new", O.RDWR | O.CREAT, 0)
        assert file.write_nowait(KernelBuffer(b"x")) == 1
        assert outcome(tree.open, b"new", O.RDONLY) == "EACCES"


def test_noatime_is_for_the_owner(tree: Tree) -> None:
    tree.chmod(b"file", 0o666)
    with tree.acting_as(user(7)):
        assert outcome(tree.try_open, b"file", O.NOATIME) == "EPERM"
    assert tree.try_open(b"file", O.NOATIME) == "ok"


def test_writing_needs_a_writable_mount_but_a_fifo_does_not() -> None:
    tree = Tree(TmpFileSystem())
    tree.write(b"file", b"")
    tree.mknod(b"fifo", S.IFIFO | 0o666)
    tree.root.mount.is_read_only = True
    assert outcome(tree.try_open, b"file", O.WRONLY) == "EROFS"
    assert outcome(tree.try_open, b"file", O.TRUNC) == "EROFS"
    assert outcome(tree.try_open, b"new", O.CREAT) == "EROFS"
    with pytest.raises(MustWait):
        tree.open(b"fifo", O.WRONLY)


async def test_fifos_are_opened_by_waiting(tree: Tree) -> None:
    with pytest.raises(MustWait) as caught:
        tree.open(b"fifo", O.RDONLY | O.NONBLOCK)
    reader = await caught.value.opening()
    with pytest.raises(MustWait) as caught:
        tree.open(b"fifo", O.WRONLY | O.NONBLOCK)
    writer = await caught.value.opening()
    assert writer.write_nowait(KernelBuffer(b"through")) == 7
    data = bytearray(10)
    assert reader.read_nowait(KernelBuffer(data)) == 7
    assert reader.dentry is tree.walk(b"fifo")
    reader.drop()
    writer.drop()


def test_kinds_of_files(tree: Tree) -> None:
    assert isinstance(tree.open(b"dir"), DirectoryFile)
    assert isinstance(tree.open(b"socket", O.PATH), PathFile)
    link = tree.open(b"link", O.PATH | O.NOFOLLOW)
    assert link.attributes().mode & S.IFMT == S.IFLNK
    again = operations.open_dentry(tree.context, tree.walk(b"file"), O(O.RDONLY))
    assert read_all(again) == b"text"


def test_resolve_flags_reach_the_walk(tree: Tree) -> None:
    start = tree.walk(b"dir")
    for flags in (O.RDONLY, O.CREAT, O.PATH):
        found = outcome(
            operations.open_file, tree.context, start, b"../file", O(flags), 0o644, RESOLVE.BENEATH
        )
        assert found == "EXDEV"


def test_a_file_that_appears_between_look_and_creation_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program of the host makes the file first; without O_EXCL that must not be seen."""
    tree = Tree(HostFileSystem(str(tmp_path)))
    real = os.open

    def racing(path: bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_EXCL:
            monkeypatch.undo()
            (tmp_path / "file").write_text("theirs")
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", racing)
    assert read_all(tree.open(b"file", O.RDWR | O.CREAT)) == b"theirs"


def test_a_failed_truncation_leaves_nothing_open(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    from aionoah.abi.errno import Errno, LinuxError
    from aionoah.fs.tmpfs_inode import TmpFile

    released = []

    def refuse(_file: TmpFile, _length: int) -> None:
        raise LinuxError(Errno.EFBIG)

    monkeypatch.setattr(TmpFile, "truncate", refuse)
    monkeypatch.setattr(TmpFile, "release", lambda file: released.append(file))  # noqa: PLW0108 - becomes a method
    assert outcome(tree.open, b"file", O.RDWR | O.TRUNC) == "EFBIG"
    assert len(released) == 1
