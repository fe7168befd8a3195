"""Page tables of the C core as an AddressSpace; a backend adds what makes its vCPUs use them."""

from collections.abc import Sequence
from typing import Any

from aionoah.hypervisor._native import ffi, lib
from aionoah.hypervisor.frames import HostFrames
from aionoah.hypervisor.protocols import PAGE_SIZE, Extent, Prot


class NativeSpace:
    """Everything of an AddressSpace but opening and closing it."""

    def __init__(self, frames: HostFrames, tables: Any, end: int) -> None:  # noqa: ANN401 - cffi
        self.end = end
        self.open_vcpus = 0
        self._frames = frames
        self._tables = tables
        self._extent = ffi.new("struct extent *")

    def map(self, address: int, first_frame: int, count: int, prot: Prot, *, is_file: bool = False) -> None:
        if lib.space_map(self._tables, address, first_frame, count, prot, is_file):
            raise MemoryError("no memory for page tables is left")

    def unmap(self, address: int, length: int) -> None:
        lib.space_unmap(self._tables, address, length // PAGE_SIZE)

    def protect(self, address: int, length: int, prot: Prot, *, exclusive: bool = False) -> None:
        lib.space_protect(self._tables, address, length // PAGE_SIZE, prot, exclusive)

    def fork(self, child: "NativeSpace", address: int, length: int, *, share: bool) -> None:
        if lib.space_fork(self._tables, child._tables, address, length // PAGE_SIZE, share):  # noqa: SLF001
            raise MemoryError("no memory for page tables is left")

    def unshare(self, address: int, length: int, prot: Prot) -> None:
        if lib.space_unshare(self._tables, address, length // PAGE_SIZE, prot):
            raise MemoryError("no memory for copies of pages is left")

    def move(self, old: int, new: int, length: int) -> None:
        if lib.space_move(self._tables, old, new, length // PAGE_SIZE):
            raise MemoryError("no memory for page tables is left")

    def extent(self, address: int) -> Extent | None:
        found = self._extent
        if not lib.space_extent(self._tables, address, found):
            return None
        start, end = found.start, found.end
        memory = self._frames.view(found.frame, (end - start) // PAGE_SIZE)
        return Extent(start, end, Prot(found.prot), memory, bool(found.is_file))

    @property
    def mapped(self) -> int:
        """Pages that are mapped, with any rights."""
        return int(self._tables.mapped)

    @property
    def most_mapped(self) -> int:
        """The most that have ever been mapped at once."""
        return int(self._tables.most_mapped)

    def resident(self, address: int, count: int) -> Sequence[bool]:
        flags = bytearray(count)
        lib.space_resident(self._tables, address, count, ffi.from_buffer(flags))
        return [bool(flag) for flag in flags]

    def next_mapped(self, address: int, end: int) -> int:
        return int(lib.space_next(self._tables, address, end))
