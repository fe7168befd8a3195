"""What of memory core dumps have."""

from collections.abc import Callable

import pytest
from fakes.files import HostFile

from aionoah.abi.core import DUMP
from aionoah.abi.mman import MADV, MAP, PROT
from aionoah.memory.memory import Memory

PAGE = 4096
READ_WRITE = PROT.READ | PROT.WRITE
PRIVATE = MAP.PRIVATE | MAP.ANONYMOUS
SHARED = MAP.SHARED | MAP.ANONYMOUS
EVERYTHING = sum(DUMP.members().values())


def lengths(memory: Memory, kinds: int) -> list[int]:
    return [area.length // PAGE for area in memory.dumped_areas(kinds)]


def found(memory: Memory, at: int, length: int) -> list[tuple[int, bytes]]:
    return [
        ((address - at) // PAGE, data.rstrip(b"\0"))
        for address, data in memory.dumped_pieces(at, at + length)
        if data
    ]


@pytest.mark.parametrize(("kinds", "pages"), [(DUMP.ANON_PRIVATE, 3), (EVERYTHING & ~DUMP.ANON_PRIVATE, 0)])
def test_private_memory(memory: Memory, kinds: int, pages: int) -> None:
    memory.mmap(0, 3 * PAGE, READ_WRITE, PRIVATE)
    assert lengths(memory, kinds) == [pages]


def test_what_was_never_touched_is_not_looked_at(memory: Memory) -> None:
    """However large it is."""
    memory.mmap(0, 1 << 40, PROT.NONE, PRIVATE | MAP.NORESERVE)
    assert lengths(memory, EVERYTHING) == [0]


@pytest.mark.parametrize(("kinds", "pages"), [(DUMP.ANON_SHARED, 2), (EVERYTHING & ~DUMP.ANON_SHARED, 0)])
def test_shared_memory(memory: Memory, kinds: int, pages: int) -> None:
    memory.mmap(0, 2 * PAGE, READ_WRITE, SHARED)
    assert lengths(memory, kinds) == [pages]


def test_what_is_not_to_be_dumped(memory: Memory) -> None:
    at = memory.mmap(0, 3 * PAGE, READ_WRITE, PRIVATE)
    memory.madvise(at + PAGE, PAGE, MADV.DONTDUMP)
    assert lengths(memory, EVERYTHING) == [1, 0, 1]
    memory.madvise(at, 3 * PAGE, MADV.DODUMP)
    assert lengths(memory, EVERYTHING) == [3]


def test_private_mappings_of_files(memory: Memory, make_file: Callable[..., HostFile]) -> None:
    """Those that the program may have changed are its own memory; of programs and libraries the start is dumped."""
    text, data = make_file(b"text" * PAGE), make_file(b"data" * PAGE)
    library = make_file(b"\x7fELF" * PAGE)
    for file, prot in ((library, PROT.READ), (data, READ_WRITE), (text, PROT.READ)):
        memory.mmap(0, 4 * PAGE, prot, MAP.PRIVATE, file)
    assert lengths(memory, DUMP.ANON_PRIVATE | DUMP.ELF_HEADERS) == [0, 4, 1]
    assert lengths(memory, DUMP.MAPPED_PRIVATE) == [4, 4, 4]
    assert lengths(memory, 0) == [0, 0, 0]


def test_what_may_no_longer_be_written_has_been(memory: Memory, make_file: Callable[..., HostFile]) -> None:
    at = memory.mmap(0, PAGE, READ_WRITE, MAP.PRIVATE, make_file(bytes(PAGE)))
    memory.write(at, b"relocated")
    memory.mprotect(at, PAGE, PROT.READ)
    assert lengths(memory, DUMP.ANON_PRIVATE) == [1]
    assert found(memory, at, PAGE) == [(0, b"relocated")]


def test_zeros_are_left_out(memory: Memory) -> None:
    at = memory.mmap(0, 300 * PAGE, READ_WRITE, PRIVATE)
    for page in (1, 2, 5, 63, 64, 200):
        memory.write(at + page * PAGE, b"%d" % page)
    pieces = found(memory, at, 300 * PAGE)
    assert [page for page, _ in pieces] == [1, 5, 63, 64, 200]
    assert pieces[0][1] == b"1".ljust(PAGE, b"\0") + b"2"


def test_long_zeros_are_said_to_be_there(memory: Memory) -> None:
    """So that whoever asks can do something else in between."""
    at = memory.mmap(0, 300 * PAGE, READ_WRITE, PRIVATE)
    assert len(list(memory.dumped_pieces(at, at + 300 * PAGE))) >= 4


def test_files_end(memory: Memory, make_file: Callable[..., HostFile]) -> None:
    at = memory.mmap(0, 8 * PAGE, PROT.READ, MAP.PRIVATE, make_file(b"x" * (PAGE + 1)))
    assert found(memory, at, 8 * PAGE) == [(0, b"x" * (PAGE + 1))]


def test_memory_that_has_gone_meanwhile(memory: Memory) -> None:
    at = memory.mmap(0, 4 * PAGE, READ_WRITE, PRIVATE)
    pieces = memory.dumped_pieces(at, at + 4 * PAGE)
    memory.munmap(at, 4 * PAGE)
    assert list(pieces) == []
