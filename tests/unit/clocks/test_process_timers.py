"""The timers of a process as a whole, and its limit of CPU time."""

from typing import Any

import pytest
from fakes.expect import fails
from fakes.hands import MS, Hands, use_hands

from aionoah.abi.errno import Errno
from aionoah.abi.resource import RLIM_INFINITY, RLIMIT
from aionoah.abi.signal import SIG
from aionoah.abi.time import CLOCK, ITIMER
from aionoah.clocks.clock import wall_clock
from aionoah.clocks.itimers import Setting
from aionoah.clocks.posix_timers import PosixTimer
from aionoah.process.limits import Limit
from aionoah.signals.delivery import take_signal
from aionoah.signals.info import TimerSignal

ALL = (1 << 64) - 1


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    return use_hands(monkeypatch)


@pytest.fixture
def task(hands: Hands) -> Any:
    return hands.new_task()


def limit(task: Any, soft: int, hard: int = RLIM_INFINITY) -> None:
    task.process.limits.set(RLIMIT.CPU, Limit(soft, hard), task.credentials)
    task.process.timers.limit_changed()


def spend(hands: Hands, task: Any, seconds: float) -> list[int]:
    """Use the CPU, and return the signals that come of it."""
    signals = []
    for _ in range(round(seconds * 100)):
        task.control.spent_ns += 10 * MS
        hands.advance(10 * MS)
        while (info := take_signal(task, ALL)) is not None:
            signals.append(info.si_signo)
    return signals


def test_the_soft_limit_moves_on(hands: Hands, task: Any) -> None:
    limit(task, 1)
    assert spend(hands, task, 0.9) == []
    assert spend(hands, task, 0.2) == [SIG.XCPU]
    assert task.process.limits.soft(RLIMIT.CPU) == 2
    assert spend(hands, task, 2) == [SIG.XCPU, SIG.XCPU]


def test_the_hard_limit_kills(hands: Hands, task: Any) -> None:
    limit(task, 1, 2)
    assert spend(hands, task, 2.1) == [SIG.XCPU, SIG.KILL]


def test_both_at_once(hands: Hands, task: Any) -> None:
    limit(task, 1, 1)
    assert spend(hands, task, 1.1) == [SIG.KILL]


def test_a_limit_that_is_lifted(hands: Hands, task: Any) -> None:
    limit(task, 1)
    limit(task, RLIM_INFINITY)
    assert spend(hands, task, 2) == []
    assert hands.timers.next_ns is None


def test_a_limit_below_what_has_been_used(hands: Hands, task: Any) -> None:
    spend(hands, task, 2.5)
    limit(task, 1)
    info = take_signal(task, ALL)
    assert info is not None
    assert info.si_signo == SIG.XCPU
    assert task.process.limits.soft(RLIMIT.CPU) == 3


def new_posix(task: Any) -> int:
    timers = task.process.timers
    number = timers.allocate_id()
    timers.posix[number] = PosixTimer(
        task.process, wall_clock(CLOCK.MONOTONIC), TimerSignal(SIG.USR1, number, 0)
    )
    return int(number)


def test_numbers_are_not_used_again_soon(task: Any) -> None:
    assert [new_posix(task), new_posix(task)] == [0, 1]
    task.process.timers.delete(1)
    assert new_posix(task) == 2
    fails(Errno.EINVAL, task.process.timers.delete, 1)
    fails(Errno.EINVAL, task.process.timers.get, 1)


def test_numbers_wrap_around(task: Any) -> None:
    new_posix(task)
    task.process.timers._next_id = 0x7FFF_FFFF
    assert [new_posix(task), new_posix(task)] == [0x7FFF_FFFF, 1]


def test_a_new_program_keeps_interval_timers_only(hands: Hands, task: Any) -> None:
    timers = task.process.timers
    number = new_posix(task)
    timers.get(number).set(Setting(MS), is_absolute=False)
    timers.interval_timer(ITIMER.REAL).set(Setting(2 * MS))
    timers.reset_for_exec()
    hands.advance(10 * MS)
    info = take_signal(task, ALL)
    assert info is not None
    assert info.si_signo == SIG.ALRM
    assert take_signal(task, ALL) is None


def test_nothing_is_left_of_a_process(hands: Hands, task: Any) -> None:
    timers = task.process.timers
    timers.get(new_posix(task)).set(Setting(MS), is_absolute=False)
    timers.interval_timer(ITIMER.REAL).set(Setting(MS))
    limit(task, 1)
    timers.close()
    assert hands.timers.next_ns is None
    assert not timers.posix
