"""Timers that are read."""

from typing import Any

import pytest
from fakes.expect import fails
from fakes.hands import MS, SECOND, Hands, use_hands

from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll
from aionoah.abi.time import CLOCK
from aionoah.clocks.clock import wall_clock
from aionoah.clocks.itimers import Setting
from aionoah.fs.file import WouldBlock
from aionoah.fs.timerfd import TimerFile
from aionoah.memory.buffer import KernelBuffer


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    return use_hands(monkeypatch)


@pytest.fixture
def kernel(hands: Hands) -> Any:
    return hands.new_task().kernel


def new_file(kernel: Any, clock: int = CLOCK.MONOTONIC) -> TimerFile:
    return TimerFile(kernel, wall_clock(clock), O(O.RDWR))


def take(file: TimerFile) -> int | None:
    buffer = bytearray(8)
    try:
        assert file.read_nowait(KernelBuffer(buffer)) == 8
    except WouldBlock:
        return None
    return int.from_bytes(buffer, "little")


class Counter:
    def __init__(self) -> None:
        self.news = 0

    def notify(self) -> None:
        self.news += 1


def test_one_expiry(hands: Hands, kernel: Any) -> None:
    file, counter = new_file(kernel), Counter()
    file.source(Poll(Poll.IN)).queues[0].add(counter)
    assert file.poll() == 0
    file.set(Setting(5 * MS), is_absolute=False)
    assert file.get() == Setting(5 * MS)
    assert take(file) is None
    hands.advance(5 * MS)
    assert counter.news == 1
    assert file.poll() == Poll.IN
    assert file.get() == Setting()
    assert take(file) == 1
    assert take(file) is None
    assert file.poll() == 0


def test_a_periodic_timer_counts_when_it_is_read(hands: Hands, kernel: Any) -> None:
    file = new_file(kernel)
    file.set(Setting(5 * MS, 10 * MS), is_absolute=False)
    hands.advance(38 * MS)
    assert hands.timers.next_ns is None  # nobody reads it, so nothing happens
    assert take(file) == 4  # at 5, 15, 25 and 35
    assert file.get() == Setting(7 * MS, 10 * MS)
    hands.advance(7 * MS)
    assert take(file) == 1


def test_asking_sets_it_going_too(hands: Hands, kernel: Any) -> None:
    file = new_file(kernel)
    file.set(Setting(5 * MS, 10 * MS), is_absolute=False)
    hands.advance(18 * MS)
    assert file.get() == Setting(7 * MS, 10 * MS)
    hands.advance(10 * MS)
    assert take(file) == 3


def test_setting_anew_forgets(hands: Hands, kernel: Any) -> None:
    file = new_file(kernel)
    file.set(Setting(MS, MS), is_absolute=False)
    hands.advance(5 * MS)
    file.set(Setting(0, 3 * MS), is_absolute=False)
    assert take(file) is None
    assert file.get() == Setting(0, 3 * MS)
    hands.advance(SECOND)
    assert take(file) is None


def test_absolute_times(hands: Hands, kernel: Any) -> None:
    file = new_file(kernel, CLOCK.REALTIME)
    file.set(Setting(hands.time_ns() + MS), is_absolute=True)
    hands.advance(MS)
    assert take(file) == 1
    file.set(Setting(1), is_absolute=True)
    assert take(file) == 1


def test_the_clock_is_set(hands: Hands, kernel: Any) -> None:
    file, counter = new_file(kernel, CLOCK.REALTIME), Counter()
    file.source(Poll(Poll.IN)).queues[0].add(counter)
    file.set(Setting(hands.time_ns() + SECOND), is_absolute=True, cancel_on_set=True)
    hands.set_clock(MS)
    assert counter.news == 1
    assert file.poll() == Poll.IN
    fails(Errno.ECANCELED, take, file)
    assert take(file) is None
    file.set(Setting(hands.time_ns() + SECOND), is_absolute=True)
    hands.set_clock(MS)
    assert take(file) is None


@pytest.mark.parametrize(("clock", "is_absolute"), [(CLOCK.MONOTONIC, True), (CLOCK.REALTIME, False)])
def test_who_does_not_care_for_the_clock(hands: Hands, kernel: Any, clock: int, is_absolute: bool) -> None:
    file = new_file(kernel, clock)
    file.set(Setting(1000 * SECOND), is_absolute=is_absolute, cancel_on_set=True)
    hands.set_clock(MS)
    assert take(file) is None


def test_small_buffers(kernel: Any) -> None:
    fails(Errno.EINVAL, new_file(kernel).read_nowait, KernelBuffer(bytearray(7)))


def test_the_rest(kernel: Any) -> None:
    file = new_file(kernel)
    assert file.seek(5, 0) == 0
    assert file.describe() == b"anon_inode:[timerfd]"
    fails(Errno.EINVAL, file.write_nowait, KernelBuffer(b"12345678"))


def test_closing(hands: Hands, kernel: Any) -> None:
    file = new_file(kernel, CLOCK.REALTIME)
    file.set(Setting(hands.time_ns() + SECOND), is_absolute=True, cancel_on_set=True)
    file.drop()
    assert hands.timers.next_ns is None
    assert len(hands.timers.clock_set) == 0
