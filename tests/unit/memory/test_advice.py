"""madvise, mincore and msync, by what they do to contents."""

import os
from collections.abc import Callable

import pytest
from fakes.expect import fails
from fakes.files import HostFile
from fakes.machine import FakeMachine

from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import FALLOC, O
from aionoah.abi.mman import MADV, MAP, MS, PROT
from aionoah.hypervisor.protocols import PAGE_SIZE
from aionoah.memory.memory import Memory
from aionoah.memory.vma import VM

ANON = MAP.PRIVATE | MAP.ANONYMOUS
SHARED = MAP.SHARED | MAP.ANONYMOUS
RW = PROT.READ | PROT.WRITE
AT = 0x10_0000_0000
P = PAGE_SIZE


class TestForgetting:
    @pytest.mark.parametrize("advice", [MADV.DONTNEED, MADV.FREE, MADV.DONTNEED_LOCKED])
    def test_private_memory_is_zero_again(self, memory: Memory, machine: FakeMachine, advice: int) -> None:
        memory.mmap(AT, 3 * P, RW, ANON)
        memory.write(AT, b"x" * 3 * P)
        memory.madvise(AT + P, P, advice)
        assert machine.frames.in_use == 2
        assert memory.read(AT, 3 * P) == b"x" * P + bytes(P) + b"x" * P

    def test_private_file_memory_is_the_file_again(
        self, memory: Memory, make_file: Callable[..., HostFile]
    ) -> None:
        file = make_file(b"file" * 1024)
        memory.mmap(AT, P, RW, MAP.PRIVATE, file, 0)
        memory.write(AT, b"mine")
        os.pwrite(file.fd, b"news", 0)
        memory.madvise(AT, P, MADV.DONTNEED)
        assert memory.read(AT, 8) == b"newsfile"

    def test_shared_memory_stays(self, memory: Memory) -> None:
        memory.mmap(AT, P, RW, SHARED)
        memory.write(AT, b"kept")
        memory.madvise(AT, P, MADV.DONTNEED)
        assert memory.read(AT, 4) == b"kept"

    def test_locked_memory_stays(self, memory: Memory) -> None:
        memory.mmap(AT, P, RW, ANON | MAP.LOCKED)
        for advice in (MADV.DONTNEED, MADV.FREE, MADV.COLD, MADV.PAGEOUT, MADV.REMOVE):
            fails(Errno.EINVAL, memory.madvise, AT, P, advice)

    def test_only_anonymous_memory_can_be_freed(
        self, memory: Memory, make_file: Callable[..., HostFile]
    ) -> None:
        memory.mmap(AT, P, RW, MAP.PRIVATE, make_file(b"x"), 0)
        fails(Errno.EINVAL, memory.madvise, AT, P, MADV.FREE)
        fails(Errno.EINVAL, memory.madvise, AT, P, MADV.WIPEONFORK)


class TestRemove:
    def test_shared_memory_becomes_zero_for_all(self, memory: Memory) -> None:
        memory.mmap(AT, 3 * P, RW, SHARED)
        memory.write(AT, b"x" * 3 * P)
        copy = memory.mremap(AT, 0, 3 * P, 1)
        memory.madvise(AT + P, P, MADV.REMOVE)
        assert memory.read(copy, 3 * P) == b"x" * P + bytes(P) + b"x" * P

    def test_files_get_a_hole(self, memory: Memory, make_file: Callable[..., HostFile]) -> None:
        file = make_file(b"x" * 3 * P)
        memory.mmap(AT, 2 * P, RW, MAP.SHARED, file, P)
        memory.madvise(AT + P, P, MADV.REMOVE)
        assert file.holes == [(FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, 2 * P, P)]

    def test_refused(self, memory: Memory, make_file: Callable[..., HostFile]) -> None:
        memory.mmap(AT, P, RW, ANON)
        fails(Errno.EINVAL, memory.madvise, AT, P, MADV.REMOVE)
        memory.mmap(AT, P, RW, MAP.PRIVATE | MAP.FIXED, make_file(b"x"), 0)
        fails(Errno.EACCES, memory.madvise, AT, P, MADV.REMOVE)
        memory.mmap(AT, P, PROT.READ, MAP.SHARED | MAP.FIXED, make_file(b"x", O.RDONLY), 0)
        fails(Errno.EACCES, memory.madvise, AT, P, MADV.REMOVE)


class TestFlags:
    @pytest.mark.parametrize(
        ("advice", "flag", "undo"),
        [
            (MADV.RANDOM, VM.RAND_READ, MADV.NORMAL),
            (MADV.SEQUENTIAL, VM.SEQ_READ, MADV.RANDOM),
            (MADV.DONTFORK, VM.DONTCOPY, MADV.DOFORK),
            (MADV.WIPEONFORK, VM.WIPEONFORK, MADV.KEEPONFORK),
            (MADV.DONTDUMP, VM.DONTDUMP, MADV.DODUMP),
            (MADV.MERGEABLE, VM.MERGEABLE, MADV.UNMERGEABLE),
            (MADV.HUGEPAGE, VM.HUGEPAGE, MADV.NOHUGEPAGE),
            (MADV.NOHUGEPAGE, VM.NOHUGEPAGE, MADV.HUGEPAGE),
        ],
    )
    def test_set_and_undone(self, memory: Memory, advice: int, flag: int, undo: int) -> None:
        memory.mmap(AT, 3 * P, RW, ANON)
        memory.madvise(AT + P, P, advice)
        assert [bool(line.flags & flag) for line in memory.maps()] == [False, True, False]
        memory.madvise(AT, 3 * P, undo)
        assert [bool(line.flags & flag) for line in memory.maps()] == [False]

    def test_shared_memory_is_never_mergeable(self, memory: Memory) -> None:
        memory.mmap(AT, P, RW, SHARED)
        memory.madvise(AT, P, MADV.MERGEABLE)
        assert not next(memory.maps()).flags & VM.MERGEABLE


class TestFilling:
    def test_populate(self, memory: Memory) -> None:
        memory.mmap(AT, 4 * P, RW, ANON | MAP.NORESERVE)
        memory.madvise(AT + P, 2 * P, MADV.POPULATE_WRITE)
        assert list(memory.space.resident(AT, 4)) == [False, True, True, False]

    def test_refused(self, memory: Memory, machine: FakeMachine, make_file: Callable[..., HostFile]) -> None:
        memory.mmap(AT, P, PROT.READ, ANON)
        memory.madvise(AT, P, MADV.POPULATE_READ)
        fails(Errno.EINVAL, memory.madvise, AT, P, MADV.POPULATE_WRITE)
        fails(Errno.ENOMEM, memory.madvise, AT, 2 * P, MADV.POPULATE_READ)
        memory.mprotect(AT, P, PROT.NONE)
        fails(Errno.EINVAL, memory.madvise, AT, P, MADV.POPULATE_READ)
        memory.mmap(AT, 2 * P, RW, MAP.SHARED | MAP.FIXED, make_file(b"x"), 0)
        fails(Errno.EFAULT, memory.madvise, AT, 2 * P, MADV.POPULATE_READ)
        memory.mmap(AT, P, RW, ANON | MAP.FIXED | MAP.NORESERVE)
        machine.frames.in_use += machine.frames.limit
        fails(Errno.ENOMEM, memory.madvise, AT, P, MADV.POPULATE_READ)
        machine.frames.in_use -= machine.frames.limit


def test_bad_advice(memory: Memory) -> None:
    memory.mmap(AT, P, RW, ANON)
    for address, length, advice in (
        (AT, P, 99),
        (AT, P, MADV.HWPOISON),
        (AT, P, MADV.COLLAPSE),
        (AT + 1, P, MADV.NORMAL),
        (AT, (1 << 64) - 1, MADV.NORMAL),
        ((1 << 64) - P, 2 * P, MADV.NORMAL),
    ):
        fails(Errno.EINVAL, memory.madvise, address, length, advice)
    memory.madvise(AT, 0, MADV.DONTNEED)


def test_advice_goes_on_after_a_gap(memory: Memory) -> None:
    memory.mmap(AT, P, RW, ANON)
    memory.mmap(AT + 2 * P, P, RW, ANON)
    memory.write(AT + 2 * P, b"x")
    fails(Errno.ENOMEM, memory.madvise, AT, 3 * P, MADV.DONTNEED)
    assert memory.read(AT + 2 * P, 1) == b"\0"


class TestMincore:
    def test_what_is_there(self, memory: Memory) -> None:
        memory.mmap(AT, 4 * P, RW, ANON)
        memory.madvise(AT + P, P, MADV.DONTNEED)
        assert b"".join(memory.mincore(AT, 3 * P + 1)) == b"\1\0\1\1"

    def test_in_stretches(self, memory: Memory) -> None:
        memory.mmap(AT, 5000 * P, RW, ANON | MAP.NORESERVE)
        assert [len(part) for part in memory.mincore(AT, 5000 * P)] == [4096, 904]

    def test_refused(self, memory: Memory) -> None:
        memory.mmap(AT, P, RW, ANON)
        fails(Errno.EINVAL, memory.mincore, AT + 1, P)
        fails(Errno.ENOMEM, memory.mincore, AT, 1 << 63)
        fails(Errno.ENOMEM, lambda: list(memory.mincore(AT, 2 * P)))


class TestMsync:
    def test_shared_files_are_synced(self, memory: Memory, make_file: Callable[..., HostFile]) -> None:
        file = make_file(b"x" * P)
        memory.mmap(AT, P, RW, MAP.SHARED, file, 0)
        memory.msync(AT, P, MS.ASYNC)
        assert file.syncs == 0
        memory.msync(AT, P, MS.SYNC)
        assert file.syncs == 1

    def test_private_ones_are_not(self, memory: Memory, make_file: Callable[..., HostFile]) -> None:
        file = make_file(b"x" * P)
        memory.mmap(AT, P, RW, MAP.PRIVATE, file, 0)
        memory.mmap(AT + P, P, RW, SHARED)
        memory.msync(AT, 2 * P, MS.SYNC)
        assert file.syncs == 0

    def test_refused(self, memory: Memory) -> None:
        memory.mmap(AT, P, RW, ANON | MAP.LOCKED)
        fails(Errno.EINVAL, memory.msync, AT, P, 8)
        fails(Errno.EINVAL, memory.msync, AT, P, MS.SYNC | MS.ASYNC)
        fails(Errno.EINVAL, memory.msync, AT + 1, P, MS.SYNC)
        fails(Errno.EBUSY, memory.msync, AT, P, MS.INVALIDATE)
        fails(Errno.ENOMEM, memory.msync, AT, 2 * P, MS.SYNC)
        fails(Errno.ENOMEM, memory.msync, (1 << 64) - P, P, MS.SYNC)
        memory.msync(AT + 5 * P, 0, MS.SYNC)
