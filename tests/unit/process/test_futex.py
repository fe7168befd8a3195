"""The table of futex waiters, stepped by hand as a virtual CPU and the reactor would."""

import time
from collections.abc import Coroutine
from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.host.waiting import Waiter
from aionoah.process.futex import FutexTable

FAR = time.monotonic_ns() + 3600 * 10**9


class Sleeper:
    """A thread in wait()."""

    def __init__(self, table: FutexTable, key: str, bitset: int = ~0, deadline_ns: int | None = None) -> None:
        self._coroutine: Coroutine[Waiter, None, None] = table.wait(key, bitset, deadline_ns)
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
    assert table.requeue("a", "b", 5) == 0
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
    sleeper = Sleeper(table, "a", deadline_ns=FAR)
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
    assert Sleeper(table, "a", deadline_ns=time.monotonic_ns()).outcome == "ETIMEDOUT"
    sleeper = Sleeper(table, "a", deadline_ns=FAR)
    assert sleeper.waiter.deadline_ns == FAR
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
    assert table.requeue("a", "b", 2) == 2
    assert table.wake("a", 9) == 1
    assert table.wake("b", 1) == 1
    assert [sleeper.wakes for sleeper in sleepers] == [1, 0, 1]
    assert sleepers[1].interrupt() == "ERESTARTSYS"
    assert len(table) == 0


def test_other_errors_are_not_swallowed() -> None:
    table = FutexTable()
    coroutine = table.wait("a")
    coroutine.send(None)
    with pytest.raises(ZeroDivisionError):
        coroutine.throw(ZeroDivisionError())
    assert len(table) == 0


def test_requeue_of_nobody_moves_nobody(table: Any = None) -> None:
    table = FutexTable()
    sleeper = Sleeper(table, "a")
    assert table.requeue("a", "b", 0) == 0
    assert table.wake("a", 1) == 1
    assert sleeper.run() == "woken"
