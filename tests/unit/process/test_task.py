"""Threads and processes as they begin and end, without a CPU."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from fakes.machine import FakeMachine

from aionoah.abi.capability import CAP
from aionoah.abi.fcntl import O
from aionoah.abi.resource import RLIMIT
from aionoah.abi.wait import exited_status
from aionoah.abi.x86_64 import X86_64
from aionoah.fs.context import FsContext
from aionoah.fs.file import File
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.memory.memory import Memory
from aionoah.process.control import NoControl
from aionoah.process.credentials import Credentials
from aionoah.process.descriptors import DescriptorTable
from aionoah.process.kernel import Kernel
from aionoah.process.scheduling import Scheduling
from aionoah.process.task import Process, Task


class Cpu(NoControl):
    """Counts how often its thread has been told to end."""

    def __init__(self, spent_ns: int = 0) -> None:
        self.spent_ns = spent_ns
        self.exits = 0

    def exit_thread(self) -> None:
        self.exits += 1

    def cpu_time_ns(self) -> int:
        return self.spent_ns


@pytest.fixture
def process(machine: FakeMachine) -> Process:
    kernel = Kernel(cast("Any", machine), MountNamespace.of(TmpFileSystem()))
    return Process(kernel, kernel.allocate_pid())


@pytest.fixture
def new_task(process: Process, machine: FakeMachine) -> Iterator[Callable[..., Task]]:
    """Makes threads of the process, which share everything."""
    memory = Memory(cast("Any", machine), mmap_base=0x7000_0000_0000)
    files = DescriptorTable(lambda: 10)
    credentials = Credentials()
    made: list[Task] = []

    def make(spent_ns: int = 0) -> Task:
        tid = process.kernel.allocate_pid() if made else process.pid
        task = process.new_task(
            tid,
            architecture=X86_64,
            memory=memory.hold() if made else memory,
            files=files.share() if made else files,
            fs=FsContext(process.kernel.mounts.root, credentials),
            credentials=credentials,
            scheduling=Scheduling(1),
        )
        task.control = Cpu(spent_ns)
        made.append(task)
        return task

    yield make
    for task in made:
        task.exit(0)
        if not cast("Any", memory.space).is_closed:
            task.release()


def test_a_new_thread_is_known(process: Process, new_task: Callable[..., Task]) -> None:
    main, other = new_task(), new_task()
    assert main.is_leader
    assert not other.is_leader
    assert process.tasks == {main.tid: main, other.tid: other}
    assert process.kernel.tasks[other.tid] is other
    assert process.kernel.processes[process.pid] is process
    assert (process.process_group, process.session) == (process.pid, process.pid)


def test_names_are_cut(process: Process, new_task: Callable[..., Task]) -> None:
    main, other = new_task(), new_task()
    main.rename(b"a name of more than fifteen bytes")
    other.rename(b"worker")
    assert (process.name, main.name, other.name) == (b"a name of more ", b"a name of more ", b"worker")


def test_the_last_threads_status_is_the_processs(process: Process, new_task: Callable[..., Task]) -> None:
    main, other = new_task(), new_task()
    main.exit(exited_status(3))
    assert process.wait_status is None
    other.exit(exited_status(9))
    assert process.wait_status == exited_status(9)


def test_exit_group_ends_every_thread_once(process: Process, new_task: Callable[..., Task]) -> None:
    tasks = [new_task() for _ in range(3)]
    process.exit_group(exited_status(7))
    process.exit_group(exited_status(8))
    assert process.wait_status == exited_status(7)
    assert [cast("Cpu", task.control).exits for task in tasks] == [1, 1, 1]
    assert not process.tasks
    assert not process.kernel.tasks


def test_whoever_waits_is_woken_at_the_end(process: Process, new_task: Callable[..., Task]) -> None:
    class Listener:
        wakes = 0

        def notify(self) -> None:
            self.wakes += 1

    listener = Listener()
    process.ended.add(listener)
    main, other = new_task(), new_task()
    other.exit(0)
    before = listener.wakes
    main.exit(0)
    assert listener.wakes > before


def test_numbers_of_threads_are_free_again(process: Process, new_task: Callable[..., Task]) -> None:
    new_task()
    other = new_task()
    taken = other.tid
    other.exit(0)
    process.kernel.last_pid = taken - 1
    assert process.kernel.allocate_pid() == taken


def test_cpu_time_outlives_threads(process: Process, new_task: Callable[..., Task]) -> None:
    new_task(10)
    other = new_task(5)
    assert process.all_cpu_time_ns == 15
    other.exit(0)
    assert process.all_cpu_time_ns == 15


def test_descriptors_are_closed_with_the_last_thread(process: Process, new_task: Callable[..., Task]) -> None:
    main, other = new_task(), new_task()
    main.files.add(File(O(O.RDWR)), cloexec=False)
    main.exit(0)
    assert len(other.files) == 1
    other.exit(0)
    assert len(other.files) == 0


def test_memory_is_closed_when_the_last_cpu_is_gone(process: Process, new_task: Callable[..., Task]) -> None:
    main, other = new_task(), new_task()
    space = main.memory.space
    process.exit_group(0)
    assert not cast("Any", space).is_closed
    main.release()
    assert not cast("Any", space).is_closed
    other.release()
    assert cast("Any", space).is_closed


def test_the_word_of_a_thread_that_ends(process: Process, new_task: Callable[..., Task]) -> None:
    main, other = new_task(), new_task()
    address = main.memory.mmap(0, 4096, 3, 0x22)
    main.memory.write_word(address, 0xFFFF_FFFF_FFFF_FFFF)
    other.clear_child_tid = address
    other.exit(0)
    assert main.memory.read_word(address) == 0xFFFF_FFFF_0000_0000


def test_limits_hold_for_the_process(process: Process, new_task: Callable[..., Task]) -> None:
    task = new_task()
    assert task.process.limits.soft(RLIMIT.NOFILE) == 1024
    assert task.credentials.has_capability(CAP.SYS_ADMIN)
