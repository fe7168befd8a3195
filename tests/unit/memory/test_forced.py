"""What a debugger may do to another program's memory, its rights notwithstanding."""

from collections.abc import Callable

import pytest
from fakes.files import HostFile
from fakes.machine import FakeMachine

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mman import MAP, PROT
from aionoah.memory.memory import Memory

PAGE = 4096
PRIVATE = MAP.PRIVATE | MAP.ANONYMOUS
SHARED = MAP.SHARED | MAP.ANONYMOUS


def test_ordinary_memory_is_read_and_written(memory: Memory) -> None:
    at = memory.mmap(0, 2 * PAGE, PROT.READ | PROT.WRITE, PRIVATE)
    assert memory.poke(at + PAGE - 2, b"abcd") == 4
    assert memory.peek(at + PAGE - 2, 4) == memory.read(at + PAGE - 2, 4) == b"abcd"


@pytest.mark.parametrize("prot", [PROT.READ | PROT.EXEC, PROT.READ, PROT.NONE])
def test_rights_do_not_bind(memory: Memory, prot: int) -> None:
    at = memory.mmap(0, PAGE, PROT.READ | PROT.WRITE, PRIVATE)
    memory.write(at, b"text")
    memory.mprotect(at, PAGE, prot)
    assert memory.peek(at, 4) == b"text"
    assert memory.poke(at, b"T") == 1
    assert memory.peek(at, 4) == b"Text"
    with pytest.raises(LinuxError):
        memory.write(at, b"x")


def test_memory_that_was_never_touched_can_be_changed(memory: Memory) -> None:
    at = memory.mmap(0, PAGE, PROT.NONE, PRIVATE)
    assert memory.peek(at, 2) == b"\0\0"
    assert memory.poke(at, b"x") == 1
    memory.mprotect(at, PAGE, PROT.READ)
    assert memory.read(at, 2) == b"x\0"


def test_a_forks_text_stays_its_own(memory: Memory) -> None:
    at = memory.mmap(0, PAGE, PROT.READ | PROT.WRITE, PRIVATE)
    memory.write(at, b"text")
    memory.mprotect(at, PAGE, PROT.READ | PROT.EXEC)
    child = memory.fork(lambda _: 1 << 40)
    try:
        assert child.poke(at, b"\xcc") == 1
        assert (memory.read(at, 4), child.read(at, 4)) == (b"text", b"\xccext")
    finally:
        child.close()


def test_a_private_files_pages_change_and_the_file_does_not(
    memory: Memory, make_file: Callable[..., HostFile]
) -> None:
    file = make_file(b"program text")
    at = memory.mmap(0, PAGE, PROT.READ | PROT.EXEC, MAP.PRIVATE, file)
    other = memory.mmap(0, PAGE, PROT.READ, MAP.PRIVATE, file)
    assert memory.poke(at, b"P") == 1
    assert memory.peek(at, 12) == b"Program text"
    assert memory.read(other, 12) == b"program text"


def test_shared_memory_keeps_its_rights(memory: Memory) -> None:
    at = memory.mmap(0, PAGE, PROT.READ, SHARED)
    assert memory.poke(at, b"x") == 0
    assert memory.peek(at, 1) == b"\0"


def test_an_access_ends_where_nothing_is(memory: Memory, make_file: Callable[..., HostFile]) -> None:
    at = memory.mmap(0, 3 * PAGE, PROT.READ | PROT.WRITE, PRIVATE)
    memory.munmap(at + PAGE, PAGE)
    assert memory.peek(at + PAGE - 3, 8) == bytes(3)
    assert memory.poke(at + PAGE - 3, b"12345678") == 3
    assert memory.peek(at + PAGE, 1) == b""
    assert memory.poke(at + PAGE, b"1") == 0
    behind = memory.mmap(0, 2 * PAGE, PROT.READ, MAP.PRIVATE, make_file(b"short"))
    assert memory.poke(behind + PAGE, b"1") == 0


@pytest.mark.parametrize("address", [0, (1 << 64) - 8, 1 << 63, (1 << 47) - PAGE])
def test_places_that_no_program_has(memory: Memory, address: int) -> None:
    assert memory.peek(address, 8) == b""
    assert memory.poke(address, bytes(8)) == 0


def test_want_of_memory_is_no_success(machine: FakeMachine, memory: Memory) -> None:
    at = memory.mmap(0, PAGE, PROT.NONE, PRIVATE)
    rest = machine.frames.limit - machine.frames.in_use
    taken = machine.frames.allocate(rest) if rest else 0
    try:
        assert memory.poke(at, b"x") == 0
    finally:
        machine.frames.drop(taken, rest)
    with pytest.raises(LinuxError) as caught:
        memory.read(at, 1)
    assert caught.value.errno == Errno.EFAULT
