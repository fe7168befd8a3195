"""The vCPU threads of one instance: how they begin, and what they share."""

from collections.abc import Callable
from threading import Condition
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from aionoah.abi.errno import Errno, LinuxError
from aionoah.call_server import CallServer
from aionoah.host.waiting import kernel_lock
from aionoah.hypervisor.protocols import AddressSpace, Machine
from aionoah.os_threads import OsThreads
from aionoah.vcpu_thread import ThreadState, VcpuThread

if TYPE_CHECKING:
    from aionoah.process.exec import Loaded
    from aionoah.process.task import Task
    from aionoah.reactor import Reactor
    from aionoah.syscalls.dispatch import SyscallTable


class VcpuThreads:
    """The vCPU threads of one instance. All methods but `close` are called under the kernel lock."""

    def __init__(
        self,
        machine: Machine,
        reactor: "Reactor",
        table: "SyscallTable",
        on_exit: "Callable[[VcpuThread, BaseException | None], None]",
    ) -> None:
        """`on_exit` is the last that a thread calls, under the kernel lock: with None, or the exception of a bug of ours."""
        self.machine = machine
        self.reactor = reactor
        self.table = table
        self.on_exit = on_exit
        self._vcpu_is_free: WeakKeyDictionary[AddressSpace, Condition] = WeakKeyDictionary()
        self._os_threads = OsThreads()
        mailboxes = machine.open_mailboxes()
        self.call_server = CallServer(mailboxes, table) if mailboxes is not None else None
        if machine.spinners is not None:
            kernel_lock.spinners = machine.spinners
        self._coming: dict[AddressSpace, int] = {}  # threads that will take a virtual CPU when they begin
        self.running: set[VcpuThread] = set()  # until whoever is told of their end takes them out

    def vcpu_is_free(self, space: AddressSpace) -> Condition:
        """Notified when a space has one more virtual CPU to give. Each has its own: thousands may wait."""
        return self._vcpu_is_free.setdefault(space, kernel_lock.condition())

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
        """Start a thread for a task that exists. EAGAIN if the host has no more threads or virtual CPUs."""
        space = task.memory.space
        coming = self._coming.get(space, 0) + 1
        if space.open_vcpus + coming < self.machine.max_vcpus:  # else it waits until one is free
            try:
                space.reserve_vcpus(coming)
            except MemoryError:
                raise LinuxError(Errno.EAGAIN) from None
        thread = VcpuThread(self, lambda thread: self._begin_clone(thread, task, state))
        thread.adopt(task)
        self._start(thread)
        self._coming[space] = coming

    def _begin_clone(self, thread: VcpuThread, task: "Task", state: ThreadState) -> "Task":
        space = task.memory.space
        self._coming[space] -= 1
        if not self._coming[space]:
            del self._coming[space]
        return thread.resume(task, state)

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
        if self.call_server is not None:
            self.call_server.close()
