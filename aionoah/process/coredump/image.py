"""A core dump as a file: ELF headers, notes and memory (elf(5); Linux fs/binfmt_elf.c: elf_core_dump).

Memory goes from the pages to the file a piece at a time, and the kernel lock is let go of every few milliseconds. What is
all zeros is a hole. The limit is on what is written, as on Linux: holes are free, and the file ends with the last page
that may be.
"""

from functools import partial
from time import monotonic_ns
from typing import TYPE_CHECKING, Final, Protocol

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.core import ELF_IDENT, ET_CORE, PT_LOAD, PT_NOTE, ElfHeader, ProgramHeader
from aionoah.fs.file import write_at
from aionoah.host.waiting import Source, sleep_on
from aionoah.memory.buffer import KernelBuffer
from aionoah.memory.vma import ACCESS
from aionoah.process.coredump.file import cut_short, require_alive, uninterrupted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aionoah.fs.file import File
    from aionoah.memory.dumping import DumpedArea
    from aionoah.process.task import Task

_LONGEST_HOLD_NS: Final = 3_000_000
_PF_OF_PROT: Final = {
    prot: (prot & 1) << 2 | prot & 2 | (prot & 4) >> 2 for prot in range(8)
}  # R and X change places
_VERSION: Final = 1
_NOTE_ALIGNMENT: Final = 4


class Full(Exception):  # noqa: N818 - a condition
    """No more may be written."""


class Rests:
    """Lets others have the kernel lock every few milliseconds."""

    def __init__(self, task: "Task") -> None:
        self._task = task
        self._began_ns = monotonic_ns()

    async def rest(self) -> None:
        """If it is time to. Interrupted."""
        if monotonic_ns() - self._began_ns <= _LONGEST_HOLD_NS:
            return
        with cut_short(self._task):
            await sleep_on(Source(), monotonic_ns())
        require_alive(self._task)
        self._began_ns = monotonic_ns()


class CoreFile:
    """An open file, and how much may still go into it."""

    def __init__(self, task: "Task", file: "File", limit: int) -> None:
        """The file's one reference becomes ours. `limit`: RLIMIT_CORE in bytes."""
        self._task = task
        self._file = file
        self._room = limit
        self._end = task.process.limits.file_size  # RLIMIT_FSIZE

    def has_room(self, size: int) -> bool:
        return size <= self._room

    async def put(self, data: bytes, offset: int, unit: int = 0) -> None:
        """Write; what does not fit is left out from its last whole `unit` on (0: all of it). Full, LinuxError, Interrupted."""
        wanted = len(data)
        if wanted > self._room:
            data = data[: self._room // unit * unit] if unit else b""
        if self._end is not None:
            data = data[: max(self._end - offset, 0)]
        done = 0
        while done < len(data):
            attempt = partial(write_at, self._file, KernelBuffer(data[done:]), offset + done)
            done += await uninterrupted(self._task, attempt)
        self._room -= done
        if done < wanted:
            raise Full

    def close(self) -> None:
        self._file.drop()

    async def settle(self) -> None:
        """Files have nobody to wait for."""

    async def end_at(self, size: int) -> None:
        """All has been written: holes at the end belong to it too."""
        present = await uninterrupted(self._task, lambda: self._file.attributes().size)
        if present < size and self._room:
            await self.put(b"\0", size - 1)


class Sink(Protocol):
    """Where a core goes: CoreFile, PipedCore."""

    def has_room(self, size: int) -> bool: ...

    async def put(self, data: bytes, offset: int, unit: int = 0) -> None: ...

    async def end_at(self, size: int) -> None: ...

    def close(self) -> None: ...

    async def settle(self) -> None:
        """After it has been closed: wait for whoever gets the core, if that is wanted."""


async def write_image(task: "Task", file: Sink, notes: "Sequence[bytes]", rests: Rests) -> None:
    """The whole of it. Full, LinuxError, Interrupted."""
    areas = await uninterrupted(task, lambda: task.memory.dumped_areas(task.process.core_filter))
    header_size = ElfHeader.SIZE + (1 + len(areas)) * ProgramHeader.SIZE
    notes_size = sum(map(len, notes))
    offset = first = -(-(header_size + notes_size) // PAGE_SIZE) * PAGE_SIZE
    pieces = [_header(task.architecture.elf_machine, 1 + len(areas)), _note_header(header_size, notes_size)]
    for area in areas:
        pieces.append(_load_header(area, offset))
        offset += area.length
    await _put_pieces(file, [*pieces, *notes], rests)
    await _put_memory(task, file, areas, first, rests)
    await file.end_at(offset)


async def _put_pieces(file: Sink, pieces: "Sequence[bytes]", rests: Rests) -> None:
    """All in one if there is room; else each that has some."""
    offset = 0
    whole = b"".join(pieces)
    for piece in (whole,) if file.has_room(len(whole)) else pieces:
        await file.put(piece, offset)
        offset += len(piece)
        await rests.rest()


async def _put_memory(
    task: "Task", file: Sink, areas: "Sequence[DumpedArea]", offset: int, rests: Rests
) -> None:
    for area in areas:
        for address, data in task.memory.dumped_pieces(area.start, area.start + area.length):
            if data:
                await file.put(data, offset + address - area.start, PAGE_SIZE)
            await rests.rest()
        offset += area.length


def _header(machine: int, count: int) -> bytes:
    """Of a file with so many program headers: fewer than 65535, for there are not more areas."""
    sizes = (ElfHeader.SIZE, ProgramHeader.SIZE, count, 0, 0, 0)
    return ElfHeader.pack_values(ELF_IDENT, ET_CORE, machine, _VERSION, 0, ElfHeader.SIZE, 0, 0, *sizes)


def _note_header(offset: int, size: int) -> bytes:
    return ProgramHeader.pack_values(PT_NOTE, 0, offset, 0, 0, size, 0, _NOTE_ALIGNMENT)


def _load_header(area: "DumpedArea", offset: int) -> bytes:
    rights, length = _PF_OF_PROT[area.flags & ACCESS], area.end - area.start
    return ProgramHeader.pack_values(PT_LOAD, rights, offset, area.start, 0, area.length, length, PAGE_SIZE)
