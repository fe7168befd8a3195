"""mseal, rules against new executable memory, and remap_file_pages."""

import pytest
from fakes.expect import fails

from aionoah.abi.errno import Errno
from aionoah.abi.mman import MADV, MAP, MREMAP, PROT
from aionoah.hypervisor.protocols import PAGE_SIZE
from aionoah.memory.memory import Memory
from aionoah.memory.mm import Execution
from aionoah.memory.vma import VM

ANON = MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED
SHARED = MAP.SHARED | MAP.ANONYMOUS | MAP.FIXED
RW = PROT.READ | PROT.WRITE
AT = 0x10_0000_0000
P = PAGE_SIZE


class TestSeals:
    @pytest.fixture(autouse=True)
    def _sealed(self, memory: Memory) -> None:
        memory.mmap(AT, 3 * P, RW, ANON)
        memory.write(AT + P, b"kept")
        memory.mseal(AT + P, P)

    def test_arguments(self, memory: Memory) -> None:
        fails(Errno.EINVAL, memory.mseal, AT + 1, P)
        fails(Errno.EINVAL, memory.mseal, AT, (1 << 64) - 1)
        fails(Errno.ENOMEM, memory.mseal, AT, 4 * P)
        memory.munmap(AT, P)

    def test_nothing_goes(self, memory: Memory) -> None:
        fails(Errno.EPERM, memory.munmap, AT, 3 * P)
        fails(Errno.EPERM, memory.mmap, AT, 3 * P, RW, ANON)
        fails(Errno.EPERM, memory.mprotect, AT + P, P, RW)
        fails(Errno.EPERM, memory.mremap, AT + P, P, P, 0)
        memory.mmap(AT + 16 * P, P, RW, ANON)
        fails(Errno.EPERM, memory.mremap, AT + 16 * P, P, P, MREMAP.MAYMOVE | MREMAP.FIXED, AT + P)
        assert memory.read(AT + P, 4) == b"kept"
        assert len(list(memory.maps())) == 4

    def test_areas_before_it_are_protected(self, memory: Memory) -> None:
        fails(Errno.EPERM, memory.mprotect, AT, 2 * P, PROT.READ)
        assert next(memory.maps()).prot == PROT.READ

    def test_what_cannot_be_written_is_not_thrown_away_either(self, memory: Memory) -> None:
        memory.madvise(AT + P, P, MADV.DONTNEED)
        memory.mprotect(AT, P, PROT.READ)
        memory.mseal(AT, P)
        fails(Errno.EPERM, memory.madvise, AT, P, MADV.DONTNEED)
        memory.madvise(AT, P, MADV.RANDOM)

    def test_seals_are_inherited(self, memory: Memory) -> None:
        child = memory.fork(lambda _: (1 << 64) - 1)
        fails(Errno.EPERM, child.munmap, AT + P, P)
        assert any(line.flags & VM.SEALED for line in child.maps())
        child.close()

    def test_the_heap_does_not_shrink_over_one(self, memory: Memory) -> None:
        memory.set_brk(AT + 32 * P)
        memory.brk(AT + 34 * P)
        memory.mseal(AT + 33 * P, P)
        assert memory.brk(AT + 32 * P) == AT + 34 * P


class TestExecution:
    def test_no_right_to_execute_is_gained(self, memory: Memory) -> None:
        memory.mmap(AT, P, PROT.READ | PROT.EXEC, ANON)
        memory.mmap(AT + P, P, RW, ANON)
        memory.execution = Execution.DENIED
        fails(Errno.EACCES, memory.mmap, AT + P, P, RW | PROT.EXEC, ANON)
        fails(Errno.EACCES, memory.mprotect, AT + P, P, PROT.READ | PROT.EXEC)
        fails(Errno.EACCES, memory.mprotect, AT, P, RW | PROT.EXEC)
        memory.mprotect(AT, P, PROT.READ | PROT.EXEC)
        memory.mmap(AT + 2 * P, P, PROT.READ | PROT.EXEC, ANON)

    def test_heirs(self, memory: Memory) -> None:
        for rule, inherited in (
            (Execution.DENIED, Execution.DENIED),
            (Execution.DENIED_HERE, Execution.FREE),
        ):
            memory.execution = rule
            child = memory.fork(lambda _: (1 << 64) - 1)
            assert child.execution is inherited
            child.close()


class TestOtherPages:
    def shown(self, memory: Memory, count: int) -> bytes:
        return b"".join(memory.read(AT + page * P, 1) for page in range(count))

    def test_pages_in_another_order(self, memory: Memory) -> None:
        memory.mmap(AT, 4 * P, RW, SHARED)
        for page in range(4):
            memory.write(AT + page * P, b"%d" % page)
        memory.remap_file_pages(AT, 2 * P, 2, 0)
        assert self.shown(memory, 4) == b"2323"
        memory.remap_file_pages(AT + 5, 4 * P, 0, MAP.NONBLOCK)
        assert self.shown(memory, 4) == b"0123"

    def test_what_is_nowhere_else_stays_for_it(self, memory: Memory) -> None:
        memory.mmap(AT, 2 * P, RW, SHARED)
        memory.write(AT + P, b"x")
        memory.remap_file_pages(AT, 2 * P, 1, 0)
        assert memory.read(AT, 1) == b"x"

    def test_errors(self, memory: Memory) -> None:
        memory.mmap(AT, P, RW, SHARED)
        memory.mmap(AT + P, P, RW, ANON)
        for start, length, page in (
            *((AT, 0, 0), (AT, 2 * P, 0), (AT + P, P, 0), (AT + 2 * P, P, 0)),
            *((AT, P, (1 << 64) - 1), (AT, (1 << 64) - P, 0)),
        ):
            fails(Errno.EINVAL, memory.remap_file_pages, start, length, page, 0)
        fails(Errno.EOVERFLOW, memory.remap_file_pages, AT, P, 1 << 60, 0)
