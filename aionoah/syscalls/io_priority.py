"""Priorities of input and output: ioprio_set(2); Linux block/ioprio.c.

What is set is checked, kept and reported; the host's input and output does not know of it.
"""

from typing import Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import (
    IOPRIO_CLASS,
    IOPRIO_CLASS_MASK,
    IOPRIO_CLASS_SHIFT,
    IOPRIO_LEVEL_MASK,
    IOPRIO_WHO,
)
from aionoah.abi.sched import SCHED
from aionoah.process.scheduling import Scheduling, is_realtime
from aionoah.process.task import Task
from aionoah.syscalls.arguments import Int
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.targets import find_threads

_NICE_STEP: Final = 5  # values of nice for each level


@syscall(partial="Kept and reported; the host's scheduler does not know of it.")
def ioprio_set(task: Task, which: IOPRIO_WHO, who: Int, ioprio: Int) -> None:
    _check(task, ioprio)
    for target in find_threads(task, which - IOPRIO_WHO.PROCESS, who):
        mine, theirs = task.credentials, target.credentials
        if theirs.uid not in (mine.euid, mine.uid):
            mine.require(CAP.SYS_NICE)
        target.scheduling.io_priority = ioprio & 0xFFFF  # an unsigned short


def _check(task: Task, priority: int) -> None:
    """EINVAL, EPERM (ioprio_check_cap)."""
    kind = _class_of(priority)
    if kind == IOPRIO_CLASS.RT:
        if not task.credentials.has_capability(CAP.SYS_ADMIN):
            task.credentials.require(CAP.SYS_NICE)
    elif kind == IOPRIO_CLASS.NONE:
        if priority & IOPRIO_LEVEL_MASK:
            raise LinuxError(Errno.EINVAL)
    elif kind not in (IOPRIO_CLASS.BE, IOPRIO_CLASS.IDLE):
        raise LinuxError(Errno.EINVAL)


def _class_of(priority: int) -> int:
    return priority >> IOPRIO_CLASS_SHIFT & IOPRIO_CLASS_MASK


@syscall
def ioprio_get(task: Task, which: IOPRIO_WHO, who: Int) -> int:
    """Of one thread what was set; of several the best that is effective."""
    chosen = find_threads(task, which - IOPRIO_WHO.PROCESS, who)
    if which == IOPRIO_WHO.PROCESS:
        return chosen[0].scheduling.io_priority
    return min(_effective(target.scheduling) for target in chosen)


def _effective(scheduling: Scheduling) -> int:
    """What follows from the policy and the nice value where nothing was set (__get_task_ioprio)."""
    if _class_of(scheduling.io_priority) != IOPRIO_CLASS.NONE:
        return scheduling.io_priority
    kind = IOPRIO_CLASS.BE
    if scheduling.policy == SCHED.IDLE:
        kind = IOPRIO_CLASS.IDLE
    elif is_realtime(scheduling.policy):
        kind = IOPRIO_CLASS.RT
    return kind << IOPRIO_CLASS_SHIFT | (scheduling.nice + 20) // _NICE_STEP
