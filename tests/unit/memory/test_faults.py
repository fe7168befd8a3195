"""Page faults: lazy filling in clusters, stack growth, and what the program is told otherwise."""

from collections.abc import Callable

import pytest
from fakes.files import HostFile
from fakes.machine import FakeMachine

from aionoah.abi.mman import MAP, PROT
from aionoah.abi.resource import RLIM_INFINITY, RLIMIT
from aionoah.fs.file import HostMapping
from aionoah.hypervisor.protocols import PAGE_SIZE, Prot
from aionoah.memory.faults import FaultResult
from aionoah.memory.memory import Memory

ANON = MAP.PRIVATE | MAP.ANONYMOUS
LAZY = ANON | MAP.NORESERVE
RW = PROT.READ | PROT.WRITE
AT = 0x10_0000_0000
P = PAGE_SIZE
TOP = 0x7FFE_FFFF_0000


class TestLazyFilling:
    def test_an_aligned_cluster(self, memory: Memory) -> None:
        memory.mmap(AT, 1 << 20, RW, LAZY)
        assert memory.fault(AT + (300 << 10), Prot.WRITE) is FaultResult.RESOLVED
        resident = list(memory.space.resident(AT, 256))
        assert resident == [False] * 64 + [True] * 64 + [False] * 128

    def test_a_larger_one_in_large_mappings(self, memory: Memory, machine: FakeMachine) -> None:
        memory.mmap(AT, 1 << 30, RW, LAZY)
        memory.fault(AT + (3 << 20), Prot.READ)
        assert machine.frames.in_use == 512
        assert all(memory.space.resident(AT + (2 << 20), 512))

    def test_more_for_who_goes_on(self, memory: Memory, machine: FakeMachine) -> None:
        memory.mmap(AT, 3 << 20, RW, LAZY)
        memory.fault(AT, Prot.WRITE)
        assert (machine.frames.in_use, machine.frames.populated) == (64, 0)
        memory.fault(AT + 64 * P, Prot.WRITE)
        assert (machine.frames.in_use, machine.frames.populated) == (64 + 512, 512 * P)
        memory.fault(AT + (64 + 512) * P, Prot.WRITE)
        assert machine.frames.in_use == 768, "not beyond the end"
        assert machine.frames.populated == 704 * P

    def test_no_memory_of_the_hosts_for_who_only_reads(self, memory: Memory, machine: FakeMachine) -> None:
        memory.mmap(AT, 1 << 20, PROT.READ, LAZY)
        memory.fault(AT, Prot.READ)
        memory.fault(AT + 64 * P, Prot.READ)
        assert (machine.frames.in_use, machine.frames.populated) == (256, 0)

    def test_not_beyond_the_area(self, memory: Memory, machine: FakeMachine) -> None:
        memory.mmap(AT + P, 2 * P, RW, LAZY)
        memory.mmap(AT + 3 * P, P, PROT.READ, LAZY)
        memory.fault(AT + 2 * P, Prot.READ)
        assert machine.frames.in_use == 2

    def test_what_is_there_stays(self, memory: Memory) -> None:
        memory.mmap(AT, 3 * P, RW, ANON)
        memory.write(AT, b"x" * 3 * P)
        memory.madvise(AT + P, P, 4)
        assert memory.fault(AT + P, Prot.READ) is FaultResult.RESOLVED
        assert memory.read(AT, 3 * P) == b"x" * P + bytes(P) + b"x" * P

    def test_large_mappings_are_not_filled_at_once(self, memory: Memory, machine: FakeMachine) -> None:
        memory.mmap(AT, (64 << 20) + P, RW, ANON)
        assert machine.frames.in_use == 0

    def test_files_too(self, memory: Memory, make_file: Callable[..., HostFile]) -> None:
        file = make_file(bytes(range(256)) * 16 * 100)
        memory.mmap(AT, 100 * P, PROT.READ, MAP.PRIVATE | MAP.NORESERVE, file, 0)
        assert memory.read(AT + 70 * P, 256) == bytes(range(256))
        assert list(memory.space.resident(AT, 100)) == [False] * 64 + [True] * 36

    def test_again_is_harmless(self, memory: Memory) -> None:
        memory.mmap(AT, P, RW, ANON)
        memory.write(AT, b"kept")
        assert memory.fault(AT, Prot.WRITE) is FaultResult.RESOLVED
        assert memory.read(AT, 4) == b"kept"


class TestRefusals:
    def test_nothing_there(self, memory: Memory) -> None:
        for address in (0, AT, memory.space.end - 1):
            assert memory.fault(address, Prot.READ) is FaultResult.MAPERR

    @pytest.mark.parametrize(
        ("prot", "allowed"),
        [
            (PROT.NONE, Prot.NONE),
            (PROT.READ, Prot.READ),
            (PROT.WRITE, Prot.READ | Prot.WRITE),
            (PROT.EXEC, Prot.READ | Prot.EXECUTE),
            (RW, Prot.READ | Prot.WRITE),
        ],
    )
    @pytest.mark.parametrize("access", [Prot.READ, Prot.WRITE, Prot.EXECUTE])
    def test_rights(self, memory: Memory, prot: int, allowed: Prot, access: Prot) -> None:
        memory.mmap(AT, P, prot, LAZY)
        wanted = FaultResult.RESOLVED if access in allowed else FaultResult.ACCERR
        assert memory.fault(AT, access) is wanted

    def test_one_page_when_there_is_no_room_for_more(self, memory: Memory, machine: FakeMachine) -> None:
        memory.mmap(AT, 1 << 20, RW, LAZY)
        taken = machine.frames.limit - 1
        machine.frames.in_use += taken
        assert memory.fault(AT, Prot.READ) is FaultResult.RESOLVED
        assert memory.fault(AT + P, Prot.READ) is FaultResult.EXHAUSTED
        machine.frames.in_use -= taken

    def test_unreadable_file(self, memory: Memory, make_file: Callable[..., HostFile]) -> None:
        file = make_file(b"x" * P)
        memory.mmap(AT, P, PROT.READ, MAP.PRIVATE | MAP.NORESERVE, file, 0)
        file.mapping = lambda: HostMapping(10**6, 0)  # type: ignore[method-assign]
        assert memory.fault(AT, Prot.READ) is FaultResult.BUS


class TestStack:
    def test_grows_to_what_is_touched(self, memory: Memory) -> None:
        memory.setup_stack(TOP, 4 * P)
        assert memory.fault(TOP - (1 << 20), Prot.WRITE) is FaultResult.RESOLVED
        (stack,) = memory.maps()
        assert stack.name == b"[stack]"
        assert TOP - (1 << 20) - (64 << 10) < stack.start <= TOP - (1 << 20)
        memory.write(TOP - (1 << 20), bytes(1 << 20))

    def test_only_as_far_as_allowed(self, machine: FakeMachine) -> None:
        limits = {RLIMIT.STACK: 10 * P}
        memory = Memory(machine, mmap_base=AT, limit=lambda which: limits.get(which, RLIM_INFINITY))
        memory.setup_stack(TOP, 4 * P)
        assert memory.fault(TOP - 10 * P - 1, Prot.WRITE) is FaultResult.MAPERR
        assert memory.fault(TOP - 10 * P, Prot.WRITE) is FaultResult.RESOLVED
        assert next(memory.maps()).start == TOP - 10 * P
        memory.close()

    def test_keeps_its_distance(self, memory: Memory) -> None:
        memory.setup_stack(TOP, 4 * P)
        memory.mmap(TOP - 400 * P, P, RW, ANON | MAP.FIXED)
        assert memory.fault(TOP - 144 * P, Prot.WRITE) is FaultResult.MAPERR
        assert memory.fault(TOP - 143 * P, Prot.WRITE) is FaultResult.RESOLVED

    def test_inaccessible_memory_may_be_near(self, memory: Memory) -> None:
        memory.setup_stack(TOP, 4 * P)
        memory.mmap(TOP - 20 * P, P, PROT.NONE, ANON | MAP.FIXED)
        assert memory.fault(TOP - 19 * P, Prot.WRITE) is FaultResult.RESOLVED
        assert memory.fault(TOP - 20 * P, Prot.WRITE) is FaultResult.ACCERR

    def test_counts_for_the_address_space(self, machine: FakeMachine) -> None:
        limits = {RLIMIT.AS: 4 * P}
        memory = Memory(machine, mmap_base=AT, limit=lambda which: limits.get(which, RLIM_INFINITY))
        memory.setup_stack(TOP, 4 * P)
        assert memory.fault(TOP - 5 * P, Prot.WRITE) is FaultResult.MAPERR
        memory.close()

    def test_kernel_accesses_grow_it_too(self, memory: Memory) -> None:
        memory.setup_stack(TOP, P)
        memory.write(TOP - 3 * P, b"signal frame")
        assert memory.read(TOP - 3 * P, 12) == b"signal frame"

    def test_mapped_by_the_program(self, memory: Memory) -> None:
        memory.mmap(AT, P, RW, ANON | MAP.GROWSDOWN)
        assert memory.fault(AT - P, Prot.WRITE) is FaultResult.RESOLVED
        assert memory.usage().stack > 1

    def test_ordinary_memory_does_not_grow(self, memory: Memory) -> None:
        memory.mmap(AT, P, RW, ANON)
        assert memory.fault(AT - 1, Prot.WRITE) is FaultResult.MAPERR
