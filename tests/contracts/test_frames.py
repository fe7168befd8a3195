"""The contract of Frames."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aionoah.hypervisor.protocols import PAGE_SIZE, Frames, Machine


@pytest.fixture
def frames(machine: Machine) -> Frames:
    return machine.frames


@pytest.fixture
def file(tmp_path: Path) -> int:
    """A file of two and a half pages, each page full of its own number."""
    path = tmp_path / "file"
    path.write_bytes(b"\0" * PAGE_SIZE + b"\1" * PAGE_SIZE + b"\2" * (PAGE_SIZE // 2))
    return os.open(path, os.O_RDWR)


def test_new_frames_are_zero_and_counted(frames: Frames) -> None:
    before = frames.in_use
    first = frames.allocate(3)
    assert frames.in_use == before + 3
    assert bytes(frames.view(first, 3)) == bytes(3 * PAGE_SIZE)
    frames.drop(first, 3)
    assert frames.in_use == before


def test_frames_that_were_used_come_back_as_zero(frames: Frames) -> None:
    first = frames.allocate(2)
    frames.view(first, 2)[:] = b"x" * 2 * PAGE_SIZE
    frames.drop(first, 2)
    again = frames.allocate(2)
    assert bytes(frames.view(again, 2)) == bytes(2 * PAGE_SIZE)
    frames.drop(again, 2)


def test_populated_frames_are_as_they_were(frames: Frames) -> None:
    first = frames.allocate(8)
    frames.view(first + 3, 1)[:4] = b"kept"
    frames.populate(frames.view(first + 1, 6))
    assert bytes(frames.view(first, 8)) == bytes(3 * PAGE_SIZE) + b"kept".ljust(5 * PAGE_SIZE, b"\0")
    frames.drop(first, 8)


def test_views_of_one_frame_are_the_same_memory(frames: Frames) -> None:
    first = frames.allocate(2)
    frames.view(first, 2)[PAGE_SIZE] = 7
    assert frames.view(first + 1, 1)[0] == 7
    frames.drop(first, 2)


def test_a_frame_lives_until_its_last_reference(frames: Frames) -> None:
    before = frames.in_use
    first = frames.allocate(1)
    frames.view(first, 1)[0] = 9
    frames.hold(first, 1)
    frames.drop(first, 1)
    assert frames.view(first, 1)[0] == 9
    assert frames.in_use == before + 1
    frames.drop(first, 1)
    assert frames.in_use == before


def test_part_of_an_allocation_can_go(frames: Frames) -> None:
    before = frames.in_use
    first = frames.allocate(5)
    frames.view(first, 5)[4 * PAGE_SIZE] = 4
    frames.drop(first + 1, 2)
    assert frames.in_use == before + 3
    frames.drop(first, 1)
    assert frames.view(first + 4, 1)[0] == 4
    frames.drop(first + 3, 2)


def test_the_limit_is_kept_and_nothing_is_lost_at_it(frames: Frames) -> None:
    with pytest.raises(MemoryError):
        frames.allocate(frames.limit + 1)
    left = frames.limit - frames.in_use
    first = frames.allocate(left)
    with pytest.raises(MemoryError):
        frames.allocate(1)
    assert frames.in_use == frames.limit
    frames.drop(first, left)
    frames.drop(frames.allocate(1), 1)


def test_a_private_file_mapping_reads_the_file_and_keeps_its_writes(frames: Frames, file: int) -> None:
    first = frames.allocate_file(file, 0, 2, shared=False, writable=True)
    view = frames.view(first, 2)
    assert view[PAGE_SIZE] == 1
    view[PAGE_SIZE] = 77
    assert os.pread(file, 1, PAGE_SIZE) == b"\1"
    frames.drop(first, 2)


def test_a_shared_file_mapping_is_the_file(frames: Frames, file: int) -> None:
    first = frames.allocate_file(file, PAGE_SIZE, 1, shared=True, writable=True)
    view = frames.view(first, 1)
    view[3] = 33
    assert os.pread(file, 1, PAGE_SIZE + 3) == b"\x21"
    os.pwrite(file, b"\x44", PAGE_SIZE + 4)
    assert view[4] == 0x44
    frames.drop(first, 1)


def test_shared_file_pages_do_not_count(frames: Frames, file: int) -> None:
    before = frames.in_use
    first = frames.allocate_file(file, 0, 2, shared=True, writable=False)
    assert frames.in_use == before
    assert frames.view(first, 2)[PAGE_SIZE] == 1
    frames.drop(first, 2)


def test_file_frames_come_back_as_anonymous_ones(frames: Frames, file: int) -> None:
    first = frames.allocate_file(file, 0, 2, shared=True, writable=True)
    frames.drop(first, 2)
    again = frames.allocate(2)
    frames.view(again, 2)[:] = b"z" * 2 * PAGE_SIZE
    assert os.pread(file, 1, PAGE_SIZE) == b"\1"
    frames.drop(again, 2)


def test_a_descriptor_that_cannot_be_mapped_is_an_oserror(frames: Frames) -> None:
    before = frames.in_use
    with pytest.raises(OSError, match="descriptor"):
        frames.allocate_file(-1, 0, 1, shared=False, writable=False)
    assert frames.in_use == before


def test_copies_behind_the_end_of_a_file_are_refused(frames: Frames, file: int) -> None:
    first = frames.allocate_file(file, 0, 4, shared=True, writable=True)
    view = frames.view(first, 4)
    inside, outside = view[2 * PAGE_SIZE :][:10], view[3 * PAGE_SIZE :][:10]
    assert frames.copy_in(inside) == b"\2" * 10
    frames.copy_out(inside, b"0123456789")
    assert os.pread(file, 10, 2 * PAGE_SIZE) == b"0123456789"
    with pytest.raises(OSError, match="no memory"):
        frames.copy_in(outside)
    with pytest.raises(OSError, match="no memory"):
        frames.copy_out(outside, b"0123456789")
    frames.drop(first, 4)


@settings(max_examples=50)
@given(st.data())
def test_any_order_of_holding_and_dropping_ends_at_zero(data: st.DataObject) -> None:
    """The model is a count for each frame; `in_use` is how many counts are not zero."""
    from contracts.conftest import open_backend

    machine = open_backend("unicorn-x86_64")  # Frames are the same for every backend
    frames, references = machine.frames, dict[int, int]()
    for _ in range(data.draw(st.integers(1, 30))):
        live = sorted(frame for frame, count in references.items() if count)
        action = data.draw(st.sampled_from(("allocate", "hold", "drop") if live else ("allocate",)))
        if action == "allocate":
            count = data.draw(st.integers(1, 70))
            first = frames.allocate(count)
            assert not any(references.get(frame) for frame in range(first, first + count))
            references.update(dict.fromkeys(range(first, first + count), 1))
        else:
            first = data.draw(st.sampled_from(live))
            count = data.draw(st.integers(1, 8))
            while any(not references.get(frame) for frame in range(first, first + count)):
                count -= 1
            change = 1 if action == "hold" else -1
            (frames.hold if action == "hold" else frames.drop)(first, count)
            references.update({frame: references[frame] + change for frame in range(first, first + count)})
        assert frames.in_use == sum(count > 0 for count in references.values())
    for frame, count in references.items():
        for _ in range(count):
            frames.drop(frame, 1)
    assert frames.in_use == 0
    machine.close()


@pytest.mark.parametrize("is_file", [False, True])
def test_words_are_exchanged_if_they_are_as_expected(is_file: bool, frames: Frames, file: int) -> None:
    first = frames.allocate_file(file, 0, 1, shared=True, writable=True) if is_file else frames.allocate(1)
    page = frames.view(first, 1)
    word = page[8:12]
    assert frames.compare_exchange(word, 0, 0xFFFF_FFFF, is_file=is_file) == 0
    assert frames.compare_exchange(word, 0, 5, is_file=is_file) == 0xFFFF_FFFF
    assert frames.load(word, is_file=is_file) == 0xFFFF_FFFF
    assert bytes(page[4:16]) == bytes(4) + b"\xff" * 4 + bytes(4)
    frames.drop(first, 1)
    os.close(file)


def test_words_that_a_file_has_lost(frames: Frames, file: int) -> None:
    first = frames.allocate_file(file, 0, 2, shared=True, writable=True)
    os.ftruncate(file, PAGE_SIZE)
    kept, lost = (frames.view(first + page, 1)[:4] for page in range(2))
    assert frames.load(kept, is_file=True) == 0
    with pytest.raises(OSError, match="14"):
        frames.load(lost, is_file=True)
    with pytest.raises(OSError, match="14"):
        frames.compare_exchange(lost, 0, 1, is_file=True)
    frames.drop(first, 2)
    os.close(file)


def test_words_of_a_file_that_may_only_be_read(frames: Frames, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\1\2\3\4")
    fd = os.open(path, os.O_RDONLY)
    first = frames.allocate_file(fd, 0, 1, shared=True, writable=False)
    assert frames.load(frames.view(first, 1)[:4], is_file=True) == 0x04030201
    frames.drop(first, 1)
    os.close(fd)
