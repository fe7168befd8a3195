"""Timers that are read: timerfd_create(2), timerfd_settime(2), timerfd_gettime(2)."""

from typing import Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.time import CLOCK, TFD, Itimerspec
from aionoah.clocks.clock import wall_clock
from aionoah.clocks.duration import nanoseconds
from aionoah.clocks.itimers import Setting
from aionoah.fs.timerfd import TimerFile
from aionoah.process.task import Task
from aionoah.syscalls.arguments import Fd, In, Ptr
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.timers import itimerspec

# An alarm clock wakes a machine that sleeps, which only the host could do.
_CLOCKS: Final = {
    CLOCK.REALTIME: CLOCK.REALTIME,
    CLOCK.MONOTONIC: CLOCK.MONOTONIC,
    CLOCK.BOOTTIME: CLOCK.BOOTTIME,
    CLOCK.REALTIME_ALARM: CLOCK.REALTIME,
    CLOCK.BOOTTIME_ALARM: CLOCK.BOOTTIME,
}
_ALARMS: Final = (CLOCK.REALTIME_ALARM, CLOCK.BOOTTIME_ALARM)


@syscall
def timerfd_create(task: Task, clockid: CLOCK, flags: TFD) -> int:
    if flags.outside(TFD.CLOEXEC | TFD.NONBLOCK) or clockid not in _CLOCKS:
        raise LinuxError(Errno.EINVAL)
    if clockid in _ALARMS:
        task.credentials.require(CAP.WAKE_ALARM)

    file = TimerFile(task.kernel, wall_clock(_CLOCKS[clockid]), O(O.RDWR | (flags & O.NONBLOCK)), clockid)
    return task.files.add(file, cloexec=TFD.CLOEXEC in flags)


@syscall
def timerfd_settime(task: Task, fd: Fd, flags: TFD, new: In[Itimerspec], old: Ptr[Itimerspec]) -> None:
    given = task.memory.get(Itimerspec, new)
    if flags.outside(TFD.TIMER_ABSTIME | TFD.TIMER_CANCEL_ON_SET):
        raise LinuxError(Errno.EINVAL)
    wanted = Setting(interval_ns=nanoseconds(given.it_interval), value_ns=nanoseconds(given.it_value))
    file = _timer_file(task, fd)
    before = file.get()
    file.set(
        wanted,
        is_absolute=TFD.TIMER_ABSTIME in flags,
        cancel_on_set=TFD.TIMER_CANCEL_ON_SET in flags,
    )
    if old:
        task.memory.put(old, itimerspec(before))


@syscall
def timerfd_gettime(task: Task, fd: Fd, value: Ptr[Itimerspec]) -> None:
    task.memory.put(value, itimerspec(_timer_file(task, fd).get()))


def _timer_file(task: Task, fd: int) -> TimerFile:
    """EBADF, and EINVAL for another kind of file."""
    file = task.files[fd]
    if not isinstance(file, TimerFile):
        raise LinuxError(Errno.EINVAL)
    return file
