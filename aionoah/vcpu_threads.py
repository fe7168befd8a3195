"""The vCPU threads of one instance: how they begin, and what they share."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.host.waiting import kernel_lock
from aionoah.hypervisor.protocols import Machine
from aionoah.os_threads import OsThreads
from aionoah.vcpu_thread import ThreadState, VcpuThread

if TYPE_CHECKING:
    from aionoah.process.exec import Loaded
    from aionoah.process.task import Task
    from aionoah.reactor import Reactor
    from aionoah.syscalls.dispatch import SyscallTable


class VcpuThreads:
    """The vCPU threads of one instance. All methods are called under the kernel lock or on the loop."""

    def __init__(
        self,
        machine: Machine,
        reactor: "Reactor",
        table: "SyscallTable",
        on_exit: "Callable[[VcpuThread, BaseException | None], None]",
    ) -> None:
        """`on_exit` is the last that a thread calls: with None, or the exception of a bug of ours."""
        self.machine = machine
        self.reactor = reactor
        self.table = table
        self.on_exit = on_exit
        self.vcpu_is_free = threading.Condition(kernel_lock)  # notified when some space has one more to give
        self.cpu_is_free = threading.Condition(
            kernel_lock
        )  # notified when a thread has got its turn on a CPU
        self._os_threads = OsThreads()
        self.running: set[VcpuThread] = set()  # until whoever is told of their end takes them out

    def boot(
        self,
        boot: "Callable[[], tuple[Task, Loaded]]",
        on_start: "Callable[[VcpuThread, Task | Exception], None]",
    ) -> None:
        """Start a thread that makes its own task, under the kernel lock; `on_start` gets the task, or what
        `boot` raised and the thread has ended of. EAGAIN if the host has no more threads.
        """

        def begin(thread: VcpuThread) -> "Task | None":
            try:
                task, program = boot()
                thread.attach(task)
            except Exception as error:  # noqa: BLE001 - whoever starts the task gets it
                on_start(thread, error)
                return None
            thread.enter_program(program)
            on_start(thread, task)
            return task

        self._start(VcpuThread(self, begin))

    def clone(self, task: "Task", state: ThreadState) -> None:
        """Start a thread for a task that exists. EAGAIN if the host has no more threads."""
        thread = VcpuThread(self, lambda thread: thread.resume(task, state))
        thread.adopt(task)
        self._start(thread)

    def _start(self, thread: VcpuThread) -> None:
        self.running.add(thread)
        try:
            self._os_threads.run(thread.main)
        except RuntimeError:
            self.running.discard(thread)
            raise LinuxError(Errno.EAGAIN) from None

    def close(self) -> None:
        """Wait for the OS threads; all guest threads have told their end. Without the kernel lock."""
        self._os_threads.close()
