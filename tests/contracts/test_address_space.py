"""The contract of AddressSpace, as the kernel sees it: page tables and references."""

from collections.abc import Iterator

import pytest
from contracts.guest import RW, RX, pages
from hypothesis import given, settings
from hypothesis import strategies as st

from aionoah.hypervisor.protocols import PAGE_SIZE, AddressSpace, Machine, Prot

AT = 0x5555_5555_4000
EDGE = 0x7FFF_F7C0_0000  # a multiple of 2 MiB: page tables of every kind change hands around it


@pytest.fixture
def space(machine: Machine) -> Iterator[AddressSpace]:
    made = machine.new_space()
    yield made
    made.close()


def put(machine: Machine, space: AddressSpace, address: int, count: int, prot: Prot = RW) -> int:
    """Map fresh frames that only the space refers to; returns the first."""
    first = machine.frames.allocate(count)
    space.map(address, first, count, prot)
    machine.frames.drop(first, count)
    return first


def test_nothing_is_mapped_at_first(space: AddressSpace) -> None:
    assert space.extent(AT) is None
    assert space.extent(0) is None
    assert list(space.resident(AT, 3)) == [False] * 3


def test_an_extent_shows_where_and_what(machine: Machine, space: AddressSpace) -> None:
    first = put(machine, space, AT, 3)
    found = space.extent(AT + pages(1) + 5)
    assert found is not None
    assert found.start <= AT + pages(1)
    assert found.end > AT + pages(1)
    assert found.end - found.start == len(found.memory)
    assert found.prot == RW
    assert not found.is_file
    found.memory[AT + pages(1) - found.start] = 42
    assert machine.frames.view(first + 1, 1)[0] == 42


def test_extents_end_where_the_mapping_ends(machine: Machine, space: AddressSpace) -> None:
    put(machine, space, AT, 3)
    for page in range(3):
        found = space.extent(AT + pages(page))
        assert found is not None
        assert AT <= found.start <= AT + pages(page) < found.end <= AT + pages(3)
    assert space.extent(AT - 1) is None
    assert space.extent(AT + pages(3)) is None


def test_extents_do_not_join_frames_that_are_no_neighbours(machine: Machine, space: AddressSpace) -> None:
    a = put(machine, space, AT + pages(1), 1)
    b = put(machine, space, AT, 1)  # a higher frame below a lower one
    assert b > a
    found = space.extent(AT)
    assert found is not None
    assert (found.start, found.end) == (AT, AT + pages(1))


def test_the_kernel_may_write_whatever_the_rights(machine: Machine, space: AddressSpace) -> None:
    for place, prot in enumerate((Prot.NONE, Prot.READ, RX)):
        put(machine, space, AT + pages(place), 1, prot)
        found = space.extent(AT + pages(place))
        assert found is not None
        assert found.prot == prot
        found.memory[0] = 1


def test_file_frames_are_marked(machine: Machine, space: AddressSpace) -> None:
    first = machine.frames.allocate(1)
    space.map(AT, first, 1, Prot.READ, is_file=True)
    machine.frames.drop(first, 1)
    space.protect(AT, pages(1), RW)
    found = space.extent(AT)
    assert found is not None
    assert found.is_file


def test_mappings_hold_references(machine: Machine, space: AddressSpace) -> None:
    first = machine.frames.allocate(2)
    space.map(AT, first, 2, RW)
    space.map(AT + pages(8), first, 2, Prot.READ)
    machine.frames.drop(first, 2)
    machine.frames.view(first, 2)[0] = 5
    space.unmap(AT, pages(2))
    found = space.extent(AT + pages(8))
    assert found is not None
    assert found.memory[0] == 5
    before = machine.frames.in_use
    space.unmap(AT + pages(8), pages(2))
    assert machine.frames.in_use == before - 2


def test_closing_gives_everything_back(machine: Machine) -> None:
    before = machine.frames.in_use
    space = machine.new_space()
    put(machine, space, AT, 700)
    put(machine, space, EDGE - pages(3), 6)
    put(machine, space, pages(1), 1, Prot.NONE)
    space.close()
    assert machine.frames.in_use == before


def test_unmapping_leaves_a_hole(machine: Machine, space: AddressSpace) -> None:
    put(machine, space, AT, 5)
    before = machine.frames.in_use
    space.unmap(AT + pages(1), pages(3))
    assert machine.frames.in_use == before - 3
    assert list(space.resident(AT, 5)) == [True, False, False, False, True]
    assert space.extent(AT + pages(2)) is None
    space.unmap(AT, pages(5))  # empty places are no error
    assert list(space.resident(AT, 5)) == [False] * 5


def test_protect_changes_what_is_mapped_only(machine: Machine, space: AddressSpace) -> None:
    put(machine, space, AT, 4)
    space.unmap(AT + pages(2), pages(1))
    space.protect(AT + pages(1), pages(4), Prot.READ)
    rights = [found and found.prot for found in (space.extent(AT + pages(page)) for page in range(5))]
    assert rights == [RW, Prot.READ, None, Prot.READ, None]


def test_protect_to_nothing_and_back_keeps_the_frame(machine: Machine, space: AddressSpace) -> None:
    first = put(machine, space, AT, 1)
    machine.frames.view(first, 1)[9] = 9
    space.protect(AT, pages(1), Prot.NONE)
    assert list(space.resident(AT, 1)) == [True]
    space.protect(AT, pages(1), RX)
    found = space.extent(AT)
    assert found is not None
    assert (found.prot, found.memory[9]) == (RX, 9)


def test_move_takes_frames_rights_and_holes_along(machine: Machine, space: AddressSpace) -> None:
    first = put(machine, space, EDGE - pages(2), 4)
    space.unmap(EDGE, pages(1))
    space.protect(EDGE - pages(2), pages(1), Prot.NONE)
    machine.frames.view(first + 3, 1)[0] = 3
    before = machine.frames.in_use
    space.move(EDGE - pages(2), AT, pages(4))
    assert list(space.resident(AT, 4)) == [True, True, False, True]
    assert list(space.resident(EDGE - pages(2), 4)) == [False] * 4
    none, last = space.extent(AT), space.extent(AT + pages(3))
    assert none is not None
    assert last is not None
    assert (none.prot, last.prot) == (Prot.NONE, RW)
    assert last.memory[AT + pages(3) - last.start] == 3
    # New page tables may have been needed; no frame has been lost.
    assert machine.frames.in_use in range(before, before + 4)


def test_the_ends_of_the_space(machine: Machine, space: AddressSpace) -> None:
    put(machine, space, 0, 1)
    put(machine, space, space.end - pages(1), 1)
    assert space.extent(0) is not None
    last = space.extent(space.end - 1)
    assert last is not None
    assert last.end == space.end


def test_spaces_are_apart(machine: Machine, space: AddressSpace) -> None:
    other = machine.new_space()
    put(machine, space, AT, 1)
    assert other.extent(AT) is None
    put(machine, other, AT, 1)
    space.unmap(AT, pages(1))
    assert other.extent(AT) is not None
    other.close()


def test_the_next_page_is_found_across_large_gaps(machine: Machine, space: AddressSpace) -> None:
    put(machine, space, AT, 2)
    put(machine, space, space.end - pages(1), 1)
    assert space.next_mapped(0, space.end) == AT
    assert space.next_mapped(AT + pages(1), space.end) == AT + pages(1)
    assert space.next_mapped(AT + pages(2), space.end) == space.end - pages(1)
    assert space.next_mapped(AT + pages(2), space.end - pages(1)) == space.end - pages(1)
    space.protect(AT, pages(1), Prot.NONE)
    assert space.next_mapped(AT - pages(700), AT + pages(1)) == AT
    space.unmap(AT, pages(2))
    assert space.next_mapped(AT, AT + pages(5000)) == AT + pages(5000)


def test_no_memory_for_page_tables(machine: Machine, space: AddressSpace) -> None:
    """MemoryError, and nothing is mapped."""
    frames = machine.frames
    room = frames.limit - frames.in_use
    first = frames.allocate(room)
    with pytest.raises(MemoryError):
        space.map(AT, first, 600, RW)
    assert not any(space.resident(AT, 600))
    frames.drop(first, room)


# -- fork and copies ---------------------------------------------------------------------------------------


def rights_of(space: AddressSpace, count: int) -> list[Prot | None]:
    return [found and found.prot for found in (space.extent(AT + pages(page)) for page in range(count))]


def byte_at(space: AddressSpace, address: int) -> int:
    found = space.extent(address)
    assert found is not None
    return found.memory[address - found.start]


def test_fork_shows_the_same_frames_to_nobody_for_writing(machine: Machine, space: AddressSpace) -> None:
    put(machine, space, AT, 2)
    put(machine, space, AT + pages(3), 1, RX)
    put(machine, space, AT + pages(4), 1, Prot.NONE)
    found = space.extent(AT)
    assert found is not None
    found.memory[0] = 7
    child = machine.new_space()
    space.fork(child, AT, pages(5), share=False)
    expected = [Prot.READ, Prot.READ, None, RX, Prot.NONE]
    assert rights_of(space, 5) == rights_of(child, 5) == expected
    assert byte_at(child, AT) == 7
    before = machine.frames.in_use
    space.unmap(AT, pages(5))
    assert machine.frames.in_use == before  # the child holds them
    child.close()
    assert machine.frames.in_use < before


def test_fork_of_shared_memory_leaves_the_rights(machine: Machine, space: AddressSpace) -> None:
    put(machine, space, AT, 2)
    child = machine.new_space()
    space.fork(child, AT, pages(2), share=True)
    assert rights_of(space, 2) == rights_of(child, 2) == [RW, RW]
    found = child.extent(AT)
    assert found is not None
    found.memory[1] = 8
    assert byte_at(space, AT + 1) == 8
    child.close()


def test_unshare_copies_what_others_hold_too(machine: Machine, space: AddressSpace) -> None:
    put(machine, space, AT, 2)
    found = space.extent(AT)
    assert found is not None
    found.memory[5] = 9
    child = machine.new_space()
    space.fork(child, AT, pages(2), share=False)
    before = machine.frames.in_use
    child.unshare(AT, pages(1), RW)
    assert machine.frames.in_use == before + 1
    assert rights_of(child, 2) == [RW, Prot.READ]
    mine = child.extent(AT)
    assert mine is not None
    assert mine.memory[5] == 9
    mine.memory[5] = 10
    assert byte_at(space, AT + 5) == 9
    # The parent is alone with its first page now: nothing needs to be copied.
    space.unshare(AT, pages(1), RW)
    assert machine.frames.in_use == before + 1
    assert rights_of(space, 2) == [RW, Prot.READ]
    child.close()


def test_unshare_without_memory(machine: Machine, space: AddressSpace) -> None:
    put(machine, space, AT, 2)
    child = machine.new_space()
    space.fork(child, AT, pages(2), share=False)
    room = machine.frames.limit - machine.frames.in_use
    first = machine.frames.allocate(room)
    with pytest.raises(MemoryError):
        child.unshare(AT, pages(2), RW)
    machine.frames.drop(first, room)
    assert rights_of(child, 2) == [Prot.READ, Prot.READ]
    child.close()


def test_exclusive_protection_gives_write_access_to_own_frames_only(
    machine: Machine, space: AddressSpace
) -> None:
    put(machine, space, AT, 2)
    child = machine.new_space()
    space.fork(child, AT, pages(1), share=False)
    space.protect(AT, pages(2), RW, exclusive=True)
    assert rights_of(space, 2) == [Prot.READ, RW]
    child.close()
    space.protect(AT, pages(2), RW, exclusive=True)
    assert rights_of(space, 2) == [RW, RW]


PLACES = 40
BASE = EDGE - pages(PLACES // 2)
RIGHTS = (Prot.NONE, Prot.READ, RW, RX)


class Model:
    """A dict from page to (frame, rights) beside the real thing."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.space = machine.new_space()
        self.pages: dict[int, tuple[int, Prot]] = {}

    def is_empty(self, place: int, count: int) -> bool:
        return not any(page in self.pages for page in range(place, place + count))

    def map(self, place: int, count: int, prot: Prot) -> None:
        if self.is_empty(place, count):
            first = put(self.machine, self.space, BASE + pages(place), count, prot)
            self.pages |= {place + i: (first + i, prot) for i in range(count)}

    def unmap(self, place: int, count: int, _: Prot) -> None:
        self.space.unmap(BASE + pages(place), pages(count))
        for page in range(place, place + count):
            self.pages.pop(page, None)

    def protect(self, place: int, count: int, prot: Prot) -> None:
        self.space.protect(BASE + pages(place), pages(count), prot)
        for page in range(place, place + count):
            if page in self.pages:
                self.pages[page] = (self.pages[page][0], prot)

    def move(self, place: int, count: int, _: Prot) -> None:
        to = (place + PLACES // 2) % PLACES
        if self.is_empty(to, count) and not {*range(place, place + count)} & {*range(to, to + count)}:
            self.space.move(BASE + pages(place), BASE + pages(to), pages(count))
            moved = {
                p - place + to: self.pages.pop(p) for p in range(place, place + count) if p in self.pages
            }
            self.pages |= moved

    def check(self) -> None:
        resident = self.space.resident(BASE, PLACES + 8)
        nearest = self.space.next_mapped(BASE, BASE + pages(PLACES + 8))
        assert nearest == BASE + pages(min(self.pages, default=PLACES + 8))
        for place, is_mapped in enumerate(resident):
            expected = self.pages.get(place)
            found = self.space.extent(BASE + pages(place))
            assert (found is not None) == bool(is_mapped) == (expected is not None)
            if found is not None and expected is not None:
                at = BASE + pages(place) - found.start
                assert found.prot == expected[1]
                frame = self.machine.frames.view(expected[0], 1)
                frame[0] = place
                assert found.memory[at] == place
                frame[0] = 255
                assert found.memory[at] == 255


@pytest.mark.parametrize("backend", ["kvm-x86_64", "unicorn-x86_64"])
def test_any_sequence_of_changes_agrees_with_a_dict(backend: str) -> None:
    from contracts.conftest import open_backend

    step = st.tuples(
        st.sampled_from(("map", "unmap", "protect", "move")),
        st.integers(0, PLACES - 1),
        st.integers(1, 8),
        st.sampled_from(RIGHTS),
    )
    machine = open_backend(backend)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(step, max_size=25))
    def run(steps: list[tuple[str, int, int, Prot]]) -> None:
        before = machine.frames.in_use
        model = Model(machine)
        for name, place, count, prot in steps:
            getattr(model, name)(place, count, prot)
        model.check()
        model.space.close()
        assert machine.frames.in_use == before

    run()
    machine.close()


def test_pages_are_4096_bytes() -> None:
    assert PAGE_SIZE == 4096  # a change would break every guest
