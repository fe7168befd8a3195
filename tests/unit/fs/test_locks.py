"""Advisory locks, as rules about ranges of bytes."""

from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.errno import LinuxError
from aionoah.abi.fcntl import O
from aionoah.fs.eventfd import EventFile
from aionoah.fs.file import File, WouldBlock
from aionoah.fs.locks import (
    LAST,
    InodeLocks,
    RecordLock,
    WholeLock,
    forget_locks,
    forget_record_locks,
    locks_of,
)
from aionoah.host.waiting import Source, Waiter

SIZE = 24


class Model:
    """For each byte, who has locked it, and whether exclusively."""

    def __init__(self) -> None:
        self.bytes: list[dict[str, bool]] = [{} for _ in range(SIZE)]

    def lock(self, owner: str, start: int, end: int, *, exclusive: bool) -> bool:
        for held in self.bytes[start : end + 1]:
            if any((exclusive or kind) for other, kind in held.items() if other != owner):
                return False
        for held in self.bytes[start : end + 1]:
            held[owner] = exclusive
        return True

    def unlock(self, owner: str, start: int, end: int) -> None:
        for held in self.bytes[start : end + 1]:
            held.pop(owner, None)


def observed(locks: InodeLocks) -> list[dict[str, bool]]:
    """The same for the real thing."""
    held: list[dict[str, bool]] = [{} for _ in range(SIZE)]
    for lock in locks._records:
        for position in range(lock.start, lock.end + 1):
            owner = lock.owner
            assert isinstance(owner, str)
            assert owner not in held[position], "an owner's locks overlap"
            held[position][owner] = lock.is_exclusive
    return held


positions = st.integers(0, SIZE - 1)
steps = st.lists(
    st.tuples(
        st.sampled_from(["lock", "unlock"]), st.sampled_from("abc"), st.booleans(), positions, positions
    )
)


@given(steps)
def test_ranges_behave_as_bytes(taken: list[tuple[str, str, bool, int, int]]) -> None:
    locks, model = InodeLocks(), Model()
    for action, owner, exclusive, one, two in taken:
        start, end = sorted((one, two))
        if action == "unlock":
            model.unlock(owner, start, end)
            locks.unlock_record(owner, start, end)
        else:
            may = model.lock(owner, start, end, exclusive=exclusive)
            try:
                locks.lock_record(RecordLock(owner, exclusive, start, end, 1))
            except WouldBlock:
                assert not may
            else:
                assert may
        assert observed(locks) == model.bytes


def test_neighbours_of_one_kind_become_one() -> None:
    locks = InodeLocks()
    for start, end in ((0, 4), (10, 14), (5, 9)):
        locks.lock_record(RecordLock("a", True, start, end, 1))
    assert locks.own("a", 0, LAST) == RecordLock("a", True, 0, 14, 1)
    locks.lock_record(RecordLock("a", False, 15, 20, 1))
    assert locks.own("a", 15, 15) == RecordLock("a", False, 15, 20, 1)


def test_who_is_in_the_way() -> None:
    locks = InodeLocks()
    locks.lock_record(RecordLock("a", False, 5, 9, 7))
    assert locks.conflict("b", 0, LAST, exclusive=False) is None
    assert locks.conflict("a", 0, LAST, exclusive=True) is None
    found = locks.conflict("b", 9, 9, exclusive=True)
    assert found is not None
    assert found.pid == 7
    assert locks.conflict("b", 10, 20, exclusive=True) is None
    assert locks.own("b", 0, LAST) is None


def test_whole_locks() -> None:
    locks = InodeLocks()
    locks.lock_whole("a", WholeLock(False))
    locks.lock_whole("b", WholeLock(False))
    try:
        locks.lock_whole("a", WholeLock(True))
    except WouldBlock:
        pass
    else:
        raise AssertionError
    assert "a" not in locks._whole  # a conversion gives the old lock up first
    locks.unlock_whole("b")
    locks.lock_whole("a", WholeLock(True))
    locks.forget("a")
    assert locks.is_empty


def test_giving_back_wakes_who_waits() -> None:
    locks = InodeLocks()
    locks.lock_whole("a", WholeLock(True))
    waiter = Waiter(Source(locks.changed), None)
    locks.changed.add(waiter)
    locks.lock_whole("a", WholeLock(True))
    assert not waiter.is_woken
    locks.unlock_whole("a")
    assert waiter.is_woken


def test_an_inode_is_forgotten_with_its_last_lock() -> None:
    file = EventFile(O(O.RDWR))
    owner = object()
    before = locks_of(file.inode)
    assert locks_of(file.inode) is before
    before.lock_record(RecordLock(owner, True, 0, LAST, 1))
    before.lock_whole(file, WholeLock(True))
    forget_record_locks(owner, file)
    assert not before.is_empty
    forget_locks(file)
    assert before.is_empty
    assert locks_of(file.inode) is not before
    forget_locks(file)


def test_a_file_without_an_inode_has_no_locks() -> None:
    file = File(O(0))
    try:
        forget_locks(file)
    except LinuxError:
        raise AssertionError from None
