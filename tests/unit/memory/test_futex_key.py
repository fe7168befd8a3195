"""Which words are the same, for whom; and words that guests change while the kernel looks."""

import os
from collections.abc import Callable, Iterator

import pytest
from fakes.expect import fails
from fakes.files import HostFile
from fakes.machine import FakeMachine
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import O
from aionoah.abi.mman import MAP, PROT
from aionoah.hypervisor.protocols import PAGE_SIZE
from aionoah.memory.backing import FileBacking, FramesBacking
from aionoah.memory.memory import Memory

P = PAGE_SIZE
AT, ELSEWHERE = 0x10_0000_0000, 0x20_0000_0000
RW = PROT.READ | PROT.WRITE
ANON = MAP.ANONYMOUS
MakeFile = Callable[..., HostFile]


@pytest.fixture
def child(memory: Memory) -> Iterator[Callable[[], Memory]]:
    """Forks, and closes what it has made."""
    made: list[Memory] = []

    def fork() -> Memory:
        made.append(memory.fork(lambda _: 1 << 62))
        return made[-1]

    yield fork
    for one in made:
        one.close()


def shared(memory: Memory, address: int, *, writes: bool = False) -> object:
    return memory.futex_key(address, is_private=False, writes=writes)


def private(memory: Memory, address: int) -> object:
    return memory.futex_key(address, is_private=True)


class TestAddresses:
    @given(st.integers(0, (1 << 64) - 1).filter(lambda address: address % 4), st.booleans())
    def test_misaligned(self, address: int, is_private: bool) -> None:
        machine = FakeMachine(frame_limit=16)
        memory = Memory(machine, mmap_base=1 << 46)
        fails(Errno.EINVAL, lambda: memory.futex_key(address, is_private=is_private))
        memory.close()
        machine.close()

    @pytest.mark.parametrize("address", [0x7FFF_FFFF_F000, 1 << 63, (1 << 64) - 4])
    @pytest.mark.parametrize("key", [shared, private])
    def test_no_program_can_have_them(
        self, address: int, key: Callable[[Memory, int], object], memory: Memory
    ) -> None:
        fails(Errno.EFAULT, key, memory, address)

    def test_nothing_there(self, memory: Memory) -> None:
        fails(Errno.EFAULT, shared, memory, AT)
        assert private(memory, AT) == private(memory, AT)  # the word itself is never looked at


class TestPrivateMemory:
    def test_each_address_of_each_memory(self, memory: Memory, child: Callable[[], Memory]) -> None:
        memory.mmap(AT, P, RW, MAP.PRIVATE | ANON)
        other = child()
        keys = {
            key(one, address)
            for key in (shared, private)
            for one in (memory, other)
            for address in (AT, AT + 4)
        }
        assert len(keys) == 8
        assert shared(memory, AT) in keys

    @pytest.mark.parametrize("prot", [PROT.NONE, PROT.READ])
    def test_what_cannot_change_cannot_be_waited_for(self, prot: int, memory: Memory) -> None:
        memory.mmap(AT, P, prot, MAP.PRIVATE | ANON)
        fails(Errno.EFAULT, shared, memory, AT)

    def test_lazy_memory_is_there(self, memory: Memory) -> None:
        memory.mmap(AT, P, RW, MAP.PRIVATE | ANON | MAP.NORESERVE)
        assert shared(memory, AT) == shared(memory, AT)


class TestSharedMemory:
    def test_after_fork_and_at_another_address(self, memory: Memory, child: Callable[[], Memory]) -> None:
        memory.mmap(AT, 2 * P, RW, MAP.SHARED | ANON)
        other = child()
        other.mremap(AT + P, P, P, 3, ELSEWHERE)
        assert shared(other, ELSEWHERE + 8) == shared(memory, AT + P + 8)
        assert shared(other, AT + 8) == shared(memory, AT + 8) != shared(memory, AT + P + 8)
        assert private(other, AT) != private(memory, AT)

    def test_two_mappings_are_two(self, memory: Memory) -> None:
        memory.mmap(AT, P, RW, MAP.SHARED | ANON)
        memory.mmap(ELSEWHERE, P, RW, MAP.SHARED | ANON)
        assert shared(memory, AT) != shared(memory, ELSEWHERE)

    def test_rights(self, memory: Memory) -> None:
        memory.mmap(AT, P, RW, MAP.SHARED | ANON)
        key = shared(memory, AT, writes=True)
        memory.mprotect(AT, P, PROT.READ)
        assert shared(memory, AT) == key
        fails(Errno.EFAULT, lambda: shared(memory, AT, writes=True))
        memory.mprotect(AT, P, PROT.NONE)
        fails(Errno.EFAULT, shared, memory, AT)


class TestFiles:
    def test_one_file_opened_twice(self, memory: Memory, make_file: MakeFile) -> None:
        file = make_file(bytes(3 * P))
        again = HostFile(os.dup(file.fd))
        memory.mmap(AT, 3 * P, RW, MAP.SHARED, file, 0)
        memory.mmap(ELSEWHERE, P, RW, MAP.SHARED, again, 2 * P)
        assert shared(memory, ELSEWHERE + 16) == shared(memory, AT + 2 * P + 16)
        assert shared(memory, ELSEWHERE) != shared(memory, AT)
        memory.munmap(ELSEWHERE, P)
        os.close(again.fd)

    def test_two_files(self, memory: Memory, make_file: MakeFile) -> None:
        memory.mmap(AT, P, RW, MAP.SHARED, make_file(bytes(P)), 0)
        memory.mmap(ELSEWHERE, P, RW, MAP.SHARED, make_file(bytes(P)), 0)
        assert shared(memory, AT) != shared(memory, ELSEWHERE)

    def test_private_mappings(self, memory: Memory, make_file: MakeFile) -> None:
        """One that can be written to is a copy; one that can't shows the file."""
        file = make_file(bytes(P))
        for index, (prot, flags) in enumerate(
            [(RW, MAP.SHARED), (PROT.READ, MAP.SHARED), (PROT.READ, MAP.PRIVATE), (RW, MAP.PRIVATE)]
        ):
            memory.mmap(AT + index * P, P, prot, flags | MAP.FIXED, file, 0)
        keys = [shared(memory, AT + index * P) for index in range(4)]
        assert keys[0] == keys[1] == keys[2] != keys[3]
        for index in (1, 2):
            fails(Errno.EFAULT, lambda index=index: shared(memory, AT + index * P, writes=True))

    def test_beyond_the_end(self, memory: Memory, make_file: MakeFile) -> None:
        memory.mmap(AT, 2 * P, RW, MAP.SHARED, make_file(bytes(P)), 0)
        assert shared(memory, AT + P - 4)
        fails(Errno.EFAULT, shared, memory, AT + P)

    def test_identities(self, machine: FakeMachine, make_file: MakeFile) -> None:
        file = make_file(b"")
        assert FileBacking(file).identity() == FileBacking(file).identity()
        made = [FramesBacking.anonymous(machine.frames, 1) for _ in range(2)]
        assert made[0].identity() != made[1].identity()
        for backing in made:
            backing.drop()


class TestWords:
    """load_word and compare_exchange."""

    @pytest.mark.parametrize("flags", [MAP.PRIVATE, MAP.SHARED])
    @pytest.mark.parametrize("is_file", [False, True])
    def test_exchange(self, flags: int, is_file: bool, memory: Memory, make_file: MakeFile) -> None:
        file = make_file(bytes(P)) if is_file else None
        memory.mmap(AT, P, RW, flags | (0 if is_file else ANON), file, 0)
        for _ in range(2):  # the second time by the window of the first
            assert memory.load_word(AT + 8) == 0
            assert memory.compare_exchange(AT + 8, 1, 2) == 0
            assert memory.compare_exchange(AT + 8, 0, 0x8000_0001) == 0
            assert memory.read(AT + 4, 12) == bytes(4) + b"\1\0\0\x80" + bytes(4)
            assert memory.load_word(AT + 8) == 0x8000_0001
            assert memory.compare_exchange(AT + 8, 0x8000_0001, 0) == 0x8000_0001

    def test_rights(self, memory: Memory) -> None:
        memory.mmap(AT, P, PROT.READ, MAP.PRIVATE | ANON)
        assert memory.load_word(AT) == 0
        fails(Errno.EFAULT, memory.compare_exchange, AT, 0, 1)
        memory.mprotect(AT, P, PROT.NONE)
        fails(Errno.EFAULT, memory.load_word, AT)

    @pytest.mark.parametrize("address", [0, AT, AT - 4, 1 << 47, (1 << 64) - 4])
    def test_wild(self, address: int, memory: Memory) -> None:
        fails(Errno.EFAULT, memory.load_word, address)
        fails(Errno.EFAULT, memory.compare_exchange, address, 0, 1)

    def test_after_fork_each_has_its_own(self, memory: Memory, child: Callable[[], Memory]) -> None:
        memory.mmap(AT, P, RW, MAP.PRIVATE | ANON)
        memory.write_word(AT, 5, 4)
        other = child()
        assert other.compare_exchange(AT, 5, 6) == 5
        assert (memory.load_word(AT), other.load_word(AT)) == (5, 6)

    @pytest.mark.parametrize("flags", [O.RDWR, O.RDONLY])
    def test_a_file_that_is_cut_short(self, flags: int, memory: Memory, make_file: MakeFile) -> None:
        file = make_file(bytes(2 * P), flags)
        prot = RW if flags == O.RDWR else PROT.READ
        memory.mmap(AT, 2 * P, prot, MAP.SHARED, file, 0)
        assert memory.load_word(AT + P) == 0
        os.ftruncate(file.fd, P)
        fails(Errno.EFAULT, memory.load_word, AT + P)
        fails(Errno.EFAULT, memory.compare_exchange, AT + P, 0, 1)

    def test_users(self, memory: Memory) -> None:
        assert memory.has_one_user
        memory.hold()
        assert not memory.has_one_user
        memory.drop()
        assert memory.has_one_user
