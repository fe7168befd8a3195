"""POSIX timers: settings, overruns, and the one signal that each may have pending."""

from typing import Any

import pytest
from fakes.hands import MS, SECOND, Hands, use_hands

from aionoah.abi.siginfo import SI, SigInfoTimer
from aionoah.abi.signal import SIG, SIG_IGN
from aionoah.abi.time import CLOCK
from aionoah.clocks.clock import process_clock, wall_clock
from aionoah.clocks.itimers import Setting
from aionoah.clocks.posix_timers import PosixTimer
from aionoah.signals.actions import DEFAULT, Disposition
from aionoah.signals.delivery import take_signal
from aionoah.signals.generate import discard_ignored
from aionoah.signals.info import TimerSignal, from_kernel

ALL = (1 << 64) - 1
VALUE = 0x1234_5678_9ABC


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    return use_hands(monkeypatch)


@pytest.fixture
def task(hands: Hands) -> Any:
    return hands.new_task()


def new_timer(task: Any, signal: int = SIG.USR1, **options: Any) -> PosixTimer:
    clock = options.pop("clock", wall_clock(CLOCK.MONOTONIC))
    return PosixTimer(task.process, clock, TimerSignal(signal, 3, VALUE), **options)


def taken(task: Any) -> SigInfoTimer | None:
    info = take_signal(task, ALL)
    return None if info is None else SigInfoTimer.unpack(info.pack())


def test_one_shot(hands: Hands, task: Any) -> None:
    timer = new_timer(task)
    timer.set(Setting(5 * MS), is_absolute=False)
    assert timer.get() == Setting(5 * MS)
    hands.advance(5 * MS)
    assert taken(task) == SigInfoTimer(SIG.USR1, 0, SI.TIMER, 3, 0, VALUE)
    assert timer.get() == Setting()
    hands.advance(SECOND)
    assert taken(task) is None


def test_absolute_times(hands: Hands, task: Any) -> None:
    timer = new_timer(task, clock=wall_clock(CLOCK.REALTIME))
    timer.set(Setting(hands.time_ns() + 5 * MS), is_absolute=True)
    assert timer.get().value_ns == 5 * MS
    hands.set_clock(5 * MS)
    assert taken(task) is not None
    timer.set(Setting(1), is_absolute=True)  # long ago
    assert taken(task) is not None


def test_overruns_are_counted_when_the_signal_is_taken(hands: Hands, task: Any) -> None:
    timer = new_timer(task)
    timer.set(Setting(10 * MS, 10 * MS), is_absolute=False)
    hands.advance(45 * MS)  # at 10, and unseen at 20, 30 and 40
    info = taken(task)
    assert info is not None
    assert info.si_overrun == timer.overruns == 3
    assert timer.get() == Setting(5 * MS, 10 * MS)
    hands.advance(5 * MS)
    info = taken(task)
    assert info is not None
    assert info.si_overrun == timer.overruns == 0


def test_asking_meanwhile_does_not_lose_overruns(hands: Hands, task: Any) -> None:
    timer = new_timer(task)
    timer.set(Setting(10 * MS, 10 * MS), is_absolute=False)
    hands.advance(25 * MS)
    assert timer.get() == Setting(5 * MS, 10 * MS)
    hands.advance(20 * MS)
    info = taken(task)
    assert info is not None
    assert info.si_overrun == 3


def test_a_pending_signal_costs_nothing(hands: Hands, task: Any) -> None:
    new_timer(task).set(Setting(MS, MS), is_absolute=False)
    hands.advance(SECOND)
    assert hands.timers.next_ns is None
    assert len(task.process.signals.pending) == 1


def test_it_queues_beside_another_signal_of_its_number(hands: Hands, task: Any) -> None:
    task.process.signals.pending.add(from_kernel(SIG.USR1))
    timer = new_timer(task)
    timer.set(Setting(MS), is_absolute=False)
    hands.advance(MS)
    codes = [info.si_code for info in (taken(task), taken(task)) if info is not None]
    assert codes == [SI.KERNEL, SI.TIMER]
    assert taken(task) is None


def test_setting_and_cancelling_take_the_signal_back(hands: Hands, task: Any) -> None:
    timer = new_timer(task)
    timer.set(Setting(MS), is_absolute=False)
    hands.advance(MS)
    timer.set(Setting(SECOND), is_absolute=False)
    assert taken(task) is None
    timer.cancel()
    hands.advance(2 * SECOND)
    assert taken(task) is None


def test_clearing_forgets_the_interval(task: Any) -> None:
    timer = new_timer(task)
    timer.set(Setting(0, 5 * MS), is_absolute=False)
    assert timer.get() == Setting()


def test_silent_timers_go_on_by_themselves(hands: Hands, task: Any) -> None:
    timer = PosixTimer(task.process, wall_clock(CLOCK.MONOTONIC), None)
    timer.set(Setting(5 * MS), is_absolute=False)
    hands.advance(6 * MS)
    assert timer.get() == Setting()
    timer.set(Setting(5 * MS, 10 * MS), is_absolute=False)
    assert hands.timers.next_ns is None
    hands.advance(27 * MS)
    assert timer.get() == Setting(8 * MS, 10 * MS)


def test_a_thread_of_its_own(hands: Hands, task: Any) -> None:
    timer = new_timer(task, thread=task)
    timer.set(Setting(MS, MS), is_absolute=False)
    hands.advance(MS)
    assert len(task.signals.pending) == 1
    assert not task.process.signals.pending.bits
    assert taken(task) is not None
    task.has_exited = True
    hands.advance(5 * MS)
    assert not task.signals.pending.bits
    assert hands.timers.next_ns is None


def test_an_ignored_timer_is_heard_again(hands: Hands, task: Any) -> None:
    dispositions = task.process.signals.dispositions
    dispositions[SIG.USR1] = Disposition(SIG_IGN)
    timer = new_timer(task)
    timer.set(Setting(MS, MS), is_absolute=False)
    hands.advance(100 * MS)
    assert taken(task) is None
    assert len(hands.armed) < 30  # not at every millisecond
    dispositions[SIG.USR1] = DEFAULT
    hands.advance(5 * MS)
    assert taken(task) is not None


def test_an_ignored_timer_without_interval_is_over(hands: Hands, task: Any) -> None:
    task.process.signals.dispositions[SIG.USR1] = Disposition(SIG_IGN)
    new_timer(task).set(Setting(MS), is_absolute=False)
    hands.advance(10 * MS)
    assert hands.timers.next_ns is None


def test_a_pending_signal_that_becomes_ignored_lets_the_timer_go_on(hands: Hands, task: Any) -> None:
    timer = new_timer(task)
    timer.set(Setting(MS, 5 * MS), is_absolute=False)
    hands.advance(MS)
    task.process.signals.dispositions[SIG.USR1] = Disposition(SIG_IGN)
    discard_ignored(task.process, SIG.USR1)
    assert taken(task) is None
    assert timer.get() == Setting(5 * MS, 5 * MS)


def test_cpu_time(hands: Hands, task: Any) -> None:
    timer = new_timer(task, clock=process_clock(task.process))
    timer.set(Setting(10 * MS, 10 * MS), is_absolute=False)
    hands.advance(SECOND)
    assert taken(task) is None
    task.control.spent_ns = 35 * MS
    hands.advance(20 * MS)
    info = taken(task)
    assert info is not None
    assert info.si_overrun == 2
    assert timer.get() == Setting(5 * MS, 10 * MS)
