"""Process 1: there, asleep, and not to be killed."""

from collections.abc import Iterator

import pytest
from fakes.machine import FakeMachine

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.signal import SIG, SIG_IGN, signal_bit
from aionoah.abi.x86_64 import X86_64
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.memory.empty import EmptySpace
from aionoah.process.init import show_init
from aionoah.process.kernel import Kernel
from aionoah.process.task import Process
from aionoah.signals.actions import LAST_SIGNAL, Disposition
from aionoah.signals.generate import send_to_process, send_to_task
from aionoah.signals.info import from_kernel


@pytest.fixture
def init(machine: FakeMachine) -> Iterator[Process]:
    kernel = Kernel(machine, MountNamespace.of(TmpFileSystem(mode=0o755)))
    show_init(kernel, X86_64)
    yield kernel.init
    kernel.close()


def test_it_is_a_process_with_a_sleeping_thread(init: Process) -> None:
    kernel = init.kernel
    assert (init.pid, init.process_group, init.session, init.parent) == (1, 1, 1, None)
    assert kernel.processes == {1: init}
    (task,) = kernel.tasks.values()
    assert (task.tid, task.name, task.is_sleeping, task.is_interrupted) == (1, b"init", True, False)
    assert init.command_line == b"init\0"
    assert kernel.pid_count == 0  # of those that the cap is for


def test_nothing_of_the_hypervisor_is_taken(init: Process, machine: FakeMachine) -> None:
    assert machine.spaces == []
    memory = init.tasks[1].memory
    assert list(memory.maps()) == []
    assert (memory.resident, memory.peak_resident) == (0, 0)
    for address in (0, 0x1000, 1 << 47, (1 << 64) - 1):
        with pytest.raises(LinuxError) as refused:
            memory.read(address, 1)
        assert refused.value.errno is Errno.EFAULT
    with pytest.raises(MemoryError):
        EmptySpace().reserve_vcpus(1)


@pytest.mark.parametrize("signal", range(1, LAST_SIGNAL + 1))
def test_signals_without_a_handler_are_ignored(init: Process, signal: int) -> None:
    (task,) = init.tasks.values()
    assert not send_to_process(init, from_kernel(signal))
    assert not send_to_task(task, from_kernel(signal))
    assert task.signals.all_pending == 0
    assert init.tasks
    assert not init.stop.signal


def test_others_than_init_are_not_spared(init: Process) -> None:
    init.signals.is_unkillable = False
    assert send_to_process(init, from_kernel(SIG.TERM))
    assert init.signals.pending.bits == signal_bit(SIG.TERM)


def test_what_init_handled_or_blocked_would_reach_it(init: Process) -> None:
    (task,) = init.tasks.values()
    init.signals.dispositions[SIG.USR1] = Disposition(0x1000)
    init.signals.dispositions[SIG.USR2] = Disposition(SIG_IGN)
    assert send_to_process(init, from_kernel(SIG.USR1))
    assert not send_to_process(init, from_kernel(SIG.USR2))
    task.signals.mask = signal_bit(SIG.TERM)
    assert send_to_process(init, from_kernel(SIG.TERM))
