"""Virtual memory areas: which ranges of an address space mean something, and what.

A VmaMap is pure bookkeeping and touches no memory; what is mapped in fact is the page tables' business.
It splits and merges as Linux does (mm/vma.c), so that /proc/self/maps reads the same.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from aionoah.abi.architecture import PAGE_SHIFT, PAGE_SIZE, STACK_GUARD_GAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.flags import Flags
from aionoah.memory.backing import Backing

if TYPE_CHECKING:
    from aionoah.memory.policy import Policy

MAX_MAP_COUNT: Final = 65530  # vm.max_map_count


class VM(Flags):
    """Linux's vm_flags (include/linux/mm.h); the lowest three are those of PROT and of Prot."""

    READ = 0x1
    WRITE = 0x2
    EXEC = 0x4
    SHARED = 0x8
    MAYREAD = 0x10
    MAYWRITE = 0x20
    MAYEXEC = 0x40
    MAYSHARE = 0x80
    GROWSDOWN = 0x100
    LOCKED = 0x2000
    SEQ_READ = 0x8000
    RAND_READ = 0x10000
    DONTCOPY = 0x20000
    DONTEXPAND = 0x40000
    LOCKONFAULT = 0x80000
    ACCOUNT = 0x100000
    NORESERVE = 0x200000
    WIPEONFORK = 0x2000000
    DONTDUMP = 0x4000000
    HUGEPAGE = 0x20000000
    NOHUGEPAGE = 0x40000000
    MERGEABLE = 0x80000000
    SEALED = 1 << 63


ACCESS: Final = VM.READ | VM.WRITE | VM.EXEC
MAY_ALL: Final = VM.MAYREAD | VM.MAYWRITE | VM.MAYEXEC
_DATA_KIND: Final = VM.WRITE | VM.SHARED | VM.GROWSDOWN
_TEXT_KIND: Final = VM.EXEC | VM.WRITE


class Vma:
    """One area. Never changed once it is made."""

    __slots__ = ("backing", "end", "flags", "name", "offset", "policy", "start")

    def __init__(
        self,
        start: int,
        end: int,
        flags: int,
        backing: Backing | None = None,
        offset: int = 0,
        name: bytes = b"",
        policy: "Policy | None" = None,
    ) -> None:
        self.start = start  # addresses in bytes, page-aligned
        self.end = end
        self.flags = flags  # VM
        self.backing = backing  # None: private anonymous memory
        self.offset = offset  # in bytes, into the backing; 0 without one
        self.name = name  # only of what is special in itself, such as b"[vdso]"
        self.policy = policy  # of mbind; None for the thread's own

    @property
    def page_count(self) -> int:
        return (self.end - self.start) >> PAGE_SHIFT

    @property
    def is_shared(self) -> bool:
        """Whether it was made with MAP_SHARED, writable or not."""
        return self.flags & VM.MAYSHARE != 0

    def part(self, start: int, end: int) -> "Vma":
        """What lies between two addresses; the area itself if that is all of it."""
        start, end = max(start, self.start), min(end, self.end)
        if start == self.start and end == self.end:
            return self
        return Vma(start, end, self.flags, self.backing, self.offset_at(start), self.name, self.policy)

    def with_flags(self, flags: int) -> "Vma":
        return Vma(self.start, self.end, flags, self.backing, self.offset, self.name, self.policy)

    def with_policy(self, policy: "Policy | None") -> "Vma":
        return Vma(self.start, self.end, self.flags, self.backing, self.offset, self.name, policy)

    def moved(self, start: int, length: int) -> "Vma":
        """The same contents elsewhere, perhaps with another length."""
        return Vma(start, start + length, self.flags, self.backing, self.offset, self.name, self.policy)

    def offset_at(self, address: int) -> int:
        """The place in the backing that an address shows."""
        return 0 if self.backing is None else self.offset + address - self.start

    def continues_in(self, after: "Vma") -> bool:
        """Whether this and the next area can be one (mm/vma.c: can_vma_merge_after)."""
        return (
            self.end == after.start
            and self.flags == after.flags
            and self.name == after.name
            and (self.backing is after.backing or self.backing == after.backing)
            and self.offset_at(self.end) == after.offset
            and self.policy == after.policy
        )

    def joined(self, after: "Vma") -> "Vma":
        """Both as one, where this one continues in the other."""
        return Vma(self.start, after.end, self.flags, self.backing, self.offset, self.name, self.policy)

    def __repr__(self) -> str:
        rights = "".join(c if self.flags & 1 << i else "-" for i, c in enumerate("rwx"))
        return f"<Vma {self.start:x}-{self.end:x} {rights} {'|'.join(VM(self.flags).names())}>"


class VmaMap:
    """The areas of one address space by address, never overlapping, with counts by kind in pages."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._vmas: list[Vma] = []
        self.total_pages = 0
        self.most_pages = 0  # what that was at most
        self.data_pages = 0  # private and writable, not a stack
        self.stack_pages = 0
        self.text_pages = 0  # executable and not writable
        self.locked_pages = 0
        # What searches for gaps have learned, by the lengths' magnitudes: (address, length) says that every
        # gap that ends above the address is shorter than the length. Else each of many mappings would be
        # paid for with a walk along all of them.
        self._crowded: dict[int, tuple[int, int]] = {}
        self._crowded_below = 0  # where those searches began

    def __len__(self) -> int:
        return len(self._vmas)

    def __iter__(self) -> Iterator[Vma]:
        return iter(self._vmas)

    # -- looking ------------------------------------------------------------------------------------

    def find(self, address: int) -> Vma | None:
        """The area that an address lies in."""
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address < self._vmas[index].end:
            return self._vmas[index]
        return None

    def find_from(self, address: int) -> Vma | None:
        """The area that an address lies in, or the next above (Linux: find_vma)."""
        index = self._index_from(address)
        return self._vmas[index] if index < len(self._vmas) else None

    def find_before(self, address: int) -> Vma | None:
        """The last area that ends at or below an address that lies in none, or that starts below it."""
        index = bisect_right(self._starts, address - 1) - 1
        return self._vmas[index] if index >= 0 else None

    def overlapping(self, start: int, end: int) -> list[Vma]:
        """The areas that have bytes in a range, whole."""
        return self._vmas[self._index_from(start) : bisect_right(self._starts, end - 1)]

    def is_empty(self, start: int, end: int) -> bool:
        vma = self.find_from(start)
        return vma is None or vma.start >= end

    def pages_between(self, start: int, end: int) -> int:
        parts = (vma.part(start, end) for vma in self.overlapping(start, end))
        return sum(part.page_count for part in parts)

    def _index_from(self, address: int) -> int:
        index = bisect_right(self._starts, address) - 1
        return index if index >= 0 and address < self._vmas[index].end else index + 1

    # -- changing -----------------------------------------------------------------------------------

    def insert(self, vma: Vma) -> None:
        """Add an area where there is none."""
        index = self._index_from(vma.start)
        if index < len(self._vmas) and self._vmas[index].start < vma.end:
            raise ValueError("the range is not empty")
        self._splice(index, index, [vma])

    def remove(self, start: int, end: int) -> None:
        """Empty a range. ENOMEM if that would split an area and there are too many."""
        self.replace(start, end, lambda _: None)
        if self._crowded:
            self._note_gap(start)

    def replace(self, start: int, end: int, change: Callable[[Vma], Vma | None]) -> None:
        """Put something else, or nothing, in the place of each part of an area in a range.

        What `change` returns covers the same addresses. ENOMEM if there would be too many areas; then
        nothing has changed.
        """
        first, last = self._index_from(start), bisect_right(self._starts, end - 1)
        old = self._vmas[first:last]
        if not old:
            return
        new: list[Vma] = []
        if old[0].start < start:
            new.append(old[0].part(0, start))
        for vma in old:
            changed = change(vma.part(start, end))
            if changed is not None:
                new.append(changed)
        if old[-1].end > end:
            new.append(old[-1].part(end, old[-1].end))
        if len(new) > len(old) and len(self) + len(new) - len(old) > MAX_MAP_COUNT:
            raise LinuxError(Errno.ENOMEM)
        self._splice(first, last, new)

    def clear(self) -> None:
        self._splice(0, len(self._vmas), [])
        self._crowded.clear()

    def _splice(self, first: int, last: int, new: list[Vma]) -> None:
        """The one place where areas come and go: merges with the neighbours, counts, holds and drops."""
        vmas = self._vmas
        if new:  # else there is a gap between the neighbours; one that stays is not counted anew
            if len(new) > 1:
                new = _merged(new)
            if first > 0 and vmas[first - 1].continues_in(new[0]):
                first -= 1
                new = [vmas[first].joined(new[0]), *new[1:]]
            if last < len(vmas) and new[-1].continues_in(vmas[last]):
                new = [*new[:-1], new[-1].joined(vmas[last])]
                last += 1
        old = vmas[first:last]
        for vma in new:
            self._count(vma, 1)
            if vma.backing is not None:
                vma.backing.hold()
        vmas[first:last] = new
        self._starts[first:last] = [vma.start for vma in new]
        for vma in old:
            self._count(vma, -1)
            if vma.backing is not None:
                vma.backing.drop()
        self.most_pages = max(self.most_pages, self.total_pages)

    def _count(self, vma: Vma, sign: int) -> None:
        pages, flags = sign * vma.page_count, vma.flags
        self.total_pages += pages
        if flags & VM.LOCKED:
            self.locked_pages += pages
        if flags & _DATA_KIND == VM.WRITE:
            self.data_pages += pages
        elif flags & VM.GROWSDOWN:
            self.stack_pages += pages
        elif flags & _TEXT_KIND == VM.EXEC:
            self.text_pages += pages

    # -- gaps -----------------------------------------------------------------------------------------

    def highest_gap(self, length: int, low: int, high: int, alignment: int = PAGE_SIZE) -> int | None:
        """The highest free place for `length` bytes between two addresses."""
        vmas = self._vmas
        top = self._uncrowded(length, high)
        index = bisect_right(self._starts, top - 1)
        if index < len(vmas):
            top = min(top, guarded_start(vmas[index]))
        for position in range(index - 1, -2, -1):
            bottom = vmas[position].end if position >= 0 else low
            address = (top - length) & -alignment
            if address >= max(bottom, low):
                self._note_crowd(length, top, alignment)
                return address
            if position < 0 or vmas[position].start - low < length:
                break
            # Of the next area alone, even where it reaches below another one.
            top = guarded_start(vmas[position])
        return None

    def _uncrowded(self, length: int, high: int) -> int:
        """Where a search for a gap below `high` may begin."""
        if high != self._crowded_below:
            self._crowded.clear()
            self._crowded_below = high
        known = (address for address, shorter in self._crowded.values() if shorter <= length)
        return min(known, default=high)

    def _note_crowd(self, length: int, top: int, alignment: int) -> None:
        """A search has found no gap above `top`; those for aligned places do not see every gap."""
        if alignment == PAGE_SIZE:
            self._crowded[length.bit_length()] = top, length

    def _note_gap(self, address: int) -> None:
        """Correct what is known for a gap that is new or larger than it was."""
        index = self._index_from(address)
        end = guarded_start(self._vmas[index]) if index < len(self._vmas) else self._crowded_below
        length = end - (self._vmas[index - 1].end if index else 0)
        for key, (limit, shorter) in list(self._crowded.items()):
            if end > limit and length >= shorter:
                self._crowded[key] = min(end, self._crowded_below), shorter

    def lowest_gap(self, length: int, low: int, high: int, alignment: int = PAGE_SIZE) -> int | None:
        """The lowest free place for `length` bytes between two addresses."""
        bottom = -(-low // alignment) * alignment
        for position in range(self._index_from(low), len(self._vmas)):
            vma = self._vmas[position]
            if bottom + length <= min(guarded_start(vma), high):
                return bottom
            bottom = max(bottom, -(-vma.end // alignment) * alignment)
            if bottom + length > high:
                return None
        return bottom if bottom + length <= high else None


def is_data(flags: int) -> bool:
    """What RLIMIT_DATA limits (mm/internal.h: is_data_mapping)."""
    return flags & _DATA_KIND == VM.WRITE


def guarded_start(vma: Vma) -> int:
    """Where an area begins, its guard gap included (Linux: vm_start_gap)."""
    return max(vma.start - STACK_GUARD_GAP, 0) if vma.flags & VM.GROWSDOWN else vma.start


def _merged(vmas: list[Vma]) -> list[Vma]:
    merged: list[Vma] = []
    for vma in vmas:
        last = merged[-1] if merged else None
        if last is not None and last.continues_in(vma):
            merged[-1] = last.joined(vma)
        else:
            merged.append(vma)
    return merged
