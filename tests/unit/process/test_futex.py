"""The table of futex waiters, stepped by hand as a virtual CPU and the reactor would."""

import time
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.futex import FUTEX_BITSET_MATCH_ANY
from aionoah.host.waiting import Waiter
from aionoah.process.futex import Deadline, FutexTable
from aionoah.process.futex import Waiter as FutexWaiter

FAR = Deadline.after(3600 * 10**9)


class FakeThread:
    """As much of a task as the table looks at; compared by identity."""

    def __init__(self, priority: int = 0) -> None:
        self.scheduling = SimpleNamespace(priority=priority)


class Sleeper:
    """A thread in wait()."""

    def __init__(
        self,
        table: FutexTable,
        key: str,
        bitset: int = FUTEX_BITSET_MATCH_ANY,
        deadline: Deadline | None = None,
        priority: int = 0,
    ) -> None:
        task = cast("Any", FakeThread(priority))
        self._coroutine: Coroutine[Waiter, None, None] = table.wait(FutexWaiter(task, key, bitset), deadline)
        self.outcome: str | None = None
        self.wakes = 0
        self._step()

    def _step(self, thrown: BaseException | None = None) -> None:
        try:
            waiter = self._coroutine.send(None) if thrown is None else self._coroutine.throw(thrown)
        except StopIteration:
            self.outcome = "woken"
        except LinuxError as error:
            self.outcome = error.errno.name
        else:
            assert isinstance(waiter, Waiter)
            self.waiter = waiter
            waiter.on_wake = self._count

    def _count(self) -> None:
        self.wakes += 1

    def run(self) -> str | None:
        """Go on, as the reactor lets a woken thread go on."""
        self._step()
        return self.outcome

    def interrupt(self) -> str | None:
        self._step(LinuxError(Errno.ERESTARTSYS))
        return self.outcome

    def kill(self) -> None:
        self._coroutine.close()


def test_nobody_sleeps() -> None:
    table = FutexTable()
    assert table.wake("a", 5) == 0
    assert table.requeue("a", "b", 5, 5) == 0
    assert len(table) == 0


def test_waking_is_counted_and_in_order() -> None:
    table = FutexTable()
    sleepers = [Sleeper(table, "a") for _ in range(3)]
    other = Sleeper(table, "b")
    assert table.wake("a", 2) == 2
    assert [sleeper.wakes for sleeper in sleepers] == [1, 1, 0]
    assert table.wake("a", 2) == 1
    assert [sleeper.run() for sleeper in sleepers] == ["woken"] * 3
    assert (other.wakes, len(table)) == (0, 1)
    other.kill()
    assert len(table) == 0


def test_a_thread_is_woken_once() -> None:
    """A second wake-up before the first thread has run goes to the second thread."""
    table = FutexTable()
    first, second = Sleeper(table, "a"), Sleeper(table, "a")
    assert table.wake("a", 1) == 1
    assert table.wake("a", 1) == 1
    assert table.wake("a", 1) == 0
    assert (first.run(), second.run()) == ("woken", "woken")


def test_spurious_wake_ups_are_slept_through() -> None:
    table = FutexTable()
    sleeper = Sleeper(table, "a", deadline=FAR)
    assert sleeper.run() is None
    assert table.wake("a", 1) == 1
    assert sleeper.run() == "woken"


def test_bitsets() -> None:
    table = FutexTable()
    odd, even = Sleeper(table, "a", 0b01), Sleeper(table, "a", 0b10)
    assert table.wake("a", 9, 0b100) == 0
    assert table.wake("a", 9, 0b110) == 1
    assert (odd.wakes, even.wakes) == (0, 1)
    assert even.run() == "woken"
    odd.kill()


def test_deadlines() -> None:
    table = FutexTable()
    assert Sleeper(table, "a", deadline=Deadline.after(0)).outcome == "ETIMEDOUT"
    sleeper = Sleeper(table, "a", deadline=FAR)
    assert sleeper.waiter.deadline_ns is not None
    assert abs(sleeper.waiter.deadline_ns - FAR.time_ns) < 10**9
    assert sleeper.outcome is None
    sleeper.kill()
    assert len(table) == 0


def test_a_signal_ends_the_sleep() -> None:
    table = FutexTable()
    assert Sleeper(table, "a").interrupt() == "ERESTARTSYS"
    assert table.wake("a", 1) == 0


def test_a_wake_up_wins_over_a_later_signal() -> None:
    """Whoever woke believes that this thread has what it waited for."""
    table = FutexTable()
    sleeper = Sleeper(table, "a")
    assert table.wake("a", 1) == 1
    assert sleeper.interrupt() == "woken"


def test_requeued_waiters_are_found_by_the_new_key_only() -> None:
    table = FutexTable()
    sleepers = [Sleeper(table, "a") for _ in range(3)]
    assert table.requeue("a", "b", 0, 2) == 2
    assert table.wake("a", 9) == 1
    assert table.wake("b", 1) == 1
    assert [sleeper.wakes for sleeper in sleepers] == [1, 0, 1]
    assert sleepers[1].interrupt() == "ERESTARTSYS"
    assert len(table) == 0


def test_other_errors_are_not_swallowed() -> None:
    table = FutexTable()
    coroutine = table.wait(FutexWaiter(cast("Any", FakeThread()), "a"), None)
    coroutine.send(None)
    with pytest.raises(ZeroDivisionError):
        coroutine.throw(ZeroDivisionError())
    assert len(table) == 0


def test_requeue_of_nobody_moves_nobody() -> None:
    table = FutexTable()
    sleeper = Sleeper(table, "a")
    assert table.requeue("a", "b", 0, 0) == 0
    assert table.wake("a", 1) == 1
    assert sleeper.run() == "woken"


def test_requeue_wakes_some_and_moves_some() -> None:
    table = FutexTable()
    sleepers = [Sleeper(table, "a") for _ in range(4)]
    assert table.requeue("a", "b", 1, 2) == 3
    assert [sleeper.wakes for sleeper in sleepers] == [1, 0, 0, 0]
    assert table.wake("b", 9) == 2
    assert table.wake("a", 9) == 1


def test_real_time_threads_are_woken_first() -> None:
    table = FutexTable()
    ordinary, urgent = Sleeper(table, "a"), Sleeper(table, "a", priority=5)
    assert table.wake("a", 1) == 1
    assert (ordinary.wakes, urgent.wakes) == (0, 1)
    ordinary.kill()


def test_a_thread_that_ends_takes_no_wake_up_with_it() -> None:
    table = FutexTable()
    task = cast("Any", FakeThread())
    coroutine = table.wait(FutexWaiter(task, "a"), None)
    coroutine.send(None)
    second = Sleeper(table, "a")
    table.forget(task)
    assert table.wake("a", 1) == 1
    assert second.run() == "woken"
    coroutine.close()


def test_deadlines_of_both_clocks() -> None:
    now = time.time_ns()
    assert 0 < Deadline(now + 10**12, is_realtime=True).left_ns() <= 10**12
    assert Deadline(now, is_realtime=True).left_ns() <= 0
    assert 0 < Deadline.after(10**12).left_ns() <= 10**12
    assert Sleeper(FutexTable(), "a", deadline=Deadline(now, is_realtime=True)).outcome == "ETIMEDOUT"
