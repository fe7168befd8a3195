"""The heap and the initial stack (brk(2); Linux mm/mmap.c brk, fs/exec.c setup_arg_pages)."""

from typing import Final

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import RLIM_INFINITY, RLIMIT
from aionoah.memory.faults import populate
from aionoah.memory.mappings import map_region, unmap_range
from aionoah.memory.mm import MMAP_MIN_ADDRESS, Mm, page_align
from aionoah.memory.vma import MAX_MAP_COUNT, MAY_ALL, VM, Vma, guarded_start

_DATA: Final = VM.READ | VM.WRITE | MAY_ALL


def set_brk(mm: Mm, start: int, image_data_length: int) -> None:
    mm.start_brk = mm.brk = start
    mm.image_data_length = image_data_length


def brk(mm: Mm, address: int) -> int:
    """Move the end of the heap; returns where it is then, which is the old place if it may not move."""
    if not mm.start_brk <= address <= mm.task_size or _exceeds_data_limit(mm, address):
        return mm.brk
    old, new = page_align(mm.brk), page_align(address)
    try:
        if new < old:
            unmap_range(mm, new, old)
        elif new > old:
            _grow(mm, old, new)
    except LinuxError:
        return mm.brk
    mm.brk = address
    return address


def _exceeds_data_limit(mm: Mm, address: int) -> bool:
    limit = mm.limit(RLIMIT.DATA)
    return limit != RLIM_INFINITY and address - mm.start_brk + mm.image_data_length > limit


def _grow(mm: Mm, old: int, new: int) -> None:
    flags = _DATA | mm.default_flags
    if old < MMAP_MIN_ADDRESS or not mm.may_lock_more(flags, new - old):
        raise LinuxError(Errno.ENOMEM)
    above = mm.vmas.find_from(old)
    if above is not None and new + PAGE_SIZE > guarded_start(above):
        raise LinuxError(Errno.ENOMEM)
    if len(mm.vmas) > MAX_MAP_COUNT:
        raise LinuxError(Errno.ENOMEM)
    map_region(mm, Vma(old, new, flags))
    if flags & VM.LOCKED:
        _populate_heap(mm, old, new)


def _populate_heap(mm: Mm, old: int, new: int) -> None:
    vma = mm.vmas.find(old)
    if vma is not None:
        try:
            populate(mm, vma, old, new)
        except MemoryError:
            return  # page faults will try again


def setup_stack(mm: Mm, top: int, size: int, *, is_executable: bool) -> None:
    """Map the initial stack: `size` bytes below `top`, filled at once, and more as it is touched. ENOMEM."""
    flags = _DATA | VM.GROWSDOWN | VM.ACCOUNT | (VM.EXEC if is_executable else 0)
    vma = Vma(top - page_align(size), top, flags)
    is_possible = vma.start >= MMAP_MIN_ADDRESS and top <= mm.task_size
    if not is_possible or not mm.vmas.is_empty(vma.start, vma.end):
        raise LinuxError(Errno.ENOMEM)
    if not mm.may_expand(flags, vma.page_count):
        raise LinuxError(Errno.ENOMEM)
    try:
        populate(mm, vma, vma.start, vma.end)
    except MemoryError:
        raise LinuxError(Errno.ENOMEM) from None
    mm.vmas.insert(vma)
    mm.start_stack = top
