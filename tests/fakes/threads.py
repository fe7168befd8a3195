"""Tasks with real memory and no CPU, whose sleeping calls are stepped by hand as the reactor would."""

from collections.abc import Coroutine
from typing import Any, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mman import MAP, PROT
from aionoah.abi.x86_64 import X86_64
from aionoah.fs.context import FsContext
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.host.waiting import Waiter
from aionoah.memory.memory import Memory
from aionoah.process.credentials import Credentials
from aionoah.process.descriptors import DescriptorTable
from aionoah.process.kernel import Kernel
from aionoah.process.scheduling import Scheduling
from aionoah.process.task import Process, Task

ARENA: Final = 0x10_0000
ARENA_SIZE: Final = 0x4000
READ_WRITE: Final = PROT.READ | PROT.WRITE
ANONYMOUS: Final = MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED


class World:
    """One kernel. Close it, so that the machine can look for leaks."""

    def __init__(self, machine: Any) -> None:
        self.machine = machine
        self._mounts = MountNamespace.of(TmpFileSystem(mode=0o755))
        self.kernel = Kernel(machine, self._mounts)
        self._memories: list[Memory] = []

    def process(self, memory: Memory | None = None) -> Task:
        """The only thread of a new process, with memory at ARENA."""
        if memory is None:
            memory = Memory(self.machine, mmap_base=0x7000_0000_0000)
            memory.mmap(ARENA, ARENA_SIZE, READ_WRITE, ANONYMOUS)
        self._memories.append(memory)
        pid = self.kernel.allocate_pid()
        credentials = Credentials()
        return Process(self.kernel, pid).new_task(
            pid,
            architecture=X86_64,
            memory=memory,
            files=DescriptorTable(lambda: 64),
            fs=FsContext(self._mounts.root, credentials),
            credentials=credentials,
            scheduling=Scheduling(2),
        )

    def thread(self, sibling: Task, priority: int = 0) -> Task:
        """A further thread of a process, perhaps with a real-time priority."""
        self._memories.append(sibling.memory.hold())
        scheduling = Scheduling(2)
        scheduling.priority = priority
        return sibling.process.new_task(
            self.kernel.allocate_pid(),
            architecture=X86_64,
            memory=sibling.memory,
            files=sibling.files.share(),
            fs=sibling.fs,
            credentials=sibling.credentials,
            scheduling=scheduling,
        )

    def fork(self, parent: Task) -> Task:
        return self.process(parent.memory.fork(lambda _: 1 << 62))

    def close(self) -> None:
        for memory in self._memories:
            memory.drop()


class Call:
    """A call that may sleep. `outcome` is None while it does, then its result or its Errno."""

    def __init__(self, coroutine: Coroutine[Waiter, None, Any]) -> None:
        self.coroutine = coroutine
        self.outcome: Any = None
        self.wakes = 0
        self._step(None)

    def _step(self, thrown: BaseException | None) -> None:
        try:
            waiter = self.coroutine.send(None) if thrown is None else self.coroutine.throw(thrown)
        except StopIteration as stop:
            self.outcome = 0 if stop.value is None else stop.value
        except LinuxError as error:
            self.outcome = error.errno
        else:
            assert isinstance(waiter, Waiter)
            self.waiter = waiter
            waiter.on_wake = self._count

    def _count(self) -> None:
        self.wakes += 1

    @property
    def is_woken(self) -> bool:
        return self.wakes > 0

    def run(self) -> Any:
        """Go on, as a woken call does, or one whose deadline has come."""
        self._step(None)
        return self.outcome

    def interrupt(self) -> Any:
        """A signal is there."""
        self._step(LinuxError(Errno.ERESTARTSYS))
        return self.outcome

    def kill(self) -> None:
        self.coroutine.close()
