"""fork: both see the same until one writes."""

import os
from collections.abc import Callable, Iterator

import pytest
from fakes.expect import fails
from fakes.files import HostFile
from fakes.machine import FakeMachine

from aionoah.abi.errno import Errno
from aionoah.abi.mman import MADV, MAP, PROT
from aionoah.abi.resource import RLIM_INFINITY
from aionoah.hypervisor.protocols import PAGE_SIZE, Prot
from aionoah.memory.faults import FaultResult
from aionoah.memory.memory import Memory

ANON = MAP.PRIVATE | MAP.ANONYMOUS
RW = PROT.READ | PROT.WRITE
AT = 0x10_0000_0000
P = PAGE_SIZE


@pytest.fixture
def fork() -> Iterator[Callable[[Memory], Memory]]:
    children: list[Memory] = []

    def make(parent: Memory) -> Memory:
        children.append(parent.fork(lambda _: RLIM_INFINITY))
        return children[-1]

    yield make
    for child in children:
        child.close()


Fork = Callable[[Memory], Memory]


def test_private_memory_is_copied_at_the_first_write(
    memory: Memory, machine: FakeMachine, fork: Fork
) -> None:
    memory.mmap(AT, 100 * P, RW, ANON)
    memory.write(AT, b"before" * 1000)
    child = fork(memory)
    assert machine.frames.in_use == 100
    assert child.read(AT, 6) == b"before"
    child.write(AT, b"child")
    memory.write(AT + P, b"parent")
    assert memory.read(AT, 6) == b"before"
    assert child.read(AT, 6) == b"childe"
    assert child.read(AT + P, 6) == (b"before" * 1000)[P : P + 6]
    assert 100 < machine.frames.in_use < 150


def test_a_write_of_the_guest_is_a_fault(memory: Memory, fork: Fork) -> None:
    memory.mmap(AT, P, RW, ANON)
    child = fork(memory)
    for space in (memory.space, child.space):
        extent = space.extent(AT)
        assert extent is not None
        assert Prot.WRITE not in extent.prot
    assert child.fault(AT, Prot.WRITE) is FaultResult.RESOLVED
    child.write_word(AT, 5)
    assert memory.read_word(AT) == 0


def test_the_last_holder_copies_nothing(memory: Memory, machine: FakeMachine) -> None:
    memory.mmap(AT, P, RW, ANON)
    memory.fork(lambda _: RLIM_INFINITY).close()
    memory.write(AT, b"x")
    assert machine.frames.in_use == 1


def test_rights_do_not_undo_the_sharing(memory: Memory, fork: Fork) -> None:
    memory.mmap(AT, P, RW, ANON)
    child = fork(memory)
    child.mprotect(AT, P, PROT.READ)
    child.mprotect(AT, P, RW)
    child.write(AT, b"child")
    assert memory.read(AT, 5) == bytes(5)


def test_shared_memory_stays_shared(memory: Memory, fork: Fork, make_file: Callable[..., HostFile]) -> None:
    file = make_file(b"file" * 1024)
    memory.mmap(AT, P, RW, MAP.SHARED | MAP.ANONYMOUS)
    memory.mmap(AT + P, P, RW, MAP.SHARED, file, 0)
    child = fork(memory)
    child.write(AT, b"both")
    child.write(AT + P, b"disk")
    assert memory.read(AT, 4) == b"both"
    assert memory.read(AT + P, 4) == os.pread(file.fd, 4, 0) == b"disk"


def test_lazily_mapped_shared_memory_too(memory: Memory, fork: Fork) -> None:
    memory.mmap(AT, 1 << 20, RW, MAP.SHARED | MAP.ANONYMOUS | MAP.NORESERVE)
    child = fork(memory)
    child.write(AT + 5 * P, b"late")
    assert memory.read(AT + 5 * P, 4) == b"late"


def test_private_file_memory(memory: Memory, fork: Fork, make_file: Callable[..., HostFile]) -> None:
    file = make_file(b"file" * 1024)
    memory.mmap(AT, P, RW, MAP.PRIVATE, file, 0)
    memory.write(AT, b"mine")
    child = fork(memory)
    child.write(AT + 4, b"child")
    assert (memory.read(AT, 12), child.read(AT, 12)) == (b"minefilefile", b"minechildile")
    child.madvise(AT, P, MADV.DONTNEED)
    assert child.read(AT, 4) == b"file"


def test_what_is_not_inherited(memory: Memory, fork: Fork) -> None:
    memory.mmap(AT, 4 * P, RW, ANON)
    memory.write(AT, b"x" * 4 * P)
    memory.madvise(AT + P, P, MADV.DONTFORK)
    memory.madvise(AT + 2 * P, P, MADV.WIPEONFORK)
    memory.mlock(AT, 4 * P)
    child = fork(memory)
    assert child.read(AT, P) == b"x" * P
    fails(Errno.EFAULT, child.read, AT + P, 1)
    assert child.read(AT + 2 * P, 2 * P) == bytes(P) + b"x" * P
    assert (memory.usage().locked, child.usage().locked) == (4, 0)


def test_heap_and_stack_go_on(memory: Memory, fork: Fork) -> None:
    memory.set_brk(AT)
    memory.brk(AT + P)
    memory.setup_stack(0x7FFE_FFFF_0000, P)
    child = fork(memory)
    assert child.brk(AT + 3 * P) == AT + 3 * P
    assert [line.name for line in child.maps()] == [b"[heap]", b"[stack]"]
    assert memory.brk(0) == AT + P


def test_exhausted(memory: Memory, machine: FakeMachine, fork: Fork, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.mmap(AT, 2 * P, RW, ANON)
    new_space = machine.new_space

    def small() -> object:
        space = new_space()
        space.table_limit = 1
        return space

    with monkeypatch.context() as patch:
        patch.setattr(machine, "new_space", small)
        fails(Errno.ENOMEM, memory.fork, lambda _: RLIM_INFINITY)
    assert machine.frames.in_use == 2
    child = fork(memory)
    machine.frames.in_use += machine.frames.limit
    assert child.fault(AT, Prot.WRITE) is FaultResult.EXHAUSTED
    fails(Errno.EFAULT, child.write, AT, b"x")
    machine.frames.in_use -= machine.frames.limit
    child.write(AT, b"x")


def test_file_cut_short(memory: Memory, make_file: Callable[..., HostFile]) -> None:
    file = make_file(b"x" * 3 * P)
    memory.mmap(AT, 3 * P, RW, MAP.SHARED, file, 0)
    os.ftruncate(file.fd, P)
    memory.forget_lost_pages()
    assert list(memory.space.resident(AT, 3)) == [True, False, False]
    assert memory.fault(AT + P, Prot.READ) is FaultResult.BUS
    os.ftruncate(file.fd, 2 * P)
    assert memory.fault(AT + P, Prot.READ) is FaultResult.RESOLVED
