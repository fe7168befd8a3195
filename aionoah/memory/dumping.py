"""What of an address space a core dump has (core(5), "Controlling which mappings are written"; Linux fs/coredump.c:
vma_dump_size, dump_user_range).

Whether a private page of a file has been changed is not known here: what could ever be written counts as changed, and
what is all zeros as never touched.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.core import DUMP
from aionoah.abi.errno import LinuxError
from aionoah.memory import forced
from aionoah.memory.backing import FileBacking
from aionoah.memory.vma import VM, Vma

if TYPE_CHECKING:
    from aionoah.memory.guest_memory import GuestMemory
    from aionoah.memory.mm import Mm

_PIECE: Final = 256 << 10  # bytes
_NO_PIECE: Final = bytes(_PIECE)
_NO_PAGE: Final = bytes(PAGE_SIZE)
_ELF_MAGIC: Final = b"\x7fELF"
_EXECUTABLE: Final = 0o111
_CHANGEABLE: Final = VM.WRITE | VM.ACCOUNT  # the latter stays when the right to write is taken away


class DumpedArea(NamedTuple):
    """An area, and how much of it, from its start, a dump has."""

    start: int
    end: int
    flags: int  # memory.vma.VM
    length: int


def dumped_areas(memory: "GuestMemory", mm: "Mm", kinds: int) -> list[DumpedArea]:
    """All areas; `kinds` of abi.core.DUMP have their contents in the dump."""
    return [DumpedArea(vma.start, vma.end, vma.flags, _length(memory, mm, vma, kinds)) for vma in mm.vmas]


def _length(memory: "GuestMemory", mm: "Mm", vma: Vma, kinds: int) -> int:
    whole, backing = vma.end - vma.start, vma.backing
    if backing is not None and backing.name:  # the kernel's own: the vDSO
        return whole
    if vma.flags & VM.DONTDUMP:
        return 0
    if vma.flags & VM.SHARED:
        is_named = isinstance(backing, FileBacking) and backing.file.attributes().nlink
        return whole if kinds & (DUMP.MAPPED_SHARED if is_named else DUMP.ANON_SHARED) else 0
    if kinds & DUMP.ANON_PRIVATE and _has_been_written(mm, vma):
        return whole
    if not isinstance(backing, FileBacking):
        return 0
    if kinds & DUMP.MAPPED_PRIVATE:
        return whole
    return PAGE_SIZE if kinds & DUMP.ELF_HEADERS and _has_header(memory, mm, vma, backing) else 0


def _has_been_written(mm: "Mm", vma: Vma) -> bool:
    if vma.backing is None:
        return mm.pages.space.next_mapped(vma.start, vma.end) < vma.end
    return vma.flags & _CHANGEABLE != 0


def _has_header(memory: "GuestMemory", mm: "Mm", vma: Vma, backing: FileBacking) -> bool:
    """Whether the start of a program or library is there."""
    if vma.offset or not vma.flags & VM.READ:
        return False
    is_program = backing.file.attributes().mode & _EXECUTABLE
    return bool(is_program) or forced.read(memory, mm, vma.start, len(_ELF_MAGIC)) == _ELF_MAGIC


def dumped_pieces(memory: "GuestMemory", mm: "Mm", start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Addresses and contents of the pages of one area that are not all zeros, in order. Nothing as contents stands for a
    stretch of zeros: each step takes little time, and the memory may change hands between two.
    """
    vma = mm.vmas.find(start)
    if vma is None:
        return
    pieces = _anonymous(memory, mm, start, end) if vma.backing is None else _backed(memory, mm, vma, end)
    for address, data in pieces:
        yield from _without_zeros(address, data)


def _anonymous(memory: "GuestMemory", mm: "Mm", start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Nothing is found by faults: what is not there has never been touched."""
    while (start := mm.pages.space.next_mapped(start, end)) < end:
        window = mm.pages.window(start)
        if window is None:
            return
        stop = min(end, window.end, start + _PIECE)
        try:
            data = memory.copy_in(window.memory[start - window.start : stop - window.start], window)
        except LinuxError:
            data = b""
        yield start, data
        start = stop


def _backed(memory: "GuestMemory", mm: "Mm", vma: Vma, end: int) -> Iterator[tuple[int, bytes]]:
    """What the program has not looked at yet is in the file. Pages that are not to be had are left out."""
    start = vma.start
    if vma.backing is not None:
        end = min(end, start + vma.backing.page_count() * PAGE_SIZE - vma.offset)
    while start < end:
        wanted = min(_PIECE, end - start)
        data = forced.read(memory, mm, start, wanted)
        yield start, data
        start += len(data) if len(data) == wanted else len(data) + PAGE_SIZE


def _without_zeros(address: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    if data == (_NO_PIECE if len(data) == _PIECE else bytes(len(data))):
        yield address, b""
        return
    first = None
    for offset in range(0, len(data), PAGE_SIZE):
        if not data.startswith(_NO_PAGE, offset):
            first = offset if first is None else first
        elif first is not None:
            yield address + first, data[first:offset]
            first = None
    if first is not None:
        yield address + first, data[first:]
