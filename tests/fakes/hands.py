"""Time that passes when a test says so."""

from types import SimpleNamespace
from typing import Any

import pytest
from fakes.tasks import new_kernel, new_task

from aionoah.abi.time import CLOCK
from aionoah.clocks import alarm, clock, timers
from aionoah.clocks.clock import Clock
from aionoah.clocks.process_timers import ProcessTimers
from aionoah.clocks.timers import Timers

MS = 1_000_000
SECOND = 1_000_000_000
EPOCH = 1_000_000 * SECOND
"""What CLOCK_REALTIME is ahead of the others."""


class Hands:
    """The clocks of a host, and the timers of an instance that goes by them."""

    def __init__(self) -> None:
        self.now_ns = 100 * SECOND
        self.jumped_ns = 0  # how far somebody has set the real-time clock forward
        self.armed: list[int] = []  # what the host has been asked for
        self.timers = Timers(self.armed.append)

    def monotonic_ns(self) -> int:
        return self.now_ns

    def time_ns(self) -> int:
        return self.now_ns + EPOCH + self.jumped_ns

    def advance(self, duration_ns: int) -> None:
        """Let time pass, deadline by deadline."""
        end_ns = self.now_ns + duration_ns
        while (next_ns := self.timers.next_ns) is not None and next_ns <= end_ns:
            self.now_ns = max(next_ns, self.now_ns)
            self.timers.expire()
        self.now_ns = end_ns

    def set_clock(self, forward_ns: int) -> None:
        self.jumped_ns += forward_ns
        self.timers.clock_set.wake()

    def new_task(self) -> Any:
        """A task whose kernel goes by these hands, on a CPU that is idle until told otherwise."""
        kernel = new_kernel()
        kernel.timers = self.timers
        task = new_task(kernel)
        task.has_exited = False
        task.is_sleeping = False
        task.process.release = lambda: None  # what SIGKILL does to a stopped process
        task.process.timers = ProcessTimers(task.process)
        return task


def use_hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    """Put hands on every clock that timers go by."""
    hands = Hands()
    for module in (alarm, timers):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic_ns=hands.monotonic_ns))
    for number in (CLOCK.MONOTONIC, CLOCK.BOOTTIME):
        monkeypatch.setitem(clock._CLOCKS, number, Clock(hands.monotonic_ns, can_sleep=True))
    real = Clock(hands.time_ns, can_sleep=True, is_settable=True)
    monkeypatch.setitem(clock._CLOCKS, CLOCK.REALTIME, real)
    return hands
