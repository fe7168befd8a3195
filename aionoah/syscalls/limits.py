"""Resource limits: prlimit(2), getrlimit(2), setrlimit(2). The rules are in process/limits.py."""

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import RLIMIT, Rlimit
from aionoah.process.limits import Limit
from aionoah.process.task import Task
from aionoah.syscalls.arguments import In, Pid, Ptr
from aionoah.syscalls.registry import syscall

_PARTIAL = (
    "Kept and reported; CPU, NOFILE, STACK, AS, DATA, MEMLOCK, SIGPENDING, NICE and RTPRIO are enforced."
)


@syscall(partial=_PARTIAL)
def getrlimit(task: Task, resource: RLIMIT, rlim: Ptr[Rlimit]) -> None:
    task.memory.put(rlim, Rlimit(*task.process.limits[resource]))


@syscall(partial=_PARTIAL)
def setrlimit(task: Task, resource: RLIMIT, rlim: In[Rlimit]) -> None:
    _set_limit(task, task, resource, _get_limit(task, rlim))


@syscall(partial=_PARTIAL)
def prlimit64(task: Task, pid: Pid, resource: RLIMIT, new: In[Rlimit], old: Ptr[Rlimit]) -> None:
    wanted = _get_limit(task, new) if new else None
    target = task.kernel.tasks.get(pid) if pid else task
    if target is None:
        raise LinuxError(Errno.ESRCH)
    _check_permission(task, target)

    limits = target.process.limits
    before = limits[resource]
    if wanted is not None:
        _set_limit(task, target, resource, wanted)
    if old:
        task.memory.put(old, Rlimit(*before))


def _set_limit(task: Task, target: Task, resource: int, wanted: Limit) -> None:
    target.process.limits.set(resource, wanted, task.credentials)
    if resource == RLIMIT.CPU:
        target.process.timers.limit_changed()


def _get_limit(task: Task, address: int) -> Limit:
    value = task.memory.get(Rlimit, address)
    return Limit(value.rlim_cur, value.rlim_max)


def _check_permission(task: Task, target: Task) -> None:
    """Oneself, somebody with exactly the same ids, or anybody for CAP_SYS_RESOURCE; EPERM."""
    mine, theirs = task.credentials, target.credentials
    is_same = {theirs.uid, theirs.euid, theirs.suid} == {mine.uid} and {
        *(theirs.gid, theirs.egid, theirs.sgid)
    } == {mine.gid}
    if target is not task and not is_same:
        mine.require(CAP.SYS_RESOURCE)
