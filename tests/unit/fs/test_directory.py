"""Reading directories."""

from itertools import pairwise

import pytest
from fakes.trees import Tree, outcome
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import SEEK, O
from aionoah.abi.poll import Poll
from aionoah.abi.stat import DT
from aionoah.fs.directory import DirectoryFile, PathFile
from aionoah.fs.file import File
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.memory.buffer import KernelBuffer


@pytest.fixture
def tree() -> Tree:
    made = Tree(TmpFileSystem())
    for number in range(5):
        made.write(b"file%d" % number, b"")
    made.mkdir(b"sub")
    made.symlink(b"sub", b"link")
    return made


def take(file: File, count: int) -> list[bytes]:
    """What a getdents with room for `count` entries gives."""
    names: list[bytes] = []
    for entry in file.entries():
        if len(names) == count:
            break
        names.append(entry.name)
    return names


@given(st.lists(st.integers(1, 4), min_size=12, max_size=12))
def test_partial_reads_give_every_entry_once(counts: list[int]) -> None:
    tree = Tree(TmpFileSystem())
    for number in range(9):
        tree.write(b"%d" % number, b"")
    file = tree.open(b".", O.DIRECTORY)
    names = [name for count in counts for name in take(file, count)]
    assert sorted(names) == [b".", b"..", *(b"%d" % number for number in range(9))]


def test_an_entry_without_room_is_found_again(tree: Tree) -> None:
    file = tree.open(b".")
    assert take(file, 1) == [b"."]
    assert take(file, 0) == []
    assert take(file, 1) == [b".."]


def test_kinds_and_numbers_are_those_of_stat(tree: Tree) -> None:
    file = tree.open(b".", O.DIRECTORY)
    found = {entry.name: entry for entry in file.entries()}
    assert found[b"sub"].kind == DT.DIR
    assert found[b"link"].kind == DT.LNK
    assert found[b"file0"].kind == DT.REG
    for name, entry in found.items():
        assert entry.ino == tree.stat(name, follow=False).ino


def test_changes_during_a_listing_do_not_disturb_it(tree: Tree) -> None:
    """As `rm -r` does: remove what each part of the listing names."""
    file = tree.open(b".", O.DIRECTORY)
    seen = []
    while names := take(file, 2):
        for name in names:
            if name.startswith(b"file"):
                tree.unlink(name)
            seen.append(name)
    assert len(seen) == len(set(seen)) == 9
    assert tree.names(b".") == [b"link", b"sub"]


def test_cookies_are_positions_to_come_back_to(tree: Tree) -> None:
    file = tree.open(b".", O.DIRECTORY)
    entries = list(file.entries())
    for entry, following in pairwise(entries):
        assert file.seek(entry.cookie, SEEK.SET) == entry.cookie
        assert next(file.entries()) == following
    file.seek(entries[-1].cookie, SEEK.SET)
    assert list(file.entries()) == []
    assert file.seek(0, SEEK.CUR) == len(entries)


def test_rewinding_reads_anew(tree: Tree) -> None:
    file = tree.open(b".", O.DIRECTORY)
    before = {entry.name for entry in file.entries()}
    tree.write(b"new", b"")
    assert take(file, 5) == []
    file.seek(0, SEEK.SET)
    assert {entry.name for entry in file.entries()} == before | {b"new"}


def test_bad_positions(tree: Tree) -> None:
    file = tree.open(b".", O.DIRECTORY)
    assert outcome(file.seek, -1, SEEK.SET) == "EINVAL"
    assert outcome(file.seek, 0, SEEK.END) == "EINVAL"
    assert file.seek(100, SEEK.SET) == 100
    assert list(file.entries()) == []


def test_a_removed_directory_cannot_be_listed(tree: Tree) -> None:
    file = tree.open(b"sub", O.DIRECTORY)
    tree.rmdir(b"sub")
    with pytest.raises(LinuxError) as caught:
        list(file.entries())
    assert caught.value.errno is Errno.ENOENT


def test_directories_have_no_contents(tree: Tree) -> None:
    file = tree.open(b".")
    assert isinstance(file, DirectoryFile)
    assert outcome(file.read_nowait, KernelBuffer(bytearray(1))) == "EISDIR"
    assert outcome(file.pread, KernelBuffer(bytearray(1)), 0) == "EISDIR"
    assert outcome(file.truncate, 0) == "EINVAL"
    assert outcome(file.mapping) == "ENODEV"
    assert Poll.IN in file.poll()
    file.sync(data_only=False)


def test_a_path_file_only_names_a_place(tree: Tree) -> None:
    file = tree.open(b"link", O.PATH | O.NOFOLLOW | O.RDWR)
    assert isinstance(file, PathFile)
    assert not file.is_readable
    assert not file.is_writable
    assert file.flags == O.PATH | O.NOFOLLOW
    assert file.attributes() == tree.stat(b"link", follow=False)
    assert file.describe() == b""
