"""Sleeping until a clock shows a time, without sleeping."""

from types import SimpleNamespace
from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.clocks import sleep
from aionoah.clocks.clock import Clock
from aionoah.clocks.sleep import sleep_until

MILLISECOND = 1_000_000


class Hands:
    """Two clocks that one sets."""

    def __init__(self) -> None:
        self.shown_ns = 1000
        self.monotonic_ns = 50_000

    def clock(self, threads: int | None = None) -> Clock:
        process: Any = None if threads is None else SimpleNamespace(tasks=dict.fromkeys(range(threads)))
        return Clock(lambda: self.shown_ns, can_sleep=True, process=process)


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    hands = Hands()
    monkeypatch.setattr(sleep, "time", SimpleNamespace(monotonic_ns=lambda: hands.monotonic_ns))
    return hands


def ends(sleeper: Any) -> bool:
    """Let it look once more; whether that was the end."""
    try:
        sleeper.send(None)
    except StopIteration:
        return True
    return False


def test_a_time_that_has_come(hands: Hands) -> None:
    assert ends(sleep_until(hands.clock(), 1000))
    assert ends(sleep_until(hands.clock(), -5))


def test_the_deadline_is_on_the_monotonic_clock(hands: Hands) -> None:
    sleeper = sleep_until(hands.clock(), 1300)
    assert sleeper.send(None).deadline_ns == 50_300
    sleeper.close()


def test_waking_early_goes_on_sleeping(hands: Hands) -> None:
    sleeper = sleep_until(hands.clock(), 1300)
    sleeper.send(None)
    hands.shown_ns, hands.monotonic_ns = 1299, 50_299
    assert sleeper.send(None).deadline_ns == 50_300
    hands.shown_ns = 1300
    assert ends(sleeper)


def test_a_clock_that_is_set_back_means_a_longer_sleep(hands: Hands) -> None:
    sleeper = sleep_until(hands.clock(), 1300)
    sleeper.send(None)
    hands.shown_ns, hands.monotonic_ns = 300, 50_300
    assert sleeper.send(None).deadline_ns == 51_300
    sleeper.close()


def test_what_is_thrown_in_ends_the_sleep(hands: Hands) -> None:
    sleeper = sleep_until(hands.clock(), 1300)
    sleeper.send(None)
    with pytest.raises(LinuxError):
        sleeper.throw(LinuxError(Errno.ERESTARTSYS))


@pytest.mark.parametrize(
    ("left_ns", "threads", "delay_ns"),
    [
        (8 * MILLISECOND, 1, 8 * MILLISECOND),
        (8 * MILLISECOND, 4, 2 * MILLISECOND),
        (5, 1, MILLISECOND),
        (8 * MILLISECOND, 0, 8 * MILLISECOND),
    ],
)
def test_cpu_time_runs_no_faster_than_its_threads(
    hands: Hands, left_ns: int, threads: int, delay_ns: int
) -> None:
    sleeper = sleep_until(hands.clock(threads), 1000 + left_ns)
    assert sleeper.send(None).deadline_ns == 50_000 + delay_ns
    sleeper.close()
