"""Descriptor tables, and the same operations on the real ones of this process."""

import os

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.fs.file import File
from aionoah.process.descriptors import DescriptorTable


class CountedFile(File):
    def __init__(self, flags: int = O.RDWR) -> None:
        super().__init__(O(flags))
        self.is_released = False

    @property
    def references(self) -> int:
        return self._references

    def release(self) -> None:
        self.is_released = True


@pytest.fixture
def table() -> DescriptorTable:
    return DescriptorTable(lambda: 16)


def fails(errno: Errno) -> object:
    return pytest.raises(LinuxError, match=f"^{errno.name}$")


def test_numbers_are_given_lowest_first(table: DescriptorTable) -> None:
    assert [table.add(CountedFile(), cloexec=False) for _ in range(3)] == [0, 1, 2]
    table.close(1)
    assert table.add(CountedFile(), cloexec=False) == 1
    assert table.add(CountedFile(), cloexec=False, minimum=7) == 7
    assert list(table) == [0, 1, 2, 7]
    assert len(table) == 4
    assert table.highest == 7
    table.close(7)
    assert table.highest == 2


def test_what_is_not_open_is_ebadf(table: DescriptorTable) -> None:
    for fd in (0, -1, 99, 1 << 40):
        with fails(Errno.EBADF):
            table[fd]
        with fails(Errno.EBADF):
            table.get(fd, allow_path=True)
        with fails(Errno.EBADF):
            table.close(fd)
        with fails(Errno.EBADF):
            table.is_close_on_exec(fd)
        assert fd not in table


def test_path_descriptors_are_only_for_those_who_ask(table: DescriptorTable) -> None:
    file = CountedFile(O.PATH)
    fd = table.add(file, cloexec=True)
    with fails(Errno.EBADF):
        table[fd]
    with fails(Errno.EBADF):
        table.get(fd)
    assert table.get(fd, allow_path=True) is file
    assert fd in table
    assert list(table) == [fd]
    assert table.is_close_on_exec(fd)
    assert table.dup(fd) == 1
    table.close(fd)
    table.close(1)
    assert file.is_released


def test_the_limit_is_asked_each_time() -> None:
    limit = 2
    table = DescriptorTable(lambda: limit)
    table.add(CountedFile(), cloexec=False)
    table.add(CountedFile(), cloexec=False)
    with fails(Errno.EMFILE):
        table.add(CountedFile(), cloexec=False)
    limit = 3
    assert table.add(CountedFile(), cloexec=False) == 2
    limit = 1
    assert isinstance(table[2], CountedFile), "what is open stays open"
    with fails(Errno.EMFILE):
        table.dup(2)


# -- reservations -----------------------------------------------------------------------------------------


def test_reserved_numbers_are_taken_but_not_open(table: DescriptorTable) -> None:
    with table.reserve(2) as (first, second):
        assert (first, second) == (0, 1)
        assert first not in table
        assert list(table) == []
        with fails(Errno.EBADF):
            table[first]
        with fails(Errno.EBADF):
            table.close(first)
        with fails(Errno.EBADF):
            table.dup(first)
        assert table.add(CountedFile(), cloexec=False) == 2
        table.install(first, file := CountedFile(), cloexec=True)
        assert table[first] is file
    assert table.is_close_on_exec(first)
    assert table.add(CountedFile(), cloexec=False) == second, "what was not installed is free again"


def test_a_reservation_that_fails_gives_everything_back(table: DescriptorTable) -> None:
    def fault() -> None:
        with table.reserve(3):
            raise LinuxError(Errno.EFAULT)

    with fails(Errno.EFAULT):
        fault()
    assert table.add(CountedFile(), cloexec=False) == 0


def test_a_reservation_is_all_or_nothing() -> None:
    table = DescriptorTable(lambda: 3)
    table.add(CountedFile(), cloexec=False)
    with fails(Errno.EMFILE):
        table.reserve(3)
    assert table.add(CountedFile(), cloexec=False) == 1


def test_dup_onto_a_reserved_number_is_ebusy(table: DescriptorTable) -> None:
    file = CountedFile()
    fd = table.add(file, cloexec=False)
    with table.reserve() as (taken,), fails(Errno.EBUSY):
        table.dup2(fd, taken)
    assert file.references == 1


# -- dup --------------------------------------------------------------------------------------------------


def test_dup_shares_the_file(table: DescriptorTable) -> None:
    file = CountedFile()
    fd = table.add(file, cloexec=True)
    other = table.dup(fd)
    assert table[other] is file
    assert not table.is_close_on_exec(other)
    table.close(fd)
    assert not file.is_released
    table.close(other)
    assert file.is_released


def test_fcntl_dup(table: DescriptorTable) -> None:
    fd = table.add(CountedFile(), cloexec=False)
    assert table.dup(fd, minimum=10, cloexec=True) == 10
    assert table.is_close_on_exec(10)
    assert table.dup(fd, minimum=10) == 11
    for minimum in (16, 1 << 31, -1):
        with fails(Errno.EINVAL):
            table.dup(fd, minimum=minimum)
    with fails(Errno.EBADF):
        table.dup(5, minimum=1 << 31)
    assert table.dup(fd, minimum=15) == 15
    with fails(Errno.EMFILE):
        table.dup(fd, minimum=15)


def test_dup2_closes_what_was_there(table: DescriptorTable) -> None:
    old, new = CountedFile(), CountedFile()
    table.add(old, cloexec=False)
    table.add(new, cloexec=True)
    assert table.dup2(1, 0) == 0
    assert old.is_released
    assert table[0] is new
    assert not table.is_close_on_exec(0)
    assert table.dup2(1, 1) == 1
    assert table.is_close_on_exec(1), "nothing happens to equal numbers"
    assert new.references == 2
    assert table.dup2(1, 9) == 9
    assert table.add(CountedFile(), cloexec=False) == 2
    assert table.add(CountedFile(), cloexec=False, minimum=9) == 10


def test_dup2_onto_a_path_descriptor(table: DescriptorTable) -> None:
    path, file = CountedFile(O.PATH), CountedFile()
    table.add(path, cloexec=False)
    table.add(file, cloexec=False)
    table.dup2(1, 0)
    assert path.is_released
    assert table[0] is file
    table.dup2(0, 0)


def test_dup2_errors(table: DescriptorTable) -> None:
    fd = table.add(CountedFile(), cloexec=False)
    for old, new in ((5, 0), (5, 5), (fd, 16), (fd, -1), (5, 16)):
        with fails(Errno.EBADF):
            table.dup2(old, new)
    with fails(Errno.EINVAL):
        table.dup3(fd, fd, cloexec=True)
    assert table.dup3(fd, 4, cloexec=True) == 4
    assert table.is_close_on_exec(4)


# -- closing ----------------------------------------------------------------------------------------------


def test_close_range(table: DescriptorTable) -> None:
    files = [CountedFile() for _ in range(5)]
    for file in files:
        table.add(file, cloexec=False)
    table.close_range(1, 2)
    assert list(table) == [0, 3, 4]
    assert [file.is_released for file in files] == [False, True, True, False, False]
    table.close_range(3, 0xFFFF_FFFF, cloexec_only=True)
    assert [table.is_close_on_exec(fd) for fd in table] == [False, True, True]
    with fails(Errno.EINVAL):
        table.close_range(2, 1)
    table.close_range(100, 200)
    assert len(table) == 3


def test_execve_closes_what_is_marked(table: DescriptorTable) -> None:
    for cloexec in (False, True, False, True):
        table.add(CountedFile(), cloexec=cloexec)
    table.set_close_on_exec(0, cloexec=True)
    table.set_close_on_exec(1, cloexec=False)
    table.close_on_exec()
    assert list(table) == [1, 2]
    table.close_on_exec()
    assert table.add(CountedFile(), cloexec=False) == 0
    assert not table.is_close_on_exec(0)


# -- sharing ----------------------------------------------------------------------------------------------


def test_fork_copies(table: DescriptorTable) -> None:
    file, path = CountedFile(), CountedFile(O.PATH)
    table.add(file, cloexec=True)
    table.add(path, cloexec=False)
    with table.reserve() as (reserved,):
        child = table.fork(lambda: 4)
    assert child[0] is file
    assert child.get(1, allow_path=True) is path
    assert child.is_close_on_exec(0)
    assert child.add(CountedFile(), cloexec=False) == reserved
    child.close(0)
    assert table[0] is file
    assert not file.is_released
    table.close_all()
    assert file.is_released
    assert not path.is_released
    assert list(child) == [1, 2]
    child.close_all()
    assert path.is_released
    child.add(CountedFile(), cloexec=False, minimum=3)
    with fails(Errno.EMFILE):
        child.add(CountedFile(), cloexec=False, minimum=3)


def test_the_last_of_several_users_closes_everything(table: DescriptorTable) -> None:
    file = CountedFile()
    table.add(file, cloexec=False)
    assert not table.is_shared
    assert table.share() is table
    assert table.is_shared
    table.leave()
    assert not file.is_released
    assert not table.is_shared
    table.leave()
    assert file.is_released


# -- the same on the host ---------------------------------------------------------------------------------

BASE = 200  # the real numbers that correspond to ours
SLOTS = st.integers(0, 12)


class SameAsHost(RuleBasedStateMachine):
    """Every operation on this process's own descriptors from BASE on gives the same numbers and errors."""

    @initialize()
    def start(self) -> None:
        self.table = DescriptorTable(lambda: 1024)
        self.null = os.open("/dev/null", os.O_RDONLY)
        os.closerange(BASE, BASE + 64)

    def teardown(self) -> None:
        os.closerange(BASE, BASE + 64)
        os.close(self.null)

    @rule(minimum=SLOTS, cloexec=st.booleans())
    def open(self, minimum: int, *, cloexec: bool) -> None:
        import fcntl

        command = fcntl.F_DUPFD_CLOEXEC if cloexec else fcntl.F_DUPFD
        theirs = fcntl.fcntl(self.null, command, BASE + minimum)
        assert self.table.add(CountedFile(), cloexec=cloexec, minimum=minimum) == theirs - BASE

    @rule(old=SLOTS, new=SLOTS, cloexec=st.booleans())
    def dup2_or_dup3(self, old: int, new: int, *, cloexec: bool) -> None:
        expected: object
        try:
            expected = os.dup2(BASE + old, BASE + new, inheritable=not cloexec) - BASE
        except OSError as error:
            expected = error.errno
        found: object
        try:
            found = self.table.dup3(old, new, cloexec=True) if cloexec else self.table.dup2(old, new)
        except LinuxError as error:
            found = error.errno
        assert found == expected

    @rule(fd=SLOTS)
    def close(self, fd: int) -> None:
        found = expected = 0
        try:
            os.close(BASE + fd)
        except OSError as error:
            expected = error.errno
        try:
            self.table.close(fd)
        except LinuxError as error:
            found = error.errno
        assert found == expected

    @rule(first=SLOTS, count=SLOTS)
    def close_range(self, first: int, count: int) -> None:
        os.closerange(BASE + first, BASE + first + count + 1)
        self.table.close_range(first, first + count)

    @invariant()
    def same_numbers_and_flags(self) -> None:
        if not hasattr(self, "table"):
            return
        theirs = {}
        for fd in range(40):
            try:
                theirs[fd] = not os.get_inheritable(BASE + fd)
            except OSError:
                continue
        assert {fd: self.table.is_close_on_exec(fd) for fd in self.table} == theirs


TestSameAsHost = SameAsHost.TestCase
TestSameAsHost.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
