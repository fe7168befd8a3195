"""Everything of a process that happens at a time: interval timers, POSIX timers and its limit of CPU time."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import RLIM_INFINITY, RLIMIT
from aionoah.abi.signal import SIG
from aionoah.abi.time import ITIMER, NSEC_PER_SEC
from aionoah.clocks.alarm import Alarm
from aionoah.clocks.clock import process_clock
from aionoah.clocks.itimers import IntervalTimer, RealTimer, cpu_timer
from aionoah.signals.generate import send_to_process
from aionoah.signals.info import SigInfo, TimerSignal, from_kernel

if TYPE_CHECKING:
    from aionoah.clocks.posix_timers import PosixTimer
    from aionoah.process.task import Process

_ID_MASK: Final = 0x7FFF_FFFF


class ProcessTimers:
    """A child by fork has none of its parent's; a new program has the interval timers and the limit."""

    def __init__(self, process: "Process") -> None:
        self.parked: set[Alarm] = set()  # of CPU time, while no thread of the process runs
        self.posix: dict[int, PosixTimer] = {}
        self._process = process
        self._next_id = 0
        self._interval: dict[int, IntervalTimer] = {}
        self._limit: Alarm | None = None

    # -- interval timers ------------------------------------------------------------------------------------

    def interval_timer(self, which: int) -> IntervalTimer:
        """ITIMER_REAL, ITIMER_VIRTUAL or ITIMER_PROF; EINVAL."""
        timer = self._interval.get(which)
        if timer is None:
            timer = self._interval[which] = self._new_interval_timer(which)
        return timer

    def _new_interval_timer(self, which: int) -> IntervalTimer:
        if which == ITIMER.REAL:
            return RealTimer(self._process)
        if which == ITIMER.VIRTUAL:
            return cpu_timer(self._process, SIG.VTALRM)
        if which == ITIMER.PROF:
            return cpu_timer(self._process, SIG.PROF)
        raise LinuxError(Errno.EINVAL)

    def signal_left(self, info: SigInfo) -> None:
        """A signal of the process's queue has been taken or forgotten."""
        real = self._interval.get(ITIMER.REAL)
        if info.si_signo == SIG.ALRM and not isinstance(info, TimerSignal) and isinstance(real, RealTimer):
            real.signal_left()

    # -- POSIX timers -----------------------------------------------------------------------------------------

    def allocate_id(self) -> int:
        """The next number; they are not used again soon."""
        number = self._next_id
        while number in self.posix:
            number = number + 1 & _ID_MASK
        self._next_id = number + 1 & _ID_MASK
        return number

    def get(self, number: int) -> "PosixTimer":
        """EINVAL for a timer that does not exist."""
        try:
            return self.posix[number]
        except KeyError:
            raise LinuxError(Errno.EINVAL) from None

    def delete(self, number: int) -> None:
        """EINVAL for a timer that does not exist."""
        self.get(number).cancel()
        del self.posix[number]

    # -- CPU time -------------------------------------------------------------------------------------------

    def limit_changed(self) -> None:
        """Look at RLIMIT_CPU, which has been set."""
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
        limit = self._process.limits[RLIMIT.CPU]
        if limit.soft != RLIM_INFINITY:
            time_ns = limit.soft * NSEC_PER_SEC
            self._limit = Alarm(self._process.kernel, process_clock(self._process), time_ns, self._exceed)
            self._limit.start()

    def _exceed(self) -> None:
        """SIGKILL at the hard limit, SIGXCPU at the soft one, which moves on by a second each time."""
        process, self._limit = self._process, None
        hard = process.limits[RLIMIT.CPU].hard
        if hard != RLIM_INFINITY and process.all_cpu_time_ns >= hard * NSEC_PER_SEC:
            send_to_process(process, from_kernel(SIG.KILL))
            return
        send_to_process(process, from_kernel(SIG.XCPU))
        process.limits.add_cpu_second()
        self.limit_changed()

    def resume(self) -> None:
        """A thread of the process runs again."""
        parked, self.parked = self.parked, set()
        for alarm in parked:
            alarm.start()

    # -- the process ------------------------------------------------------------------------------------------

    def reset_for_exec(self) -> None:
        """A new program: POSIX timers belonged to the old one."""
        for number in list(self.posix):
            self.delete(number)

    def close(self) -> None:
        """The process has ended."""
        self.reset_for_exec()
        for timer in self._interval.values():
            timer.cancel()
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
