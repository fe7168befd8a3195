"""Scheduling: sched_yield(2), sched_setaffinity(2), sched_setscheduler(2), sched_setparam(2),
sched_setattr(2), sched_get_priority_max(2), sched_rr_get_interval(2), getpriority(2), getcpu(2).

What is set is checked, kept and reported; which thread runs when is the host's decision.
"""

from typing import Final

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import PRIO
from aionoah.abi.sched import SCHED, SCHED_ATTR_SIZE_VER0, SCHED_FLAG, SchedAttr, SchedParam
from aionoah.abi.time import Timespec
from aionoah.clocks.duration import timespec
from aionoah.process.rseq import cpu_of
from aionoah.process.scheduling import Scheduling, is_realtime, priority_range
from aionoah.process.task import Task
from aionoah.syscalls.arguments import Addr, In, Int, Pid, Ptr, UInt
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.structures import read_structure
from aionoah.syscalls.targets import find_thread, find_threads

_KEPT: Final = "Kept and reported; the host's scheduler does not know of it."
_ROUND_ROBIN_NS: Final = 100_000_000  # RR_TIMESLICE
_FAIR_SLICE_NS: Final = 3_000_000  # sysctl_sched_base_slice of a small machine
_ATTR_FLAGS: Final = SCHED_FLAG.RESET_ON_FORK | SCHED_FLAG.KEEP_POLICY | SCHED_FLAG.KEEP_PARAMS


@syscall
def sched_yield(task: Task) -> None:
    """Whoever waits for this thread's CPU gets it now; programs spin with this until another thread has done its part."""
    numbers = task.process.cpu_numbers
    if numbers is not None and numbers.is_wanted(task.cpu):
        task.control.leave_cpu()


@syscall
def getcpu(task: Task, cpu: Addr, node: Addr, cache: Addr) -> None:  # noqa: ARG001 - unused since Linux 2.6.24
    if cpu:
        task.memory.write_word(cpu, cpu_of(task), 4)
    if node:
        task.memory.write_word(node, 0, 4)


# -- affinity -------------------------------------------------------------------------------------------


def _mask_size(scheduling: Scheduling) -> int:
    """Bytes of a mask of all CPUs, in words."""
    return (scheduling.cpu_count + 63) // 64 * 8


@syscall
def sched_getaffinity(task: Task, pid: Pid, size: UInt, mask: Addr) -> int:
    if size * 8 < task.scheduling.cpu_count or size % 8:
        raise LinuxError(Errno.EINVAL)
    scheduling = _find_affine(task, pid).scheduling
    length = min(size, _mask_size(scheduling))
    task.memory.write(mask, scheduling.affinity.to_bytes(length, "little"))
    return length


@syscall(partial=_KEPT)
def sched_setaffinity(task: Task, pid: Pid, size: UInt, mask: Addr) -> None:
    length = min(size, _mask_size(task.scheduling))
    wanted = int.from_bytes(task.memory.read(mask, length), "little")
    target = _find_affine(task, pid)
    _require_owner(task, target)
    target.scheduling.set_affinity(wanted)
    target.control.leave_cpu()


# -- policies -------------------------------------------------------------------------------------------


@syscall
def sched_get_priority_max(task: Task, policy: SCHED) -> int:  # noqa: ARG001
    return priority_range(policy)[1]


@syscall
def sched_get_priority_min(task: Task, policy: SCHED) -> int:  # noqa: ARG001
    return priority_range(policy)[0]


@syscall
def sched_getscheduler(task: Task, pid: Pid) -> int:
    scheduling = find_thread(task, pid).scheduling
    return scheduling.policy | (SCHED.RESET_ON_FORK if scheduling.resets_on_fork else 0)


@syscall(partial=_KEPT)
def sched_setscheduler(task: Task, pid: Pid, policy: SCHED, param: In[SchedParam]) -> None:
    if policy >> 31 or not param or pid < 0:
        raise LinuxError(Errno.EINVAL)
    priority = task.memory.get(SchedParam, param).sched_priority
    _set_policy(task, find_thread(task, pid), policy, priority)


@syscall
def sched_getparam(task: Task, pid: Pid, param: Ptr[SchedParam]) -> None:
    if not param:
        raise LinuxError(Errno.EINVAL)
    task.memory.put(param, SchedParam(find_thread(task, pid).scheduling.priority))


@syscall(partial=_KEPT)
def sched_setparam(task: Task, pid: Pid, param: In[SchedParam]) -> None:
    if not param or pid < 0:
        raise LinuxError(Errno.EINVAL)
    priority = task.memory.get(SchedParam, param).sched_priority
    target = find_thread(task, pid)
    resets = SCHED.RESET_ON_FORK if target.scheduling.resets_on_fork else 0
    _set_policy(task, target, target.scheduling.policy | resets, priority)


@syscall
def sched_getattr(task: Task, pid: Pid, attr: Ptr[SchedAttr], size: UInt, flags: UInt) -> None:
    if not attr or flags or not SCHED_ATTR_SIZE_VER0 <= size <= PAGE_SIZE:
        raise LinuxError(Errno.EINVAL)
    scheduling = find_thread(task, pid).scheduling
    length = min(size, SchedAttr.SIZE)
    value = SchedAttr(
        size=length,
        sched_policy=scheduling.policy,
        sched_flags=SCHED_FLAG.RESET_ON_FORK if scheduling.resets_on_fork else 0,
        sched_nice=0 if is_realtime(scheduling.policy) else scheduling.nice,
        sched_priority=scheduling.priority,
        sched_runtime=0 if is_realtime(scheduling.policy) else _FAIR_SLICE_NS,
        sched_deadline=0,
        sched_period=0,
        sched_util_min=0,
        sched_util_max=0,
    )
    task.memory.write(attr, value.pack()[:length])


@syscall(partial=_KEPT + " No deadlines, no utilization clamping.")
def sched_setattr(task: Task, pid: Pid, attr: In[SchedAttr], flags: UInt) -> None:
    if not attr or pid < 0 or flags:
        raise LinuxError(Errno.EINVAL)
    value = _get_attr(task, attr)
    if value.sched_policy >> 31:
        raise LinuxError(Errno.EINVAL)
    target = find_thread(task, pid)
    kept = target.scheduling
    if value.sched_flags & ~_ATTR_FLAGS:
        raise LinuxError(Errno.EINVAL)
    priority, nice = value.sched_priority, value.sched_nice
    if value.sched_flags & SCHED_FLAG.KEEP_PARAMS:  # those that the policy so far has
        is_timely = is_realtime(kept.policy)
        priority, nice = (kept.priority, nice) if is_timely else (priority, kept.nice)
    policy, is_reset = value.sched_policy, bool(value.sched_flags & SCHED_FLAG.RESET_ON_FORK)
    if value.sched_flags & SCHED_FLAG.KEEP_POLICY:  # which this flag is a part of
        policy, is_reset = kept.policy, kept.resets_on_fork
    _set_policy(task, target, policy | (is_reset and SCHED.RESET_ON_FORK), priority, nice)


def _get_attr(task: Task, address: int) -> SchedAttr:
    """The structure in the size that its caller knows (sched_copy_attr); E2BIG for one we do not know."""
    size = task.memory.read_word(address, 4) or SCHED_ATTR_SIZE_VER0
    if not SCHED_ATTR_SIZE_VER0 <= size <= PAGE_SIZE:
        raise LinuxError(Errno.E2BIG)
    return SchedAttr.unpack(read_structure(task.memory, address, size, SchedAttr.SIZE))


def _set_policy(task: Task, target: Task, policy: int, priority: int, nice: int | None = None) -> None:
    _require_owner(task, target)
    target.scheduling.set_policy(policy, priority, target.process.limits, task.credentials, nice)


@syscall
def sched_rr_get_interval(task: Task, pid: Pid, interval: Ptr[Timespec]) -> None:
    policy = find_thread(task, pid).scheduling.policy
    slices = {SCHED.RR: _ROUND_ROBIN_NS, SCHED.FIFO: 0}
    task.memory.put(interval, timespec(slices.get(policy, _FAIR_SLICE_NS)))


# -- nice -----------------------------------------------------------------------------------------------


@syscall
def getpriority(task: Task, which: PRIO, who: Int) -> int:
    return max(20 - target.scheduling.nice for target in find_threads(task, which, who))


@syscall(partial=_KEPT)
def setpriority(task: Task, which: PRIO, who: Int, nice: Int) -> None:
    failure: LinuxError | None = None
    for target in find_threads(task, which, who):
        try:
            _require_owner(task, target)
            target.scheduling.set_nice(nice, target.process.limits, task.credentials)
        except LinuxError as error:
            failure = error
    if failure is not None:
        raise failure


# -- targets --------------------------------------------------------------------------------------------


def _find_affine(task: Task, pid: int) -> Task:
    """As `find_thread`, for the calls that do not look at the number first: ESRCH for a negative one."""
    if pid < 0:
        raise LinuxError(Errno.ESRCH)
    return find_thread(task, pid)


def _require_owner(task: Task, target: Task) -> None:
    """EPERM for a thread of somebody else's without CAP_SYS_NICE."""
    mine, theirs = task.credentials, target.credentials
    if mine.euid not in (theirs.uid, theirs.euid):
        mine.require(CAP.SYS_NICE)
