"""Places of programs: Linux's own without randomization, within its ranges with it."""

import pytest

from aionoah.abi.aarch64 import AARCH64
from aionoah.abi.architecture import Architecture
from aionoah.abi.resource import RLIM_INFINITY
from aionoah.abi.x86_64 import X86_64
from aionoah.process.elf import Image, Segment
from aionoah.process.layout import Layout

PAGE = 4096
MIB, GIB = 1 << 20, 1 << 30
ARCHITECTURES = [X86_64, AARCH64]


def image(*, dynamic: bool = True, interpreter: bytes | None = b"/ld", alignment: int = PAGE) -> Image:
    text = Segment(0x1000, 0x2345, 0, 0x100, True, False, True, alignment)
    return Image("x86_64", dynamic, 0, (text,), interpreter, 0, 56, 1, is_stack_executable=False)


def fixed(architecture: Architecture, stack_limit: int = 8 * MIB) -> Layout:
    return Layout(architecture, stack_limit, is_random=False)


def test_without_randomization_places_are_as_setarch_shows_them() -> None:
    layout = fixed(X86_64)
    assert layout.mmap_base() == 0x7FFF_F7FF_F000
    assert layout.stack_top(1 << 47) == 0x7FFF_FFFF_F000
    assert layout.stack_gap() == 0
    assert layout.image_start(image()) == 0x5555_5555_4000
    assert layout.brk_start(image(), 0x5555_5555_3000) == 0x5555_5555_7000
    assert layout.brk_start(image(interpreter=None), 0x7FFF_0000_0000) == 0x5555_5555_5000
    assert layout.brk_start(image(dynamic=False), 0) == 0x4000


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda value: value.name)
def test_the_stack_is_within_a_space_that_ends_early(architecture: Architecture) -> None:
    assert fixed(architecture).stack_top(0x1234_5678) == 0x1234_5000


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda value: value.name)
def test_mappings_leave_room_for_the_stack(architecture: Architecture) -> None:
    top = architecture.stack_top
    assert top - fixed(architecture, 0).mmap_base() == 128 * MIB
    assert top - fixed(architecture, GIB).mmap_base() >= GIB
    unlimited = fixed(architecture, RLIM_INFINITY).mmap_base()
    assert 0 < unlimited < top
    for _ in range(20):
        layout = Layout(architecture, GIB, is_random=True)
        assert layout.stack_top(1 << 48) - layout.mmap_base() > GIB


def test_only_dynamic_programs_have_a_place_of_their_own() -> None:
    for is_random in (False, True):
        layout = Layout(X86_64, 8 * MIB, is_random=is_random)
        assert layout.image_start(image(interpreter=None)) is None
        assert layout.image_start(image(dynamic=False)) is None


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda value: value.name)
def test_random_places_differ_and_stay_in_range(architecture: Architecture) -> None:
    layout = Layout(architecture, 8 * MIB, is_random=True)
    bits = 28 if architecture is X86_64 else 18
    starts = {layout.image_start(image()) for _ in range(20)}
    assert len(starts) > 10
    for start in starts:
        assert start is not None
        assert start % PAGE == 0
        assert 0 <= start - architecture.pie_base < PAGE << bits
    tops = {layout.stack_top(architecture.task_size) for _ in range(20)}
    assert len(tops) > 10
    assert all(top % PAGE == 0 and top <= architecture.stack_top for top in tops)
    heaps = {layout.brk_start(image(), 0x5000_0000_0000) for _ in range(20)}
    assert len(heaps) > 10
    assert all(heap % PAGE == 0 and 0 <= heap - 0x5000_0000_4000 < GIB for heap in heaps)
    assert all(0 <= layout.stack_gap() < 8192 for _ in range(20))
    assert len({layout.mmap_base() for _ in range(20)}) > 10


def test_wide_alignment() -> None:
    layout = Layout(X86_64, 8 * MIB, is_random=True)
    for _ in range(10):
        start = layout.image_start(image(alignment=2 * MIB))
        assert start is not None
        assert start % (2 * MIB) == 0
