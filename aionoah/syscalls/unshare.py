"""Leaving what is shared with other tasks: unshare(2); Linux kernel/fork.c, ksys_unshare."""

from typing import Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.sched import CLONE
from aionoah.process.clone import NAMESPACES
from aionoah.process.task import Task
from aionoah.syscalls.registry import syscall

_ALONE: Final = CLONE.THREAD | CLONE.SIGHAND | CLONE.VM  # nothing to do, but there must be nobody else
_VALID: Final = _ALONE | CLONE.FS | CLONE.FILES | CLONE.SYSVSEM | NAMESPACES


@syscall(partial="No namespaces: CLONE_NEW… fails as in a kernel without them.")
def unshare(task: Task, flags: CLONE) -> None:
    if flags.outside(_VALID) or (flags & _ALONE and not _is_alone(task, flags)):
        raise LinuxError(Errno.EINVAL)
    namespaces = flags & NAMESPACES
    if namespaces & ~CLONE.NEWUSER:
        task.credentials.require(CAP.SYS_ADMIN)
    if namespaces:
        raise LinuxError(Errno.EINVAL)
    if CLONE.SYSVSEM in flags and task.semaphore_undo is not None:
        undo, task.semaphore_undo = task.semaphore_undo, None
        undo.leave(task)
    if CLONE.FS in flags:
        task.fs.unshare()
    if CLONE.FILES in flags and task.files.is_shared:
        shared, task.files = task.files, task.files.fork()
        shared.leave()


def _is_alone(task: Task, flags: CLONE) -> bool:
    """Whether no other thread, or process made with CLONE_SIGHAND or CLONE_VM, shares what is to be left."""
    others = [other for other in task.kernel.tasks.values() if other is not task]
    if any(other.process is task.process for other in others):
        return False
    if not flags & (CLONE.SIGHAND | CLONE.VM):
        return True
    dispositions = task.process.signals.dispositions
    if any(other.process.signals.dispositions is dispositions for other in others):
        return False
    return CLONE.VM not in flags or all(other.memory is not task.memory for other in others)
