"""mmap, munmap and mprotect: what is in the pages, and the errors that the oracle's test does not reach."""

from collections.abc import Callable

import pytest
from fakes.expect import fails
from fakes.files import HostFile
from fakes.machine import FakeMachine

from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import O
from aionoah.abi.mman import MAP, PROT
from aionoah.abi.resource import RLIM_INFINITY, RLIMIT
from aionoah.fs.file import File, HostMapping
from aionoah.hypervisor.protocols import PAGE_SIZE, Prot
from aionoah.memory import mappings
from aionoah.memory.faults import FaultResult
from aionoah.memory.memory import Memory

ANON = MAP.PRIVATE | MAP.ANONYMOUS
SHARED = MAP.SHARED | MAP.ANONYMOUS
RW = PROT.READ | PROT.WRITE
BASE = 0x7FFF_0000_0000
AT = 0x10_0000_0000


class TestPlaces:
    def test_top_down_below_the_base(self, memory: Memory) -> None:
        first = memory.mmap(0, 5000, RW, ANON)
        second = memory.mmap(0, PAGE_SIZE, PROT.READ, ANON)
        assert (first, second) == (BASE - 2 * PAGE_SIZE, BASE - 3 * PAGE_SIZE)

    def test_hint_is_taken_if_free(self, memory: Memory) -> None:
        assert memory.mmap(AT + 100, PAGE_SIZE, RW, ANON) == AT
        assert memory.mmap(AT, PAGE_SIZE, RW, ANON) == BASE - PAGE_SIZE

    def test_low_hint_is_lifted(self, memory: Memory) -> None:
        assert memory.mmap(1 << 12, PAGE_SIZE, RW, ANON) == 65536

    def test_fixed_below_the_minimum(self, memory: Memory) -> None:
        fails(Errno.EPERM, memory.mmap, 0, PAGE_SIZE, RW, ANON | MAP.FIXED)

    def test_whole_huge_pages_are_aligned(self, memory: Memory) -> None:
        memory.mmap(0, PAGE_SIZE, RW, ANON)
        assert memory.mmap(0, 2 << 20, RW, ANON) % (2 << 20) == 0
        assert memory.mmap(0, (2 << 20) + PAGE_SIZE, RW, ANON) % (2 << 20) != 0

    def test_low_mappings_of_x86(self, memory: Memory) -> None:
        first = memory.mmap(0, PAGE_SIZE, RW, ANON | MAP.BIT32)
        assert 0x4000_0000 <= first < 0x8000_0000
        fails(Errno.ENOMEM, memory.mmap, 0, 0x4000_0001, RW, ANON | MAP.BIT32)

    def test_aarch64_has_no_low_mappings(self) -> None:
        machine = FakeMachine("aarch64", frame_limit=64)
        memory = Memory(machine, mmap_base=BASE)
        assert memory.mmap(0, PAGE_SIZE, RW, ANON | MAP.BIT32) == BASE - PAGE_SIZE
        memory.close()
        machine.close()

    def test_bottom_up_when_there_is_no_room_below_the_base(self, machine: FakeMachine) -> None:
        memory = Memory(machine, mmap_base=0x20000)
        memory.mmap(0x10000, 0x10000, RW, ANON | MAP.FIXED)
        third = -(-memory.space.end // 3 // PAGE_SIZE) * PAGE_SIZE
        assert abs(memory.mmap(0, PAGE_SIZE, RW, ANON) - third) <= PAGE_SIZE
        memory.close()

    def test_longer_than_the_space(self, memory: Memory) -> None:
        fails(Errno.ENOMEM, memory.mmap, 0, memory.space.end + 1, 0, ANON | MAP.NORESERVE)
        fails(Errno.ENOMEM, memory.mmap, memory.space.end - PAGE_SIZE, 2 * PAGE_SIZE, 0, ANON | MAP.FIXED)


class TestAnonymous:
    def test_zero_and_writable(self, memory: Memory) -> None:
        address = memory.mmap(0, 3 * PAGE_SIZE, RW, ANON)
        assert memory.read(address, 3 * PAGE_SIZE) == bytes(3 * PAGE_SIZE)
        memory.write(address + PAGE_SIZE - 2, b"abcd")
        assert memory.read(address + PAGE_SIZE - 2, 4) == b"abcd"

    def test_ordinary_mappings_have_their_pages_at_once(self, memory: Memory) -> None:
        address = memory.mmap(0, 4 * PAGE_SIZE, RW, ANON)
        assert list(memory.space.resident(address, 4)) == [True] * 4

    @pytest.mark.parametrize("flags", [MAP.NORESERVE, MAP.STACK, MAP.GROWSDOWN])
    def test_reserves_have_none(self, memory: Memory, machine: FakeMachine, flags: int) -> None:
        address = memory.mmap(0, 1 << 20, RW, ANON | flags)
        assert machine.frames.in_use == 0
        assert memory.read(address + 5000, 3) == bytes(3)
        assert 0 < machine.frames.in_use <= 64

    def test_populate_fills_a_reserve(self, memory: Memory, machine: FakeMachine) -> None:
        memory.mmap(0, 1 << 20, RW, ANON | MAP.NORESERVE | MAP.POPULATE)
        assert machine.frames.in_use == 256

    def test_fixed_replaces(self, memory: Memory, machine: FakeMachine) -> None:
        memory.mmap(AT, 3 * PAGE_SIZE, RW, ANON)
        memory.write(AT, b"x" * 3 * PAGE_SIZE)
        memory.mmap(AT + PAGE_SIZE, PAGE_SIZE, RW, ANON | MAP.FIXED)
        assert memory.read(AT, 3 * PAGE_SIZE) == b"x" * PAGE_SIZE + bytes(PAGE_SIZE) + b"x" * PAGE_SIZE
        assert machine.frames.in_use == 3

    def test_shared_memory_is_named_and_not_merged(self, memory: Memory) -> None:
        memory.mmap(AT, PAGE_SIZE, RW, SHARED)
        memory.mmap(AT + PAGE_SIZE, PAGE_SIZE, RW, SHARED)
        one, two = memory.maps()
        assert (one.is_shared, one.name, one.device) == (True, b"/dev/zero (deleted)", 1)
        assert one.inode != two.inode

    def test_refused_kinds(self, memory: Memory) -> None:
        fails(Errno.EINVAL, memory.mmap, 0, PAGE_SIZE, RW, SHARED | MAP.GROWSDOWN)
        fails(Errno.EINVAL, memory.mmap, 0, PAGE_SIZE, RW, MAP.ANONYMOUS)
        fails(Errno.ENOMEM, memory.mmap, 0, PAGE_SIZE, RW, ANON | MAP.HUGETLB)


class TestExhaustion:
    def test_nothing_is_half_done(self, memory: Memory, machine: FakeMachine) -> None:
        """Running out of frames under MAP_FIXED leaves the old mapping as it was."""
        memory.mmap(AT, 2 * PAGE_SIZE, RW, ANON)
        memory.write(AT, b"precious")
        room = machine.frames.limit - machine.frames.in_use
        machine.frames.in_use += room - 1
        for flags in (ANON, SHARED):
            fails(Errno.ENOMEM, memory.mmap, AT, 4 * PAGE_SIZE, RW, flags | MAP.FIXED)
        machine.frames.in_use -= room - 1
        assert memory.read(AT, 8) == b"precious"
        assert [(line.start, line.end) for line in memory.maps()] == [(AT, AT + 2 * PAGE_SIZE)]
        assert machine.frames.in_use == 2

    def test_no_memory_for_page_tables(self, memory: Memory, machine: FakeMachine) -> None:
        machine.spaces[0].table_limit = 3
        fails(Errno.ENOMEM, memory.mmap, AT, 4 * PAGE_SIZE, RW, ANON)
        assert machine.frames.in_use == 0
        assert list(memory.maps()) == []

    def test_more_than_the_machine_has(self, memory: Memory, machine: FakeMachine) -> None:
        too_much = (machine.frames.limit + 1) * PAGE_SIZE
        fails(Errno.ENOMEM, memory.mmap, 0, too_much, RW, ANON)
        assert memory.mmap(0, too_much, RW, ANON | MAP.NORESERVE)
        assert memory.mmap(0, too_much, PROT.READ, ANON)
        reserve = memory.mmap(0, too_much, PROT.NONE, ANON)
        fails(Errno.ENOMEM, memory.mprotect, reserve, too_much, RW)

    def test_scattered_frames_are_enough(self, machine: FakeMachine) -> None:
        """With every other run of 32 frames taken there is room, but not in one piece."""
        frames = machine.frames
        everything = frames.allocate(frames.limit)
        for first in range(everything, everything + frames.limit, 64):
            frames.drop(first, 32)
        memory = Memory(machine, mmap_base=BASE)
        address = memory.mmap(0, 128 * PAGE_SIZE, RW, ANON)
        memory.write(address, bytes(range(256)) * 2048)
        assert memory.read(address, 128 * PAGE_SIZE) == bytes(range(256)) * 2048
        memory.close()
        for first in range(everything, everything + frames.limit, 64):
            frames.drop(first + 32, 32)

    def test_too_many_areas(self, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mappings, "MAX_MAP_COUNT", 1)
        for index in range(2):
            memory.mmap(AT + 2 * index * PAGE_SIZE, PAGE_SIZE, RW, ANON)
        fails(Errno.ENOMEM, memory.mmap, 0, PAGE_SIZE, RW, ANON)


class TestLimits:
    def make(self, machine: FakeMachine, **limits: int) -> Memory:
        wanted = {getattr(RLIMIT, name): value for name, value in limits.items()}
        return Memory(machine, mmap_base=BASE, limit=lambda which: wanted.get(which, RLIM_INFINITY))

    def test_address_space(self, machine: FakeMachine) -> None:
        memory = self.make(machine, AS=4 * PAGE_SIZE)
        memory.mmap(AT, 3 * PAGE_SIZE, PROT.READ, ANON)
        fails(Errno.ENOMEM, memory.mmap, 0, 2 * PAGE_SIZE, PROT.READ, ANON)
        memory.mmap(AT, 4 * PAGE_SIZE, PROT.READ, ANON | MAP.FIXED)  # what it replaces does not count
        memory.close()

    def test_data(self, machine: FakeMachine) -> None:
        memory = self.make(machine, DATA=2 * PAGE_SIZE)
        memory.mmap(0, 9 * PAGE_SIZE, PROT.READ, ANON)
        address = memory.mmap(0, 3 * PAGE_SIZE, PROT.READ, ANON)
        fails(Errno.ENOMEM, memory.mmap, 0, 3 * PAGE_SIZE, RW, ANON)
        fails(Errno.ENOMEM, memory.mprotect, address, 3 * PAGE_SIZE, RW)
        memory.mprotect(address, 2 * PAGE_SIZE, RW)
        memory.close()

    def test_locked(self, machine: FakeMachine) -> None:
        memory = self.make(machine, MEMLOCK=2 * PAGE_SIZE)
        memory.mmap(0, 2 * PAGE_SIZE, RW, ANON | MAP.LOCKED)
        fails(Errno.EAGAIN, memory.mmap, 0, PAGE_SIZE, RW, ANON | MAP.LOCKED)
        memory.close()

    def test_locking_forbidden(self, machine: FakeMachine) -> None:
        memory = self.make(machine, MEMLOCK=0)
        fails(Errno.EPERM, memory.mmap, 0, PAGE_SIZE, RW, ANON | MAP.LOCKED)
        memory.close()


class TestFiles:
    def test_private_does_not_reach_the_file(
        self, memory: Memory, make_file: Callable[..., HostFile]
    ) -> None:
        file = make_file(b"a" * PAGE_SIZE + b"b" * 100)
        address = memory.mmap(0, 2 * PAGE_SIZE, RW, MAP.PRIVATE, file, 0)
        assert memory.read(address + PAGE_SIZE - 1, 3) == b"abb"
        assert memory.read(address + PAGE_SIZE + 99, 2) == b"b\0"
        memory.write(address, b"mine")
        other = memory.mmap(0, PAGE_SIZE, PROT.READ, MAP.PRIVATE, file, 0)
        assert memory.read(other, 4) == b"aaaa"

    def test_shared_is_the_file(self, memory: Memory, make_file: Callable[..., HostFile]) -> None:
        file = make_file(b"a" * 2 * PAGE_SIZE)
        one = memory.mmap(0, PAGE_SIZE, RW, MAP.SHARED, file, PAGE_SIZE)
        two = memory.mmap(0, 2 * PAGE_SIZE, PROT.READ, MAP.SHARED, file, 0)
        memory.write(one + 7, b"ours")
        assert memory.read(two + PAGE_SIZE + 6, 6) == b"aoursa"

    def test_pages_behind_the_end_are_a_bus_error(
        self, memory: Memory, make_file: Callable[..., HostFile]
    ) -> None:
        file = make_file(b"x")
        address = memory.mmap(0, 3 * PAGE_SIZE, RW, MAP.SHARED, file, 0)
        assert list(memory.space.resident(address, 3)) == [True, False, False]
        assert memory.fault(address + PAGE_SIZE, Prot.READ) is FaultResult.BUS
        fails(Errno.EFAULT, memory.read, address + PAGE_SIZE, 1)

    def test_a_file_that_grows(self, memory: Memory, make_file: Callable[..., HostFile]) -> None:
        file = make_file(b"x")
        address = memory.mmap(0, 2 * PAGE_SIZE, RW, MAP.SHARED, file, 0)
        with open(file.fd, "r+b", closefd=False) as host:
            host.seek(PAGE_SIZE)
            host.write(b"grown")
        assert memory.read(address + PAGE_SIZE, 5) == b"grown"

    def test_a_file_that_shrinks(self, memory: Memory, make_file: Callable[..., HostFile]) -> None:
        file = make_file(b"x" * 2 * PAGE_SIZE)
        address = memory.mmap(0, 2 * PAGE_SIZE, RW, MAP.SHARED, file, 0)
        assert memory.read(address + PAGE_SIZE, 1) == b"x"
        with open(file.fd, "r+b", closefd=False) as host:
            host.truncate(PAGE_SIZE)
        fails(Errno.EFAULT, memory.read, address + PAGE_SIZE, 1)
        fails(Errno.EFAULT, memory.write, address + PAGE_SIZE, b"y")
        fails(Errno.EFAULT, memory.read_word, address + PAGE_SIZE)
        assert memory.read(address, 1) == b"x"

    def test_rights(self, memory: Memory, make_file: Callable[..., HostFile]) -> None:
        reader, writer = make_file(b"x", O.RDONLY), make_file(b"x", O.WRONLY)
        fails(Errno.EACCES, memory.mmap, 0, 1, RW, MAP.SHARED, reader, 0)
        fails(Errno.EACCES, memory.mmap, 0, 1, PROT.READ, MAP.PRIVATE, writer, 0)
        address = memory.mmap(0, 1, PROT.READ, MAP.SHARED, reader, 0)
        fails(Errno.EACCES, memory.mprotect, address, 1, RW)
        assert memory.mmap(0, 1, RW, MAP.PRIVATE, reader, 0)

    def test_refused(self, memory: Memory, make_file: Callable[..., HostFile]) -> None:
        file = make_file(b"x")
        fails(Errno.EINVAL, memory.mmap, 0, 1, RW, MAP.PRIVATE, file, 5)
        fails(Errno.EINVAL, memory.mmap, 0, 1, RW, MAP.PRIVATE | MAP.GROWSDOWN, file, 0)
        fails(Errno.EINVAL, memory.mmap, 0, 1, RW, MAP.PRIVATE | MAP.HUGETLB, file, 0)
        fails(Errno.EOPNOTSUPP, memory.mmap, 0, 1, RW, MAP.SHARED_VALIDATE | MAP.SYNC, file, 0)
        fails(Errno.EOVERFLOW, memory.mmap, 0, 1, RW, MAP.PRIVATE, file, (1 << 63) - PAGE_SIZE)

    def test_without_pages(self, memory: Memory) -> None:
        fails(Errno.ENODEV, memory.mmap, 0, 1, PROT.READ, MAP.PRIVATE, File(O(O.RDWR)), 0)

    def test_closed_descriptor_is_the_hosts_errno(
        self, memory: Memory, machine: FakeMachine, make_file: Callable[..., HostFile]
    ) -> None:
        file = make_file(b"x" * PAGE_SIZE)
        wrong = HostFile(file.fd)
        wrong.mapping = lambda: HostMapping(10**6, 0)  # type: ignore[method-assign]
        fails(Errno.EBADF, memory.mmap, 0, 1, PROT.READ, MAP.PRIVATE, wrong, 0)
        assert machine.frames.in_use == 0
        assert wrong.references == 1

    def test_every_area_holds_the_file(self, memory: Memory, make_file: Callable[..., HostFile]) -> None:
        file = make_file(b"x" * 3 * PAGE_SIZE)
        address = memory.mmap(0, 3 * PAGE_SIZE, PROT.READ, MAP.PRIVATE, file, 0)
        file.drop()
        memory.munmap(address + PAGE_SIZE, PAGE_SIZE)
        assert not file.is_released
        assert [line.offset for line in memory.maps()] == [0, 2 * PAGE_SIZE]
        memory.munmap(address, 3 * PAGE_SIZE)
        assert file.is_released


class TestUnmapAndProtect:
    def test_frames_go_back(self, memory: Memory, machine: FakeMachine) -> None:
        address = memory.mmap(0, 8 * PAGE_SIZE, RW, ANON)
        memory.munmap(address + PAGE_SIZE, 2 * PAGE_SIZE)
        assert machine.frames.in_use == 6
        fails(Errno.EFAULT, memory.read, address + PAGE_SIZE, 1)
        memory.munmap(address + PAGE_SIZE, 2 * PAGE_SIZE)  # no error for nothing

    @pytest.mark.parametrize("address", [1, 1 << 47, (1 << 64) - PAGE_SIZE])
    def test_bad_ranges(self, memory: Memory, address: int) -> None:
        fails(Errno.EINVAL, memory.munmap, address, PAGE_SIZE)
        fails(Errno.EINVAL, memory.munmap, AT, 0)

    def test_rights_change_at_once(self, memory: Memory) -> None:
        address = memory.mmap(0, 2 * PAGE_SIZE, RW, ANON)
        memory.write(address, b"before")
        memory.mprotect(address, PAGE_SIZE, PROT.READ)
        fails(Errno.EFAULT, memory.write, address, b"x")
        assert memory.read(address, 6) == b"before"
        memory.mprotect(address, PAGE_SIZE, PROT.NONE)
        fails(Errno.EFAULT, memory.read, address, 1)
        memory.mprotect(address, PAGE_SIZE, RW)
        assert memory.read(address, 6) == b"before"

    def test_a_reserve_is_filled_when_it_becomes_usable(self, memory: Memory) -> None:
        address = memory.mmap(0, 4 * PAGE_SIZE, PROT.NONE, ANON)
        assert not any(memory.space.resident(address, 4))
        memory.mprotect(address + PAGE_SIZE, 2 * PAGE_SIZE, RW)
        assert list(memory.space.resident(address, 4)) == [False, True, True, False]

    def test_write_only_may_be_read_as_by_the_cpu(self, memory: Memory) -> None:
        address = memory.mmap(0, PAGE_SIZE, PROT.WRITE, ANON)
        assert memory.read(address, 1) == b"\0"
        extent = memory.space.extent(address)
        assert extent is not None
        assert extent.prot == Prot.READ | Prot.WRITE

    def test_up_to_the_gap(self, memory: Memory) -> None:
        memory.mmap(AT, PAGE_SIZE, RW, ANON)
        memory.mmap(AT + 2 * PAGE_SIZE, PAGE_SIZE, RW, ANON)
        fails(Errno.ENOMEM, memory.mprotect, AT, 3 * PAGE_SIZE, PROT.READ)
        assert [line.prot for line in memory.maps()] == [PROT.READ, RW]
