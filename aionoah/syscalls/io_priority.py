"""Priorities of input and output: ioprio_set(2); Linux block/ioprio.c.

What is set is checked, kept and reported; the host's input and output does not know of it.
"""

from typing import Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import IOPRIO_CLASS, IOPRIO_CLASS_SHIFT, IOPRIO_LEVEL_MASK, IOPRIO_WHO
from aionoah.abi.sched import SCHED
from aionoah.process.scheduling import Scheduling, is_realtime
from aionoah.process.task import Task
from aionoah.syscalls.arguments import Int
from aionoah.syscalls.registry import syscall

_NICE_STEP: Final = 5  # values of nice for each level


@syscall(partial="Kept and reported; the host's scheduler does not know of it.")
def ioprio_set(task: Task, which: IOPRIO_WHO, who: Int, ioprio: Int) -> None:
    _check(task, ioprio)
    for target in _chosen(task, which, who):
        mine, theirs = task.credentials, target.credentials
        if theirs.uid not in (mine.euid, mine.uid):
            mine.require(CAP.SYS_NICE)
        target.scheduling.io_priority = ioprio


def _check(task: Task, priority: int) -> None:
    """EINVAL, EPERM (ioprio_check_cap)."""
    kind = priority >> IOPRIO_CLASS_SHIFT
    if kind == IOPRIO_CLASS.RT:
        if not task.credentials.has_capability(CAP.SYS_ADMIN):
            task.credentials.require(CAP.SYS_NICE)
    elif kind == IOPRIO_CLASS.NONE:
        if priority & IOPRIO_LEVEL_MASK:
            raise LinuxError(Errno.EINVAL)
    elif kind not in (IOPRIO_CLASS.BE, IOPRIO_CLASS.IDLE):
        raise LinuxError(Errno.EINVAL)


@syscall
def ioprio_get(task: Task, which: IOPRIO_WHO, who: Int) -> int:
    """Of one thread what was set; of several the best that is effective."""
    chosen = _chosen(task, which, who)
    if which == IOPRIO_WHO.PROCESS:
        return chosen[0].scheduling.io_priority
    return min(_effective(target.scheduling) for target in chosen)


def _effective(scheduling: Scheduling) -> int:
    """What follows from the policy and the nice value where nothing was set (__get_task_ioprio)."""
    if scheduling.io_priority >> IOPRIO_CLASS_SHIFT != IOPRIO_CLASS.NONE:
        return scheduling.io_priority
    kind = IOPRIO_CLASS.BE
    if scheduling.policy == SCHED.IDLE:
        kind = IOPRIO_CLASS.IDLE
    elif is_realtime(scheduling.policy):
        kind = IOPRIO_CLASS.RT
    return kind << IOPRIO_CLASS_SHIFT | (scheduling.nice + 20) // _NICE_STEP


def _chosen(task: Task, which: int, who: int) -> list[Task]:
    """EINVAL; ESRCH if there are none."""
    tasks = list(task.kernel.tasks.values())
    if which == IOPRIO_WHO.PROCESS:
        found = [target for target in tasks if target.tid == (who or task.tid)]
    elif which == IOPRIO_WHO.PGRP:
        group = who or task.process.process_group
        found = [target for target in tasks if target.process.process_group == group]
    elif which == IOPRIO_WHO.USER:
        uid = who or task.credentials.uid
        found = [target for target in tasks if target.credentials.uid == uid]
    else:
        raise LinuxError(Errno.EINVAL)
    if not found:
        raise LinuxError(Errno.ESRCH)
    return found
