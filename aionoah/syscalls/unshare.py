"""Leaving what is shared with other tasks, and joining name spaces: unshare(2), setns(2).

Sources: Linux kernel/fork.c, ksys_unshare; kernel/nsproxy.c.
"""

from typing import Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.sched import CLONE
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.pidfd import PidFile
from aionoah.fs.proc.namespaces import NamespaceFile
from aionoah.process.credentials import Credentials
from aionoah.process.namespaces import (
    NAMESPACES,
    IpcNamespace,
    UtsNamespace,
    enter,
    enter_new_user_namespace,
    namespace_of,
    new_namespaces,
    require_makeable,
)
from aionoah.process.task import Task
from aionoah.process.tracing import require_tracing
from aionoah.process.user_namespaces import Namespace, UserNamespace, enter_user_namespace
from aionoah.syscalls.arguments import Fd
from aionoah.syscalls.registry import syscall

_ALONE: Final = CLONE.THREAD | CLONE.SIGHAND | CLONE.VM  # nothing to do, but there must be nobody else
_VALID: Final = _ALONE | CLONE.FS | CLONE.FILES | CLONE.SYSVSEM | NAMESPACES


@syscall(
    partial="Of name spaces those of users, mounts, host names and IPC; others fail as in a kernel without them."
)
def unshare(task: Task, flags: CLONE) -> None:
    if CLONE.NEWUSER in flags:
        flags = CLONE(flags | CLONE.THREAD | CLONE.FS)
    if flags.outside(_VALID) or (flags & _ALONE and not _is_alone(task, flags)):
        raise LinuxError(Errno.EINVAL)
    require_makeable(task, flags)
    if CLONE.NEWUSER in flags:
        enter_new_user_namespace(task, task)
    if CLONE.SYSVSEM in flags and task.semaphore_undo is not None:
        undo, task.semaphore_undo = task.semaphore_undo, None
        undo.leave(task)
    if flags & (CLONE.FS | CLONE.NEWNS):
        task.fs.unshare()
    if CLONE.FILES in flags and task.files.is_shared:
        shared, task.files = task.files, task.files.fork()
        shared.leave()
    if flags & NAMESPACES:
        enter(task, new_namespaces(task, flags, task))


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


# -- joining --------------------------------------------------------------------------------------------


@syscall
def setns(task: Task, fd: Fd, nstype: CLONE) -> None:
    """By a file of /proc/PID/ns, or all of a process that `nstype` names by its descriptor. All or nothing."""
    file = task.files[fd]
    if isinstance(file, NamespaceFile):
        if nstype and nstype != file.namespace.flag:
            raise LinuxError(Errno.EINVAL)
        chosen = [file.namespace]
    elif isinstance(file, PidFile):
        if not nstype or nstype.outside(NAMESPACES):
            raise LinuxError(Errno.EINVAL)
        chosen = _of_process(task, file, nstype)
    else:
        raise LinuxError(Errno.EINVAL)
    who = task.credentials.copy()
    for namespace in chosen:
        _require_enterable(task, namespace, who)
    for namespace in chosen:
        _enter(task, namespace)


def _of_process(task: Task, file: PidFile, flags: CLONE) -> list[Namespace]:
    """ESRCH, EPERM."""
    target = file.task or file.require_alive().tasks.get(file.process.pid)
    if target is None or target.has_exited:
        raise LinuxError(Errno.ESRCH)
    require_tracing(task, target)
    return [namespace_of(target, flag) for flag in _KINDS if flag in flags]


def _require_enterable(task: Task, namespace: Namespace, who: Credentials) -> None:
    """As `who` will be by then. Even its own: EPERM; EINVAL for the user's, and while directories are shared; EUSERS with
    other threads.
    """
    flag = namespace.flag
    if isinstance(namespace, UserNamespace):
        if (
            namespace is who.user_namespace
            or not _is_alone(task, CLONE(CLONE.THREAD))
            or _shares_directories(task)
        ):
            raise LinuxError(Errno.EINVAL)
        who.require_over(CAP.SYS_ADMIN, namespace)
        enter_user_namespace(who, namespace)
        return
    if flag == CLONE.NEWTIME and not _is_alone(task, CLONE(CLONE.THREAD)):
        raise LinuxError(Errno.EUSERS)
    who.require_over(CAP.SYS_ADMIN, namespace.owner)
    who.require_own(CAP.SYS_ADMIN)
    if flag == CLONE.NEWNS:
        who.require_own(CAP.SYS_CHROOT)
        if _shares_directories(task):
            raise LinuxError(Errno.EINVAL)


def _shares_directories(task: Task) -> bool:
    others = (other for other in task.kernel.tasks.values() if other is not task)
    return any(other.fs.shared is task.fs.shared for other in others)


def _enter(task: Task, namespace: Namespace) -> None:
    old = task.namespaces
    if isinstance(namespace, UserNamespace):
        enter_user_namespace(task.credentials, namespace)
    elif isinstance(namespace, UtsNamespace):
        enter(task, old._replace(uts=namespace).hold())
    elif isinstance(namespace, IpcNamespace):
        enter(task, old._replace(ipc=namespace).hold())
    elif isinstance(namespace, MountNamespace):  # whoever joins one is at its root
        task.fs.root = task.fs.cwd = namespace.uppermost
        enter(task, old._replace(mounts=namespace).hold())


_KINDS: Final = (
    *(CLONE.NEWUSER, CLONE.NEWNS, CLONE.NEWUTS, CLONE.NEWIPC, CLONE.NEWPID, CLONE.NEWCGROUP, CLONE.NEWNET),
    CLONE.NEWTIME,
)
