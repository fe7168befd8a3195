"""madvise, mincore and msync (madvise(2), mincore(2), msync(2); Linux mm/madvise.c, mincore.c, msync.c)."""

from collections.abc import Callable, Iterator
from typing import Final

from aionoah.abi.architecture import PAGE_MASK, PAGE_SHIFT
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mman import MADV, MS
from aionoah.abi.words import WORD_MASK
from aionoah.memory.faults import populate, populate_for_writing
from aionoah.memory.mm import Mm, page_align
from aionoah.memory.vma import ACCESS, VM, Vma

_READING: Final = VM.SEQ_READ | VM.RAND_READ
_HUGE: Final = VM.HUGEPAGE | VM.NOHUGEPAGE


def _parts(mm: Mm, start: int, end: int, *, skips_gaps: bool) -> Iterator[Vma]:
    """The parts of areas in a range. ENOMEM for a gap: at once, or after everything else."""
    has_gap = False
    for vma in mm.vmas.overlapping(start, end):
        if vma.start > start:
            has_gap = True
            if not skips_gaps:
                break
        yield vma.part(start, end)
        start = vma.end
    if has_gap or start < end:
        raise LinuxError(Errno.ENOMEM)


def _require(condition: object, errno: Errno = Errno.EINVAL) -> None:
    if not condition:
        raise LinuxError(errno)


# -- madvise ----------------------------------------------------------------------------------------


def _nothing(mm: Mm, part: Vma) -> None:
    """Advice that asks for nothing that could be seen."""


def _page_out(mm: Mm, part: Vma) -> None:  # noqa: ARG001
    _require(not part.flags & VM.LOCKED)


def _forget(mm: Mm, part: Vma) -> None:
    """Private memory becomes zero, or what the file holds, when it is touched again."""
    if not part.is_shared:
        mm.pages.unmap(part.start, part.end)


def _dont_need(mm: Mm, part: Vma) -> None:
    _require(not part.flags & VM.LOCKED)
    _forget(mm, part)


def _free(mm: Mm, part: Vma) -> None:
    """The kernel may free the pages whenever it likes, and so it does now."""
    _require(not part.flags & VM.LOCKED and part.backing is None)
    _forget(mm, part)


def _remove(mm: Mm, part: Vma) -> None:  # noqa: ARG001
    _require(not part.flags & VM.LOCKED and part.backing is not None)
    _require(part.flags & VM.SHARED and part.flags & VM.MAYWRITE, Errno.EACCES)
    if part.backing is not None:
        part.backing.punch_hole(part.offset, part.end - part.start)


def _wipe_on_fork(mm: Mm, part: Vma) -> None:
    _require(part.backing is None)
    _set_flags(mm, part, VM.WIPEONFORK, 0)


def _set_flags(mm: Mm, part: Vma, wanted: int, unwanted: int) -> None:
    flags = part.flags & ~unwanted | wanted
    if flags != part.flags:
        mm.vmas.replace(part.start, part.end, lambda old: old.with_flags(flags))


def _flags(wanted: int, unwanted: int) -> Callable[[Mm, Vma], None]:
    return lambda mm, part: _set_flags(mm, part, wanted, unwanted)


def _mergeable(mm: Mm, part: Vma) -> None:
    if not part.is_shared:
        _set_flags(mm, part, VM.MERGEABLE, 0)


_ADVICE: Final[dict[int, Callable[[Mm, Vma], None]]] = {
    MADV.NORMAL: _flags(0, _READING),
    MADV.RANDOM: _flags(VM.RAND_READ, _READING),
    MADV.SEQUENTIAL: _flags(VM.SEQ_READ, _READING),
    MADV.WILLNEED: _nothing,
    MADV.DONTNEED: _dont_need,
    MADV.DONTNEED_LOCKED: _forget,
    MADV.FREE: _free,
    MADV.REMOVE: _remove,
    MADV.DONTFORK: _flags(VM.DONTCOPY, 0),
    MADV.DOFORK: _flags(0, VM.DONTCOPY),
    MADV.WIPEONFORK: _wipe_on_fork,
    MADV.KEEPONFORK: _flags(0, VM.WIPEONFORK),
    MADV.DONTDUMP: _flags(VM.DONTDUMP, 0),
    MADV.DODUMP: _flags(0, VM.DONTDUMP),
    MADV.MERGEABLE: _mergeable,
    MADV.UNMERGEABLE: _flags(0, VM.MERGEABLE),
    MADV.HUGEPAGE: _flags(VM.HUGEPAGE, _HUGE),
    MADV.NOHUGEPAGE: _flags(VM.NOHUGEPAGE, _HUGE),
    MADV.COLD: _page_out,
    MADV.PAGEOUT: _page_out,
}


_DISCARDING: Final = {
    *(MADV.FREE, MADV.DONTNEED, MADV.DONTNEED_LOCKED, MADV.REMOVE, MADV.DONTFORK, MADV.WIPEONFORK),
}


def _is_kept(mm: Mm, part: Vma, advice: int) -> bool:
    """Whether this is sealed and its contents must stay, as the program cannot change them (can_modify_vma_madv)."""
    if not mm.has_seals or not part.flags & VM.SEALED or advice not in _DISCARDING:
        return False
    return part.backing is None and not part.flags & VM.WRITE


def madvise(mm: Mm, address: int, length: int, advice: int) -> None:
    """Advice for each area in a range; gaps give ENOMEM after the rest has been done."""
    is_filling = advice in {MADV.POPULATE_READ, MADV.POPULATE_WRITE}
    act = _ADVICE.get(advice)
    if (act is None and not is_filling) or address & PAGE_MASK:
        raise LinuxError(Errno.EINVAL)
    end = address + page_align(length)
    if end > WORD_MASK or (end == address and length):
        raise LinuxError(Errno.EINVAL)
    if end == address:
        return
    if act is None:
        _fill(mm, address, end, VM.WRITE if advice == MADV.POPULATE_WRITE else 0)
        return
    for part in _parts(mm, address, end, skips_gaps=True):
        _require(not _is_kept(mm, part, advice), Errno.EPERM)
        act(mm, part)


def _fill(mm: Mm, start: int, end: int, right: int) -> None:
    """MADV_POPULATE_*: EINVAL where the access is not allowed, EFAULT where it would be a SIGBUS."""
    for part in _parts(mm, start, end, skips_gaps=False):
        _require(part.flags & (right or ACCESS))
        try:
            (populate_for_writing if right else populate)(mm, part, part.start, part.end)
        except MemoryError:
            raise LinuxError(Errno.ENOMEM) from None
        if not all(mm.pages.resident(part.start, part.end)):
            raise LinuxError(Errno.EFAULT)


# -- mincore and msync ------------------------------------------------------------------------------


def mincore(mm: Mm, address: int, length: int) -> Iterator[bytes]:
    """Bytes of 0 or 1 for the pages of a range, a stretch at a time. EINVAL, and ENOMEM for gaps."""
    if address & PAGE_MASK:
        raise LinuxError(Errno.EINVAL)
    if address > mm.task_size or length > mm.task_size - address:
        raise LinuxError(Errno.ENOMEM)
    end = address + page_align(length)
    step = PAGE_MASK + 1 << PAGE_SHIFT
    return (_mincore_chunk(mm, chunk, min(chunk + step, end)) for chunk in range(address, end, step))


def _mincore_chunk(mm: Mm, start: int, end: int) -> bytes:
    found = bytearray()
    for part in _parts(mm, start, end, skips_gaps=False):
        found += bytes(mm.pages.resident(part.start, part.end))
    return bytes(found)


def msync(mm: Mm, address: int, length: int, flags: int) -> None:
    """Write shared file pages back; EBUSY for MS_INVALIDATE of locked ones, ENOMEM for gaps."""
    _require(not flags & ~(MS.ASYNC | MS.INVALIDATE | MS.SYNC) and not address & PAGE_MASK)
    _require(flags & (MS.ASYNC | MS.SYNC) != MS.ASYNC | MS.SYNC)
    end = address + page_align(length)
    if end > WORD_MASK:
        raise LinuxError(Errno.ENOMEM)
    if end == address:
        return
    for part in _parts(mm, address, end, skips_gaps=True):
        _require(not (flags & MS.INVALIDATE and part.flags & VM.LOCKED), Errno.EBUSY)
        if flags & MS.SYNC and part.flags & VM.SHARED and part.backing is not None:
            part.backing.sync()
