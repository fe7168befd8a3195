"""Open files that are lent to guests, and what takes them back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.trees import Tree

from aionoah.abi.fcntl import SEEK, O
from aionoah.abi.uio import RWF
from aionoah.fs import lending, notify
from aionoah.fs.file import File
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.hostwatch import HostWatches
from aionoah.fs.opening import open_file
from aionoah.memory.buffer import KernelBuffer
from aionoah.process.descriptors import DescriptorTable


class Lender:
    """Each loan is a dict, which a test may change as a guest would."""

    def __init__(self) -> None:
        self.loans: list[dict[str, int]] = []
        self.forgotten = 0

    def begin(self, fd: int, *, may_read: bool, may_write: bool, position: int) -> dict[str, int]:
        loan = {"fd": fd, "may_read": may_read, "may_write": may_write, "position": position}
        self.loans.append(loan)
        return loan

    def end(self, loan: Any) -> int:
        self.loans.remove(loan)
        position: int = loan["position"]
        return position

    def forget(self) -> None:
        self.forgotten += 1


@pytest.fixture
def lender(monkeypatch: pytest.MonkeyPatch) -> Lender:
    made = Lender()
    lenders = [made]
    monkeypatch.setattr(lending, "LENDERS", lenders)
    monkeypatch.setattr("aionoah.fs.hostfs_file.LENDERS", lenders)
    return made


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "file").write_bytes(b"0123456789")
    return Tree(HostFileSystem(str(tmp_path)))


def opened(tree: Tree, flags: O = O.RDWR) -> Any:
    """A file that has been written to, if it may be: what the first write has to do has been done."""
    file = open_file(tree.context, tree.context.cwd, b"file", flags, 0)
    if file.is_writable:
        file.pwrite(KernelBuffer(bytearray(b"0")), 0)
    return file


def read(file: File, count: int) -> bytes:
    data = bytearray(count)
    return bytes(data[: file.read_nowait(KernelBuffer(data))])


def test_it_is_lent_once_with_its_position(tree: Tree, lender: Lender) -> None:
    file = opened(tree)
    read(file, 3)
    loan = file.lend()
    assert file.lend() is loan
    assert lender.loans == [{"fd": file.fd, "may_read": 1, "may_write": 1, "position": 3}]


def test_who_wants_the_position_takes_it_back(tree: Tree, lender: Lender) -> None:
    file = opened(tree)
    for use in (lambda: read(file, 2), lambda: file.seek(0, SEEK.CUR), lambda: file.seek(5, SEEK.SET)):
        file.lend()
        lender.loans[0]["position"] = 7
        use()
        assert not lender.loans
    assert file.offset == 5
    file.lend()
    lender.loans[0]["position"] = 8
    assert read(file, 9) == b"89"


def test_what_is_not_told_the_position_does_not(tree: Tree, lender: Lender) -> None:
    file = opened(tree)
    file.lend()
    assert file.attributes().size == 10
    file.pread(KernelBuffer(bytearray(4)), 0)
    assert lender.loans


def test_the_end_of_a_descriptor_takes_it_back(tree: Tree, lender: Lender) -> None:
    file = opened(tree)
    table = DescriptorTable(lambda: 100)
    fd = table.add(file, cloexec=False)
    copy, other = table.dup(fd), table.add(opened(tree), cloexec=False)
    for end in (lambda: table.close(copy), lambda: table.dup2(other, fd)):
        file.hold()
        file.lend()
        end()
        assert not lender.loans


@pytest.mark.parametrize("flags", [O.WRONLY | O.APPEND, O.RDWR | O.SYNC, O.RDWR | O.DSYNC])
def test_files_that_are_written_in_a_special_way_are_kept(tree: Tree, lender: Lender, flags: O) -> None:
    assert opened(tree, O(flags)).lend() is None


def test_rights_are_those_of_the_open_file(tree: Tree, lender: Lender) -> None:
    opened(tree, O.RDONLY).lend()
    opened(tree, O.WRONLY).lend()
    assert [(loan["may_read"], loan["may_write"]) for loan in lender.loans] == [(1, 0), (0, 1)]


def test_the_first_write_of_a_privileged_file_is_ours(tree: Tree, lender: Lender) -> None:
    file = opened(tree)
    file.before_write = lambda: None
    file.lend()
    assert not lender.loans[0]["may_write"]
    file.write_nowait(KernelBuffer(bytearray(b"x")))
    file.lend()
    assert lender.loans[0]["may_write"]


def test_what_the_host_would_append_is_ours_to_write(tree: Tree, lender: Lender) -> None:
    file = opened(tree, O(O.RDWR | O.APPEND))
    file.flags = O.RDWR
    file.lend()
    assert not lender.loans[0]["may_write"]
    file.pwrite(KernelBuffer(bytearray(b"x")), 0)
    file.lend()
    assert [loan["may_write"] for loan in lender.loans] == [1]


def test_a_single_append_takes_it_back(tree: Tree, lender: Lender) -> None:
    file = opened(tree)
    file.lend()
    file.write_with(KernelBuffer(bytearray(b"x")), 0, RWF.APPEND)
    assert not lender.loans
    file.lend()
    assert not lender.loans[0]["may_write"]


class Watch:
    def inode_gone(self) -> None: ...


@pytest.fixture
def watch(tree: Tree) -> Iterator[Any]:
    made: Any = Watch()
    yield made
    notify.unwatch(tree.walk(b"/file").inode, made)


def test_nothing_is_lent_while_somebody_watches(tree: Tree, lender: Lender, watch: Any) -> None:
    file = opened(tree)
    file.lend()
    notify.watch(tree.walk(b"/file").inode, watch)
    assert lender.forgotten == 1
    assert file.lend() is None


def test_nothing_is_lent_while_the_host_is_watched(tree: Tree, lender: Lender) -> None:
    file = opened(tree)
    watches = HostWatches(lambda _event: None)
    try:
        assert lender.forgotten == 1
        assert file.lend() is None
    finally:
        watches.close()
    assert file.lend() is not None


def test_without_a_lender_nothing_is_lent(tree: Tree, lender: Lender) -> None:
    lending.LENDERS.clear()
    assert opened(tree).lend() is None
    lending.forget()
