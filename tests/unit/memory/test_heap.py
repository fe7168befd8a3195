"""brk and the initial stack."""

from fakes.expect import fails
from fakes.machine import FakeMachine

from aionoah.abi.errno import Errno
from aionoah.abi.mman import MAP, PROT
from aionoah.abi.resource import RLIM_INFINITY, RLIMIT
from aionoah.hypervisor.protocols import PAGE_SIZE
from aionoah.memory.memory import Memory

ANON = MAP.PRIVATE | MAP.ANONYMOUS
RW = PROT.READ | PROT.WRITE
HEAP = 0x5555_0000_0000
P = PAGE_SIZE
TOP = 0x7FFE_FFFF_0000


def test_grows_and_shrinks(memory: Memory, machine: FakeMachine) -> None:
    memory.set_brk(HEAP)
    assert memory.brk(0) == HEAP
    assert memory.brk(HEAP + 3 * P + 100) == HEAP + 3 * P + 100
    (heap,) = memory.maps()
    assert (heap.start, heap.end, heap.name) == (HEAP, HEAP + 4 * P, b"[heap]")
    memory.write(HEAP + 3 * P, b"x")
    assert memory.brk(HEAP + 3 * P + 50) == HEAP + 3 * P + 50
    assert memory.brk(HEAP + P) == HEAP + P
    assert (memory.heap, machine.frames.in_use) == ((HEAP, HEAP + P), 1)
    assert memory.brk(HEAP + 4 * P) == HEAP + 4 * P
    assert memory.read(HEAP + 3 * P, 1) == b"\0"


def test_may_start_within_a_page(memory: Memory) -> None:
    memory.mmap(HEAP, P, RW, ANON)
    memory.set_brk(HEAP + 100)
    assert memory.brk(HEAP + P) == HEAP + P
    assert memory.brk(HEAP + P + 1) == HEAP + P + 1
    assert [(line.start, line.end) for line in memory.maps()] == [(HEAP, HEAP + 2 * P)]


def test_refusals_return_the_old_end(memory: Memory, machine: FakeMachine) -> None:
    memory.set_brk(HEAP)
    memory.brk(HEAP + P)
    for address in (HEAP - 1, memory.space.end + 1, (1 << 64) - 1, HEAP + (machine.frames.limit + 9) * P):
        assert memory.brk(address) == HEAP + P
    memory.mmap(HEAP + 4 * P, P, RW, ANON)
    assert memory.brk(HEAP + 4 * P) == HEAP + P  # a page stays free before the next area
    assert memory.brk(HEAP + 3 * P) == HEAP + 3 * P


def test_stays_away_from_stacks(memory: Memory) -> None:
    memory.set_brk(HEAP)
    memory.mmap(HEAP + 300 * P, P, RW, ANON | MAP.GROWSDOWN)
    assert memory.brk(HEAP + 44 * P) == HEAP
    assert memory.brk(HEAP + 43 * P) == HEAP + 43 * P


def test_limits(machine: FakeMachine) -> None:
    limits = {RLIMIT.DATA: 4 * P}
    memory = Memory(machine, mmap_base=TOP, limit=lambda which: limits.get(which, RLIM_INFINITY))
    memory.set_brk(HEAP, image_data_length=2 * P)
    assert memory.brk(HEAP + 2 * P) == HEAP + 2 * P
    assert memory.brk(HEAP + 2 * P + 1) == HEAP + 2 * P
    limits[RLIMIT.DATA] = 8 * P
    limits[RLIMIT.AS] = 3 * P
    assert memory.brk(HEAP + 4 * P) == HEAP + 2 * P
    memory.close()


def test_locked_heap_counts(machine: FakeMachine) -> None:
    limits = {RLIMIT.MEMLOCK: 2 * P}
    memory = Memory(machine, mmap_base=TOP, limit=lambda which: limits.get(which, RLIM_INFINITY))
    memory.set_brk(HEAP)
    memory.mlockall(2)
    assert memory.brk(HEAP + 3 * P) == HEAP
    assert memory.brk(HEAP + 2 * P) == HEAP + 2 * P
    memory.close()


class TestInitialStack:
    def test_is_there_at_once(self, memory: Memory, machine: FakeMachine) -> None:
        memory.setup_stack(TOP, 5 * P - 1)
        memory.write(TOP - 5 * P, b"bottom")
        assert (machine.frames.in_use, memory.stack_start) == (5, TOP)
        (stack,) = memory.maps()
        assert (stack.prot, stack.name) == (RW, b"[stack]")
        assert memory.usage().stack == 5

    def test_executable(self, memory: Memory) -> None:
        memory.setup_stack(TOP, P, is_executable=True)
        assert next(memory.maps()).prot == RW | PROT.EXEC

    def test_no_room(self, memory: Memory, machine: FakeMachine) -> None:
        memory.mmap(TOP - 2 * P, P, RW, ANON)
        fails(Errno.ENOMEM, memory.setup_stack, TOP, 2 * P)
        fails(Errno.ENOMEM, memory.setup_stack, 65536 + P, 2 * P)
        fails(Errno.ENOMEM, memory.setup_stack, memory.space.end + P, 2 * P)
        machine.frames.in_use += machine.frames.limit
        fails(Errno.ENOMEM, memory.setup_stack, TOP, P)
        machine.frames.in_use -= machine.frames.limit

    def test_address_space_limit(self, machine: FakeMachine) -> None:
        limits = {RLIMIT.AS: 4 * P}
        memory = Memory(machine, mmap_base=HEAP, limit=lambda which: limits.get(which, RLIM_INFINITY))
        fails(Errno.ENOMEM, memory.setup_stack, TOP, 5 * P)
        memory.close()
