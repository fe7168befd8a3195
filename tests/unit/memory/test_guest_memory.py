"""The kernel's copies: every pointer is safe, every right is honoured."""

import struct
from collections.abc import Callable

import pytest
from fakes.expect import fails
from fakes.files import HostFile
from fakes.machine import FakeMachine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aionoah.abi.cstruct import U16, U64, Struct
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mman import MAP, PROT
from aionoah.hypervisor.protocols import PAGE_SIZE
from aionoah.memory.memory import Memory

ANON = MAP.PRIVATE | MAP.ANONYMOUS
RW = PROT.READ | PROT.WRITE
AT = 0x10_0000_0000
P = PAGE_SIZE
WILD = [0, 1, AT - 1, AT + 3 * P, 1 << 47, 1 << 63, (1 << 64) - 1, (1 << 64) - P]


class Pair(Struct):
    first: U16
    second: U64


@pytest.fixture
def patchwork(memory: Memory, make_file: Callable[..., HostFile]) -> Memory:
    """Three pages that are neighbours for the guest only: anonymous, shared file, lazy."""
    memory.mmap(AT, P, RW, ANON)
    memory.mmap(AT + P, P, RW, MAP.SHARED, make_file(bytes(P)), 0)
    memory.mmap(AT + 2 * P, P, RW, ANON | MAP.NORESERVE)
    return memory


class TestBytes:
    def test_across_everything(self, patchwork: Memory) -> None:
        data = bytes(range(251)) * 40
        patchwork.write(AT + 100, data)
        assert patchwork.read(AT + 100, len(data)) == data
        assert patchwork.read(AT + P - 3, 6) == data[P - 103 : P - 97]

    @pytest.mark.parametrize("address", WILD)
    def test_wild_pointers(self, patchwork: Memory, address: int) -> None:
        fails(Errno.EFAULT, patchwork.read, address, 8)
        fails(Errno.EFAULT, patchwork.write, address, b"12345678")
        fails(Errno.EFAULT, patchwork.read_word, address)
        fails(Errno.EFAULT, patchwork.write_word, address, 1)
        fails(Errno.EFAULT, patchwork.get, Pair, address)
        fails(Errno.EFAULT, patchwork.put, address, Pair(1, 2))
        if address != AT - 1:
            fails(Errno.EFAULT, patchwork.read_cstring, address)

    def test_wild_lengths(self, patchwork: Memory) -> None:
        for length in (1 << 47, 1 << 63, (1 << 64) - 1):
            fails(Errno.EFAULT, patchwork.read, AT, length)

    def test_nothing_is_always_there(self, patchwork: Memory) -> None:
        for address in (AT, *WILD):
            assert patchwork.read(address, 0) == b""
            patchwork.write(address, b"")

    def test_what_came_before_the_bad_byte_is_written(self, patchwork: Memory) -> None:
        fails(Errno.EFAULT, patchwork.write, AT + 3 * P - 2, b"abc")
        assert patchwork.read(AT + 3 * P - 2, 2) == b"ab"

    def test_rights(self, memory: Memory) -> None:
        memory.mmap(AT, P, PROT.READ, ANON)
        memory.mmap(AT + P, P, PROT.NONE, ANON)
        assert memory.read(AT, 1) == b"\0"
        fails(Errno.EFAULT, memory.write, AT, b"x")
        fails(Errno.EFAULT, memory.write_word, AT, 1)
        fails(Errno.EFAULT, memory.read, AT + P - 1, 2)

    def test_never_a_stale_view(self, memory: Memory) -> None:
        """After each change, the kernel sees what the guest sees."""
        memory.mmap(AT, 3 * P, RW, ANON)
        memory.write(AT, b"first")
        memory.munmap(AT, P)
        fails(Errno.EFAULT, memory.read, AT, 5)
        memory.mmap(AT, P, RW, ANON)
        assert memory.read(AT, 5) == bytes(5)
        memory.mremap(AT, P, P, 3, AT + 10 * P)
        fails(Errno.EFAULT, memory.read_word, AT)
        fails(Errno.EFAULT, memory.read_cstring, AT)


class TestWords:
    @pytest.mark.parametrize("size", [1, 2, 4, 8])
    @pytest.mark.parametrize("offset", [0, 8, 3, P - 1, P + 8, 2 * P - 1, 2 * P])
    def test_every_size_and_place(self, patchwork: Memory, size: int, offset: int) -> None:
        value = 0x8877665544332211 & (1 << 8 * size) - 1
        patchwork.write_word(AT + offset, value, size)
        assert patchwork.read_word(AT + offset, size) == value
        assert patchwork.read(AT + offset, size) == value.to_bytes(size, "little")

    def test_negative_and_wide_values_are_cut(self, patchwork: Memory) -> None:
        patchwork.write_word(AT, -1, 4)
        patchwork.write_word(AT + 4, 0x1_0000_0002, 4)
        assert patchwork.read_word(AT) == 0x2_FFFF_FFFF

    def test_structures(self, patchwork: Memory) -> None:
        patchwork.put(AT + P - 5, Pair(1, 2))
        assert patchwork.get(Pair, AT + P - 5) == Pair(1, 2)


class TestStrings:
    @pytest.mark.parametrize("length", [0, 1, 255, 256, 257, 4000, 4095])
    @pytest.mark.parametrize("offset", [0, P - 100, P + 50, 2 * P - 1])
    def test_any_length_and_place(self, patchwork: Memory, length: int, offset: int) -> None:
        text = b"s" * length
        patchwork.write(AT + offset, text + b"\0")
        assert patchwork.read_cstring(AT + offset) == text

    def test_limit_counts_the_nul(self, patchwork: Memory) -> None:
        patchwork.write(AT, b"12345\0")
        assert patchwork.read_cstring(AT, 6) == b"12345"
        fails(Errno.ENAMETOOLONG, patchwork.read_cstring, AT, 5)

    def test_at_the_end_of_memory(self, patchwork: Memory) -> None:
        patchwork.write(AT + 3 * P - 4, b"end\0")
        assert patchwork.read_cstring(AT + 3 * P - 4) == b"end"
        patchwork.write(AT + 3 * P - 4, b"ends")
        fails(Errno.EFAULT, patchwork.read_cstring, AT + 3 * P - 4)

    def test_before_the_end_of_a_truncated_file(
        self, memory: Memory, make_file: Callable[..., HostFile]
    ) -> None:
        file = make_file(b"path\0" + bytes(2 * P))
        memory.mmap(AT, 2 * P, PROT.READ, MAP.SHARED, file, 0)
        with open(file.fd, "r+b", closefd=False) as host:
            host.truncate(100)
        assert memory.read_cstring(AT) == b"path"


class TestBuffers:
    def test_segments_are_the_memory(self, patchwork: Memory) -> None:
        buffer = patchwork.writable(AT + 10, 2 * P)
        views = buffer.segments()
        assert (buffer.length, [len(view) for view in views]) == (2 * P, [P - 10, P, 10])
        views[0][0] = 65
        views[1][0] = 66
        assert patchwork.read(AT + 10, 1) + patchwork.read(AT + P, 1) == b"AB"
        assert sum(map(len, buffer.segments(P))) == P

    def test_the_source_of_a_write_is_read_only(self, patchwork: Memory) -> None:
        for start in (AT, AT + P - 1):
            assert all(view.readonly for view in patchwork.readable(start, 5).segments())

    def test_fill_take_advance(self, patchwork: Memory) -> None:
        out = patchwork.writable(AT + P - 2, 6)
        assert out.fill(b"abc") == 3
        out.advance(3)
        assert out.length == 3
        assert out.fill(memoryview(b"defgh")) == 3
        source = patchwork.readable(AT + P - 2, 6)
        assert source.take(2) == b"ab"
        source.advance(1)
        assert source.take() == b"bcdef"
        assert source.take(99) == b"bcdef"
        source.advance(5)
        assert (source.length, source.take(), list(source.segments())) == (0, b"", [])

    def test_short_where_memory_ends(self, patchwork: Memory) -> None:
        end = AT + 3 * P
        buffer = patchwork.writable(end - 3, 10)
        assert buffer.length == 10
        assert [len(view) for view in buffer.segments()] == [3]
        assert buffer.fill(b"0123456789") == 3
        assert patchwork.readable(end - 3, 10).take() == b"012"
        buffer.advance(3)
        for call in (buffer.segments, buffer.take):
            fails(Errno.EFAULT, call)
        fails(Errno.EFAULT, buffer.fill, b"x")

    def test_files_that_have_become_shorter(self, memory: Memory, make_file: Callable[..., HostFile]) -> None:
        file = make_file(b"x" * P)
        memory.mmap(AT, P, RW, ANON)
        memory.mmap(AT + P, P, RW, MAP.SHARED, file, 0)
        buffer = memory.writable(AT, 2 * P)
        buffer.segments()
        with open(file.fd, "r+b", closefd=False) as host:
            host.truncate(0)
        assert buffer.fill(bytes(2 * P)) == P
        assert len(buffer.take()) == P
        buffer.advance(P)
        fails(Errno.EFAULT, buffer.take)
        fails(Errno.EFAULT, buffer.fill, b"x")

    def test_ranges_no_program_can_have(self, patchwork: Memory) -> None:
        for make in (patchwork.readable, patchwork.writable):
            fails(Errno.EFAULT, make, AT, 1 << 47)
            fails(Errno.EFAULT, make, (1 << 64) - 1, 2)
            fails(Errno.EFAULT, make, 1 << 63, 0)
            assert make(AT - 1, 0).length == 0

    def test_one_call_moves_less_than_two_gigabytes(self, patchwork: Memory) -> None:
        assert patchwork.readable(AT, 1 << 33).length == 0x7FFFF000

    def test_segments_fit_into_one_host_call(self, memory: Memory) -> None:
        for page in range(0, 2100, 2):
            memory.mmap(AT + page * P, P, RW, ANON)
        vector = AT + 3000 * P
        memory.mmap(vector, 4 * P, RW, ANON)
        memory.write(vector, b"".join(struct.pack("<QQ", AT + 2 * i * P, 1) for i in range(1024)))
        assert len(memory.readable_vector(vector, 1024).segments()) == 1024
        for page in range(1, 2100, 2):
            memory.mmap(AT + page * P, P, RW, MAP.SHARED | MAP.ANONYMOUS)
        assert len(memory.readable(AT, 2100 * P).segments()) == 1024


class TestVectors:
    def put(self, memory: Memory, *ranges: tuple[int, int]) -> int:
        memory.write(AT, b"".join(struct.pack("<QQ", *item) for item in ranges))
        return AT

    def test_scatter_and_gather(self, patchwork: Memory) -> None:
        vector = self.put(patchwork, (AT + 1000, 3), (0, 0), (AT + 2 * P - 1, 4))
        assert patchwork.writable_vector(vector, 3).fill(b"abcdefghi") == 7
        assert patchwork.read(AT + 1000, 4) == b"abc\0"
        assert patchwork.read(AT + 2 * P - 1, 5) == b"defg\0"
        source = patchwork.readable_vector(vector, 3)
        source.advance(2)
        assert source.take() == b"cdefg"

    def test_nothing(self, patchwork: Memory) -> None:
        assert patchwork.readable_vector(1 << 63, 0).length == 0

    def test_refused(self, patchwork: Memory) -> None:
        for count in (1025, -1):
            fails(Errno.EINVAL, patchwork.readable_vector, AT, count)
        fails(Errno.EINVAL, patchwork.readable_vector, self.put(patchwork, (AT, 1), (AT, 1 << 63)), 2)
        fails(Errno.EFAULT, patchwork.writable_vector, self.put(patchwork, (AT, 1), (1 << 60, 1)), 2)
        fails(Errno.EFAULT, patchwork.writable_vector, 4, 1)

    def test_the_sum_is_clipped(self, patchwork: Memory) -> None:
        vector = self.put(patchwork, (AT, 0x7FFF_F000), (AT, 100))
        assert patchwork.readable_vector(vector, 2).length == 0x7FFF_F000

    def test_a_bad_range_later_makes_it_short(self, patchwork: Memory) -> None:
        vector = self.put(patchwork, (AT + 100, 2), (AT - P, 2), (AT + 100, 2))
        assert patchwork.writable_vector(vector, 3).fill(b"abcdef") == 2
        assert len(patchwork.readable_vector(vector, 3).take()) == 2


def errno_of(call: Callable[..., object], *arguments: int) -> Errno | None:
    try:
        call(*arguments)
    except LinuxError as error:
        return error.errno
    return None


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    address=st.one_of(st.integers(0, (1 << 64) - 1), st.integers(AT - 2 * P, AT + 5 * P)),
    length=st.one_of(st.integers(0, 3 * P), st.sampled_from([1 << 47, 1 << 63, (1 << 64) - 1])),
)
def test_any_word_is_a_safe_pointer(patchwork: Memory, address: int, length: int) -> None:
    """Every accessor gives bytes or EFAULT, and agrees with the map about which."""
    is_mapped = length == 0 or (address >= AT and address + length <= AT + 3 * P)
    assert errno_of(patchwork.read, address, length) is (None if is_mapped else Errno.EFAULT)
    for call in (patchwork.read_word, patchwork.read_cstring):
        outcome = errno_of(call, address)
        assert outcome in {None, Errno.EFAULT, Errno.ENAMETOOLONG}


def test_reading_has_no_side_effect_on_counts(patchwork: Memory, machine: FakeMachine) -> None:
    before = machine.frames.in_use
    patchwork.read(AT, 2 * P)
    assert machine.frames.in_use == before
