"""The face of an address space: /proc's view, special pages, references, and giving everything back."""

from collections.abc import Callable

import pytest
from fakes.expect import fails
from fakes.files import HostFile
from fakes.machine import FakeMachine

from aionoah.abi.errno import Errno
from aionoah.abi.mman import MAP, PROT
from aionoah.hypervisor.protocols import PAGE_SIZE, Prot
from aionoah.memory.faults import FaultResult
from aionoah.memory.memory import Memory
from aionoah.memory.vma import VM

ANON = MAP.PRIVATE | MAP.ANONYMOUS
RW = PROT.READ | PROT.WRITE
AT = 0x10_0000_0000
BASE = 0x7FFF_0000_0000
P = PAGE_SIZE


class TestMaps:
    def test_a_line_for_each_area(self, memory: Memory, make_file: Callable[..., HostFile]) -> None:
        file = make_file(b"x" * 3 * P)
        memory.mmap(AT, P, PROT.READ | PROT.EXEC, MAP.PRIVATE, file, 2 * P)
        memory.mmap(AT + P, P, RW, MAP.SHARED, file, P)
        memory.mmap(AT + 2 * P, P, PROT.NONE, ANON)
        text, data, guard = memory.maps()
        facts = file.attributes()
        assert (text.start, text.end, text.prot, text.is_shared) == (AT, AT + P, 5, False)
        assert (text.offset, text.device, text.inode) == (2 * P, facts.dev, facts.ino)
        assert (text.file, text.name) == (file, b"")
        assert (data.is_shared, data.offset, data.file) == (True, P, file)
        assert guard == (AT + 2 * P, AT + 3 * P, 0, False, 0, 0, 0, b"", None, guard.flags)

    def test_is_a_snapshot(self, memory: Memory) -> None:
        memory.mmap(AT, P, RW, ANON)
        lines = memory.maps()
        memory.munmap(AT, P)
        assert len(list(lines)) == 1

    def test_heap_and_stack_are_named(self, memory: Memory) -> None:
        memory.set_brk(AT)
        memory.brk(AT + P)
        memory.setup_stack(BASE, P)
        memory.mmap(AT + (1 << 20), P, RW, ANON)
        assert [line.name for line in memory.maps()] == [b"[heap]", b"", b"[stack]"]


def test_usage(memory: Memory, make_file: Callable[..., HostFile]) -> None:
    memory.mmap(AT, 2 * P, PROT.READ | PROT.EXEC, MAP.PRIVATE, make_file(b"x"), 0)
    memory.mmap(AT + 2 * P, 4 * P, RW, ANON | MAP.NORESERVE)
    memory.mlock(AT + 2 * P, P)
    memory.setup_stack(BASE, 3 * P)
    assert memory.usage() == (9, 5, 2, 4, 3, 1)


class TestSpecialPages:
    @pytest.fixture
    def vdso(self, memory: Memory, machine: FakeMachine) -> int:
        first = machine.frames.allocate(2)
        machine.frames.view(first, 2)[:4] = b"\x7fELF"
        address = memory.map_frames(AT + 1, first, 2, PROT.READ | PROT.EXEC, b"[vdso]")
        machine.frames.drop(first, 2)
        return address

    def test_readable_and_named(self, memory: Memory, vdso: int) -> None:
        assert vdso == AT + P
        assert memory.read(vdso, 4) == b"\x7fELF"
        (line,) = memory.maps()
        assert (line.name, line.prot, line.offset, line.inode) == (b"[vdso]", 5, 0, 0)

    def test_nobody_writes_to_them(self, memory: Memory, vdso: int) -> None:
        fails(Errno.EFAULT, memory.write, vdso, b"x")
        fails(Errno.EACCES, memory.mprotect, vdso, P, RW)

    def test_lazily_if_forgotten(self, memory: Memory, vdso: int) -> None:
        memory.madvise(vdso, 2 * P, 4)
        assert memory.fault(vdso, Prot.READ) is FaultResult.RESOLVED
        assert memory.read(vdso, 4) == b"\x7fELF"

    def test_parts_can_go(self, memory: Memory, machine: FakeMachine, vdso: int) -> None:
        memory.munmap(vdso, P)
        assert [line.start for line in memory.maps()] == [vdso + P]
        memory.munmap(vdso + P, P)
        assert machine.frames.in_use == 0

    def test_kernel_owner_keeps_its_reference(self, memory: Memory, machine: FakeMachine) -> None:
        first = machine.frames.allocate(1)
        address = memory.map_frames(0, first, 1, PROT.READ, b"[vvar]", is_shared=True)
        machine.frames.view(first, 1)[:3] = b"now"
        assert memory.read(address, 3) == b"now"
        memory.munmap(address, P)
        assert machine.frames.references(first) == 1
        machine.frames.drop(first, 1)

    def test_refused(self, memory: Memory, machine: FakeMachine) -> None:
        first = machine.frames.allocate(1)
        machine.spaces[0].table_limit = 0
        fails(Errno.ENOMEM, memory.map_frames, AT, first, 1, PROT.READ, b"[vdso]")
        assert machine.frames.references(first) == 1
        machine.frames.drop(first, 1)


def test_close_gives_everything_back(machine: FakeMachine, make_file: Callable[..., HostFile]) -> None:
    file = make_file(b"x" * 5 * P)
    memory = Memory(machine, mmap_base=BASE)
    memory.mmap(0, 5 * P, RW, MAP.SHARED, file, 0)
    memory.mmap(0, 5 * P, RW, MAP.SHARED | MAP.ANONYMOUS)
    memory.mmap(0, 5 * P, RW, ANON)
    memory.set_brk(AT)
    memory.brk(AT + 7 * P)
    memory.close()
    assert (machine.frames.in_use, file.references) == (0, 1)


def test_the_last_user_closes(machine: FakeMachine) -> None:
    memory = Memory(machine, mmap_base=BASE)
    memory.mmap(0, P, RW, ANON)
    memory.hold().drop()
    assert machine.frames.in_use == 1
    memory.drop()
    assert machine.frames.in_use == 0


def test_space_is_what_the_machine_made(memory: Memory, machine: FakeMachine) -> None:
    assert memory.space is machine.spaces[0]
    assert machine.new_vcpu(machine.spaces[0]) is not None


def test_flags_are_those_of_linux(memory: Memory) -> None:
    memory.mmap(AT, P, RW, ANON | MAP.STACK | MAP.NORESERVE)
    may = VM.MAYREAD | VM.MAYWRITE | VM.MAYEXEC
    assert next(memory.maps()).flags == VM.READ | VM.WRITE | may | VM.NOHUGEPAGE | VM.NORESERVE
