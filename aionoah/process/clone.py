"""clone: a further thread, or a child process (clone(2); Linux kernel/fork.c, copy_process)."""

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import RLIMIT
from aionoah.abi.sched import CLONE
from aionoah.process.ipc.undo import UndoList
from aionoah.process.limits import memory_limit
from aionoah.process.namespaces import (
    NAMESPACES,
    enter,
    enter_new_user_namespace,
    new_namespaces,
    require_makeable,
)
from aionoah.process.population import require_room
from aionoah.process.task import Process, Task
from aionoah.signals.state import SharedSignals, TaskSignals

if TYPE_CHECKING:
    from aionoah.memory.memory import Memory
    from aionoah.process.credentials import Credentials
    from aionoah.process.descriptors import DescriptorTable
    from aionoah.process.limits import Limits


class CloneRequest(NamedTuple):
    """What clone and clone3 ask for. Addresses are guest addresses, 0 where there is none."""

    flags: CLONE
    exit_signal: int = 0
    parent_tid: int = 0
    child_tid: int = 0
    pidfd: int = 0
    tid: int | None = None  # the number that the task is to have


def clone_task(task: Task, request: CloneRequest) -> Task:
    """A new task that has everything but a virtual CPU. EINVAL, EAGAIN, EPERM, ENOMEM, EEXIST; nothing is left
    of it then.
    """
    _check_flags(task, request)
    if task.is_interrupted:
        raise LinuxError(Errno.ERESTARTNOINTR)  # what is sent to a group reaches all who are in it before
    require_room(task)
    tid = task.kernel.allocate_pid(request.tid)
    try:
        child = _new_thread(task, tid) if CLONE.THREAD in request.flags else _new_process(task, tid, request)
    except BaseException:
        task.kernel.free_pid(tid)
        raise
    if request.flags & NAMESPACES or child.namespaces is not task.namespaces:
        try:
            if CLONE.NEWUSER in request.flags:
                enter_new_user_namespace(task, child)
            enter(child, new_namespaces(task, request.flags, child))
        except LinuxError:
            discard_task(child)
            raise
    if CLONE.CHILD_CLEARTID in request.flags:
        child.clear_child_tid = request.child_tid
    if CLONE.SYSVSEM in request.flags:
        _share_undo(task, child)
    child.seccomp, child.memory_policy = task.seccomp, task.memory_policy
    child.memory_errors = task.memory_errors
    if task.tracing is not None:
        task.tracing.inherit(child, request.flags, request.exit_signal)
    return child


def _share_undo(task: Task, child: Task) -> None:
    """What either does to semaphores is undone when both have ended."""
    if task.semaphore_undo is None:
        task.semaphore_undo = UndoList()
    child.semaphore_undo = task.semaphore_undo.share()


def discard_task(child: Task) -> None:
    """Undo clone_task: the task has never run, and nobody knows of it."""
    process, kernel = child.process, child.kernel
    child.has_exited = True
    if child.semaphore_undo is not None:
        child.semaphore_undo.leave(child)
    if child.tracing is not None:
        child.tracing.unlink()
    child.files.leave()
    child.memory.drop()
    process.cpus -= 1
    del process.tasks[child.tid], kernel.tasks[child.tid]
    child.namespaces.drop()
    if process.tasks:
        kernel.free_pid(child.tid)
    else:
        process.reap()


@lru_cache(maxsize=64)
def _go_together(flags: CLONE) -> bool:
    needs = ((CLONE.THREAD, CLONE.SIGHAND), (CLONE.SIGHAND, CLONE.VM))
    excludes = (
        *((CLONE.NEWNS, CLONE.FS), (CLONE.NEWUSER, CLONE.FS), (CLONE.THREAD, CLONE.NEWUSER)),
        *((CLONE.THREAD, CLONE.NEWPID), (CLONE.PIDFD, CLONE.DETACHED), (CLONE.SIGHAND, CLONE.CLEAR_SIGHAND)),
    )
    is_incomplete = any(one in flags and other not in flags for one, other in needs)
    return not is_incomplete and not any(one in flags and other in flags for one, other in excludes)


def _check_flags(task: Task, request: CloneRequest) -> None:
    """What makes no sense, in the order of Linux's copy_process."""
    flags = request.flags
    if not _go_together(flags):
        raise LinuxError(Errno.EINVAL)
    if CLONE.PARENT in flags and task.process.is_init:
        raise LinuxError(Errno.EINVAL)
    require_makeable(task, flags)
    if CLONE.NEWIPC | CLONE.SYSVSEM in flags:
        raise LinuxError(Errno.EINVAL)
    if CLONE.INTO_CGROUP in flags:
        raise LinuxError(Errno.EBADF)  # there are no control groups, so there is no descriptor of one


def _new_thread(task: Task, tid: int) -> Task:
    signals = task.signals.for_clone(task.process.signals, shares_memory=True)
    credentials = task.credentials.copy()
    child = task.process.new_task(
        tid,
        architecture=task.architecture,
        memory=task.memory.hold(),
        files=task.files.share(),
        fs=task.fs.clone(credentials, share=True),
        credentials=credentials,
        signals=signals,
        scheduling=task.scheduling.copy(),
    )
    child.name, child.personality = task.name, task.personality
    child.timer_slack_ns = task.timer_slack_ns
    return child


def _new_process(task: Task, pid: int, request: CloneRequest) -> Task:
    flags, mother = request.flags, task.process
    limits, credentials = mother.limits.copy(), task.credentials.copy()
    memory = _memory(task, flags, limits, credentials)  # all that can fail
    process = Process(
        task.kernel,
        pid,
        parent=mother.parent if CLONE.PARENT in flags else mother,
        limits=limits,
        start_ns=task.kernel.uptime_ns(),
    )
    if CLONE.PARENT in flags:
        process.exit_signal = mother.exit_signal
        process.parent_task, process.parent_exec_count = mother.parent_task, mother.parent_exec_count
    else:
        process.exit_signal, process.parent_task = request.exit_signal, task
    process.inherit(mother)
    process.signals = shared = _dispositions(mother.signals, flags)
    child = process.new_task(
        pid,
        architecture=task.architecture,
        memory=memory,
        files=_files(task, flags, limits),
        fs=task.fs.clone(credentials, share=CLONE.FS in flags),
        credentials=credentials,
        signals=_signals(task, shared, flags),
        scheduling=task.scheduling.copy(),
    )
    if task.rseq is not None and CLONE.VM not in flags:
        child.rseq = task.rseq.copy()
    child.name = process.name = task.name
    child.personality = task.personality
    child.timer_slack_ns = task.timer_slack_ns
    return child


def _memory(task: Task, flags: CLONE, limits: "Limits", credentials: "Credentials") -> "Memory":
    if CLONE.VM in flags:
        return task.memory.hold()
    return task.memory.fork(memory_limit(limits, credentials))


def _files(task: Task, flags: CLONE, limits: "Limits") -> "DescriptorTable":
    if CLONE.FILES in flags:
        return task.files.share()
    return task.files.fork(lambda: limits.soft(RLIMIT.NOFILE))


def _dispositions(old: SharedSignals, flags: CLONE) -> SharedSignals:
    new = SharedSignals()
    if CLONE.SIGHAND in flags:
        new.dispositions = old.dispositions
    elif CLONE.CLEAR_SIGHAND in flags:
        new.copy_dispositions(old)
        new.reset_for_exec()
    else:
        new.copy_dispositions(old)
    return new


def _signals(task: Task, shared: SharedSignals, flags: CLONE) -> TaskSignals:
    """A child of vfork keeps the alternate stack, though it shares memory: its parent waits meanwhile."""
    shares_memory = CLONE.VM in flags and CLONE.VFORK not in flags
    return task.signals.for_clone(shared, shares_memory=shares_memory)
