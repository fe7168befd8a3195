"""What a thread has asked of the scheduler. The host's scheduler decides; these values are remembered,
checked and reported as Linux does (sched(7); kernel/sched/syscalls.c).
"""

from typing import Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import RLIMIT
from aionoah.abi.sched import SCHED
from aionoah.process.credentials import Credentials
from aionoah.process.limits import Limits

MAX_REALTIME_PRIORITY: Final = 99
MIN_NICE: Final = -20
MAX_NICE: Final = 19
_REALTIME: Final = (SCHED.FIFO, SCHED.RR)
_FAIR: Final = (SCHED.NORMAL, SCHED.BATCH, SCHED.IDLE)
_REFUSED: Final = (SCHED.DEADLINE, SCHED.EXT)  # the kernel knows them, and nobody may have them here


def is_realtime(policy: int) -> bool:
    return policy in _REALTIME


def priority_range(policy: int) -> tuple[int, int]:
    """The least and the greatest static priority of a policy; EINVAL for one that does not exist."""
    if policy in _REALTIME:
        return 1, MAX_REALTIME_PRIORITY
    if policy in _FAIR + _REFUSED:
        return 0, 0
    raise LinuxError(Errno.EINVAL)


class Scheduling:
    """Policy, priorities and affinity of one thread. CPUs are numbered from 0 to `cpu_count` - 1."""

    __slots__ = ("affinity", "cpu_count", "io_priority", "nice", "policy", "priority", "resets_on_fork")

    def __init__(self, cpu_count: int) -> None:
        self.cpu_count = cpu_count
        self.affinity = (1 << cpu_count) - 1  # bit per CPU
        self.nice = 0
        self.policy: int = SCHED.NORMAL
        self.priority = 0  # 1 to 99 with a real-time policy
        self.resets_on_fork = False
        self.io_priority = 0  # class and level, as ioprio_set(2) has them

    def copy(self) -> "Scheduling":
        """The values of a child: nothing real-time or better than normal if it is to reset."""
        copy = Scheduling(self.cpu_count)
        copy.affinity = self.affinity
        copy.io_priority = self.io_priority
        if not self.resets_on_fork:
            copy.policy, copy.priority, copy.nice = self.policy, self.priority, self.nice
        elif not is_realtime(self.policy):
            copy.policy, copy.nice = self.policy, max(self.nice, 0)
        return copy

    def set_affinity(self, mask: int) -> None:
        """Run on these CPUs only, as far as there are any; EINVAL if none of them exists."""
        mask &= (1 << self.cpu_count) - 1
        if not mask:
            raise LinuxError(Errno.EINVAL)
        self.affinity = mask

    def cpu_of(self, tid: int) -> int:
        """The CPU that a thread is told it runs on. Threads are spread, so that programs which keep
        data per CPU have them use different data.
        """
        allowed = [cpu for cpu in range(self.cpu_count) if self.affinity >> cpu & 1]
        return allowed[tid % len(allowed)]

    def set_nice(self, nice: int, limits: Limits, credentials: Credentials) -> None:
        """Clamp and set; EACCES for a better value than now without the right to it."""
        self._set_nice(nice, limits, credentials, refusal=Errno.EACCES)

    def _set_nice(self, nice: int, limits: Limits, credentials: Credentials, *, refusal: Errno) -> None:
        nice = min(max(nice, MIN_NICE), MAX_NICE)
        best = 20 - limits.soft(RLIMIT.NICE)  # the limit is counted from 1 (nice 19) to 40 (nice -20)
        if nice < self.nice and nice < best and not credentials.has_capability(CAP.SYS_NICE):
            raise LinuxError(refusal)
        self.nice = nice

    def set_policy(
        self, policy: int, priority: int, limits: Limits, credentials: Credentials, nice: int | None = None
    ) -> None:
        """EINVAL for a policy or priority that does not exist or is refused; EPERM.

        `nice`, clamped, is for the policies that go by it.
        """
        resets_on_fork = bool(policy & SCHED.RESET_ON_FORK)
        policy &= ~SCHED.RESET_ON_FORK
        least, greatest = priority_range(policy)
        if not least <= priority <= greatest or policy in _REFUSED:
            raise LinuxError(Errno.EINVAL)
        if not credentials.has_capability(CAP.SYS_NICE):
            self._require_modest(policy, priority, limits, resets_on_fork=resets_on_fork)
        if nice is not None and policy in (SCHED.NORMAL, SCHED.BATCH):
            self._set_nice(nice, limits, credentials, refusal=Errno.EPERM)
        self.policy, self.priority, self.resets_on_fork = policy, priority, resets_on_fork

    def _require_modest(self, policy: int, priority: int, limits: Limits, *, resets_on_fork: bool) -> None:
        """What those may do who may not do everything (user_check_sched_setscheduler). EPERM."""
        allowed = limits.soft(RLIMIT.RTPRIO)
        is_forbidden = (
            (is_realtime(policy) and policy != self.policy and not allowed)
            or (is_realtime(policy) and priority > self.priority and priority > allowed)
            or (self.policy == SCHED.IDLE != policy and self.nice < 20 - limits.soft(RLIMIT.NICE))
            or (self.resets_on_fork and not resets_on_fork)
        )
        if is_forbidden:
            raise LinuxError(Errno.EPERM)
