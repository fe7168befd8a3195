"""The windows on the page tables: quick, and never stale."""

from collections.abc import Iterator

import pytest
from fakes.machine import FakeMachine, FakeSpace

from aionoah.hypervisor.protocols import PAGE_SIZE, Extent, Prot
from aionoah.memory import pages as pages_module
from aionoah.memory.pages import NO_WINDOW, Pages, rights
from aionoah.memory.vma import VM

RW = VM.READ | VM.WRITE
AT = 0x10_0000_0000
P = PAGE_SIZE


@pytest.fixture
def pages(machine: FakeMachine) -> Iterator[Pages]:
    made = Pages(machine)
    yield made
    made.close()


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The addresses for which the page tables have been asked."""
    asked: list[int] = []
    extent = FakeSpace.extent

    def counting(space: FakeSpace, address: int) -> Extent | None:
        asked.append(address)
        return extent(space, address)

    monkeypatch.setattr(FakeSpace, "extent", counting)
    return asked


def map_pages(pages: Pages, address: int, count: int, flags: int = RW) -> None:
    pages.map(address, pages.frames.allocate(count), count, flags, is_file=False)


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (0, Prot.NONE),
        (VM.READ, Prot.READ),
        (VM.WRITE, Prot.READ | Prot.WRITE),
        (VM.EXEC | VM.MAYWRITE, Prot.READ | Prot.EXECUTE),
        (RW | VM.EXEC | VM.SHARED, Prot.READ | Prot.WRITE | Prot.EXECUTE),
    ],
)
def test_rights(flags: int, wanted: Prot) -> None:
    assert rights(flags) == wanted


def test_one_question_for_a_neighbourhood(pages: Pages, questions: list[int]) -> None:
    map_pages(pages, AT, 10)
    window = pages.window(AT + 5 * P + 7)
    assert window is not None
    assert (window.start, window.end, len(window.memory)) == (AT, AT + 10 * P, 10 * P)
    assert (window.may_read, window.may_write, window.is_file) == (True, True, False)
    assert pages.window(AT) is window
    assert pages.recent is window
    assert len(questions) == 1


def test_mapping_elsewhere_keeps_windows(pages: Pages, questions: list[int]) -> None:
    map_pages(pages, AT, 2)
    pages.window(AT)
    map_pages(pages, AT + 2 * P, 2)
    pages.window(AT + P)
    assert len(questions) == 1
    window = pages.window(AT + 2 * P)
    assert window is not None
    assert window.end == AT + 4 * P


def test_nothing_mapped(pages: Pages, questions: list[int]) -> None:
    assert pages.window(AT) is None
    assert pages.window(-1) is None
    assert pages.window(pages.space.end) is None
    assert questions == [AT]


def test_changes_drop_windows(pages: Pages) -> None:
    map_pages(pages, AT, 3)
    for change in (
        lambda: pages.protect(AT + P, AT + 2 * P, VM.READ),
        lambda: pages.move(AT + P, AT + 100 * P, P),
        lambda: pages.unmap(AT + 100 * P, AT + 101 * P),
    ):
        pages.window(AT + 100 * P)
        pages.window(AT)
        change()
        assert pages.recent is NO_WINDOW
    left = pages.window(AT)
    assert left is not None
    assert left.end == AT + P
    assert pages.window(AT + P) is None
    assert pages.window(AT + 100 * P) is None


def test_protection_is_seen(pages: Pages) -> None:
    map_pages(pages, AT, 3)
    pages.window(AT)
    pages.protect(AT + P, AT + 2 * P, 0)
    found = [pages.window(AT + index * P) for index in range(3)]
    assert [window is not None and window.may_read for window in found] == [True, False, True]


def test_windows_apart_are_kept(pages: Pages, questions: list[int]) -> None:
    for place in (AT, AT + 10 * P, AT + 20 * P):
        map_pages(pages, place, 2)
        pages.window(place)
    pages.unmap(AT + 10 * P, AT + 12 * P)
    pages.window(AT)
    pages.window(AT + 21 * P)
    assert len(questions) == 3


def test_there_is_an_end_to_remembering(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "_WINDOWS_MAX", 4)
    for index in range(10):
        map_pages(pages, AT + 2 * index * P, 1)
        window = pages.window(AT + 2 * index * P)
        assert window is not None
    assert len(pages._windows) <= 4
    assert pages._starts == [window.start for window in pages._windows]


def test_failed_mapping_gives_the_frames_back(pages: Pages, machine: FakeMachine) -> None:
    machine.spaces[0].table_limit = 1
    with pytest.raises(MemoryError):
        map_pages(pages, AT, 2)
    assert machine.frames.in_use == 0


def test_residence(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "_CHUNK_PAGES", 2)
    map_pages(pages, AT + P, 2)
    map_pages(pages, AT + 4 * P, 1)
    assert list(pages.resident(AT, AT + 6 * P)) == [False, True, True, False, True, False]
    assert pages.resident_count(AT, AT + 6 * P) == 3
    assert pages.is_resident(AT + P + 5)
    assert not pages.is_resident(AT)
    assert pages.holes(AT, AT + 7 * P) == [
        (AT, AT + P),
        (AT + 3 * P, AT + 4 * P),
        (AT + 5 * P, AT + 7 * P),
    ]
    assert pages.holes(AT + P, AT + 3 * P) == []
