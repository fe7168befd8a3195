"""Segments in memory: what a broken or hostile image may ask for, and what becomes of it."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from fakes.machine import FakeMachine
from fakes.trees import Tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mman import MAP, PROT
from aionoah.fs.file import File
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.memory.memory import Memory
from aionoah.process.elf import Image, Segment
from aionoah.process.image import load_image, page_down, page_up

PAGE = 4096
DATA = bytes(range(1, 256)) * 64  # four pages, no zero among them
MMAP_BASE = 0x7000_0000_0000


@pytest.fixture
def file() -> Iterator[File]:
    tree = Tree(TmpFileSystem())
    tree.write(b"/p", DATA)
    opened = tree.open(b"/p")
    yield opened
    opened.drop()


@pytest.fixture
def memory(machine: FakeMachine) -> Iterator[Memory]:
    made = Memory(cast("Any", machine), mmap_base=MMAP_BASE)
    yield made
    made.close()


def segment(
    address: int, memory_size: int, file_size: int = 0, flags: str = "rw", offset: int | None = None
) -> Segment:
    return Segment(
        address,
        memory_size,
        address % PAGE if offset is None else offset,
        file_size,
        is_readable="r" in flags,
        is_writable="w" in flags,
        is_executable="x" in flags,
        alignment=PAGE,
    )


def image(*segments: Segment, dynamic: bool = False) -> Image:
    return Image("x86_64", dynamic, 0, segments, None, 0, 56, 1, is_stack_executable=False)


def spans(memory: Memory) -> list[tuple[int, int, int]]:
    return [line[:3] for line in memory.maps()]


def test_pages() -> None:
    assert (page_down(4097), page_up(4097), page_up(4096), page_up(0)) == (4096, 8192, 4096, 0)


def test_file_then_zeros_then_fresh_pages(memory: Memory, file: File) -> None:
    bias = load_image(memory, image(segment(0x10_0100, 0x3000, 0x800)), file, None)
    assert bias == 0
    assert memory.read(0x10_0000, 0x900) == DATA[:0x900]
    assert memory.read(0x10_0900, 0x2800) == bytes(0x2800)
    assert spans(memory) == [(0x10_0000, 0x10_1000, 3), (0x10_1000, 0x10_4000, 3)]


def test_segments_without_file_contents(memory: Memory, file: File) -> None:
    load_image(memory, image(segment(0x10_0800, 0x1000, flags="r", offset=0x123)), file, None)
    assert spans(memory) == [(0x10_0000, 0x10_2000, PROT.READ | PROT.WRITE)]


def test_zeros_of_a_segment_that_cannot_be_written(memory: Memory, file: File) -> None:
    """Linux cannot clear the rest of the page either, and says nothing."""
    load_image(memory, image(segment(0x10_0000, 0x2000, 0x800, "r")), file, None)
    assert memory.read(0x10_0800, 0x800) == DATA[0x800:0x1000]
    assert memory.read(0x10_1000, 0x1000) == bytes(0x1000)


def test_empty_segments_map_nothing(memory: Memory, file: File) -> None:
    load_image(memory, image(segment(0x10_0000, 0x1000, 0x1000), segment(0x20_0000, 0)), file, None)
    assert spans(memory) == [(0x10_0000, 0x10_1000, 3)]
    with pytest.raises(LinuxError) as caught:
        load_image(memory, image(segment(0x30_0000, 0)), file, None)
    assert caught.value.errno is Errno.EINVAL


def test_gaps_between_segments_stay_empty(memory: Memory, file: File) -> None:
    load_image(memory, image(segment(0x10_0000, 0x1000, 0x1000), segment(0x20_0000, 0x1000)), file, None)
    assert (
        memory.mmap(0x18_0000, PAGE, PROT.READ, MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED_NOREPLACE)
        == 0x18_0000
    )


def test_of_overlapping_segments_the_later_wins(memory: Memory, file: File) -> None:
    first, second = segment(0x10_0000, 0x3000, 0x3000, "r"), segment(0x10_1000, 0x1000, 0x1000, "rx", 0)
    load_image(memory, image(first, second), file, None)
    assert memory.read(0x10_1000, PAGE) == DATA[:PAGE]
    assert [prot for _, _, prot in spans(memory)] == [1, 5, 1]


def test_segments_in_any_order(memory: Memory, file: File) -> None:
    image_ = image(segment(0x20_0000, 0x1000), segment(0x10_0000, 0x1000, 0x1000), dynamic=True)
    bias = load_image(memory, image_, file, 0x5000_0000)
    assert bias == 0x5000_0000 - 0x10_0000
    assert [start for start, _, _ in spans(memory)] == [0x5000_0000, 0x5010_0000]


def test_nothing_that_is_mapped_is_replaced(memory: Memory, file: File) -> None:
    memory.mmap(0x10_2000, PAGE, PROT.READ, MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED)
    with pytest.raises(LinuxError) as caught:
        load_image(memory, image(segment(0x10_0000, 0x8000, 0x1000)), file, None)
    assert caught.value.errno is Errno.EEXIST
    assert spans(memory) == [(0x10_2000, 0x10_3000, 1)]


def test_a_place_is_found_below_the_mappings(memory: Memory, file: File) -> None:
    bias = load_image(memory, image(segment(0x1000, 0x5000, 0x1000), dynamic=True), file, None)
    assert spans(memory)[-1][1] == MMAP_BASE
    assert bias + 0x1000 == spans(memory)[0][0]
    assert (
        load_image(memory, image(segment(0, 0x1000), dynamic=True), file, None) == bias
    )  # right below: 0x1000 lower


def test_found_places_are_aligned(memory: Memory, file: File) -> None:
    wide = segment(0, 0x1000, 0x1000)._replace(alignment=1 << 21)
    for _ in range(3):
        assert load_image(memory, image(wide, dynamic=True), file, None) % (1 << 21) == 0


@pytest.mark.parametrize(
    ("broken", "errnos"),
    [
        (segment(0x10_0000, 1 << 46), {Errno.ENOMEM}),
        (segment((1 << 47) - PAGE, PAGE), {Errno.ENOMEM}),
        (segment((1 << 47) + PAGE, PAGE), {Errno.ENOMEM}),
        (segment(0, PAGE), {Errno.EPERM}),
    ],
)
def test_images_that_do_not_fit(memory: Memory, file: File, broken: Segment, errnos: set[Errno]) -> None:
    with pytest.raises(LinuxError) as caught:
        load_image(memory, image(broken), file, None)
    assert caught.value.errno in errnos


addresses = st.one_of(
    st.integers(0, 1 << 48), st.integers(0x10_0000, 0x11_0000), st.integers((1 << 47) - 9999, 1 << 47)
)
sizes = st.one_of(st.integers(0, 1 << 48), st.integers(0, 0x5000))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(addresses, sizes, sizes, st.sampled_from(["", "r", "rw", "rx", "rwx"])),
        min_size=1,
        max_size=5,
    )
)
def test_any_segments_that_the_headers_may_have(
    machine: FakeMachine, file: File, fields: list[tuple[int, int, int, str]]
) -> None:
    """Loading succeeds or ends in LinuxError, and either way nothing is left when the memory is closed."""
    segments = [
        segment(address, max(memory_size, file_size % len(DATA)), file_size % len(DATA), flags)
        for address, memory_size, file_size, flags in fields
    ]
    memory = Memory(cast("Any", machine), mmap_base=MMAP_BASE)
    try:
        load_image(memory, image(*segments), file, None)
    except LinuxError:
        pass
    finally:
        memory.close()
    assert machine.frames.in_use == 0
