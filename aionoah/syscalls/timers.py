"""Timers that send signals: alarm(2), getitimer(2), timer_create(2), timer_settime(2), timer_getoverrun(2),
timer_delete(2).
"""

from typing import Final

from aionoah.abi.cstruct import I32, Struct
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import RLIMIT
from aionoah.abi.siginfo import Sigevent
from aionoah.abi.signal import SIG, SIGEV
from aionoah.abi.time import CLOCK, ITIMER, NSEC_PER_SEC, TIMER, Itimerspec, Itimerval
from aionoah.clocks.clock import as_clock_id, find_timer_clock
from aionoah.clocks.duration import microseconds, nanoseconds, timespec, timeval
from aionoah.clocks.itimers import Setting
from aionoah.clocks.posix_timers import PosixTimer, Wish
from aionoah.process.task import Task
from aionoah.signals.info import TimerSignal
from aionoah.syscalls.arguments import In, Int, Ptr, UInt
from aionoah.syscalls.registry import syscall

_TOGETHER: Final = "User and system time are counted together."


class TimerId(Struct):
    """timer_t as the kernel has it."""

    number: I32


# -- interval timers ----------------------------------------------------------------------------------------


@syscall
def alarm(task: Task, seconds: UInt) -> int:
    timer = task.process.timers.interval_timer(ITIMER.REAL)
    old = timer.get()
    timer.set(Setting(seconds * NSEC_PER_SEC))
    whole, rest_ns = divmod(old.value_ns, NSEC_PER_SEC)
    return whole + (rest_ns >= NSEC_PER_SEC // 2 or (not whole and rest_ns > 0))


@syscall(partial=_TOGETHER)
def getitimer(task: Task, which: ITIMER, value: Ptr[Itimerval]) -> None:
    timer = task.process.timers.interval_timer(which)
    task.memory.put(value, _itimerval(timer.get()))


@syscall(partial=_TOGETHER)
def setitimer(task: Task, which: ITIMER, new: In[Itimerval], old: Ptr[Itimerval]) -> None:
    wanted = Setting()
    if new:
        given = task.memory.get(Itimerval, new)
        wanted = Setting(microseconds(given.it_value), microseconds(given.it_interval))
    timer = task.process.timers.interval_timer(which)
    before = timer.get()
    timer.set(wanted)
    if old:
        task.memory.put(old, _itimerval(before))


def _itimerval(setting: Setting) -> Itimerval:
    return Itimerval(timeval(setting.interval_ns), timeval(setting.value_ns))


# -- POSIX timers -------------------------------------------------------------------------------------------


@syscall
def timer_create(task: Task, clockid: CLOCK, sevp: In[Sigevent], timerid: Ptr[TimerId]) -> None:
    event = task.memory.get(Sigevent, sevp) if sevp else None
    clock = find_timer_clock(task, as_clock_id(clockid))
    timers = task.process.timers
    if len(timers.posix) + len(task.process.signals.pending) >= task.process.limits.soft(RLIMIT.SIGPENDING):
        raise LinuxError(Errno.EAGAIN)
    number = timers.allocate_id()
    if event is None:
        event = Sigevent(number, SIG.ALRM, SIGEV.SIGNAL, 0)
    thread = _notified_thread(task, event)
    task.memory.put(timerid, TimerId(number))
    is_silent = event.sigev_notify == SIGEV.NONE
    signal = None if is_silent else TimerSignal(event.sigev_signo, number, event.sigev_value)
    timers.posix[number] = timer = PosixTimer(task.process, clock, signal, thread)
    target = task.process.pid if thread is None else thread.tid
    timer.wish = Wish(as_clock_id(clockid), event.sigev_signo, event.sigev_value, event.sigev_notify, target)


def _notified_thread(task: Task, event: Sigevent) -> Task | None:
    """Who gets the signal, None for the process; EINVAL (good_sigevent in kernel/time/posix-timers.c)."""
    if event.sigev_notify == SIGEV.NONE:
        return None
    if event.sigev_notify not in (SIGEV.SIGNAL, SIGEV.THREAD, SIGEV.THREAD_ID):
        raise LinuxError(Errno.EINVAL)
    if not 0 < event.sigev_signo <= SIG.RTMAX:
        raise LinuxError(Errno.EINVAL)
    if event.sigev_notify != SIGEV.THREAD_ID:
        return None
    thread = task.process.tasks.get(event.sigev_notify_thread_id)
    if thread is None:
        raise LinuxError(Errno.EINVAL)
    return thread


@syscall
def timer_settime(task: Task, timerid: Int, flags: TIMER, new: In[Itimerspec], old: Ptr[Itimerspec]) -> None:
    if not new:
        raise LinuxError(Errno.EINVAL)
    given = task.memory.get(Itimerspec, new)
    wanted = Setting(interval_ns=nanoseconds(given.it_interval), value_ns=nanoseconds(given.it_value))
    timer = task.process.timers.get(timerid)
    before = timer.get()
    timer.set(wanted, is_absolute=TIMER.ABSTIME in flags)
    if old:
        task.memory.put(old, itimerspec(before))


@syscall
def timer_gettime(task: Task, timerid: Int, value: Ptr[Itimerspec]) -> None:
    task.memory.put(value, itimerspec(task.process.timers.get(timerid).get()))


@syscall
def timer_getoverrun(task: Task, timerid: Int) -> int:
    return task.process.timers.get(timerid).overruns


@syscall
def timer_delete(task: Task, timerid: Int) -> None:
    task.process.timers.delete(timerid)


def itimerspec(setting: Setting) -> Itimerspec:
    """A setting as a guest structure."""
    return Itimerspec(timespec(setting.interval_ns), timespec(setting.value_ns))
