"""Tasks without memory management, files or CPUs, for what asks a task for nothing more."""

from types import SimpleNamespace
from typing import Any, TypeVar

from aionoah.abi.architecture import Architecture
from aionoah.abi.cstruct import Struct
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.x86_64 import X86_64
from aionoah.memory.guest_memory import GuestMemory
from aionoah.process.credentials import Credentials
from aionoah.process.limits import Limits
from aionoah.process.stopping import StopState
from aionoah.signals.state import SharedSignals, TaskSignals

T = TypeVar("T", bound=Struct)

BASE = 0x10000
SIZE = 0x4000
BAD = 0xDEAD_0000
"""An address where there is nothing."""


class FlatMemory(GuestMemory):
    """SIZE bytes at BASE, and EFAULT everywhere else."""

    def __init__(self) -> None:
        self.bytes = bytearray(SIZE)

    def _offset(self, address: int, length: int) -> int:
        if not BASE <= address <= address + length <= BASE + SIZE:
            raise LinuxError(Errno.EFAULT)
        return address - BASE

    def read(self, address: int, length: int) -> bytes:
        offset = self._offset(address, length)
        return bytes(self.bytes[offset : offset + length])

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        offset = self._offset(address, len(data))
        self.bytes[offset : offset + len(data)] = data

    def get(self, kind: type[T], address: int) -> T:
        return kind.unpack(self.read(address, kind.SIZE))

    def put(self, address: int, value: Struct) -> None:
        self.write(address, value.pack())

    def read_word(self, address: int, size: int = 8) -> int:
        return int.from_bytes(self.read(address, size), "little")

    def write_word(self, address: int, value: int, size: int = 8) -> None:
        self.write(address, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))

    def read_cstring(self, address: int, limit: int = 4096) -> bytes:
        offset = self._offset(address, 1)
        text, end, _ = bytes(self.bytes[offset : offset + limit]).partition(b"\0")
        if not end:
            raise LinuxError(Errno.ENAMETOOLONG)
        return text


class FakeControl:
    """A CPU that has run for as long as one says."""

    def __init__(self) -> None:
        self.spent_ns = 0

    def cpu_time_ns(self) -> int:
        return self.spent_ns

    user_time_ns = cpu_time_ns

    def count_moved(self) -> None: ...


class FakeProcess:
    def __init__(self, kernel: Any, pid: int) -> None:
        self.kernel = kernel
        self.pid = pid
        self.tasks: dict[int, Any] = {}
        self.signals = SharedSignals()
        self.limits = Limits()
        self.process_group = self.session = pid
        self.parent = SimpleNamespace(process_group=0, session=pid, is_init=False)
        self.stop = StopState()
        self.exit_status: int | None = None
        kernel.processes[pid] = self

    def resume(self) -> None:
        self.stop.signal = 0

    release = resume

    @property
    def all_cpu_time_ns(self) -> int:
        return sum(task.control.cpu_time_ns() for task in self.tasks.values())

    @property
    def user_time_ns(self) -> int:
        return sum(task.control.user_time_ns() for task in self.tasks.values())


class FakeTask:
    """A thread; `interrupts` counts how often it has been told that a signal is there."""

    def __init__(self, process: Any, tid: int, uid: int = 0, architecture: Architecture = X86_64) -> None:
        self.process = process
        self.kernel = process.kernel
        self.tid = tid
        self.architecture = architecture
        self.memory = FlatMemory()
        self.credentials = Credentials(uid, uid)
        self.signals = TaskSignals(process.signals)
        self.signals.interrupt = self._count
        self.control = FakeControl()
        self.interrupts = 0
        process.tasks[tid] = self
        self.kernel.tasks[tid] = self

    def _count(self) -> None:
        self.interrupts += 1


def new_kernel() -> Any:
    """A kernel that knows processes and tasks."""
    return SimpleNamespace(processes={}, tasks={})


def new_task(kernel: Any = None, pid: int = 100, uid: int = 0, architecture: Architecture = X86_64) -> Any:
    """The only thread of a new process; Any, so that it passes for a Task."""
    process = FakeProcess(kernel or new_kernel(), pid)
    return FakeTask(process, pid, uid, architecture)
