"""Families of processes without CPUs: real processes and tasks over a machine of the fakes."""

from collections.abc import Coroutine
from typing import Any, cast

from fakes.machine import FakeMachine

from aionoah.abi.errno import LinuxError
from aionoah.abi.sched import CLONE
from aionoah.abi.x86_64 import X86_64
from aionoah.fs.context import FsContext
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.memory.memory import Memory
from aionoah.process.clone import CloneRequest, clone_task
from aionoah.process.credentials import Credentials
from aionoah.process.descriptors import DescriptorTable
from aionoah.process.kernel import Kernel
from aionoah.process.scheduling import Scheduling
from aionoah.process.task import Process, Task


class Family:
    """Makes processes and threads in one kernel; `interrupts` are the tids of tasks that were interrupted."""

    def __init__(self, machine: FakeMachine) -> None:
        self.mounts = MountNamespace.of(TmpFileSystem(mode=0o755))
        self.machine = machine
        self.kernel = Kernel(cast("Any", machine), self.mounts)
        self.interrupts: list[int] = []
        self.tasks: list[Task] = []

    def first(self) -> Task:
        """A process that init has made, leader of a session."""
        pid = self.kernel.allocate_pid()
        process = Process(self.kernel, pid, parent=self.kernel.init)
        process.process_group = process.session = pid
        process.executable = cast("Any", None)
        credentials = Credentials()
        task = process.new_task(
            pid,
            architecture=X86_64,
            memory=Memory(cast("Any", self.machine), mmap_base=0x7000_0000_0000),
            files=DescriptorTable(lambda: 1024),
            fs=FsContext(self.mounts.root, credentials),
            credentials=credentials,
            scheduling=Scheduling(2),
        )
        return self.watch(task)

    def watch(self, task: Task) -> Task:
        self.tasks.append(task)
        task.signals.interrupt = lambda: self.interrupts.append(task.tid)
        return task

    def clone(self, task: Task, flags: int = 0, exit_signal: int = 17) -> Task:
        return self.watch(clone_task(task, CloneRequest(CLONE(flags), exit_signal)))


class Sleeper:
    """A coroutine stepped by hand, as a virtual CPU and the reactor would."""

    def __init__(self, coroutine: Coroutine[Any, None, Any]) -> None:
        self._coroutine = coroutine
        self.result: Any = None
        self.has_ended = False
        self.waiter: Any = None
        self.step()

    def step(self, thrown: LinuxError | None = None) -> "Sleeper":
        try:
            self.waiter = self._coroutine.send(None) if thrown is None else self._coroutine.throw(thrown)
        except StopIteration as stop:
            self.has_ended, self.result = True, stop.value
        return self

    def close(self) -> None:
        self._coroutine.close()
