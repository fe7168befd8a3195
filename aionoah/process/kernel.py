"""What one Linux instance shares among all its processes."""

import itertools
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from aionoah.abi.errno import Errno, LinuxError
from aionoah.clocks.timers import Timers
from aionoah.fs.aio_limits import AioLimits
from aionoah.fs.inotify_limits import InotifyLimits
from aionoah.fs.lease_limits import LeaseLimits
from aionoah.host import facts
from aionoah.host.edges import HostEdges
from aionoah.net.network import Network
from aionoah.process.coredump.settings import CoreSettings
from aionoah.process.futex import FutexTable
from aionoah.process.init import end_init
from aionoah.process.namespaces import FIRST_LATER_NUMBER, IpcNamespace, Namespaces, UtsNamespace
from aionoah.process.processor import Processor
from aionoah.process.task import Process
from aionoah.process.user_namespaces import UserNamespaceSettings
from aionoah.terminal.pty import Pty, Ptys

if TYPE_CHECKING:
    from aionoah.fs.file import File
    from aionoah.fs.inode import Inode
    from aionoah.fs.mount_namespace import MountNamespace
    from aionoah.fs.path import Dentry
    from aionoah.hypervisor.protocols import Machine
    from aionoah.process.ipc.tables import Ipc
    from aionoah.process.task import Task

PID_MAX: Final = 1 << 22  # numbers stay below: /proc/sys/kernel/pid_max, as systemd sets it
DEFAULT_MAX_TASKS: Final = 16384
RESERVED_PIDS: Final = 300  # where allocation starts again after PID_MAX (kernel/pid.c)
RELEASE: Final = b"6.12.0-aionoah"
VERSION: Final = b"#1 SMP PREEMPT_DYNAMIC aionoah"


class RunHelper(Protocol):
    def __call__(self, argv: "Sequence[bytes]", stdin: "File", told: "Told") -> None:
        """Start a program for the kernel itself, as root, with nothing but a standard input, which is held until then.

        `told` is called with whether it has started, under the kernel lock and on any thread. EAGAIN.
        """


class Told(Protocol):
    def __call__(self, *, has_started: bool) -> None: ...


class Kernel:
    """One instance of Linux: its processes, its tree of mounts, its names.

    `tasks` has every thread that has not ended, by tid; `processes` every process whose parent has
    not yet heard of its end, by pid. Both are kept by whoever makes and reaps them, together with the
    numbers, which come from `allocate_pid` and go back with `free_pid`.
    """

    def __init__(
        self,
        machine: "Machine",
        mounts: "MountNamespace",
        *,
        hostname: bytes = b"aionoah",
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """`random` gives as many unpredictable bytes as asked for."""
        self.machine = machine
        self.processor = Processor()  # what every program is told; whoever makes the instance sets it
        self.mounts = mounts  # of the first name space, as the application sees them
        mounts.forest.is_root_in_use = self.has_open
        self.ipc_namespaces: list[IpcNamespace] = []
        self.namespaces = Namespaces(UtsNamespace(hostname), IpcNamespace(self.ipc_namespaces), mounts)
        self.namespace_numbers = itertools.count(FIRST_LATER_NUMBER)
        self.release = RELEASE
        self.version = VERSION
        self.random = random
        self.boot_id = random_uuid(random)
        self.boot_time_ns = facts.boot_time_ns()  # the host's: when CLOCK_BOOTTIME was 0, since the epoch
        self.cpu_count = facts.cpu_count()
        self.timers = Timers()  # these two do nothing by themselves; whoever runs the instance sets them
        self.host_edges = HostEdges()
        self.processes: dict[int, Process] = {}
        self.tasks: dict[int, Task] = {}
        self.futexes = FutexTable()
        self.network = Network()
        self.inotify_limits = InotifyLimits()
        self.aio_limits = AioLimits()
        self.core_settings = CoreSettings()
        self.user_namespace_settings = UserNamespaceSettings()
        self.run_helper: RunHelper | None = None  # whoever runs the instance sets it
        self.lease_limits = LeaseLimits()
        self.ptys = Ptys()
        self.console: Pty | None = None  # what /dev/console is: the terminal of the first program
        self.logins = 0  # sessions ever begun
        self.forks = 0  # processes and threads ever made, for /proc/stat
        self.last_pid = 0  # the youngest one's number, for /proc/loadavg
        self.max_tasks = DEFAULT_MAX_TASKS  # threads that may exist at once
        self._pids: set[int] = set()
        self._has_wrapped = False
        self.init = Process(self, self.allocate_pid())  # adopts orphans; to be seen after `show_init`
        del self.processes[self.init.pid]

    @property
    def hostname(self) -> bytes:
        """Of the first name space, as everybody has who has not asked for another one."""
        return self.namespaces.uts.hostname

    @hostname.setter
    def hostname(self, name: bytes) -> None:
        self.namespaces.uts.hostname = name

    def has_open(self, place: "Dentry") -> bool:
        """Whether a task works in a directory, has it as its root, or has it open."""
        for each in self.tasks.values():
            if each.fs.cwd is place or each.fs.root is place:
                return True
            if any(each.files.get(fd, allow_path=True).dentry is place for fd in each.files):
                return True
        return False

    @property
    def used_ipc(self) -> "list[Ipc]":
        """System V IPC of every name space where any program has asked for it."""
        found = (one.used_system_v for one in self.ipc_namespaces)
        return [one for one in found if one is not None]

    def close(self) -> None:
        """The end of the instance: whatever outlives processes goes."""
        for ipc in self.used_ipc:
            ipc.memory.release()
        end_init(self)
        self.mounts.release()

    @staticmethod
    def uptime_ns() -> int:
        """CLOCK_BOOTTIME."""
        return facts.uptime_ns()

    @property
    def guests(self) -> "list[Process]":
        """The processes that are not init, by their pids."""
        return [self.processes[pid] for pid in sorted(self.processes) if pid != self.init.pid]

    @property
    def pid_count(self) -> int:
        """Threads and zombies that there are; init, which is ours, does not count."""
        return len(self._pids) - 1

    def programs(self) -> "list[Inode]":
        """The files that processes run. Zombies run none."""
        places = [each.executable for each in self.processes.values() if each.tasks]
        return [place.inode for place in places if place is not None]

    def allocate_pid(self, wanted: int | None = None) -> int:
        """A number for a new thread or process, ascending until they wrap around; EAGAIN if all are taken.

        `wanted` is taken if it is free, else EEXIST. A number stays taken while anything has it: a thread, a
        zombie, a process group or a session.
        """
        if wanted is not None:
            return self._take_pid(wanted)
        if len(self._pids) >= PID_MAX - RESERVED_PIDS:
            raise LinuxError(Errno.EAGAIN)
        pid = self.last_pid
        while True:
            pid += 1
            if pid >= PID_MAX:
                pid, self._has_wrapped = RESERVED_PIDS, True
            if pid not in self._pids and not (self._has_wrapped and self._is_group(pid)):
                break
        self.last_pid = pid
        return self._take_pid(pid)

    def _take_pid(self, pid: int) -> int:
        if pid in self._pids:
            raise LinuxError(Errno.EEXIST)
        self._pids.add(pid)
        self.forks += 1
        return pid

    def _is_group(self, number: int) -> bool:
        """Whether a process group or session has the number."""
        return any(number in (other.process_group, other.session) for other in self.processes.values())

    def free_pid(self, pid: int) -> None:
        self._pids.discard(pid)


def random_uuid(random: Callable[[int], bytes]) -> bytes:
    """A random UUID as text, as /proc/sys/kernel/random/uuid gives one at each reading."""
    number = int.from_bytes(random(16), "big")
    number = number & ~(0xF << 76 | 3 << 62) | 4 << 76 | 2 << 62  # version 4, variant 2 (RFC 9562)
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])).encode()
