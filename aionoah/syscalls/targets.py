"""Threads that a call means by a number, for the calls that read or set something of them."""

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import PRIO
from aionoah.process.task import Task


def find_thread(task: Task, pid: int) -> Task:
    """The thread with a number, the caller for 0. EINVAL for a negative one, ESRCH."""
    if pid < 0:
        raise LinuxError(Errno.EINVAL)
    found = task.kernel.tasks.get(pid) if pid else task
    if found is None:
        raise LinuxError(Errno.ESRCH)
    return found


def find_threads(task: Task, which: int, who: int) -> list[Task]:
    """The threads that getpriority(2) and its like mean: a thread, a group's or a user's, the caller's for 0.

    EINVAL; ESRCH if there are none.
    """
    tasks = list(task.kernel.tasks.values())
    if which == PRIO.PROCESS:
        found = [target for target in tasks if target.tid == (who or task.tid)]
    elif which == PRIO.PGRP:
        group = who or task.process.process_group
        found = [target for target in tasks if target.process.process_group == group]
    elif which == PRIO.USER:
        mine = task.credentials
        uid = mine.user_namespace.uids.to_kernel(who) if who else mine.uid
        found = [target for target in tasks if target.credentials.uid == uid]
    else:
        raise LinuxError(Errno.EINVAL)
    if not found:
        raise LinuxError(Errno.ESRCH)
    return found
