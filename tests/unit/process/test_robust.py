"""What threads leave behind: robust lists, whole and broken, and the word of set_tid_address."""

import pytest
from fakes.threads import ARENA, ARENA_SIZE, Call, World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aionoah.abi.futex import (
    FUTEX_OWNER_DIED,
    FUTEX_WAITERS,
    ROBUST_LIST_LIMIT,
    RobustListHead,
)
from aionoah.process.futex import FutexTable, Waiter
from aionoah.process.futex_pi import Lock, lock_pi
from aionoah.process.robust import exit_robust_list
from aionoah.process.task import Task

HEAD = ARENA
OFFSET = 16  # from an entry to its word
WAITERS, DIED = FUTEX_WAITERS, FUTEX_OWNER_DIED
BAD = 8


def entry(index: int) -> int:
    return ARENA + 64 + index * 32


def word(task: Task, index: int) -> int:
    return task.memory.read_word(entry(index) + OFFSET, 4)


def put(task: Task, index: int, value: int) -> None:
    task.memory.write_word(entry(index) + OFFSET, value, 4)


def link(task: Task, *entries: int, pending: int = 0, end: int = HEAD, offset: int = OFFSET) -> None:
    """Make the list of a task. An entry's lowest bit may be set: a lock with priority inheritance."""
    following = [*entries, end]
    task.memory.put(HEAD, RobustListHead(following[0], offset, pending))
    for here, after in zip(entries, following[1:], strict=True):
        task.memory.write_word(here & ~1, after)
    task.robust_list = HEAD


def wait_shared(task: Task, index: int) -> Call:
    key = task.memory.futex_key(entry(index) + OFFSET, is_private=False)
    return Call(task.kernel.futexes.wait(Waiter(task, key), None))


@pytest.fixture
def dying(world: World, main: Task) -> Task:
    return world.thread(main)


class TestList:
    def test_none_and_an_empty_one(self, dying: Task) -> None:
        exit_robust_list(dying)
        link(dying)
        exit_robust_list(dying)
        assert dying.robust_list == 0

    @pytest.mark.parametrize("kept", [0, WAITERS])
    def test_ones_own_locks_only(self, kept: int, main: Task, dying: Task) -> None:
        for index, value in enumerate([dying.tid, main.tid, 0, dying.tid | DIED]):
            put(dying, index, value | kept)
        link(dying, *map(entry, range(4)))
        exit_robust_list(dying)
        assert [word(main, index) for index in range(4)] == [DIED | kept, main.tid | kept, kept, DIED | kept]

    def test_a_waiter_of_each_is_woken(self, world: World, main: Task, dying: Task) -> None:
        for index in range(2):
            put(dying, index, dying.tid | WAITERS)
        put(dying, 2, dying.tid)
        calls = [wait_shared(world.thread(main), index) for index in (0, 0, 1, 2)]
        link(dying, *map(entry, range(3)))
        dying.exit(0)
        assert [call.is_woken for call in calls] == [True, False, True, False]
        for call in calls:
            call.kill()

    def test_locks_with_heirs_are_left_to_them(self, world: World, main: Task, dying: Task) -> None:
        address = entry(0) + OFFSET
        lock = Lock(main.memory, address, main.memory.futex_key(address, is_private=False))
        assert Call(lock_pi(dying, lock, None)).outcome == 0
        heir = Call(lock_pi(main, lock, None))
        link(dying, entry(0) | 1)
        dying.exit(0)
        assert heir.run() == 0
        assert word(main, 0) == main.tid | WAITERS | DIED

    def test_the_word_may_lie_before_the_entry(self, main: Task, dying: Task) -> None:
        dying.memory.write_word(entry(1) - 16, dying.tid, 4)
        link(dying, entry(1), offset=-16)
        exit_robust_list(dying)
        assert main.memory.read_word(entry(1) - 16, 4) == DIED


class TestPending:
    def test_it_is_done_last_and_once(self, main: Task, dying: Task) -> None:
        put(dying, 0, dying.tid)
        put(dying, 1, dying.tid)
        link(dying, entry(0), entry(1), pending=entry(0))
        exit_robust_list(dying)
        assert (word(main, 0), word(main, 1)) == (DIED, DIED)

    @pytest.mark.parametrize("value", [0, WAITERS, DIED])
    def test_a_lock_in_between_owners(self, value: int, main: Task, dying: Task) -> None:
        """Unlocked but nobody woken yet, or woken but not locked yet: wake one in its place."""
        put(dying, 0, value)
        call = wait_shared(main, 0)
        link(dying, pending=entry(0))
        exit_robust_list(dying)
        assert call.is_woken
        assert word(main, 0) == value
        assert call.run() == 0

    def test_not_of_others(self, world: World, main: Task, dying: Task) -> None:
        put(dying, 0, main.tid | WAITERS)
        put(dying, 1, WAITERS)
        calls = [wait_shared(world.thread(main), index) for index in (0, 1)]
        link(dying, pending=entry(0))
        exit_robust_list(dying)
        link(dying, pending=entry(1) | 1)  # with priority inheritance
        exit_robust_list(dying)
        assert not any(call.is_woken for call in calls)
        for call in calls:
            call.kill()


class TestBrokenLists:
    @pytest.mark.parametrize("head", [BAD, ARENA + ARENA_SIZE - 8, 1 << 63, (1 << 64) - 8])
    def test_no_head(self, head: int, dying: Task) -> None:
        dying.robust_list = head
        dying.exit(0)
        assert dying.has_exited

    def test_what_comes_before_the_break_is_done(self, main: Task, dying: Task) -> None:
        for index in range(3):
            put(dying, index, dying.tid)
        link(dying, entry(0), entry(1), end=BAD, pending=entry(2))
        exit_robust_list(dying)
        assert [word(main, index) for index in range(3)] == [DIED, DIED, dying.tid]

    def test_a_misaligned_word_ends_it(self, main: Task, dying: Task) -> None:
        put(dying, 1, dying.tid)
        link(dying, entry(0) + 2, entry(1))
        exit_robust_list(dying)
        assert word(main, 1) == dying.tid

    def test_circles_end(self, main: Task, dying: Task) -> None:
        put(dying, 0, dying.tid)
        put(dying, 1, dying.tid)
        link(dying, entry(0), end=entry(0), pending=entry(1))
        exit_robust_list(dying)
        assert (word(main, 0), word(main, 1)) == (DIED, DIED)
        assert ROBUST_LIST_LIMIT == 2048

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.binary(min_size=256, max_size=256), head=st.integers(0, 255))
    def test_nonsense_never_fails(self, data: bytes, head: int, world: World, main: Task) -> None:
        main.memory.write(ARENA, data)
        thread = world.thread(main)
        thread.robust_list = ARENA + head
        thread.exit(0)
        assert thread.tid not in main.process.tasks


class TestThreadWord:
    def test_it_is_cleared_and_one_is_woken(self, world: World, main: Task, dying: Task) -> None:
        calls = [wait_shared(main, 0), wait_shared(world.thread(main), 0)]
        put(dying, 0, dying.tid)
        dying.clear_child_tid = entry(0) + OFFSET
        dying.exit(0)
        assert word(main, 0) == 0
        assert [call.is_woken for call in calls] == [True, False]
        calls[0].run()
        calls[1].kill()

    def test_nobody_is_left_to_see_it(self, main: Task) -> None:
        put(main, 0, 5)
        main.clear_child_tid = entry(0) + OFFSET
        main.exit(0)
        assert word(main, 0) == 5

    @pytest.mark.parametrize("address", [BAD, 1 << 63])
    def test_bad_addresses(self, address: int, dying: Task, table: FutexTable) -> None:
        dying.clear_child_tid = address
        dying.exit(0)
        assert len(table) == 0

    def test_a_misaligned_one_is_cleared_only(self, main: Task, dying: Task) -> None:
        put(dying, 0, 0xFFFF_FFFF)
        dying.clear_child_tid = entry(0) + OFFSET + 1
        dying.exit(0)
        assert word(main, 0) == 0xFF
