"""Being called once a clock shows a time, whatever makes the clock advance.

A clock of CPU time runs no faster than its threads together, but it may stand still. So an alarm on one is
an estimate: when it could have been reached at the earliest, it looks, and estimates anew. While no thread
runs it is parked, and costs nothing until one goes on.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aionoah.abi.time import NSEC_PER_MSEC
from aionoah.clocks.clock import Clock

if TYPE_CHECKING:
    from aionoah.clocks.timers import Timer
    from aionoah.process.kernel import Kernel

_SHORTEST_LOOK_NS: Final = NSEC_PER_MSEC


def next_look(left_ns: int, threads: int) -> int:
    """After how long to look at a clock of CPU time again that has so far to go, with so many threads."""
    return max(left_ns // max(threads, 1), _SHORTEST_LOOK_NS)


class Alarm:
    """One call, made under the kernel lock. States: idle → set, by `start` → idle, by the call or `cancel`."""

    __slots__ = ("_callback", "_clock", "_kernel", "_time_ns", "_timer")

    def __init__(self, kernel: "Kernel", clock: Clock, time_ns: int, callback: Callable[[], None]) -> None:
        self._kernel = kernel
        self._clock = clock
        self._time_ns = time_ns
        self._callback = callback
        self._timer: Timer | None = None

    def start(self) -> None:
        """Set it. A time that has passed makes the call at once."""
        left_ns = self._time_ns - self._clock.now_ns()
        if left_ns <= 0:
            self.cancel()
            self._callback()
        elif self._clock.counts_cpu_time:
            self._estimate(left_ns)
        else:
            self._schedule(left_ns)
            if self._clock.is_settable:
                self._kernel.timers.clock_set.add(self)

    def start_later(self) -> None:
        """Set it again, from its own call. One of CPU time is not due at once, however near its time is, or a
        short interval would keep us here for ever.
        """
        if self._clock.counts_cpu_time:
            self._estimate(max(self._time_ns - self._clock.now_ns(), 0))
        else:
            self.start()

    def _estimate(self, left_ns: int) -> None:
        self._timer = None
        threads = self._clock.threads
        if threads and all(thread.is_sleeping for thread in threads):
            self._parking.add(self)
        elif self._clock.process is not None or threads:  # a thread that has ended never gets there
            self._schedule(next_look(left_ns, len(threads)))

    def _schedule(self, left_ns: int) -> None:
        self._timer = self._kernel.timers.schedule(time.monotonic_ns() + left_ns, self.start)

    def cancel(self) -> None:
        """Never make the call."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._clock.is_settable:
            self._kernel.timers.clock_set.remove(self)
        elif self._clock.counts_cpu_time:
            self._parking.discard(self)

    def notify(self) -> None:
        """Somebody has set the clock."""
        if self._timer is not None:
            self._timer.cancel()
            self.start()

    @property
    def _parking(self) -> "set[Alarm]":
        """Where the process whose CPU time it is finds the alarms that wait for it to go on."""
        thread, process = self._clock.thread, self._clock.process
        if thread is not None:
            process = thread.process
        assert process is not None  # noqa: S101 - a clock of CPU time
        return process.timers.parked
