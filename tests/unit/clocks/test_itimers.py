"""Interval timers: what they send, when, and what they report."""

from typing import Any

import pytest
from fakes.expect import fails
from fakes.hands import MS, SECOND, Hands, use_hands

from aionoah.abi.errno import Errno
from aionoah.abi.siginfo import SI
from aionoah.abi.signal import SIG, SIG_IGN, signal_bit
from aionoah.abi.time import ITIMER
from aionoah.clocks.itimers import Setting
from aionoah.signals.actions import Disposition
from aionoah.signals.delivery import take_signal
from aionoah.signals.info import from_kernel

ALL = (1 << 64) - 1


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    return use_hands(monkeypatch)


@pytest.fixture
def task(hands: Hands) -> Any:
    return hands.new_task()


def real(task: Any) -> Any:
    return task.process.timers.interval_timer(ITIMER.REAL)


def test_one_signal(hands: Hands, task: Any) -> None:
    real(task).set(Setting(5 * MS))
    assert real(task).get() == Setting(5 * MS, 0)
    hands.advance(2 * MS)
    assert real(task).get() == Setting(3 * MS, 0)
    hands.advance(3 * MS)
    info = take_signal(task, ALL)
    assert info is not None
    assert (info.si_signo, info.si_code) == (SIG.ALRM, SI.KERNEL)
    assert real(task).get() == Setting()
    hands.advance(SECOND)
    assert take_signal(task, ALL) is None


def test_the_thread_is_interrupted(hands: Hands, task: Any) -> None:
    real(task).set(Setting(5 * MS))
    hands.advance(5 * MS)
    assert task.interrupts == 1


def test_a_periodic_timer_waits_for_its_signal_to_be_taken(hands: Hands, task: Any) -> None:
    real(task).set(Setting(5 * MS, 10 * MS))
    hands.advance(100 * MS)
    assert hands.timers.next_ns is None  # so nothing is called for nothing
    assert real(task).get() == Setting(0, 10 * MS)
    take_signal(task, ALL)
    assert real(task).get() == Setting(5 * MS, 10 * MS)  # it keeps its beat
    hands.advance(5 * MS)
    assert take_signal(task, ALL) is not None


def test_a_signal_of_somebody_else_lets_it_go_on_too(hands: Hands, task: Any) -> None:
    real(task).set(Setting(5 * MS, 10 * MS))
    task.process.signals.pending.add(from_kernel(SIG.ALRM))
    hands.advance(5 * MS)
    take_signal(task, ALL)
    assert take_signal(task, ALL) is None
    assert real(task).get().value_ns == 10 * MS


def test_other_signals_do_not(hands: Hands, task: Any) -> None:
    real(task).set(Setting(5 * MS, 10 * MS))
    hands.advance(5 * MS)
    task.process.signals.pending.add(from_kernel(SIG.USR1))
    take_signal(task, signal_bit(SIG.USR1))
    assert real(task).get().value_ns == 0


def test_an_ignored_one_stops(hands: Hands, task: Any) -> None:
    task.process.signals.dispositions[SIG.ALRM] = Disposition(SIG_IGN)
    real(task).set(Setting(5 * MS, 10 * MS))
    hands.advance(SECOND)
    assert take_signal(task, ALL) is None
    assert real(task).get() == Setting(0, 10 * MS)


def test_setting_replaces_and_clears(hands: Hands, task: Any) -> None:
    real(task).set(Setting(5 * MS, MS))
    real(task).set(Setting(50 * MS))
    hands.advance(10 * MS)
    assert take_signal(task, ALL) is None
    real(task).set(Setting())
    hands.advance(SECOND)
    assert take_signal(task, ALL) is None


@pytest.mark.parametrize(("which", "signal"), [(ITIMER.VIRTUAL, SIG.VTALRM), (ITIMER.PROF, SIG.PROF)])
def test_timers_of_cpu_time(hands: Hands, task: Any, which: int, signal: int) -> None:
    timer = task.process.timers.interval_timer(which)
    timer.set(Setting(10 * MS, 20 * MS))
    hands.advance(SECOND)
    assert take_signal(task, ALL) is None
    task.control.spent_ns = 10 * MS
    hands.advance(20 * MS)
    info = take_signal(task, ALL)
    assert info is not None
    assert info.si_signo == signal
    assert timer.get() == Setting(20 * MS, 20 * MS)
    task.control.spent_ns = 75 * MS  # later ones are not made up for
    hands.advance(100 * MS)
    assert take_signal(task, ALL) is not None
    assert timer.get() == Setting(15 * MS, 20 * MS)


def test_an_expiry_that_is_due_shows_as_nearly_there(hands: Hands, task: Any) -> None:
    timer = task.process.timers.interval_timer(ITIMER.PROF)
    timer.set(Setting(10 * MS))
    task.control.spent_ns = 11 * MS
    assert timer.get().value_ns == 4 * MS
    real(task).set(Setting(MS))
    hands.now_ns += 2 * MS
    assert real(task).get().value_ns == 1000


def test_there_are_three(task: Any) -> None:
    fails(Errno.EINVAL, task.process.timers.interval_timer, 3)
