"""clone as a call: nothing is left where a later step fails."""

from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.sched import CLONE
from aionoah.abi.signal import SIG
from aionoah.process.control import NoControl
from aionoah.syscalls import clone as _handlers  # noqa: F401 - registers them
from aionoah.syscalls.results import Suspended

THREAD = CLONE.THREAD | CLONE.SIGHAND | CLONE.VM


class Cpu(NoControl):
    """Starts nothing; fails if told to."""

    error: LinuxError | None = None

    def __init__(self) -> None:
        self.children: list[Any] = []

    def clone(self, child: Any, stack_pointer: int, tls: int | None) -> None:
        if self.error is not None:
            raise self.error
        self.children.append((child, stack_pointer, tls))


@pytest.fixture
def cpu(guest: Any) -> Any:
    guest.task.control = made = Cpu()
    guest.task.process.executable = None
    yield made
    for child, _, _ in made.children:
        child.process.exit_group(0)
        child.release()


def traces(guest: Any) -> tuple[object, ...]:
    task = guest.task
    kernel = task.kernel
    return kernel.pid_count, set(kernel.processes), set(kernel.tasks), task.process.cpus, len(task.files)


@pytest.mark.parametrize("flags", [0, THREAD, CLONE.PIDFD, THREAD | CLONE.PIDFD])
def test_the_host_has_no_thread_left(guest: Any, cpu: Any, flags: int) -> None:
    before = traces(guest)
    cpu.error = LinuxError(Errno.EAGAIN)
    assert guest.call("clone", flags | SIG.CHLD, 0, guest.space(8), 0, 0) is Errno.EAGAIN
    assert traces(guest) == before
    assert not guest.task.files.is_shared


def test_a_bad_address_for_the_pidfd(guest: Any, cpu: Any) -> None:
    before = traces(guest)
    assert guest.call("clone", CLONE.PIDFD | SIG.CHLD, 0, 8, 0, 0) is Errno.EFAULT
    assert traces(guest) == before
    assert not cpu.children


def test_no_number_for_the_pidfd(guest: Any, cpu: Any) -> None:
    guest.task.files._limit = lambda: 0
    before = traces(guest)
    assert guest.call("clone", CLONE.PIDFD | SIG.CHLD, 0, guest.space(8), 0, 0) is Errno.EMFILE
    assert traces(guest) == before
    assert not cpu.children


def test_a_thread_pointer_that_is_none(guest: Any, cpu: Any) -> None:
    before = traces(guest)
    assert guest.call("clone", CLONE.SETTLS | SIG.CHLD, 0, 0, 0, 1 << 62) is Errno.EPERM
    assert traces(guest) == before
    assert not cpu.children


def test_where_numbers_go(guest: Any, cpu: Any) -> None:
    flags = CLONE.PARENT_SETTID | CLONE.CHILD_SETTID | CLONE.CHILD_CLEARTID | CLONE.SETTLS
    words = guest.space(16)
    tid = guest.call("clone", flags | SIG.CHLD, 0x5000, words, words + 8, 0x6000)
    ((child, stack, tls),) = cpu.children
    assert (stack, tls, child.clear_child_tid) == (0x5000, 0x6000, words + 8)
    assert guest.get(words, 16) == tid.to_bytes(4, "little").ljust(16, b"\0")
    assert child.memory.read(words + 8, 4) == tid.to_bytes(4, "little")


def test_vfork_lasts_until_the_memory_is_back(guest: Any, cpu: Any) -> None:
    sleeping = guest.start("vfork")
    assert isinstance(sleeping, Suspended)
    ((child, _, _),) = cpu.children
    assert child.memory is guest.task.memory
    assert guest.resume(sleeping, LinuxError(Errno.ERESTARTSYS)).__class__ is Suspended
    child.process.exit_group(0)
    assert guest.resume(sleeping).__class__ is Suspended  # its CPU may still be in there
    child.release()
    cpu.children.clear()
    assert guest.resume(sleeping) == child.tid
