"""The mlock family: what is counted, what is filled, and the limits."""

import pytest
from fakes.expect import fails
from fakes.machine import FakeMachine

from aionoah.abi.errno import Errno
from aionoah.abi.mman import MAP, MCL, MLOCK, PROT
from aionoah.abi.resource import RLIM_INFINITY, RLIMIT
from aionoah.hypervisor.protocols import PAGE_SIZE
from aionoah.memory.memory import Memory
from aionoah.memory.vma import VM

ANON = MAP.PRIVATE | MAP.ANONYMOUS
LAZY = ANON | MAP.NORESERVE
RW = PROT.READ | PROT.WRITE
AT = 0x10_0000_0000
P = PAGE_SIZE


def limited(machine: FakeMachine, pages: int) -> Memory:
    def limit(which: int) -> int:
        return pages * P if which == RLIMIT.MEMLOCK else RLIM_INFINITY

    return Memory(machine, mmap_base=0x7FFF_0000_0000, limit=limit)


def test_locking_fills_and_counts_whole_pages(memory: Memory, machine: FakeMachine) -> None:
    memory.mmap(AT, 4 * P, RW, LAZY)
    memory.mlock(AT + P + 100, P)
    assert (memory.usage().locked, machine.frames.in_use) == (2, 2)
    memory.munlock(AT + P, 1)
    assert memory.usage().locked == 1
    memory.munlock(AT, 4 * P)
    assert memory.usage().locked == 0


def test_on_fault_fills_nothing(memory: Memory, machine: FakeMachine) -> None:
    memory.mmap(AT, 4 * P, RW, LAZY)
    memory.mlock(AT, 4 * P, MLOCK.ONFAULT)
    assert (memory.usage().locked, machine.frames.in_use) == (4, 0)
    fails(Errno.EINVAL, memory.mlock, AT, P, 2)


def test_up_to_the_gap(memory: Memory) -> None:
    memory.mmap(AT, P, RW, ANON)
    memory.mmap(AT + 2 * P, P, RW, ANON)
    fails(Errno.ENOMEM, memory.mlock, AT, 3 * P)
    assert memory.usage().locked == 1
    fails(Errno.ENOMEM, memory.munlock, AT + P, P)
    fails(Errno.EINVAL, memory.mlock, (1 << 64) - P, P)
    memory.mlock(AT + P, 0)


def test_what_cannot_be_filled(memory: Memory, machine: FakeMachine) -> None:
    memory.mmap(AT, P, PROT.NONE, ANON)
    fails(Errno.ENOMEM, memory.mlock, AT, P)
    memory.mmap(AT, P, RW, LAZY | MAP.FIXED)
    machine.frames.in_use += machine.frames.limit
    fails(Errno.EAGAIN, memory.mlock, AT, P)
    machine.frames.in_use -= machine.frames.limit


def test_limit(machine: FakeMachine) -> None:
    memory = limited(machine, 3)
    memory.mmap(AT, 8 * P, RW, ANON)
    memory.mlock(AT, 2 * P)
    memory.mlock(AT, 3 * P)  # two of them are locked already
    fails(Errno.ENOMEM, memory.mlock, AT, 4 * P)
    fails(Errno.ENOMEM, memory.mlockall, MCL.CURRENT)
    memory.mlockall(MCL.FUTURE)
    memory.close()


def test_limit_of_nothing(machine: FakeMachine) -> None:
    memory = limited(machine, 0)
    memory.mmap(AT, P, RW, ANON)
    fails(Errno.EPERM, memory.mlock, AT, P)
    fails(Errno.EPERM, memory.mlockall, MCL.CURRENT)
    memory.munlock(AT, P)
    memory.close()


class TestAll:
    @pytest.mark.parametrize("flags", [0, 8, MCL.ONFAULT])
    def test_invalid(self, memory: Memory, flags: int) -> None:
        fails(Errno.EINVAL, memory.mlockall, flags)

    def test_current(self, memory: Memory, machine: FakeMachine) -> None:
        memory.mmap(AT, 2 * P, RW, LAZY)
        memory.mmap(AT + 2 * P, P, PROT.NONE, ANON)
        memory.mlockall(MCL.CURRENT)
        assert (memory.usage().locked, machine.frames.in_use) == (3, 2)
        memory.mmap(AT + 8 * P, P, RW, ANON)
        assert memory.usage().locked == 3
        memory.munlockall()
        assert memory.usage().locked == 0

    def test_future(self, memory: Memory, machine: FakeMachine) -> None:
        memory.set_brk(AT)
        memory.mlockall(MCL.FUTURE)
        memory.mmap(AT + (1 << 20), P, RW, ANON)
        memory.brk(AT + P)
        assert memory.usage().locked == 2
        memory.munlockall()
        memory.mmap(AT + (2 << 20), P, RW, ANON)
        assert memory.usage().locked == 0
        assert machine.frames.in_use == 3

    def test_on_fault(self, memory: Memory, machine: FakeMachine) -> None:
        memory.mmap(AT, 2 * P, RW, LAZY)
        memory.mlockall(MCL.CURRENT | MCL.ONFAULT)
        assert (memory.usage().locked, machine.frames.in_use) == (2, 0)

    def test_special_pages_are_left_alone(self, memory: Memory, machine: FakeMachine) -> None:
        frame = machine.frames.allocate(1)
        memory.map_frames(0, frame, 1, PROT.READ | PROT.EXEC, b"[vdso]")
        machine.frames.drop(frame, 1)
        memory.mlockall(MCL.CURRENT)
        assert not next(memory.maps()).flags & VM.LOCKED
