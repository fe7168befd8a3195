"""The page tables of one address space and the kernel's quick way to the bytes behind them.

Every change of the page tables goes through Pages, so that it can keep Windows (what the kernel knows
of mapped neighbourhoods) without ever showing a stale one. A typical access then costs no native call.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from aionoah.hypervisor.protocols import PAGE_SIZE, AddressSpace, Frames, Machine, Prot
from aionoah.memory.vma import VM

_WINDOWS_MAX: Final = 128
_CHUNK_PAGES: Final = 1 << 16  # of one question to the page tables
_RIGHTS: Final = tuple(Prot(bits | Prot.READ if bits else 0) for bits in range(8))


def rights(flags: int) -> Prot:
    """What the page tables get for vm_flags or PROT. On both CPUs, who may write or execute may read."""
    return _RIGHTS[flags & 7]


class Window:
    """An Extent in the form in which the kernel asks: plain booleans, no enums."""

    __slots__ = ("end", "is_file", "may_read", "may_write", "memory", "start")

    def __init__(self, start: int, end: int, memory: memoryview, prot: int, *, is_file: bool) -> None:
        self.start = start
        self.end = end
        self.memory = memory
        self.may_read = prot != 0
        self.may_write = prot & 2 != 0
        self.is_file = is_file


NO_WINDOW: Final = Window(0, 0, memoryview(b""), 0, is_file=False)


class Pages:
    """AddressSpace and Frames of one process, and the windows on them."""

    def __init__(self, machine: Machine, space: AddressSpace | None = None) -> None:
        self.frames: Frames = machine.frames
        self.space: AddressSpace = machine.new_space() if space is None else space
        self.recent = NO_WINDOW  # the window of the last access
        self._starts: list[int] = []
        self._windows: list[Window] = []

    def window(self, address: int) -> Window | None:
        """The mapped neighbourhood of an address, whatever its rights."""
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address < self._windows[index].end:
            self.recent = self._windows[index]
            return self.recent
        return self._look(address) if 0 <= address < self.space.end else None

    def _look(self, address: int) -> Window | None:
        extent = self.space.extent(address)
        if extent is None:
            return None
        start, end, prot, memory, is_file = extent
        self._forget(start, end)
        if len(self._windows) >= _WINDOWS_MAX:
            self._forget(0, self.space.end)
        window = Window(start, end, memory, int(prot), is_file=is_file)
        index = bisect_right(self._starts, start)
        self._starts.insert(index, start)
        self._windows.insert(index, window)
        self.recent = window
        return window

    def _forget(self, start: int, end: int) -> None:
        """Drop the windows that show any of a range."""
        first = bisect_right(self._starts, start) - 1
        if first < 0 or self._windows[first].end <= start:
            first += 1
        last = bisect_right(self._starts, end - 1)
        del self._starts[first:last]
        del self._windows[first:last]
        self.recent = NO_WINDOW

    # -- changes --------------------------------------------------------------------------------------

    def map(self, address: int, first_frame: int, count: int, flags: int, *, is_file: bool) -> None:
        """Map frames with the rights of vm_flags and drop the caller's reference of them, in any case. MemoryError."""
        try:
            self.space.map(address, first_frame, count, rights(flags), is_file=is_file)
        finally:
            self.frames.drop(first_frame, count)

    def unmap(self, start: int, end: int) -> None:
        self._forget(start, end)
        self.space.unmap(start, end - start)

    def protect(self, start: int, end: int, flags: int) -> None:
        """New rights by vm_flags; a private page that another space shows too stays read-only."""
        self._forget(start, end)
        self.space.protect(start, end - start, rights(flags), exclusive=not flags & VM.MAYSHARE)

    def fork(self, child: "Pages", start: int, end: int, *, share: bool) -> None:
        """Show a range in a child too; unless `share`, to be copied when either writes. MemoryError."""
        self._forget(start, end)
        self.space.fork(child.space, start, end - start, share=share)

    def unshare(self, start: int, end: int, flags: int) -> None:
        """Copy what other spaces show too, and give the range the rights of vm_flags. MemoryError."""
        self._forget(start, end)
        self.space.unshare(start, end - start, rights(flags))

    def move(self, old: int, new: int, length: int) -> None:
        """Move what is mapped to a place where nothing is."""
        self._forget(old, old + length)
        self.space.move(old, new, length)

    def close(self) -> None:
        self._forget(0, self.space.end)
        self.space.close()

    def populate(self, start: int, end: int) -> None:
        """A range of anonymous memory will be used soon."""
        while start < end and (window := self.window(start)) is not None:
            stop = min(end, window.end)
            self.frames.populate(window.memory[start - window.start : stop - window.start])
            start = stop

    # -- what is mapped -------------------------------------------------------------------------------

    def is_resident(self, address: int) -> bool:
        return self.space.resident(address & -PAGE_SIZE, 1)[0]

    def resident(self, start: int, end: int) -> Iterator[bool]:
        """For each page of a range, whether something is mapped there."""
        for chunk in range(start, end, _CHUNK_PAGES * PAGE_SIZE):
            count = min((end - chunk) // PAGE_SIZE, _CHUNK_PAGES)
            yield from self.space.resident(chunk, count)

    def resident_count(self, start: int, end: int) -> int:
        """How many pages of a range are mapped."""
        step = _CHUNK_PAGES * PAGE_SIZE
        chunks = ((chunk, min(end - chunk, step) // PAGE_SIZE) for chunk in range(start, end, step))
        return sum(sum(self.space.resident(*chunk)) for chunk in chunks)

    def holes(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of a range where nothing is mapped, as pairs of start and end."""
        found: list[tuple[int, int]] = []
        begin = None
        for index, is_mapped in enumerate(self.resident(start, end)):
            if is_mapped and begin is not None:
                found.append((begin, start + index * PAGE_SIZE))
                begin = None
            elif not is_mapped and begin is None:
                begin = start + index * PAGE_SIZE
        if begin is not None:
            found.append((begin, end))
        return found
