"""clone: a further thread, or a child process (clone(2); Linux kernel/fork.c, copy_process)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import RLIM_INFINITY, RLIMIT
from aionoah.abi.sched import CLONE
from aionoah.process.task import Process, Task
from aionoah.signals.state import SharedSignals, TaskSignals

if TYPE_CHECKING:
    from aionoah.memory.memory import Memory
    from aionoah.process.credentials import Credentials
    from aionoah.process.descriptors import DescriptorTable
    from aionoah.process.limits import Limits

_NAMESPACES: Final = (
    CLONE.NEWNS | CLONE.NEWCGROUP | CLONE.NEWUTS | CLONE.NEWIPC | CLONE.NEWUSER | CLONE.NEWPID | CLONE.NEWNET
    | CLONE.NEWTIME
)  # fmt: skip


class CloneRequest(NamedTuple):
    """What clone and clone3 ask for. Addresses are guest addresses, 0 where there is none."""

    flags: CLONE
    exit_signal: int = 0
    parent_tid: int = 0
    child_tid: int = 0
    pidfd: int = 0


def clone_task(task: Task, request: CloneRequest) -> Task:
    """A new task that has everything but a virtual CPU. EINVAL, EAGAIN, EPERM, ENOMEM."""
    _check_flags(task, request)
    kernel, flags = task.kernel, request.flags
    _check_limits(task)
    tid = kernel.allocate_pid()
    try:
        child = _new_thread(task, tid) if CLONE.THREAD in flags else _new_process(task, tid, request)
    except BaseException:
        kernel.free_pid(tid)
        raise
    if CLONE.CHILD_CLEARTID in flags:
        child.clear_child_tid = request.child_tid
    return child


def _check_flags(task: Task, request: CloneRequest) -> None:
    flags = request.flags
    if flags & _NAMESPACES:
        _refuse_namespaces(task, flags)
    needs = ((CLONE.THREAD, CLONE.SIGHAND), (CLONE.SIGHAND, CLONE.VM))
    excludes = ((CLONE.PIDFD, CLONE.DETACHED), (CLONE.SIGHAND, CLONE.CLEAR_SIGHAND))
    if any(one in flags and other not in flags for one, other in needs):
        raise LinuxError(Errno.EINVAL)
    if any(one in flags and other in flags for one, other in excludes):
        raise LinuxError(Errno.EINVAL)
    if CLONE.PARENT in flags and task.process.parent is None:
        raise LinuxError(Errno.EINVAL)
    if CLONE.INTO_CGROUP in flags:
        raise LinuxError(Errno.EBADF)  # there are no control groups, so there is no descriptor of one


def _refuse_namespaces(task: Task, flags: CLONE) -> None:
    """As a kernel without namespaces that knows who may have some."""
    if flags & (CLONE.NEWNS | CLONE.NEWUSER) and CLONE.FS in flags:
        raise LinuxError(Errno.EINVAL)
    if flags & _NAMESPACES & ~CLONE.NEWUSER:
        task.credentials.require(CAP.SYS_ADMIN)
    raise LinuxError(Errno.EINVAL)


def _check_limits(task: Task) -> None:
    """RLIMIT_NPROC, and the instance's own cap. EAGAIN."""
    kernel, credentials = task.kernel, task.credentials
    if len(kernel.tasks) >= kernel.max_tasks:
        raise LinuxError(Errno.EAGAIN)
    limit = task.process.limits.soft(RLIMIT.NPROC)
    is_free = credentials.uid == 0 or any(map(credentials.has_capability, (CAP.SYS_RESOURCE, CAP.SYS_ADMIN)))
    if not is_free and sum(t.credentials.uid == credentials.uid for t in kernel.tasks.values()) >= limit:
        raise LinuxError(Errno.EAGAIN)


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
    return child


def _new_process(task: Task, pid: int, request: CloneRequest) -> Task:
    flags, mother = request.flags, task.process
    parent = mother.parent if CLONE.PARENT in flags else mother
    limits, credentials = mother.limits.copy(), task.credentials.copy()
    memory = _memory(task, flags, limits, credentials)
    process = Process(task.kernel, pid, parent=parent, limits=limits, start_ns=task.kernel.uptime_ns())
    process.exit_signal = mother.exit_signal if CLONE.PARENT in flags else request.exit_signal
    process.inherit(mother)
    shared = _dispositions(mother.signals, flags)
    process.signals = shared
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
    child.name = process.name = task.name
    child.personality = task.personality
    return child


def _memory(task: Task, flags: CLONE, limits: "Limits", credentials: "Credentials") -> "Memory":
    if CLONE.VM in flags:
        return task.memory.hold()
    return task.memory.fork(memory_limit(limits, credentials))


def memory_limit(limits: "Limits", credentials: "Credentials") -> Callable[[int], int]:
    """What an address space of a process with these limits may have of a resource."""

    def limit(resource: int) -> int:
        if resource == RLIMIT.MEMLOCK and credentials.has_capability(CAP.IPC_LOCK):
            return RLIM_INFINITY
        return limits.soft(resource)

    return limit


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
