"""Clocks and sleeping: clock_gettime(2), clock_nanosleep(2), nanosleep(2), gettimeofday(2), time(2),
adjtimex(2).
"""

import time as host_time
from functools import partial

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.time import (
    ADJ,
    CLOCK,
    NSEC_PER_SEC,
    NSEC_PER_USEC,
    TIMER,
    Timespec,
    Timeval,
    Timex,
    Timezone,
)
from aionoah.clocks.adjustment import STATE, adjustment
from aionoah.clocks.clock import Clock, as_clock_id, find_clock, find_sleep_clock
from aionoah.clocks.duration import nanoseconds, timespec, timeval
from aionoah.clocks.sleep import sleep_until
from aionoah.process.task import Task
from aionoah.syscalls.arguments import Addr, In, Ptr
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.results import wants_restart

_READ_ONLY = "The clocks are the host's: setting one is EPERM."


@syscall
def clock_gettime(task: Task, clockid: CLOCK, tp: Ptr[Timespec]) -> None:
    clock = find_clock(task, as_clock_id(clockid))
    task.memory.put(tp, timespec(clock.now_ns()))


@syscall
def clock_getres(task: Task, clockid: CLOCK, res: Ptr[Timespec]) -> None:
    clock = find_clock(task, as_clock_id(clockid))
    if res:
        task.memory.put(res, timespec(clock.resolution_ns))


@syscall(partial=_READ_ONLY)
def clock_settime(task: Task, clockid: CLOCK, tp: In[Timespec]) -> None:
    clock_id = as_clock_id(clockid)
    find_clock(task, clock_id)
    if clock_id > CLOCK.REALTIME:
        raise LinuxError(Errno.EINVAL)
    wanted = task.memory.get(Timespec, tp)
    if clock_id == CLOCK.REALTIME:
        nanoseconds(wanted)  # EINVAL
    raise LinuxError(Errno.EPERM)


@syscall
def gettimeofday(task: Task, tv: Ptr[Timeval], tz: Ptr[Timezone]) -> None:
    if tv:
        task.memory.put(tv, timeval(host_time.time_ns()))
    if tz:
        task.memory.put(tz, Timezone(0, 0))


@syscall(partial=_READ_ONLY)
def settimeofday(task: Task, tv: In[Timeval], tz: In[Timezone]) -> None:
    if tv:
        wanted = task.memory.get(Timeval, tv)
        if wanted.tv_usec > NSEC_PER_SEC // NSEC_PER_USEC:
            raise LinuxError(Errno.EINVAL)
        nanoseconds(Timespec(wanted.tv_sec, wanted.tv_usec * NSEC_PER_USEC))  # EINVAL
    if tz:
        task.memory.get(Timezone, tz)
    if tv or tz:
        raise LinuxError(Errno.EPERM)


@syscall
def time(task: Task, tloc: Addr) -> int:
    seconds = host_time.time_ns() // NSEC_PER_SEC
    if tloc:
        task.memory.write_word(tloc, seconds)
    return seconds


@syscall(partial=_READ_ONLY)
def adjtimex(task: Task, buf: Ptr[Timex]) -> int:
    return _adjust(task, buf)


@syscall(partial=_READ_ONLY)
def clock_adjtime(task: Task, clockid: CLOCK, buf: Ptr[Timex]) -> int:
    wanted = task.memory.get(Timex, buf)
    clock_id = as_clock_id(clockid)
    if clock_id != CLOCK.REALTIME:
        find_clock(task, clock_id)
        raise LinuxError(Errno.EOPNOTSUPP)
    return _adjust(task, buf, wanted)


def _adjust(task: Task, buf: int, wanted: Timex | None = None) -> int:
    """Tell the state of the clock; EPERM for a wish to change it."""
    wanted = wanted or task.memory.get(Timex, buf)
    if wanted.modes not in (0, ADJ.OFFSET_SS_READ):
        raise LinuxError(Errno.EPERM)
    state = adjustment(host_time.time_ns())
    state.modes = wanted.modes
    task.memory.put(buf, state)
    return STATE


# -- sleeping -------------------------------------------------------------------------------------------


@syscall
async def nanosleep(task: Task, req: In[Timespec], rem: Ptr[Timespec]) -> None:
    duration_ns = nanoseconds(task.memory.get(Timespec, req))
    clock = find_sleep_clock(task, CLOCK.MONOTONIC)
    await _sleep(task, clock, clock.now_ns() + duration_ns, rem)


@syscall
async def clock_nanosleep(
    task: Task, clockid: CLOCK, flags: TIMER, req: In[Timespec], rem: Ptr[Timespec]
) -> None:
    clock = find_sleep_clock(task, as_clock_id(clockid))
    time_ns = nanoseconds(task.memory.get(Timespec, req))
    if TIMER.ABSTIME not in flags:
        if clockid == CLOCK.REALTIME:  # setting the clock does not make a duration shorter
            clock = find_clock(task, CLOCK.MONOTONIC)
        await _sleep(task, clock, clock.now_ns() + time_ns, rem)
        return
    try:
        await sleep_until(clock, time_ns)
    except LinuxError as error:
        raise LinuxError(Errno.ERESTARTNOHAND if wants_restart(error) else error.errno) from None


async def _sleep(task: Task, clock: Clock, end_ns: int, rem: int) -> None:
    """Sleep for a duration: a signal ends it, `rem` gets what was left, and restart_syscall goes on."""
    try:
        await sleep_until(clock, end_ns)
    except LinuxError as error:
        if not wants_restart(error):
            raise
        left_ns = end_ns - clock.now_ns()
        if left_ns <= 0:
            return
        if rem:
            task.memory.put(rem, timespec(left_ns))
        task.signals.restart_block = partial(_sleep, task, clock, end_ns, rem)
        raise LinuxError(Errno.ERESTART_RESTARTBLOCK) from None
