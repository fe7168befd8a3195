"""Order and number of pending signals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.siginfo import SI
from aionoah.abi.signal import SIG
from aionoah.signals.actions import EVERY_SIGNAL, signal_set
from aionoah.signals.info import TimerSignal, from_fault, from_user
from aionoah.signals.pending import PendingSignals


@pytest.fixture
def pending() -> PendingSignals:
    return PendingSignals()


def taken(pending: PendingSignals, wanted: int = EVERY_SIGNAL) -> list[int]:
    found = []
    while (info := pending.take(wanted)) is not None:
        found.append(info.si_signo)
    return found


def test_nothing_is_pending_at_first(pending: PendingSignals) -> None:
    assert pending.bits == 0
    assert len(pending) == 0
    assert pending.take(EVERY_SIGNAL) is None


def test_a_standard_signal_is_pending_once_with_the_first_siginfo(pending: PendingSignals) -> None:
    assert pending.add(from_user(SIG.INT, 1, 0))
    assert not pending.add(from_user(SIG.INT, 2, 0))
    info = pending.take(EVERY_SIGNAL)
    assert info is not None
    assert info.si_pid == 1  # type: ignore[attr-defined]
    assert pending.bits == 0


def test_real_time_signals_queue_in_order(pending: PendingSignals) -> None:
    for pid in (1, 2, 3):
        assert pending.add(from_user(40, pid, 0))
    pids = []
    while (info := pending.take(EVERY_SIGNAL)) is not None:
        pids.append(info.si_pid)  # type: ignore[attr-defined]
        assert bool(pending.bits) == (len(pids) < 3)
    assert pids == [1, 2, 3]


def test_synchronous_signals_come_first_then_the_lowest(pending: PendingSignals) -> None:
    for signal in (40, SIG.TERM, SIG.HUP, SIG.SEGV, SIG.FPE, 39):
        pending.add(from_user(signal, 0, 0))
    assert taken(pending) == [SIG.FPE, SIG.SEGV, SIG.HUP, SIG.TERM, 39, 40]


def test_only_wanted_signals_are_taken(pending: PendingSignals) -> None:
    for signal in (SIG.HUP, SIG.INT, SIG.SEGV):
        pending.add(from_user(signal, 0, 0))
    assert taken(pending, signal_set(SIG.INT)) == [SIG.INT]
    assert pending.bits == signal_set(SIG.HUP, SIG.SEGV)


def test_discard(pending: PendingSignals) -> None:
    for signal in (SIG.HUP, 40, 40, 41):
        pending.add(from_user(signal, 0, 0))
    pending.discard(signal_set(SIG.HUP, 40, SIG.TERM))
    assert taken(pending) == [41]


def test_a_queued_signal_beyond_the_limit_fails(pending: PendingSignals) -> None:
    pending.add(from_user(40, 0, 0, SI.QUEUE), limit=1)
    with pytest.raises(LinuxError) as raised:
        pending.add(from_user(40, 0, 0, SI.QUEUE), limit=1)
    assert raised.value.errno is Errno.EAGAIN
    assert taken(pending) == [40]


def test_a_plain_kill_beyond_the_limit_loses_its_siginfo_only(pending: PendingSignals) -> None:
    assert pending.add(from_user(40, 7, 7), limit=0)
    info = pending.take(EVERY_SIGNAL)
    assert info is not None
    assert (info.si_signo, info.si_code, info.si_pid) == (40, SI.USER, 0)  # type: ignore[attr-defined]
    assert taken(pending) == []


def test_standard_signals_have_no_limit(pending: PendingSignals) -> None:
    assert pending.add(from_fault(SIG.SEGV, 1, 0), limit=0)
    assert taken(pending) == [SIG.SEGV]


@given(st.lists(st.integers(1, 64)))
def test_every_signal_comes_out_as_often_as_it_counts(signals: list[int]) -> None:
    pending = PendingSignals()
    for signal in signals:
        pending.add(from_user(signal, 0, 0))
    expected = sorted(set(signals)) + [
        s for s in set(signals) if s >= 32 for _ in range(signals.count(s) - 1)
    ]
    assert sorted(taken(pending)) == sorted(expected)
    assert pending.bits == 0


# -- signals of timers ----------------------------------------------------------------------------------------


def test_a_timer_queues_beside_a_signal_of_its_number(pending: PendingSignals) -> None:
    timer = TimerSignal(SIG.ALRM, 1, 2)
    pending.add(from_user(SIG.ALRM, 0, 0))
    assert pending.add(timer)
    assert taken(pending) == [SIG.ALRM, SIG.ALRM]


def test_who_is_told_that_a_signal_has_left(pending: PendingSignals) -> None:
    left: list[int] = []
    timer, calls = TimerSignal(SIG.USR1, 1, 2), []
    timer.on_leave = lambda: calls.append(1)
    pending.on_leave = lambda info: left.append(info.si_signo)
    for signal in (SIG.INT, SIG.HUP):
        pending.add(from_user(signal, 0, 0))
    pending.add(timer)
    pending.take(signal_set(SIG.INT))
    assert left == [SIG.INT]
    pending.discard(signal_set(SIG.HUP, SIG.USR1, SIG.USR2))
    assert left == [SIG.INT, SIG.HUP, SIG.USR1]
    assert calls == [1]


def test_a_signal_is_taken_back(pending: PendingSignals) -> None:
    timer = TimerSignal(SIG.USR1, 1, 2)
    timer.on_leave = lambda: pytest.fail("nobody took it")
    pending.remove(timer)
    pending.add(timer)
    pending.add(from_user(SIG.USR1, 0, 0))
    assert pending.bits == signal_set(SIG.USR1)
    pending.remove(timer)
    assert pending.bits == 0
    for info in (from_user(40, 0, 0), timer, from_user(SIG.USR2, 0, 0)):
        pending.add(info)
    pending.remove(timer)
    assert taken(pending) == [SIG.USR2, 40]
