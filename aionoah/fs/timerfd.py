"""A timer that is read: timerfd_create(2), Linux fs/timerfd.c."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll
from aionoah.abi.time import NSEC_PER_SEC
from aionoah.clocks.alarm import Alarm
from aionoah.clocks.clock import Clock
from aionoah.clocks.itimers import Setting
from aionoah.fs.anonymous import AnonymousFile
from aionoah.fs.file import WouldBlock
from aionoah.host.waiting import Source, WaitQueue
from aionoah.memory.buffer import Buffer

if TYPE_CHECKING:
    from aionoah.process.kernel import Kernel

_SIZE: Final = 8


class TimerFile(AnonymousFile):
    """Readable once the timer has expired. A periodic one goes on when it is read, and tells then how often it
    would have expired, so that a timer that nobody reads costs nothing.
    """

    label = b"timerfd"

    def __init__(self, kernel: "Kernel", clock: Clock, flags: O, number: int = 0) -> None:
        """`number`: the clock's, for /proc."""
        super().__init__(flags)
        self._kernel = kernel
        self._clock = clock
        self._number = number
        self._flags = 0  # as timerfd_settime got them
        self._expired = WaitQueue()
        self._ticks = 0
        self._interval_ns = 0
        self._expires_ns = 0
        self._alarm: Alarm | None = None
        self._is_due = False  # has expired, and not gone on
        self._is_cancelled = False  # somebody has set the clock, and the program wants to know

    def release(self) -> None:
        self.cancel()

    # -- settings -----------------------------------------------------------------------------------------

    def get(self) -> Setting:
        self._go_on()
        if self._alarm is None:
            return Setting(0, self._interval_ns)
        return Setting(max(self._expires_ns - self._clock.now_ns(), 0), self._interval_ns)

    def set(self, wanted: Setting, *, is_absolute: bool, cancel_on_set: bool = False) -> None:
        """`is_absolute`: the value is a time of the clock. `cancel_on_set`: reads fail with ECANCELED after
        somebody has set the clock.
        """
        self.cancel()
        self._flags = is_absolute | cancel_on_set << 1  # TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET
        self._ticks = 0
        self._is_due = self._is_cancelled = False
        self._interval_ns = wanted.interval_ns
        if cancel_on_set and is_absolute and self._clock.is_settable:
            self._kernel.timers.clock_set.add(self)
        if wanted.value_ns:
            self._set_alarm(wanted.value_ns + (0 if is_absolute else self._clock.now_ns()))

    def cancel(self) -> None:
        """Disarm it."""
        self._kernel.timers.clock_set.remove(self)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def notify(self) -> None:
        """Somebody has set the clock."""
        self._is_cancelled = True
        self._expired.wake()

    def fdinfo(self) -> bytes:
        value_ns, interval_ns = self.get()
        times = (*divmod(value_ns, NSEC_PER_SEC), *divmod(interval_ns, NSEC_PER_SEC))
        fields = (self._number, self._ticks, self._flags, *times)
        return (
            b"clockid: %d\nticks: %d\nsettime flags: 0%o\nit_value: (%d, %d)\nit_interval: (%d, %d)\n"
            % fields
        )

    # -- expiries -----------------------------------------------------------------------------------------

    def _set_alarm(self, expires_ns: int) -> None:
        self._expires_ns = expires_ns
        self._alarm = Alarm(self._kernel, self._clock, expires_ns, self._expire)
        self._alarm.start()

    def _expire(self) -> None:
        self._alarm = None
        self._is_due = True
        self._ticks += 1
        self._expired.wake()

    def _go_on(self) -> None:
        """Count what a periodic timer has missed since it expired, and set it for the next time."""
        if not self._is_due or not self._interval_ns:
            return
        self._is_due = False
        missed = max(self._clock.now_ns() - self._expires_ns, 0) // self._interval_ns
        self._ticks += missed
        self._set_alarm(self._expires_ns + (missed + 1) * self._interval_ns)

    # -- the file -----------------------------------------------------------------------------------------

    def read_nowait(self, dst: Buffer) -> int:
        """How often it has expired since the last time. EINVAL for less than eight bytes of room, ECANCELED."""
        if dst.length < _SIZE:
            raise LinuxError(Errno.EINVAL)
        if self._is_cancelled:
            self._is_cancelled = False
            self._ticks = 0
            raise LinuxError(Errno.ECANCELED)
        if not self._ticks:
            raise WouldBlock
        dst.segments(1)  # EFAULT
        self._go_on()
        ticks, self._ticks = self._ticks, 0
        self._is_due = False
        return dst.fill(ticks.to_bytes(_SIZE, "little"))

    def seek(self, offset: int, whence: int) -> int:  # noqa: ARG002 - noop_llseek
        """Seeking is allowed and does nothing."""
        return 0

    def poll(self) -> Poll:
        return Poll(Poll.IN if self._ticks or self._is_cancelled else 0)

    def source(self, events: Poll) -> Source:  # noqa: ARG002 - it can only be read
        return Source(self._expired)
