"""Resource limits: sixteen pairs of numbers and who may raise them (getrlimit(2); kernel/sys.c)."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import RLIM_INFINITY, RLIM_NLIMITS, RLIMIT, STK_LIM
from aionoah.fs import lending
from aionoah.process.credentials import Credentials

OPEN_FILES_MAX: Final = 1 << 20  # fs.nr_open: RLIMIT_NOFILE cannot be more
_TASKS_MAX: Final = 32768 // 2  # Linux: half of the threads that its memory could hold


class Limit(NamedTuple):
    """A soft and a hard limit, in the unit of the resource."""

    soft: int
    hard: int


_UNLIMITED: Final = Limit(RLIM_INFINITY, RLIM_INFINITY)

# include/asm-generic/resource.h, except NOFILE's hard limit: Linux says 4096 and expects init to raise it.
_DEFAULTS: Final = {
    RLIMIT.STACK: Limit(STK_LIM, RLIM_INFINITY),
    RLIMIT.CORE: Limit(0, RLIM_INFINITY),
    RLIMIT.NPROC: Limit(_TASKS_MAX, _TASKS_MAX),
    RLIMIT.NOFILE: Limit(1024, OPEN_FILES_MAX),
    RLIMIT.MEMLOCK: Limit(8 << 20, 8 << 20),
    RLIMIT.SIGPENDING: Limit(_TASKS_MAX, _TASKS_MAX),
    RLIMIT.MSGQUEUE: Limit(819200, 819200),
    RLIMIT.NICE: Limit(0, 0),
    RLIMIT.RTPRIO: Limit(0, 0),
}


class Limits:
    """The limits of one process; index with RLIMIT members."""

    __slots__ = ("_limits", "file_size")

    def __init__(self, other: "Limits | None" = None) -> None:
        """Linux's defaults, or the same as `other`."""
        if other is not None:
            self._limits = list(other)
        else:
            self._limits = [_DEFAULTS.get(resource, _UNLIMITED) for resource in range(RLIM_NLIMITS)]
        self.file_size: int | None = None  # what each write asks: the soft limit in bytes, None for no limit
        self._limit_files()

    def __iter__(self) -> Iterator[Limit]:
        return iter(self._limits)

    def copy(self) -> "Limits":
        """The limits of a child."""
        return Limits(self)

    def __getitem__(self, resource: int) -> Limit:
        """EINVAL for a resource that does not exist."""
        if not 0 <= resource < RLIM_NLIMITS:
            raise LinuxError(Errno.EINVAL)
        return self._limits[resource]

    def soft(self, resource: int) -> int:
        """What a known resource is limited to now; RLIM_INFINITY if by nothing."""
        return self._limits[resource].soft

    def set(self, resource: int, limit: Limit, credentials: Credentials) -> None:
        """Change a limit on behalf of somebody: EINVAL, EPERM."""
        old = self[resource]
        if limit.soft > limit.hard:
            raise LinuxError(Errno.EINVAL)
        if resource == RLIMIT.NOFILE and limit.hard > OPEN_FILES_MAX:
            raise LinuxError(Errno.EPERM)
        if limit.hard > old.hard:
            credentials.require(CAP.SYS_RESOURCE)
        self._limits[resource] = limit
        self._limit_files()
        if resource == RLIMIT.FSIZE:
            lending.forget()  # whoever has no limit is lent files without asking for it each time

    def _limit_files(self) -> None:
        most = self.soft(RLIMIT.FSIZE)
        self.file_size = None if most == RLIM_INFINITY else most

    def add_cpu_second(self) -> None:
        """Raise the soft limit of CPU time, as Linux does with each SIGXCPU."""
        old = self._limits[RLIMIT.CPU]
        self._limits[RLIMIT.CPU] = Limit(old.soft + 1, old.hard)

    def limit_stack(self, size: int) -> None:
        """Lower the soft stack limit, as for a set-user-ID program."""
        old = self._limits[RLIMIT.STACK]
        self._limits[RLIMIT.STACK] = Limit(min(old.soft, size), old.hard)


def memory_limit(limits: Limits, credentials: Credentials) -> Callable[[int], int]:
    """What an address space of a process with these limits may take of a resource, now and later."""

    def limit(resource: int) -> int:
        if resource == RLIMIT.MEMLOCK and credentials.has_capability(CAP.IPC_LOCK):
            return RLIM_INFINITY
        return limits.soft(resource)

    return limit
