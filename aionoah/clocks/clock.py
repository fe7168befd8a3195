"""The clocks of clock_gettime(2): which there are, what they show, and which of them can wake a sleeper.

Nothing can set them: they are the host's.
"""

import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.time import CLOCK
from aionoah.abi.words import signed

if TYPE_CHECKING:
    from aionoah.process.task import Process, Task

TICK_NS: Final = 4_000_000  # CONFIG_HZ=250, as distributions build it


class Clock(NamedTuple):
    """One clock as a task sees it."""

    now_ns: Callable[[], int]
    resolution_ns: int = 1
    can_sleep: bool = False  # clock_nanosleep: EOPNOTSUPP otherwise
    process: "Process | None" = None  # whose CPU time it counts
    thread: "Task | None" = None  # or that of one thread alone
    is_settable: bool = False  # whether it jumps when somebody sets the host's clock

    @property
    def threads(self) -> "Collection[Task]":
        """Those whose CPU time makes it advance; none for clocks that always do."""
        if self.thread is not None:
            return () if self.thread.has_exited else (self.thread,)
        return self.process.tasks.values() if self.process is not None else ()

    @property
    def counts_cpu_time(self) -> bool:
        return self.process is not None or self.thread is not None


def _host_clock(*names: str) -> Callable[[], int]:
    """The first clock that the host has, by the name of its constant in Python's time module."""
    for name in names:
        number = getattr(time, name, None)
        if number is not None:
            return lambda: time.clock_gettime_ns(number)
    raise LookupError(f"this host has none of the clocks {', '.join(names)}")


def _coarse(precise: Callable[[], int]) -> Callable[[], int]:
    """A clock that advances with the timer tick. Not the host's own, which has no name in Python."""
    return lambda: precise() // TICK_NS * TICK_NS


# Sleepers wait for time.monotonic_ns (host.waiting), so that is what MONOTONIC has to be.
_REALTIME: Final = time.time_ns
_MONOTONIC: Final = time.monotonic_ns

_CLOCKS: Final = {
    CLOCK.REALTIME: Clock(_REALTIME, can_sleep=True, is_settable=True),
    CLOCK.MONOTONIC: Clock(_MONOTONIC, can_sleep=True),
    CLOCK.MONOTONIC_RAW: Clock(_host_clock("CLOCK_MONOTONIC_RAW", "CLOCK_MONOTONIC")),
    CLOCK.REALTIME_COARSE: Clock(_coarse(_REALTIME), TICK_NS),
    CLOCK.MONOTONIC_COARSE: Clock(_coarse(_MONOTONIC), TICK_NS),
    # Darwin's CLOCK_MONOTONIC goes on while the machine sleeps.
    CLOCK.BOOTTIME: Clock(_host_clock("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"), can_sleep=True),
    # Where the host does not know the leap seconds, TAI is as on a Linux that has not been told them.
    CLOCK.TAI: Clock(_host_clock("CLOCK_TAI", "CLOCK_REALTIME"), can_sleep=True, is_settable=True),
}

boot_time_ns: Final = _CLOCKS[CLOCK.BOOTTIME].now_ns
"""CLOCK_BOOTTIME, for uptime and start times."""

# Ids of CPU-time clocks (include/linux/posix-timers.h): ~pid << 3, and below it:
_PER_THREAD: Final = 4
_KIND: Final = 3
_VIRTUAL: Final = 1  # time in user mode, in ticks; 0 is all time, in ticks
_SCHED: Final = 2  # all time, precisely
_DESCRIPTOR: Final = 3  # a dynamic clock (PTP), which no file of ours is


def as_clock_id(word: int) -> int:
    """A 32-bit word as clockid_t, which is signed."""
    return signed(word)


def wall_clock(clock_id: int) -> Clock:
    """A clock that is the same for all: CLOCK_MONOTONIC and the like."""
    return _CLOCKS[clock_id]


def find_clock(task: "Task", clock_id: int) -> Clock:
    """The clock of a signed id; EINVAL where there is none."""
    if clock_id < 0:
        return _find_cpu_clock(task, clock_id)
    if clock_id == CLOCK.PROCESS_CPUTIME_ID:
        return process_clock(task.process)
    if clock_id == CLOCK.THREAD_CPUTIME_ID:
        return _thread_clock(task, 1)
    clock = _CLOCKS.get(clock_id)
    if clock is None:
        raise LinuxError(Errno.EINVAL)
    return clock


def find_sleep_clock(task: "Task", clock_id: int) -> Clock:
    """A clock that wakes sleepers: EINVAL where there is none, EOPNOTSUPP if it cannot."""
    if clock_id in (CLOCK.REALTIME_ALARM, CLOCK.BOOTTIME_ALARM):  # no real-time clock: they only seem to be
        raise LinuxError(Errno.EOPNOTSUPP)
    if clock_id < 0 and clock_id & (_PER_THREAD | _KIND) == _DESCRIPTOR:
        raise LinuxError(Errno.EOPNOTSUPP)
    clock = find_clock(task, clock_id)
    if clock_id < 0 and clock_id & _PER_THREAD:
        raise LinuxError(Errno.EINVAL)
    if not clock.can_sleep:
        raise LinuxError(Errno.EOPNOTSUPP)
    return clock


def find_timer_clock(task: "Task", clock_id: int) -> Clock:
    """A clock that timers can go by: EINVAL where there is none, EOPNOTSUPP if it has none (timer_create)."""
    if clock_id in (CLOCK.REALTIME_ALARM, CLOCK.BOOTTIME_ALARM):  # as without a real-time clock
        raise LinuxError(Errno.EOPNOTSUPP)
    if clock_id < 0 and clock_id & (_PER_THREAD | _KIND) == _DESCRIPTOR:
        raise LinuxError(Errno.EOPNOTSUPP)
    clock = find_clock(task, clock_id)
    if not clock.can_sleep and not clock.counts_cpu_time:
        raise LinuxError(Errno.EOPNOTSUPP)
    return clock


def _find_cpu_clock(task: "Task", clock_id: int) -> Clock:
    kind, pid = clock_id & _KIND, ~(clock_id >> 3)
    if kind == _DESCRIPTOR:
        raise LinuxError(Errno.EINVAL)
    resolution_ns = 1 if kind == _SCHED else TICK_NS
    if clock_id & _PER_THREAD:
        thread = task.process.tasks.get(pid) if pid else task
        if thread is None:
            raise LinuxError(Errno.EINVAL)
        return _thread_clock(thread, resolution_ns, is_user=kind == _VIRTUAL)
    process = task.kernel.processes.get(pid) if pid else task.process
    if process is None:
        raise LinuxError(Errno.EINVAL)
    return process_clock(process, resolution_ns, is_user=kind == _VIRTUAL)


def _thread_clock(thread: "Task", resolution_ns: int, *, is_user: bool = False) -> Clock:
    """It asks `control` anew each time: the thread may get another one."""
    if is_user:
        return Clock(lambda: thread.control.user_time_ns(), resolution_ns, thread=thread)  # noqa: PLW0108
    return Clock(lambda: thread.control.cpu_time_ns(), resolution_ns, thread=thread)  # noqa: PLW0108


def process_clock(process: "Process", resolution_ns: int = 1, *, is_user: bool = False) -> Clock:
    """CPU time of all threads of a process, past and present; `is_user`: only what they spent in the guest."""
    if is_user:
        return Clock(lambda: process.user_time_ns, resolution_ns, can_sleep=True, process=process)
    return Clock(lambda: process.all_cpu_time_ns, resolution_ns, can_sleep=True, process=process)
