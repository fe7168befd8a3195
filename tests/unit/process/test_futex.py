"""The table of futex waiters, stepped by hand as a virtual CPU and the reactor would."""

import time

import pytest
from fakes.expect import fails
from fakes.threads import Call, World

from aionoah.abi.errno import Errno
from aionoah.host.waiting import WaitQueue
from aionoah.process.futex import Deadline, FutexTable, PiState, Waiter
from aionoah.process.task import Task

HOUR_NS = 3600 * 10**9
FAR = Deadline.after(HOUR_NS)
PAST = Deadline(1)


def wait(task: Task, key: str, bitset: int = ~0, deadline: Deadline | None = None) -> Call:
    return Call(task.kernel.futexes.wait(Waiter(task, key, bitset), deadline))


class TestWaiting:
    def test_nobody_sleeps(self, table: FutexTable) -> None:
        assert table.wake("a", 5) == 0
        assert table.requeue("a", "b", 5, 5) == 0
        assert table.first("a") is None
        assert len(table) == 0

    def test_waking_is_counted_and_in_order(self, world: World, main: Task, table: FutexTable) -> None:
        calls = [wait(world.thread(main), "a") for _ in range(3)]
        other = wait(main, "b")
        assert table.wake("a", 2) == 2
        assert [call.wakes for call in calls] == [1, 1, 0]
        assert table.wake("a", 2) == 1
        assert [call.run() for call in calls] == [0, 0, 0]
        assert (other.wakes, len(table)) == (0, 1)
        other.kill()
        assert len(table) == 0

    @pytest.mark.parametrize("count", [0, -1, 1])
    def test_one_is_woken_whatever_the_count(
        self, count: int, world: World, main: Task, table: FutexTable
    ) -> None:
        calls = [wait(world.thread(main), "a") for _ in range(2)]
        assert table.wake("a", count) == 1
        assert calls[0].run() == 0
        calls[1].kill()

    def test_a_thread_is_woken_once(self, world: World, main: Task, table: FutexTable) -> None:
        """A second wake-up before the first thread has run goes to the second thread."""
        first, second = wait(main, "a"), wait(world.thread(main), "a")
        assert [table.wake("a", 1) for _ in range(3)] == [1, 1, 0]
        assert (first.run(), second.run()) == (0, 0)

    def test_spurious_wake_ups_are_slept_through(self, main: Task, table: FutexTable) -> None:
        call = wait(main, "a", deadline=FAR)
        assert call.run() is None
        assert table.wake("a", 1) == 1
        assert call.run() == 0

    def test_bitsets(self, world: World, main: Task, table: FutexTable) -> None:
        odd, even = wait(main, "a", 0b01), wait(world.thread(main), "a", 0b10)
        assert table.wake("a", 9, 0b100) == 0
        assert table.wake("a", 9, 0b110) == 1
        assert (odd.is_woken, even.is_woken) == (False, True)
        assert even.run() == 0
        odd.kill()

    def test_a_signal_ends_the_sleep(self, main: Task, table: FutexTable) -> None:
        assert wait(main, "a").interrupt() is Errno.ERESTARTSYS
        assert table.wake("a", 1) == 0

    def test_a_wake_up_wins_over_a_later_signal(self, main: Task, table: FutexTable) -> None:
        """Whoever woke believes that this thread has what it waited for."""
        call = wait(main, "a")
        assert table.wake("a", 1) == 1
        assert call.interrupt() == 0

    def test_other_errors_are_not_swallowed(self, main: Task, table: FutexTable) -> None:
        call = wait(main, "a")
        with pytest.raises(ZeroDivisionError):
            call.coroutine.throw(ZeroDivisionError())
        assert len(table) == 0

    def test_real_time_threads_first(self, world: World, main: Task, table: FutexTable) -> None:
        calls = {
            name: wait(world.thread(main, priority), "a")
            for name, priority in [("plain", 0), ("low", 1), ("high", 9), ("low 2", 1), ("plain 2", 0)]
        }
        order = []
        while table.wake("a", 1):
            order += [name for name, call in calls.items() if call.is_woken and name not in order]
        assert order == ["high", "low", "low 2", "plain", "plain 2"]
        assert [call.run() for call in calls.values()] == [0] * 5


class TestDeadlines:
    @pytest.mark.parametrize("is_realtime", [False, True])
    def test_passed_already(self, is_realtime: bool, main: Task, table: FutexTable) -> None:
        assert wait(main, "a", deadline=Deadline(1, is_realtime=is_realtime)).outcome is Errno.ETIMEDOUT
        assert len(table) == 0

    def test_in_the_future(self, main: Task) -> None:
        call = wait(main, "a", deadline=FAR)
        assert call.waiter.deadline_ns is not None
        assert abs(call.waiter.deadline_ns - FAR.time_ns) < HOUR_NS // 60
        assert call.run() is None  # early
        call.kill()

    def test_by_the_other_clock(self, main: Task) -> None:
        call = wait(main, "a", deadline=Deadline(time.time_ns() + HOUR_NS, is_realtime=True))
        assert call.waiter.deadline_ns is not None
        assert abs(call.waiter.deadline_ns - time.monotonic_ns() - HOUR_NS) < HOUR_NS // 60
        call.kill()

    def test_comes_while_asleep(self, main: Task, table: FutexTable) -> None:
        deadline = Deadline.after(HOUR_NS)
        call = wait(main, "a", deadline=deadline)
        deadline.time_ns = 1
        assert call.run() is Errno.ETIMEDOUT
        assert table.wake("a", 1) == 0

    def test_a_wake_up_wins(self, main: Task, table: FutexTable) -> None:
        deadline = Deadline.after(HOUR_NS)
        call = wait(main, "a", deadline=deadline)
        deadline.time_ns = 1
        assert table.wake("a", 1) == 1
        assert call.run() == 0

    def test_left(self) -> None:
        assert PAST.left_ns() < 0
        assert 0 < Deadline.after(HOUR_NS).left_ns() <= HOUR_NS


class TestRequeueing:
    def test_moved_waiters_are_found_by_the_new_key_only(
        self, world: World, main: Task, table: FutexTable
    ) -> None:
        calls = [wait(world.thread(main), "a") for _ in range(3)]
        assert table.requeue("a", "b", 0, 2) == 2
        assert table.wake("a", 9) == 1
        assert table.wake("b", 1) == 1
        assert [call.wakes for call in calls] == [1, 0, 1]
        assert calls[1].interrupt() is Errno.ERESTARTSYS
        assert len(table) == 0

    @pytest.mark.parametrize(
        ("wake", "move", "woken", "left"),
        [(0, 0, 0, 4), (1, 0, 1, 3), (0, 1, 0, 3), (2, 1, 2, 1), (9, 9, 4, 0), (1, 9, 1, 0), (4, 0, 4, 0)],
    )
    def test_counts(
        self, wake: int, move: int, woken: int, left: int, world: World, main: Task, table: FutexTable
    ) -> None:
        calls = [wait(world.thread(main), "a") for _ in range(4)]
        assert table.requeue("a", "b", wake, move) == 4 - left
        assert [call.is_woken for call in calls] == [True] * woken + [False] * (4 - woken)
        assert (len(table.waiters("a")), len(table.waiters("b"))) == (left, 4 - left - woken)
        for call in calls:
            call.kill()

    def test_to_the_same_key_counts_and_keeps_the_order(
        self, world: World, main: Task, table: FutexTable
    ) -> None:
        calls = [wait(world.thread(main), "a") for _ in range(3)]
        assert table.requeue("a", "a", 0, 9) == 3
        assert table.wake("a", 1) == 1
        assert [call.is_woken for call in calls] == [True, False, False]
        for call in calls:
            call.kill()

    def test_moved_ones_come_behind_those_that_are_there(
        self, world: World, main: Task, table: FutexTable
    ) -> None:
        moved, there = wait(world.thread(main), "a"), wait(main, "b")
        table.requeue("a", "b", 0, 1)
        table.wake("b", 1)
        assert (there.is_woken, moved.is_woken) == (True, False)
        moved.kill()


class TestSeveralWords:
    def test_one_of_them_is_enough(self, main: Task, table: FutexTable) -> None:
        queue = WaitQueue()
        waiters = [Waiter(main, key, queue=queue) for key in "abc"]
        for waiter in waiters:
            table.join(waiter)
        call = Call(table.sleep(waiters, None))
        assert len(table) == 3
        assert table.wake("b", 1) == 1
        assert call.is_woken
        assert [waiter.is_woken for waiter in waiters] == [False, True, False]
        assert table.wake("c", 1) == 1  # it has not run yet
        assert call.run() == 0
        assert [waiter.is_woken for waiter in waiters] == [False, True, True]
        assert len(table) == 0


class TestEndOfATask:
    def test_a_dead_thread_takes_no_wake_up(self, world: World, main: Task, table: FutexTable) -> None:
        dead = world.thread(main)
        call, next_call = wait(dead, "a"), wait(main, "a")
        dead.exit(0)
        assert table.wake("a", 1) == 1
        assert (call.is_woken, next_call.is_woken) == (False, True)
        call.kill()
        assert next_call.run() == 0

    def test_who_does_not_wait_is_forgotten_too(self, main: Task, table: FutexTable) -> None:
        table.forget(main)
        assert len(table) == 0


class TestLocks:
    """Waiters for locks with owners; the words are futex_pi's business."""

    @staticmethod
    def block(table: FutexTable, task: Task, state: PiState) -> Call:
        waiter = Waiter(task, state.key, lock_address=1)
        table.block(waiter, state)
        return Call(table.wait(waiter, None))

    def test_they_cannot_be_woken_by_others(self, world: World, main: Task, table: FutexTable) -> None:
        plain = wait(main, "a")
        call = self.block(table, world.thread(main), PiState("a", main))
        fails(Errno.EINVAL, table.wake, "a", 9)
        assert plain.is_woken  # it came before
        fails(Errno.EINVAL, table.requeue, "a", "b", 1, 1)
        assert not call.is_woken
        call.kill()
        assert plain.run() == 0

    def test_owners_are_known_while_somebody_waits(self, world: World, main: Task, table: FutexTable) -> None:
        state = PiState("a", main)
        assert table.owned_by(main) == []
        one, two = world.thread(main), world.thread(main)
        calls = [self.block(table, task, state) for task in (one, two)]
        assert table.owned_by(main) == [state]
        table.give(state, state.first())
        assert (table.owned_by(main), table.owned_by(one)) == ([], [state])
        assert calls[0].run() == 0
        calls[1].kill()
        assert table.owned_by(one) == []

    def test_deadlock(self, world: World, main: Task, table: FutexTable) -> None:
        one, two = world.thread(main), world.thread(main)
        calls = [
            self.block(table, one, PiState("main's", main)),
            self.block(table, two, PiState("one's", one)),
        ]
        for owner in (main, one, two):
            fails(Errno.EDEADLK, table.block, Waiter(main, "x"), PiState("x", owner))
        third = world.thread(main)
        table.block(waiter := Waiter(third, "x"), PiState("x", two))
        table.leave(waiter)
        for call in calls:
            call.kill()

    def test_a_woken_owner_is_not_blocked(self, world: World, main: Task, table: FutexTable) -> None:
        one = world.thread(main)
        state = PiState("a", main)
        call = self.block(table, one, state)
        table.give(state, state.first())
        table.block(waiter := Waiter(main, "b"), PiState("b", one))
        table.leave(waiter)
        assert call.run() == 0

    def test_the_heir_is_the_first_of_the_highest_priority(
        self, world: World, main: Task, table: FutexTable
    ) -> None:
        state = PiState("a", main)
        tasks = [world.thread(main, priority) for priority in (0, 3, 7, 7)]
        calls = [self.block(table, task, state) for task in tasks]
        assert state.first().task is tasks[2]
        for call in calls:
            call.kill()
