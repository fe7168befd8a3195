"""Getting pages under a mapping: when it is made, when it is touched, when a stack grows.

Ordinary mappings are filled when they are made, because a page fault costs more than writing page
table entries, and the host allocates memory at the first touch anyway. What is large, or declared
as a reserve, is filled by page faults in clusters.
"""

from enum import Enum
from typing import Final, NamedTuple

from aionoah.abi.architecture import PAGE_SHIFT, PAGE_SIZE, STACK_GUARD_GAP
from aionoah.abi.errno import LinuxError
from aionoah.abi.resource import RLIMIT
from aionoah.hypervisor.protocols import Frames, Prot
from aionoah.memory.mm import MMAP_MIN_ADDRESS, Mm
from aionoah.memory.vma import ACCESS, VM, Vma

EAGER_MAX: Final = 64 << 20  # bytes; larger mappings are filled as they are touched
_CLUSTER: Final = 256 << 10
_LARGE: Final = 1 << 30  # mappings from here on are filled in…
_LARGE_CLUSTER: Final = 2 << 20
_COPY_CLUSTER: Final = 64 << 10  # bytes copied at a write after a fork
_STACK_STEP: Final = 64 << 10  # a stack grows by so much if there is room, or to the page touched
_SMALLEST_RUN: Final = 16  # frames; shorter pieces are not looked for


class FaultResult(Enum):
    """What became of a page fault, and what the program gets if it is not resolved."""

    RESOLVED = 0
    MAPERR = 1  # SIGSEGV, SEGV_MAPERR: nothing is mapped there
    ACCERR = 2  # SIGSEGV, SEGV_ACCERR: the mapping does not allow it
    BUS = 3  # SIGBUS, BUS_ADRERR: behind the end of the file
    EXHAUSTED = 4  # SIGKILL: no memory is left, where Linux would call its OOM killer


class Run(NamedTuple):
    """Neighbouring frames to be mapped at an address; whoever has a Run holds its frames."""

    address: int
    first_frame: int
    page_count: int


def is_eager(vma: Vma) -> bool:
    """Whether a mapping gets its pages when it is made."""
    if vma.flags & (VM.NORESERVE | VM.NOHUGEPAGE | VM.GROWSDOWN):  # MAP_STACK sets NOHUGEPAGE
        return False
    return vma.flags & ACCESS != 0 and vma.end - vma.start <= EAGER_MAX


def gather(mm: Mm, vma: Vma) -> list[Run]:
    """Frames for every page of an area that can have one. MemoryError; LinuxError from the host."""
    frames = mm.pages.frames
    if vma.backing is None:
        return _allocate(frames, vma.start, vma.page_count)
    page = vma.offset >> PAGE_SHIFT
    count = min(vma.page_count, vma.backing.page_count() - page)
    if count <= 0:
        return []
    return [Run(vma.start, vma.backing.frames_at(frames, page, count, shared=vma.is_shared), count)]


def _allocate(frames: Frames, address: int, count: int) -> list[Run]:
    """Zero frames, in several runs where free ones are scattered."""
    try:
        return [Run(address, frames.allocate(count), count)]
    except MemoryError:
        if count <= _SMALLEST_RUN or frames.in_use + count > frames.limit:
            raise
    half = count // 2
    lower = _allocate(frames, address, half)
    try:
        return lower + _allocate(frames, address + half * PAGE_SIZE, count - half)
    except MemoryError:
        give_back(frames, lower)
        raise


def give_back(frames: Frames, runs: list[Run]) -> None:
    for run in runs:
        frames.drop(run.first_frame, run.page_count)


def install(mm: Mm, vma: Vma, runs: list[Run]) -> None:
    """Map runs with the rights of an area. MemoryError: then none of them is mapped."""
    is_file = vma.backing is not None and vma.backing.is_file
    for index, run in enumerate(runs):
        try:
            mm.pages.map(run.address, run.first_frame, run.page_count, vma.flags, is_file=is_file)
        except MemoryError:
            give_back(mm.pages.frames, runs[index + 1 :])
            for done in runs[:index]:
                mm.pages.unmap(done.address, done.address + done.page_count * PAGE_SIZE)
            raise


def populate(mm: Mm, vma: Vma, start: int, end: int) -> None:
    """Fill the holes in a range of an area. MemoryError; what was filled before it stays."""
    for hole in mm.pages.holes(max(start, vma.start), min(end, vma.end)):
        part = vma.part(*hole)
        install(mm, part, gather(mm, part))


def populate_for_writing(mm: Mm, vma: Vma, start: int, end: int) -> None:
    """As if each page had been touched, and written to if it may be: what is private becomes the space's own now,
    and later changes of the file are not seen (populate_vma_page_range). MemoryError.
    """
    populate(mm, vma, start, end)
    if vma.backing is None or vma.is_shared or not vma.flags & VM.WRITE:
        return
    low, high = max(start, vma.start), min(end, vma.end)
    mm.pages.unshare(low, high, vma.flags)
    mm.pages.populate(low, high)


def may_access(vma: Vma, access: Prot) -> bool:
    """Who may write or execute may read as well: neither CPU can tell."""
    if access == Prot.READ:
        return vma.flags & ACCESS != 0
    return vma.flags & int(access) == int(access)


def fault(mm: Mm, address: int, access: Prot) -> FaultResult:
    """Make one access possible, if it is allowed. `access` is the right that was missing."""
    vma = mm.vmas.find(address) or _grow_stack(mm, address)
    if vma is None:
        return FaultResult.MAPERR
    if not may_access(vma, access):
        return FaultResult.ACCERR
    page = address & -PAGE_SIZE
    if mm.pages.is_resident(page):
        return _grant(mm, vma, page, access)
    if vma.backing is not None and vma.offset_at(page) >> PAGE_SHIFT >= vma.backing.page_count():
        return FaultResult.BUS
    return _fill_around(mm, vma, page)


def _grant(mm: Mm, vma: Vma, page: int, access: Prot) -> FaultResult:
    """Let a page be used that is there: another thread was here before, or it is to be copied first."""
    if access != Prot.WRITE or vma.is_shared:
        mm.pages.protect(page, page + PAGE_SIZE, vma.flags)
        return FaultResult.RESOLVED
    start = page & -_COPY_CLUSTER
    for low, high in ((start, start + _COPY_CLUSTER), (page, page + PAGE_SIZE)):
        try:
            mm.pages.unshare(max(low, vma.start), min(high, vma.end), vma.flags)
        except MemoryError:
            continue
        return FaultResult.RESOLVED
    return FaultResult.EXHAUSTED


def forget_lost_pages(mm: Mm) -> bool:
    """Empty the page tables of what lies behind the end of a file by now; whether anything did."""
    found = False
    for vma in mm.vmas:
        if vma.backing is not None and vma.backing.is_file:
            kept = vma.backing.page_count() - (vma.offset >> PAGE_SHIFT)
            start = vma.start + max(kept, 0) * PAGE_SIZE
            if start < vma.end and mm.pages.resident_count(start, vma.end):
                mm.pages.unmap(start, vma.end)
                found = True
    return found


def _fill_around(mm: Mm, vma: Vma, page: int) -> FaultResult:
    """A program that goes through its memory from the start gets more at once, and the host's behind it."""
    cluster = _LARGE_CLUSTER if vma.end - vma.start >= _LARGE else _CLUSTER
    start = page & -cluster
    goes_on = vma.backing is None and vma.start < start and mm.pages.is_resident(start - PAGE_SIZE)
    end = start + (_LARGE_CLUSTER if goes_on else cluster)
    for low, high in ((start, end), (page, page + PAGE_SIZE)):
        try:
            populate(mm, vma, low, high)
            if goes_on and vma.flags & VM.WRITE:
                mm.pages.populate(low, min(high, vma.end))
        except MemoryError:
            continue
        except LinuxError:  # the host cannot read the file any more
            return FaultResult.BUS
        return FaultResult.RESOLVED
    return FaultResult.EXHAUSTED


def _grow_stack(mm: Mm, address: int) -> Vma | None:
    """Extend a stack down to an address below it (mm/vma.c: expand_downwards); None if it may not be."""
    above = mm.vmas.find_from(address)
    if above is None or not above.flags & VM.GROWSDOWN or address < MMAP_MIN_ADDRESS:
        return None
    below = mm.vmas.find_before(address)
    floor = max(above.end - mm.limit(RLIMIT.STACK), MMAP_MIN_ADDRESS)
    if below is not None and not below.flags & VM.GROWSDOWN and below.flags & ACCESS:
        floor = max(floor, below.end + STACK_GUARD_GAP)
    elif below is not None:
        floor = max(floor, below.end)
    page = address & -PAGE_SIZE
    if page < floor:
        return None
    start = max(page & -_STACK_STEP, floor + PAGE_SIZE - 1 & -PAGE_SIZE)
    length = above.start - start
    if not mm.may_expand(above.flags, length >> PAGE_SHIFT) or not mm.may_lock_more(above.flags, length):
        return None
    mm.vmas.insert(Vma(start, above.start, above.flags, name=above.name, policy=above.policy))
    return mm.vmas.find(address)
