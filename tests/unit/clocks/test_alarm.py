"""Alarms on clocks that always go, that jump, and that stand still."""

from typing import Any

import pytest
from fakes.hands import MS, SECOND, Hands, use_hands

from aionoah.abi.time import CLOCK
from aionoah.clocks.alarm import Alarm
from aionoah.clocks.clock import find_clock, process_clock, wall_clock


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    return use_hands(monkeypatch)


@pytest.fixture
def task(hands: Hands) -> Any:
    return hands.new_task()


class Bell:
    """Counts its calls."""

    def __init__(self) -> None:
        self.rings = 0

    def __call__(self) -> None:
        self.rings += 1


def test_a_steady_clock(hands: Hands, task: Any) -> None:
    bell = Bell()
    Alarm(task.kernel, wall_clock(CLOCK.MONOTONIC), hands.now_ns + 5 * MS, bell).start()
    hands.advance(5 * MS - 1)
    assert not bell.rings
    hands.advance(1)
    assert bell.rings == 1


def test_a_time_that_has_passed_rings_at_once(hands: Hands, task: Any) -> None:
    bell = Bell()
    Alarm(task.kernel, wall_clock(CLOCK.REALTIME), 5, bell).start()
    assert bell.rings == 1
    assert len(hands.timers.clock_set) == 0


def test_cancelling(hands: Hands, task: Any) -> None:
    bell = Bell()
    for clock in (wall_clock(CLOCK.REALTIME), wall_clock(CLOCK.MONOTONIC), process_clock(task.process)):
        alarm = Alarm(task.kernel, clock, clock.now_ns() + MS, bell)
        alarm.start()
        alarm.cancel()
        alarm.cancel()
    hands.advance(SECOND)
    assert not bell.rings
    assert len(hands.timers.clock_set) == 0


@pytest.mark.parametrize("jump_ns", [10 * MS, 4 * MS, -20 * MS])
def test_setting_the_clock_moves_alarms(hands: Hands, task: Any, jump_ns: int) -> None:
    bell = Bell()
    Alarm(task.kernel, wall_clock(CLOCK.REALTIME), hands.time_ns() + 10 * MS, bell).start()
    hands.set_clock(jump_ns)
    assert bell.rings == (jump_ns >= 10 * MS)
    hands.advance(10 * MS - jump_ns - 1) if jump_ns < 10 * MS else None
    assert bell.rings == (jump_ns >= 10 * MS)
    hands.advance(1)
    assert bell.rings == 1


def test_setting_the_clock_does_not_touch_others(hands: Hands, task: Any) -> None:
    bell = Bell()
    Alarm(task.kernel, wall_clock(CLOCK.MONOTONIC), hands.now_ns + MS, bell).start()
    hands.set_clock(SECOND)
    assert not bell.rings


# -- CPU time -------------------------------------------------------------------------------------------------


def test_cpu_time_is_looked_at_until_it_is_reached(hands: Hands, task: Any) -> None:
    bell = Bell()
    Alarm(task.kernel, process_clock(task.process), 30 * MS, bell).start()
    hands.advance(30 * MS)
    assert not bell.rings  # the thread was somewhere else
    task.control.spent_ns = 20 * MS
    hands.advance(30 * MS)
    assert not bell.rings
    task.control.spent_ns = 30 * MS
    hands.advance(10 * MS)
    assert bell.rings == 1


def test_several_threads_together_are_quicker(hands: Hands, task: Any) -> None:
    task.process.tasks[7] = task  # counts twice
    Alarm(task.kernel, process_clock(task.process), 30 * MS, Bell()).start()
    assert hands.timers.next_ns == hands.now_ns + 15 * MS


def test_looks_are_not_too_many(hands: Hands, task: Any) -> None:
    Alarm(task.kernel, process_clock(task.process), 10, Bell()).start()
    assert hands.timers.next_ns == hands.now_ns + MS


def test_an_alarm_is_parked_while_nobody_runs(hands: Hands, task: Any) -> None:
    bell = Bell()
    task.is_sleeping = True
    Alarm(task.kernel, process_clock(task.process), 10 * MS, bell).start()
    assert hands.timers.next_ns is None
    assert len(task.process.timers.parked) == 1

    task.is_sleeping = False
    task.process.timers.resume()
    assert not task.process.timers.parked
    task.control.spent_ns = 10 * MS
    hands.advance(10 * MS)
    assert bell.rings == 1


def test_a_parked_alarm_can_be_cancelled(task: Any) -> None:
    task.is_sleeping = True
    alarm = Alarm(task.kernel, process_clock(task.process), 10 * MS, Bell())
    alarm.start()
    alarm.cancel()
    assert not task.process.timers.parked


def test_the_time_of_one_thread(hands: Hands, task: Any) -> None:
    bell = Bell()
    clock = find_clock(task, CLOCK.THREAD_CPUTIME_ID)
    Alarm(task.kernel, clock, 10 * MS, bell).start()
    task.control.spent_ns = 10 * MS
    hands.advance(10 * MS)
    assert bell.rings == 1


def test_a_thread_that_has_ended_never_gets_there(hands: Hands, task: Any) -> None:
    task.has_exited = True
    Alarm(task.kernel, find_clock(task, CLOCK.THREAD_CPUTIME_ID), 10 * MS, Bell()).start()
    assert hands.timers.next_ns is None


def test_a_process_whose_first_thread_is_yet_to_come_is_looked_at_later(hands: Hands, task: Any) -> None:
    task.process.tasks.clear()
    Alarm(task.kernel, process_clock(task.process), 10 * MS, Bell()).start()
    assert hands.timers.next_ns == hands.now_ns + 10 * MS
