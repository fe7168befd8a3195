"""mremap: contents move along, and what is refused. The areas themselves are compared with Linux's."""

from collections.abc import Callable

import pytest
from fakes.expect import fails
from fakes.files import HostFile
from fakes.machine import FakeMachine

from aionoah.abi.errno import Errno
from aionoah.abi.mman import MAP, MREMAP, PROT
from aionoah.abi.resource import RLIM_INFINITY, RLIMIT
from aionoah.hypervisor.protocols import PAGE_SIZE
from aionoah.memory import remapping
from aionoah.memory.memory import Memory

ANON = MAP.PRIVATE | MAP.ANONYMOUS
RW = PROT.READ | PROT.WRITE
MOVE = MREMAP.MAYMOVE | MREMAP.FIXED
AT = 0x10_0000_0000
THERE = 0x20_0000_0000
P = PAGE_SIZE


@pytest.fixture
def filled(memory: Memory) -> Memory:
    """Three pages at AT, of a, b and c."""
    memory.mmap(AT, 3 * P, RW, ANON)
    memory.write(AT, b"a" * P + b"b" * P + b"c" * P)
    return memory


def areas(memory: Memory) -> list[tuple[int, int]]:
    return [(line.start, line.end) for line in memory.maps()]


class TestResize:
    def test_shrink(self, filled: Memory, machine: FakeMachine) -> None:
        assert filled.mremap(AT, 3 * P, P, 0) == AT
        assert (areas(filled), machine.frames.in_use) == ([(AT, AT + P)], 1)

    def test_same_length(self, filled: Memory) -> None:
        assert filled.mremap(AT, 2 * P, 2 * P, 0) == AT

    def test_grow_in_place(self, filled: Memory) -> None:
        assert filled.mremap(AT, 3 * P, 5 * P, 0) == AT
        assert areas(filled) == [(AT, AT + 5 * P)]
        assert filled.read(AT + 3 * P - 1, 2 * P + 1) == b"c" + bytes(2 * P)

    def test_grow_by_moving(self, filled: Memory) -> None:
        filled.mmap(AT + 3 * P, P, PROT.READ, ANON)
        fails(Errno.ENOMEM, filled.mremap, AT, 3 * P, 4 * P, 0)
        new = filled.mremap(AT, 3 * P, 4 * P, MREMAP.MAYMOVE)
        assert filled.read(new, 4 * P) == b"a" * P + b"b" * P + b"c" * P + bytes(P)
        fails(Errno.EFAULT, filled.read, AT, 1)

    def test_the_middle_can_grow_only_by_moving(self, filled: Memory) -> None:
        fails(Errno.ENOMEM, filled.mremap, AT + P, P, 2 * P, 0)
        new = filled.mremap(AT + P, P, 2 * P, MREMAP.MAYMOVE)
        assert filled.read(new, 2 * P) == b"b" * P + bytes(P)
        assert areas(filled)[:2] == [(AT, AT + P), (AT + 2 * P, AT + 3 * P)]

    def test_growing_file_shows_more_of_it(self, memory: Memory, make_file: Callable[..., HostFile]) -> None:
        file = make_file(b"a" * P + b"b" * P + b"c" * P)
        address = memory.mmap(AT, P, PROT.READ, MAP.SHARED, file, P)
        assert memory.mremap(address, P, 2 * P, 0) == address
        assert memory.read(address, 2 * P) == b"b" * P + b"c" * P
        assert file.references == 2

    def test_exhausted(self, filled: Memory, machine: FakeMachine) -> None:
        taken = machine.frames.limit - machine.frames.in_use
        machine.frames.in_use += taken
        for flags in (0, MREMAP.MAYMOVE):
            fails(Errno.ENOMEM, filled.mremap, AT, 3 * P, 4 * P, flags)
        fails(Errno.ENOMEM, filled.mremap, AT, 2 * P, 4 * P, MREMAP.MAYMOVE)
        machine.frames.in_use -= taken
        assert filled.read(AT, 3 * P) == b"a" * P + b"b" * P + b"c" * P
        assert areas(filled) == [(AT, AT + 3 * P)]


class TestMove:
    def test_fixed(self, filled: Memory, machine: FakeMachine) -> None:
        filled.mmap(THERE, 2 * P, RW, ANON)
        filled.write(THERE, b"old" * 1000)
        assert filled.mremap(AT + P, P, P, MOVE, THERE) == THERE
        assert filled.read(THERE, 2 * P) == b"b" * P + (b"old" * 1000 + bytes(2 * P))[P : 2 * P]
        assert areas(filled) == [(AT, AT + P), (AT + 2 * P, AT + 3 * P), (THERE, THERE + 2 * P)]
        assert machine.frames.in_use == 4

    def test_fixed_and_smaller(self, filled: Memory, machine: FakeMachine) -> None:
        filled.mremap(AT, 3 * P, P, MOVE, THERE)
        assert (areas(filled), machine.frames.in_use) == ([(THERE, THERE + P)], 1)

    def test_dontunmap_leaves_an_empty_area(self, filled: Memory) -> None:
        new = filled.mremap(AT, 3 * P, 3 * P, MREMAP.MAYMOVE | MREMAP.DONTUNMAP, THERE)
        assert new == THERE
        assert filled.read(new, 3 * P) == b"a" * P + b"b" * P + b"c" * P
        assert filled.read(AT, 3 * P) == bytes(3 * P)

    def test_dontunmap_unlocks_the_old_area(self, filled: Memory) -> None:
        filled.mlock(AT, 3 * P)
        filled.mremap(AT, 3 * P, 3 * P, MREMAP.MAYMOVE | MREMAP.DONTUNMAP, THERE)
        assert filled.usage().locked == 3

    def test_holes_move_too(self, memory: Memory) -> None:
        memory.mmap(AT, 4 << 20, RW, ANON | MAP.NORESERVE)
        memory.write(AT + (1 << 20), b"island")
        memory.mremap(AT, 4 << 20, 4 << 20, MOVE, THERE)
        assert memory.read(THERE + (1 << 20), 6) == b"island"
        assert memory.read(THERE + (3 << 20), 6) == bytes(6)

    def test_no_old_length_duplicates_shared_memory(self, memory: Memory) -> None:
        address = memory.mmap(0, P, RW, MAP.SHARED | MAP.ANONYMOUS)
        copy = memory.mremap(address, 0, P, MREMAP.MAYMOVE)
        memory.write(address, b"both")
        assert copy != address
        assert memory.read(copy, 4) == b"both"

    def test_private_memory_cannot_be_duplicated(self, filled: Memory) -> None:
        fails(Errno.EINVAL, filled.mremap, AT, 0, P, MREMAP.MAYMOVE)


class TestRefusals:
    @pytest.mark.parametrize(
        ("old", "old_length", "new_length", "flags", "new"),
        [
            (AT, P, P, 8, 0),
            (AT + 1, P, P, 0, 0),
            (AT, P, 0, 0, 0),
            (AT, P, 1 << 63, 0, 0),
            (AT, P, P, MREMAP.FIXED, THERE),
            (AT, P, 2 * P, MREMAP.MAYMOVE | MREMAP.DONTUNMAP, 0),
            (AT, P, P, MOVE, THERE + 1),
            (AT, P, P, MOVE, (1 << 64) - P),
            (AT, 2 * P, 2 * P, MOVE, AT + P),
        ],
    )
    def test_invalid(
        self, filled: Memory, old: int, old_length: int, new_length: int, flags: int, new: int
    ) -> None:
        fails(Errno.EINVAL, filled.mremap, old, old_length, new_length, flags, new)
        assert areas(filled) == [(AT, AT + 3 * P)]

    def test_no_such_memory(self, filled: Memory) -> None:
        fails(Errno.EFAULT, filled.mremap, THERE, P, P, 0)
        fails(Errno.EFAULT, filled.mremap, AT, 4 * P, 5 * P, MREMAP.MAYMOVE)
        fails(Errno.EPERM, filled.mremap, AT, P, P, MOVE, 0)

    def test_limits(self, machine: FakeMachine) -> None:
        limits = {RLIMIT.AS: 4 * P, RLIMIT.MEMLOCK: 2 * P}
        memory = Memory(machine, mmap_base=THERE, limit=lambda which: limits.get(which, RLIM_INFINITY))
        memory.mmap(AT, 2 * P, RW, ANON)
        fails(Errno.ENOMEM, memory.mremap, AT, 2 * P, 5 * P, MREMAP.MAYMOVE)
        fails(Errno.ENOMEM, memory.mremap, AT, 3 * P - P, 2 * P + 3 * P, 0)
        memory.mlock(AT, 2 * P)
        fails(Errno.EAGAIN, memory.mremap, AT, 2 * P, 3 * P, 0)
        memory.close()

    def test_special_pages_do_not_grow(self, memory: Memory, machine: FakeMachine) -> None:
        frame = machine.frames.allocate(2)
        address = memory.map_frames(AT, frame, 2, PROT.READ, b"[vdso]")
        machine.frames.drop(frame, 2)
        fails(Errno.EFAULT, memory.mremap, address, 2 * P, 3 * P, MREMAP.MAYMOVE)
        assert memory.mremap(address, 2 * P, 2 * P, MOVE, THERE) == THERE
        assert [line.name for line in memory.maps()] == [b"[vdso]"]

    def test_too_many_areas(self, filled: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(remapping, "MAX_MAP_COUNT", 4)
        fails(Errno.ENOMEM, filled.mremap, AT, P, P, MOVE, THERE)
        fails(Errno.ENOMEM, filled.mremap, AT, P, 2 * P, MREMAP.MAYMOVE)
