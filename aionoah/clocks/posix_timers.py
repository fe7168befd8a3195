"""POSIX timers: timer_create(2), timer_settime(2), timer_getoverrun(2); Linux kernel/time/posix-timers.c.

A timer has one signal, which is pending once at most. A periodic timer goes on when the signal is taken, and
counts then how many expiries have passed without one: its overruns.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.clocks.alarm import Alarm
from aionoah.clocks.clock import TICK_NS, Clock
from aionoah.clocks.itimers import Setting
from aionoah.signals.generate import send_to_process, send_to_task
from aionoah.signals.info import TimerSignal

if TYPE_CHECKING:
    from aionoah.process.task import Process, Task
    from aionoah.signals.pending import PendingSignals

_MOST_OVERRUNS: Final = (1 << 31) - 1  # DELAYTIMER_MAX


class Wish(NamedTuple):
    """What timer_create has been asked for, as /proc/PID/timers tells."""

    clock_id: int  # signed
    signal: int
    value: int
    notify: int  # abi.signal.SIGEV
    target: int  # the number of the thread or process that is told


class PosixTimer:
    """One timer. Without a signal it only counts (SIGEV_NONE); `thread` gets the signal, else the process."""

    wish: Wish | None = None

    def __init__(
        self, process: "Process", clock: Clock, signal: TimerSignal | None, thread: "Task | None" = None
    ) -> None:
        self.overruns = 0  # as timer_getoverrun reports them
        self._process = process
        self._clock = clock
        self._signal = signal
        self._thread = thread
        self._interval_ns = 0
        self._expires_ns: int | None = None  # None when disarmed, or expired for good
        self._missed = 0  # overruns that the pending signal will report
        self._alarm: Alarm | None = None
        self._queue: PendingSignals | None = None  # where the signal is pending
        if signal is not None:
            signal.on_leave = self._signal_left

    # -- settings -----------------------------------------------------------------------------------------

    def get(self) -> Setting:
        if self._expires_ns is None:
            return Setting(0, self._interval_ns)
        if self._interval_ns and self._alarm is None:  # nothing has moved it on
            self._missed += self._move_on()
        left_ns = self._expires_ns - self._clock.now_ns()
        if left_ns > 0:
            return Setting(left_ns, self._interval_ns)
        return Setting(0 if self._signal is None else 1, self._interval_ns)

    def set(self, wanted: Setting, *, is_absolute: bool) -> None:
        """`is_absolute`: the value is a time of the clock, not counted from now. 0 disarms in any case."""
        self.cancel()
        self.overruns = self._missed = 0
        if self._signal is not None:
            self._signal.overruns = 0
        self._interval_ns, self._expires_ns = 0, None
        if not wanted.value_ns:
            return
        self._interval_ns = wanted.interval_ns
        self._expires_ns = wanted.value_ns + (0 if is_absolute else self._clock.now_ns())
        if self._signal is not None:
            self._set_alarm(self._expires_ns)

    def cancel(self) -> None:
        """Disarm it, and take its signal back."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._queue is not None and self._signal is not None:
            self._queue.remove(self._signal)
            self._queue = None

    # -- expiries -----------------------------------------------------------------------------------------

    def _set_alarm(self, time_ns: int) -> None:
        self._alarm = Alarm(self._process.kernel, self._clock, time_ns, self._expire)
        self._alarm.start()

    def _expire(self) -> None:
        self._alarm = None
        if not self._interval_ns:
            self._expires_ns = None
        if self._send() or not self._interval_ns:
            return
        # Ignored: the program may change its mind, so that the timer goes on, but no quicker than the tick.
        self._move_on()
        self._set_alarm(max(self._expires_ns or 0, self._clock.now_ns() + TICK_NS))

    def _send(self) -> bool:
        """Whether the signal is pending now; not if it is ignored, or if the thread has gone."""
        assert self._signal is not None  # noqa: S101 - others have no alarms
        if self._thread is None:
            self._queue = self._process.signals.pending
            is_pending = send_to_process(self._process, self._signal)
        elif self._thread.has_exited:
            return True  # for nobody, and for ever
        else:
            self._queue = self._thread.signals.pending
            is_pending = send_to_task(self._thread, self._signal)
        if not is_pending:
            self._queue = None
        return is_pending

    def _signal_left(self) -> None:
        """The signal has been taken, or forgotten because it is ignored now."""
        self._queue = None
        if not self._interval_ns or self._signal is None:
            return
        self._missed += self._move_on()
        self.overruns = self._signal.overruns = min(max(self._missed - 1, 0), _MOST_OVERRUNS)
        self._missed = 0
        self._set_alarm(self._expires_ns or 0)

    def _move_on(self) -> int:
        """Set the next expiry into the future; how many intervals that took."""
        if self._expires_ns is None:
            return 0
        late_ns = self._clock.now_ns() - self._expires_ns
        if late_ns < 0:
            return 0
        steps = late_ns // self._interval_ns + 1
        self._expires_ns += steps * self._interval_ns
        return steps
