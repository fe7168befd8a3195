"""The map of areas against a model that knows every page by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.architecture import PAGE_SIZE, STACK_GUARD_GAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.memory import vma as vma_module
from aionoah.memory.vma import MAY_ALL, VM, Vma, VmaMap, guarded_start, is_data

RW = VM.READ | VM.WRITE | MAY_ALL


class CountedBacking:
    is_file = False
    name = b""

    def __init__(self) -> None:
        self.count = 0

    def hold(self) -> None:
        self.count += 1

    def drop(self) -> None:
        self.count -= 1
        assert self.count >= 0


def area(
    first: int, count: int, flags: int = RW, backing: CountedBacking | None = None, page: int = 0
) -> Vma:
    start = first * PAGE_SIZE
    return Vma(start, start + count * PAGE_SIZE, flags, backing, page * PAGE_SIZE)


def shape(vmas: VmaMap) -> list[tuple[int, int]]:
    return [(vma.start // PAGE_SIZE, vma.end // PAGE_SIZE) for vma in vmas]


class TestVma:
    def test_part_keeps_the_place_in_the_backing(self) -> None:
        backing = CountedBacking()
        part = area(10, 5, RW, backing, 100).part(12 * PAGE_SIZE, 99 * PAGE_SIZE)
        assert (part.start, part.end) == (12 * PAGE_SIZE, 15 * PAGE_SIZE)
        assert part.offset == 102 * PAGE_SIZE
        assert part.backing is backing

    def test_whole_part_is_itself(self) -> None:
        whole = area(1, 2)
        assert whole.part(0, 100 * PAGE_SIZE) is whole

    def test_anonymous_memory_has_no_offset(self) -> None:
        assert area(10, 5).part(12 * PAGE_SIZE, 13 * PAGE_SIZE).offset == 0

    @pytest.mark.parametrize(
        ("first", "second", "is_one"),
        [
            (area(0, 2), area(2, 1), True),
            (area(0, 2), area(3, 1), False),
            (area(0, 2), area(2, 1, RW | VM.LOCKED), False),
            (area(0, 2), Vma(2 * PAGE_SIZE, 3 * PAGE_SIZE, RW, name=b"[vdso]"), False),
        ],
    )
    def test_continues_in(self, first: Vma, second: Vma, is_one: bool) -> None:
        assert first.continues_in(second) is is_one

    def test_backed_areas_are_one_only_in_step(self) -> None:
        one, other = CountedBacking(), CountedBacking()
        assert area(0, 2, RW, one, 7).continues_in(area(2, 2, RW, one, 9))
        assert not area(0, 2, RW, one, 7).continues_in(area(2, 2, RW, one, 8))
        assert not area(0, 2, RW, one, 7).continues_in(area(2, 2, RW, other, 9))
        assert not area(0, 2, RW, one, 7).continues_in(area(2, 2))

    def test_repr_names_rights_and_flags(self) -> None:
        assert repr(area(1, 1)).startswith("<Vma 1000-2000 rw- ")

    def test_guard_gap_is_below_what_grows_down(self) -> None:
        assert guarded_start(area(1000, 1)) == 1000 * PAGE_SIZE
        assert guarded_start(area(1000, 1, RW | VM.GROWSDOWN)) == 1000 * PAGE_SIZE - STACK_GUARD_GAP
        assert guarded_start(area(10, 1, RW | VM.GROWSDOWN)) == 0

    def test_data_is_private_and_writable(self) -> None:
        assert is_data(RW)
        assert not is_data(VM.READ)
        assert not is_data(RW | VM.SHARED)
        assert not is_data(RW | VM.GROWSDOWN)


class TestVmaMap:
    def test_insert_merges_on_both_sides(self) -> None:
        vmas = VmaMap()
        for first in (0, 2, 1):
            vmas.insert(area(first, 1))
        assert shape(vmas) == [(0, 3)]

    def test_insert_refuses_what_overlaps(self) -> None:
        vmas = VmaMap()
        vmas.insert(area(4, 4))
        for first, count in ((4, 1), (7, 2), (3, 2), (0, 20)):
            with pytest.raises(ValueError, match="not empty"):
                vmas.insert(area(first, count))
        assert shape(vmas) == [(4, 8)]

    def test_remove_splits(self) -> None:
        vmas = VmaMap()
        vmas.insert(area(0, 10))
        vmas.remove(3 * PAGE_SIZE, 5 * PAGE_SIZE)
        assert shape(vmas) == [(0, 3), (5, 10)]

    def test_find(self) -> None:
        vmas = VmaMap()
        vmas.insert(area(2, 2))
        vmas.insert(area(6, 2))
        assert vmas.find(1 * PAGE_SIZE) is None
        assert vmas.find(4 * PAGE_SIZE) is None
        found = vmas.find(4 * PAGE_SIZE - 1)
        assert found is not None
        assert found.start == 2 * PAGE_SIZE
        above = vmas.find_from(4 * PAGE_SIZE)
        assert above is not None
        assert above.start == 6 * PAGE_SIZE
        below = vmas.find_before(6 * PAGE_SIZE)
        assert below is found
        assert vmas.find_before(2 * PAGE_SIZE) is None
        assert vmas.find_from(8 * PAGE_SIZE) is None

    def test_pages_between(self) -> None:
        vmas = VmaMap()
        vmas.insert(area(2, 4))
        vmas.insert(area(8, 4))
        assert vmas.pages_between(3 * PAGE_SIZE, 9 * PAGE_SIZE) == 4
        assert vmas.is_empty(6 * PAGE_SIZE, 8 * PAGE_SIZE)
        assert not vmas.is_empty(6 * PAGE_SIZE, 9 * PAGE_SIZE)

    def test_too_many_areas(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(vma_module, "MAX_MAP_COUNT", 2)
        vmas = VmaMap()
        vmas.insert(area(0, 9))
        vmas.remove(PAGE_SIZE, 2 * PAGE_SIZE)
        with pytest.raises(LinuxError) as caught:
            vmas.remove(5 * PAGE_SIZE, 6 * PAGE_SIZE)
        assert caught.value.errno is Errno.ENOMEM
        assert shape(vmas) == [(0, 1), (2, 9)]
        vmas.remove(2 * PAGE_SIZE, 6 * PAGE_SIZE)
        assert shape(vmas) == [(0, 1), (6, 9)]

    def test_each_area_holds_its_backing_once(self) -> None:
        vmas, backing = VmaMap(), CountedBacking()
        vmas.insert(area(0, 10, RW, backing))
        assert backing.count == 1
        vmas.remove(4 * PAGE_SIZE, 5 * PAGE_SIZE)
        assert backing.count == 2
        vmas.insert(area(4, 1, RW, backing, 4))
        assert (shape(vmas), backing.count) == ([(0, 10)], 1)
        vmas.clear()
        assert backing.count == 0


class TestGaps:
    def make(self, *areas: Vma) -> VmaMap:
        vmas = VmaMap()
        for vma in areas:
            vmas.insert(vma)
        return vmas

    def test_highest_is_right_below_the_base(self) -> None:
        assert VmaMap().highest_gap(3 * PAGE_SIZE, 0, 100 * PAGE_SIZE) == 97 * PAGE_SIZE

    def test_highest_takes_the_first_hole_that_is_large_enough(self) -> None:
        vmas = self.make(area(98, 5), area(90, 6), area(50, 10))
        assert vmas.highest_gap(2 * PAGE_SIZE, 0, 100 * PAGE_SIZE) == 96 * PAGE_SIZE
        assert vmas.highest_gap(3 * PAGE_SIZE, 0, 100 * PAGE_SIZE) == 87 * PAGE_SIZE
        assert vmas.highest_gap(31 * PAGE_SIZE, 0, 100 * PAGE_SIZE) == 19 * PAGE_SIZE
        assert vmas.highest_gap(51 * PAGE_SIZE, 0, 100 * PAGE_SIZE) is None
        assert vmas.highest_gap(31 * PAGE_SIZE, 20 * PAGE_SIZE, 100 * PAGE_SIZE) is None

    def test_highest_aligned(self) -> None:
        vmas = self.make(area(60, 1))
        assert vmas.highest_gap(16 * PAGE_SIZE, 0, 100 * PAGE_SIZE, 16 * PAGE_SIZE) == 80 * PAGE_SIZE
        assert vmas.highest_gap(32 * PAGE_SIZE, 0, 100 * PAGE_SIZE, 32 * PAGE_SIZE) == 64 * PAGE_SIZE
        assert vmas.highest_gap(48 * PAGE_SIZE, 0, 100 * PAGE_SIZE, 32 * PAGE_SIZE) == 0

    def test_guard_gap_stays_free(self) -> None:
        vmas = self.make(area(1000, 1, RW | VM.GROWSDOWN))
        assert vmas.highest_gap(PAGE_SIZE, 0, 1000 * PAGE_SIZE) == 743 * PAGE_SIZE
        assert vmas.lowest_gap(PAGE_SIZE, 744 * PAGE_SIZE, 2000 * PAGE_SIZE) == 1001 * PAGE_SIZE

    def test_lowest(self) -> None:
        vmas = self.make(area(10, 2), area(15, 5))
        assert vmas.lowest_gap(3 * PAGE_SIZE, 10 * PAGE_SIZE, 100 * PAGE_SIZE) == 12 * PAGE_SIZE
        assert vmas.lowest_gap(4 * PAGE_SIZE, 10 * PAGE_SIZE, 100 * PAGE_SIZE) == 20 * PAGE_SIZE
        assert vmas.lowest_gap(4 * PAGE_SIZE, 10 * PAGE_SIZE, 23 * PAGE_SIZE) is None
        assert vmas.lowest_gap(4 * PAGE_SIZE, 0, 23 * PAGE_SIZE) == 0

    @given(
        used=st.sets(st.integers(0, 60)),
        length=st.integers(1, 12),
        low=st.integers(0, 20),
        high=st.integers(21, 64),
    )
    def test_like_looking_at_every_place(self, used: set[int], length: int, low: int, high: int) -> None:
        vmas = self.make(*(area(page, 1) for page in used))
        fits = [p for p in range(low, high - length + 1) if not used & set(range(p, p + length))]
        arguments = length * PAGE_SIZE, low * PAGE_SIZE, high * PAGE_SIZE
        assert vmas.highest_gap(*arguments) == (fits[-1] * PAGE_SIZE if fits else None)
        assert vmas.lowest_gap(*arguments) == (fits[0] * PAGE_SIZE if fits else None)

    @given(
        steps=st.lists(
            st.tuples(st.booleans(), st.integers(0, 500), st.integers(1, 9), st.booleans()),
            min_size=10,
            max_size=60,
        )
    )
    def test_what_a_search_remembers_is_true(self, steps: list[tuple[bool, int, int, bool]]) -> None:
        """A map with a history finds what a new map with the same areas finds."""
        vmas = VmaMap()
        for is_removal, page, count, grows_down in steps:
            if is_removal:
                vmas.remove(page * PAGE_SIZE, (page + count) * PAGE_SIZE)
            else:
                self.check_like_new(vmas, count)
                found = vmas.highest_gap(count * PAGE_SIZE, 0, 400 * PAGE_SIZE)
                if found is not None:
                    flags = RW | (VM.GROWSDOWN if grows_down and page < 20 else page % 2 * VM.LOCKED)
                    vmas.insert(area(found // PAGE_SIZE, count, flags))

    def check_like_new(self, vmas: VmaMap, count: int) -> None:
        for length in (count, count + 3):
            arguments = length * PAGE_SIZE, 0, 400 * PAGE_SIZE
            assert vmas.highest_gap(*arguments) == self.make(*vmas).highest_gap(*arguments)

    def test_a_guard_gap_does_not_reach_beyond_the_next_area(self) -> None:
        """As mm/mmap.c has it: wherever a search begins, it finds the same."""
        vmas = self.make(area(380, 1, RW | VM.GROWSDOWN), area(300, 1))
        assert vmas.highest_gap(5 * PAGE_SIZE, 0, 381 * PAGE_SIZE) == 295 * PAGE_SIZE

    def test_searches_from_elsewhere_begin_anew(self) -> None:
        vmas = self.make(area(95, 1))
        assert vmas.highest_gap(6 * PAGE_SIZE, 0, 100 * PAGE_SIZE) == 89 * PAGE_SIZE
        assert vmas.highest_gap(6 * PAGE_SIZE, 0, 200 * PAGE_SIZE) == 194 * PAGE_SIZE
        assert vmas.highest_gap(6 * PAGE_SIZE, 0, 100 * PAGE_SIZE) == 89 * PAGE_SIZE

    def test_searches_do_not_walk_the_same_way_twice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        vmas = self.make(*(area(2 * index, 1) for index in range(1, 500)))
        looked_at = []
        monkeypatch.setattr(
            vma_module, "guarded_start", lambda vma: looked_at.append(vma) or guarded_start(vma)
        )
        assert vmas.highest_gap(3 * PAGE_SIZE, 0, 999 * PAGE_SIZE) is None
        vmas.remove(20 * PAGE_SIZE, 23 * PAGE_SIZE)
        for _ in range(2):
            looked_at.clear()
            assert vmas.highest_gap(3 * PAGE_SIZE, 0, 999 * PAGE_SIZE) == 21 * PAGE_SIZE
        assert len(looked_at) < 3


FLAGS = [0, VM.READ, RW, VM.READ | VM.EXEC, RW | VM.LOCKED, RW | VM.SHARED, RW | VM.GROWSDOWN]
steps = st.lists(
    st.tuples(
        st.sampled_from(["map", "remove", "change"]),
        st.integers(0, 30),
        st.integers(1, 8),
        st.sampled_from(FLAGS),
        st.sampled_from([None, 0, 1]),
    ),
    max_size=30,
)


@given(steps=steps)
def test_like_a_model_of_pages(steps: list[tuple[str, int, int, int, int | None]]) -> None:
    """Every page has the flags it should; neighbours that could be one are one; the counts add up."""
    vmas, backings = VmaMap(), [CountedBacking(), CountedBacking()]
    pages: dict[int, tuple[int, CountedBacking | None]] = {}
    for step, first, count, flags, which in steps:
        backing = None if which is None else backings[which]
        start, end = first * PAGE_SIZE, (first + count) * PAGE_SIZE
        touched = range(first, first + count)
        if step == "change":
            vmas.replace(start, end, lambda part, flags=flags: part.with_flags(flags))
            pages |= {page: (flags, pages[page][1]) for page in touched if page in pages}
            continue
        vmas.remove(start, end)
        for page in touched:
            pages.pop(page, None)
        if step == "map":
            vmas.insert(area(first, count, flags, backing, first if backing else 0))
            pages |= dict.fromkeys(touched, (flags, backing))
    check_against(vmas, pages)
    assert sum(backing.count for backing in backings) == sum(vma.backing is not None for vma in vmas)


def check_against(vmas: VmaMap, pages: dict[int, tuple[int, CountedBacking | None]]) -> None:
    found = {}
    for vma in vmas:
        for address in range(vma.start, vma.end, PAGE_SIZE):
            found[address // PAGE_SIZE] = vma.flags, vma.backing
            assert vma.offset_at(address) == (address if vma.backing else 0)
    assert found == pages
    assert not any(one.continues_in(two) for one, two in zip(list(vmas), list(vmas)[1:], strict=False))
    flags = [flags for flags, _ in pages.values()]
    assert vmas.total_pages == len(flags)
    assert vmas.locked_pages == sum(bool(f & VM.LOCKED) for f in flags)
    assert vmas.data_pages == sum(map(is_data, flags))
    assert vmas.stack_pages == sum(bool(f & VM.GROWSDOWN) for f in flags)
    assert vmas.text_pages == sum(f & (VM.EXEC | VM.WRITE) == VM.EXEC for f in flags)
