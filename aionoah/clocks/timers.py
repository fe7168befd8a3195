"""Calling something at a time, without a thread and without polling.

The reactor arms one timer of the host for the earliest of all deadlines; whoever schedules another one does
not wake the event loop for that. An instance without deadlines, or with distant ones, uses no CPU.
"""

import heapq
import time
from collections.abc import Callable
from itertools import count
from typing import Final

from aionoah.host.waiting import WaitQueue

_TIDY_SIZE: Final = 64  # below, cancelled timers wait until their time has come
_LATEST_NS: Final = (1 << 63) - 1  # that a host's timer can be set to; a limit of CPU time may be later


class Timer:
    """A call that will be made."""

    __slots__ = ("_timers", "callback", "deadline_ns")

    def __init__(self, timers: "Timers", deadline_ns: int, callback: Callable[[], None]) -> None:
        self._timers = timers
        self.deadline_ns = deadline_ns
        self.callback: Callable[[], None] | None = callback  # None once it has been called or cancelled

    def cancel(self) -> None:
        """Never make the call. Harmless if it has been made."""
        if self.callback is not None:
            self.callback = None
            self._timers.was_cancelled()


class Timers:
    """Deadlines of one instance, of time.monotonic_ns. Everything is called under the kernel lock."""

    def __init__(self, arm: Callable[[int], None] | None = None) -> None:
        """`arm(deadline_ns)`: call `expire` at that time rather than at any later one asked for before. May
        be called on any thread.
        """
        self.clock_set = WaitQueue()  # woken when somebody has set the host's CLOCK_REALTIME
        self._arm = arm
        self._heap: list[tuple[int, int, Timer]] = []
        self._order = count()
        self._cancelled = 0  # of those in the heap
        self._armed_ns: int | None = None

    def schedule(self, deadline_ns: int, callback: Callable[[], None]) -> Timer:
        """Call back, under the kernel lock, once `deadline_ns` has come. The callback must not sleep."""
        timer = Timer(self, deadline_ns, callback)
        heapq.heappush(self._heap, (deadline_ns, next(self._order), timer))
        self._rearm()
        return timer

    def expire(self) -> None:
        """Make the calls whose time has come."""
        self._armed_ns = None
        now_ns = time.monotonic_ns()
        due: list[Timer] = []
        while self._heap and self._heap[0][0] <= now_ns:
            due.append(heapq.heappop(self._heap)[2])
        try:
            for timer in due:
                callback, timer.callback = timer.callback, None
                if callback is None:
                    self._cancelled = max(self._cancelled - 1, 0)
                else:
                    callback()
        finally:
            self._rearm()

    @property
    def next_ns(self) -> int | None:
        """The earliest deadline."""
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
            self._cancelled = max(self._cancelled - 1, 0)
        return self._heap[0][0] if self._heap else None

    def was_cancelled(self) -> None:
        """A timer says that it will not be needed; the host's goes on, and finds nothing to do."""
        self._cancelled += 1
        if self._cancelled > _TIDY_SIZE and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].callback is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def _rearm(self) -> None:
        next_ns = self.next_ns
        if next_ns is None or (self._armed_ns is not None and self._armed_ns <= next_ns):
            return
        self._armed_ns = next_ns
        if self._arm is not None:
            self._arm(min(next_ns, _LATEST_NS))
