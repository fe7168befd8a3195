"""Access to another program's memory that its own rights do not bind: a debugger's (Linux mm/gup.c, FOLL_FORCE).

What may be read by nobody can be read, and private memory that may not be written is written: such as program text, of
which the process gets pages of its own.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.errno import Errno, LinuxError
from aionoah.memory.faults import populate
from aionoah.memory.vma import ACCESS, VM, Vma

if TYPE_CHECKING:
    from aionoah.memory.guest_memory import GuestMemory
    from aionoah.memory.mm import Mm

_SHARED_OR_WRITABLE: Final = VM.SHARED | VM.MAYWRITE


def read(memory: "GuestMemory", mm: "Mm", address: int, length: int) -> bytes:
    """As many of these bytes as there are: fewer, or none, where nothing is mapped."""
    found: list[bytes] = []
    for start, stop in _pages(address, length):
        vma = mm.vmas.find(start)
        try:
            if vma is None or not vma.flags & VM.MAYREAD or vma.flags & ACCESS:
                found.append(memory.read(start, stop - start))
            else:
                _fill(mm, vma, start)
                found.append(_copy(memory, mm, start, stop))
        except LinuxError:
            break
    return b"".join(found)


def write(memory: "GuestMemory", mm: "Mm", address: int, data: bytes) -> int:
    """How many of the bytes have been written."""
    done = 0
    for start, stop in _pages(address, len(data)):
        vma = mm.vmas.find(start)
        try:
            if vma is not None and not vma.flags & VM.WRITE and _is_cow(vma):
                _fill(mm, vma, start)
                _make_own(mm, vma, start)
                _overwrite(memory, mm, start, data[done : done + stop - start])
            else:
                memory.write(start, data[done : done + stop - start])
        except LinuxError:
            break
        done += stop - start
    return done


def _pages(address: int, length: int) -> Iterator[tuple[int, int]]:
    end = address + length
    while address < end:
        stop = min(end, (address // PAGE_SIZE + 1) * PAGE_SIZE)
        yield address, stop
        address = stop


def _is_cow(vma: Vma) -> bool:
    return vma.flags & _SHARED_OR_WRITABLE == VM.MAYWRITE


def _fill(mm: "Mm", vma: Vma, address: int) -> None:
    """Have a page there. EFAULT."""
    page = address & -PAGE_SIZE
    if mm.pages.is_resident(page):
        return
    if vma.backing is not None and vma.offset_at(page) // PAGE_SIZE >= vma.backing.page_count():
        raise LinuxError(Errno.EFAULT)
    try:
        populate(mm, vma, page, page + PAGE_SIZE)
    except MemoryError:
        raise LinuxError(Errno.EFAULT) from None


def _make_own(mm: "Mm", vma: Vma, address: int) -> None:
    page = address & -PAGE_SIZE
    try:
        mm.pages.unshare(page, page + PAGE_SIZE, vma.flags)
    except MemoryError:
        raise LinuxError(Errno.EFAULT) from None


def _copy(memory: "GuestMemory", mm: "Mm", start: int, stop: int) -> bytes:
    window = mm.pages.window(start)
    if window is None:
        raise LinuxError(Errno.EFAULT)
    return memory.copy_in(window.memory[start - window.start : stop - window.start], window)


def _overwrite(memory: "GuestMemory", mm: "Mm", start: int, data: bytes) -> None:
    window = mm.pages.window(start)
    if window is None:
        raise LinuxError(Errno.EFAULT)
    view = window.memory[start - window.start : start - window.start + len(data)]
    memory.copy_out(view, memoryview(data), window)
