"""Putting the vDSO into programs' memory."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.machine import FakeMachine

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mman import MAP, PROT
from aionoah.clocks.vdso import Vdso, object_path
from aionoah.hypervisor.kvm import KvmMachine, why_unavailable
from aionoah.memory.memory import MapsLine, Memory

PAGE_SIZE = 4096
MMAP_BASE = 0x7F00_0000_0000


@pytest.fixture
def vdso(machine: FakeMachine) -> Iterator[Vdso]:
    made = Vdso(machine)
    yield made
    made.close()


@pytest.fixture
def memory(machine: FakeMachine) -> Iterator[Memory]:
    made = Memory(machine, mmap_base=MMAP_BASE)
    yield made
    made.close()


def lines(memory: Memory) -> dict[bytes, MapsLine]:
    return {line.name: line for line in memory.maps()}


def test_maps_the_clock_page_and_right_behind_it_the_object(vdso: Vdso, memory: Memory) -> None:
    address = vdso.map(memory)
    vvar, code = lines(memory)[b"[vvar]"], lines(memory)[b"[vdso]"]
    assert (vvar.end - vvar.start, vvar.end) == (PAGE_SIZE, address)
    assert code.start == address
    assert vvar.prot == PROT.READ
    assert code.prot == PROT.READ | PROT.EXEC


def test_the_object_is_all_there(vdso: Vdso, memory: Memory) -> None:
    image = Path(object_path("x86_64")).read_bytes()
    assert memory.read(vdso.map(memory), len(image)) == image


def test_a_page_of_zeros_says_nothing_of_the_time(vdso: Vdso, memory: Memory) -> None:
    assert not vdso.tells_time
    assert memory.read(vdso.map(memory) - PAGE_SIZE, PAGE_SIZE) == bytes(PAGE_SIZE)


def test_finds_a_gap_that_has_room_for_both(vdso: Vdso, memory: Memory) -> None:
    """One free page at the top of the mappings is not enough."""
    flags = MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED
    memory.mmap(MMAP_BASE - 3 * PAGE_SIZE, 2 * PAGE_SIZE, PROT.READ, flags)
    address = vdso.map(memory)
    assert address == MMAP_BASE - 4 * PAGE_SIZE
    assert lines(memory)[b"[vvar]"].end == address


def test_programs_share_its_frames(machine: FakeMachine, vdso: Vdso, memory: Memory) -> None:
    before = machine.frames.in_use
    other = Memory(machine, mmap_base=MMAP_BASE - (1 << 30))
    addresses = [vdso.map(memory), vdso.map(other)]
    machine.frames.view(vdso._first_frame, 1)[:4] = b"time"
    assert [space.read(at - PAGE_SIZE, 4) for space, at in zip((memory, other), addresses, strict=True)] == [
        b"time"
    ] * 2
    assert machine.frames.in_use == before
    other.close()


def test_children_share_the_clock_page(machine: FakeMachine, vdso: Vdso, memory: Memory) -> None:
    address = vdso.map(memory)
    child = memory.fork(lambda _: (1 << 64) - 1)
    machine.frames.view(vdso._first_frame, 1)[:4] = b"time"
    assert child.read(address - PAGE_SIZE, 4) == b"time"
    assert child.signal_return == memory.signal_return
    child.close()


@pytest.mark.parametrize("pages_before", [1, 0], ids=["[vvar]", "[vdso]"])
def test_nobody_may_write_there(vdso: Vdso, memory: Memory, pages_before: int) -> None:
    address = vdso.map(memory) - pages_before * PAGE_SIZE
    with pytest.raises(LinuxError) as refused:
        memory.mprotect(address, PAGE_SIZE, PROT.READ | PROT.WRITE)
    assert refused.value.errno is Errno.EACCES
    with pytest.raises(LinuxError) as refused:
        memory.write(address, b"x")
    assert refused.value.errno is Errno.EFAULT


def test_may_be_unmapped(vdso: Vdso, memory: Memory) -> None:
    address = vdso.map(memory)
    memory.munmap(address - PAGE_SIZE, 2 * PAGE_SIZE)
    assert not lines(memory)


def test_without_room_there_is_no_memory(vdso: Vdso, memory: Memory) -> None:
    memory.mmap(
        PAGE_SIZE * 16, memory.space.end - PAGE_SIZE * 16, PROT.NONE, MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED
    )
    with pytest.raises(LinuxError) as refused:
        vdso.map(memory)
    assert refused.value.errno is Errno.ENOMEM


def test_handlers_on_x86_return_by_their_own_trampoline(vdso: Vdso, memory: Memory) -> None:
    vdso.map(memory)
    assert memory.signal_return == 0


def test_handlers_on_aarch64_may_return_by_the_vdso() -> None:
    machine = FakeMachine("aarch64")
    vdso, memory = Vdso(machine), Memory(machine, mmap_base=MMAP_BASE)
    assert memory.signal_return == 0
    vdso.map(memory)
    assert memory.read(memory.signal_return, 8).hex() == "681180d2010000d4"  # mov x8, #139; svc #0
    memory.close()
    vdso.close()
    machine.close()


# -- with a counter ---------------------------------------------------------------------------------------------


@pytest.fixture
def kvm() -> Iterator[KvmMachine]:
    if reason := why_unavailable():
        pytest.skip(f"NOT TESTED ON KVM: {reason}")
    machine = KvmMachine(1 << 26)
    yield machine
    machine.close()


def window(machine: KvmMachine, vdso: Vdso) -> int:
    """For how many ticks of the counter the page is good (struct clock_page)."""
    return struct.unpack_from("<16xQ", machine.frames.view(vdso._first_frame, 1))[0]


def test_kvm_keeps_the_page(kvm: KvmMachine) -> None:
    """Not before a guest runs: nobody would read it."""
    vdso = Vdso(kvm)
    if not vdso.tells_time:
        pytest.skip("the counter of guests is not this host's")
    assert window(kvm, vdso) == 0
    memory = Memory(kvm, mmap_base=MMAP_BASE)
    vdso.map(memory)
    vcpu = kvm.new_vcpu(memory.space)
    vcpu.kick()
    vcpu.run()
    assert window(kvm, vdso) > 0
    vcpu.close()
    memory.close()


def test_kvm_keeps_one_page(kvm: KvmMachine) -> None:
    frames = kvm.frames.allocate(2)
    kvm.keep_clocks(frames)
    assert not kvm.keep_clocks(frames + 1)
