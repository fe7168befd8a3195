"""The three interval timers of a process (getitimer(2), alarm(2)); Linux kernel/time/itimer.c."""

from typing import TYPE_CHECKING, NamedTuple

from aionoah.abi.signal import SIG
from aionoah.abi.time import CLOCK, NSEC_PER_USEC
from aionoah.clocks.alarm import Alarm
from aionoah.clocks.clock import TICK_NS, Clock, process_clock, wall_clock
from aionoah.signals.generate import send_to_process
from aionoah.signals.info import from_kernel

if TYPE_CHECKING:
    from aionoah.process.task import Process


class Setting(NamedTuple):
    """When a timer expires next, counted from now, and how often from then on; 0 for never."""

    value_ns: int = 0
    interval_ns: int = 0


class IntervalTimer:
    """Sends a signal to its process when a clock has advanced."""

    least_ns = TICK_NS  # what is reported of an expiry that is due and yet to be noticed

    def __init__(self, process: "Process", clock: Clock, signal: int) -> None:
        self.process = process
        self.signal = signal
        self.interval_ns = 0
        self.alarm: Alarm | None = None
        self._clock = clock
        self._expires_ns = 0

    def get(self) -> Setting:
        if self.alarm is None:
            return Setting(0, self.interval_ns)
        left_ns = self._expires_ns - self._clock.now_ns()
        return Setting(left_ns if left_ns > 0 else self.least_ns, self.interval_ns)

    def set(self, wanted: Setting) -> None:
        self.cancel()
        self.interval_ns = wanted.interval_ns
        if wanted.value_ns:
            self._set_alarm(self._clock.now_ns() + wanted.value_ns).start()

    def cancel(self) -> None:
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None

    def _set_alarm(self, expires_ns: int) -> Alarm:
        self._expires_ns = expires_ns
        self.alarm = Alarm(self.process.kernel, self._clock, expires_ns, self._expire)
        return self.alarm

    def _expire(self) -> None:
        self.alarm = None
        send_to_process(self.process, from_kernel(self.signal))
        if self.interval_ns:
            self.go_on()

    def go_on(self) -> None:
        """Set it for its next expiry."""
        late_ns = max(self._clock.now_ns() - self._expires_ns, 0)
        self._set_alarm(self._expires_ns + (late_ns // self.interval_ns + 1) * self.interval_ns).start_later()


class RealTimer(IntervalTimer):
    """ITIMER_REAL. It goes on only once its SIGALRM has been taken, so that a program that blocks the signal is
    not interrupted for nothing.
    """

    least_ns = NSEC_PER_USEC

    def __init__(self, process: "Process") -> None:
        super().__init__(process, wall_clock(CLOCK.MONOTONIC), SIG.ALRM)

    def _expire(self) -> None:
        self.alarm = None
        self.process.signals.pending.on_leave = self.process.timers.signal_left
        send_to_process(self.process, from_kernel(self.signal))

    def set(self, wanted: Setting) -> None:
        """Unlike the other two it forgets the interval where there is no value."""
        super().set(wanted if wanted.value_ns else Setting())

    def signal_left(self) -> None:
        """A SIGALRM has left the queue."""
        if self.alarm is None and self.interval_ns:
            self.go_on()


def cpu_timer(process: "Process", signal: int) -> IntervalTimer:
    """ITIMER_PROF, of all CPU time, or ITIMER_VIRTUAL, of that in the guest."""
    return IntervalTimer(process, process_clock(process, is_user=signal == SIG.VTALRM), signal)
