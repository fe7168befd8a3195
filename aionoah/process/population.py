"""RLIMIT_NPROC: how many threads and zombies a user has (getrlimit(2); Linux kernel/fork.c, kernel/sys.c, fs/exec.c).

clone fails at the limit. A change of the user never fails for it, as too many programs would not notice; instead
the next execve does, if the new user still has too many by then.
"""

from typing import TYPE_CHECKING

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import RLIMIT

if TYPE_CHECKING:
    from aionoah.process.kernel import Kernel
    from aionoah.process.task import Task


def population(kernel: "Kernel", uid: int) -> int:
    """Threads and zombies of a user."""
    threads = sum(other.credentials.uid == uid for other in kernel.tasks.values())
    zombies = sum(not other.tasks and other.uid == uid for other in kernel.processes.values())
    return threads + zombies


def require_room(task: "Task") -> None:
    """For one more thread or process: EAGAIN at the limit or at the instance's own cap."""
    kernel, credentials = task.kernel, task.credentials
    if kernel.pid_count >= kernel.max_tasks:
        raise LinuxError(Errno.EAGAIN)
    limit = task.process.limits.soft(RLIMIT.NPROC)
    is_limited = credentials.uid != 0 and kernel.pid_count >= limit  # else there is nothing to count
    is_limited &= not any(map(credentials.has_capability, (CAP.SYS_RESOURCE, CAP.SYS_ADMIN)))
    if is_limited and population(kernel, credentials.uid) >= limit:
        raise LinuxError(Errno.EAGAIN)
    task.has_too_many_tasks = False


def user_changed(task: "Task", old_uid: int) -> None:
    """The thread has another real user, perhaps: note whether that one had too many tasks before."""
    uid = task.credentials.uid
    if uid != old_uid:
        before = population(task.kernel, uid) - 1
        task.has_too_many_tasks = uid != 0 and before > task.process.limits.soft(RLIMIT.NPROC)


def require_few_tasks(task: "Task") -> None:
    """execve: EAGAIN if a change of the user has been noted, and there are still too many."""
    if task.has_too_many_tasks:
        if population(task.kernel, task.credentials.uid) > task.process.limits.soft(RLIMIT.NPROC):
            raise LinuxError(Errno.EAGAIN)
        task.has_too_many_tasks = False
