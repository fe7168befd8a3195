"""The mlock family (mlock(2); Linux mm/mlock.c). Locked pages are filled at once; the host decides
whether it swaps them out. A task with CAP_IPC_LOCK has no RLIMIT_MEMLOCK: see memory.Memory.
"""

from typing import Final

from aionoah.abi.architecture import PAGE_MASK, PAGE_SHIFT
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mman import MCL, MLOCK
from aionoah.abi.resource import RLIM_INFINITY, RLIMIT
from aionoah.abi.words import WORD_MASK
from aionoah.memory.faults import populate_for_writing
from aionoah.memory.mm import Mm, page_align
from aionoah.memory.vma import ACCESS, VM, Vma

_LOCK_BITS: Final = VM.LOCKED | VM.LOCKONFAULT


def mlock(mm: Mm, address: int, length: int, flags: int) -> None:
    """mlock2. EPERM, ENOMEM (the limit, a gap, PROT_NONE), EAGAIN, EINVAL."""
    if flags & ~MLOCK.ONFAULT:
        raise LinuxError(Errno.EINVAL)
    limit = mm.limit(RLIMIT.MEMLOCK)
    if limit == 0:
        raise LinuxError(Errno.EPERM)
    start, end = _rounded(address, length)
    if limit != RLIM_INFINITY and _locked_then(mm, start, end) > limit >> PAGE_SHIFT:
        raise LinuxError(Errno.ENOMEM)
    _apply(mm, start, end, VM.LOCKED | (VM.LOCKONFAULT if flags & MLOCK.ONFAULT else 0))
    _populate_locked(mm, start, end)


def munlock(mm: Mm, address: int, length: int) -> None:
    start, end = _rounded(address, length)
    _apply(mm, start, end, 0)


def mlockall(mm: Mm, flags: int) -> None:
    if not flags or flags & ~(MCL.CURRENT | MCL.FUTURE | MCL.ONFAULT) or flags == MCL.ONFAULT:
        raise LinuxError(Errno.EINVAL)
    limit = mm.limit(RLIMIT.MEMLOCK)
    if limit == 0:
        raise LinuxError(Errno.EPERM)
    is_over = limit != RLIM_INFINITY and mm.vmas.total_pages > limit >> PAGE_SHIFT
    if flags & MCL.CURRENT and is_over:
        raise LinuxError(Errno.ENOMEM)
    bits = VM.LOCKED | (VM.LOCKONFAULT if flags & MCL.ONFAULT else 0)
    mm.default_flags = bits if flags & MCL.FUTURE else 0
    if flags & MCL.CURRENT:
        _lock_everything(mm, bits)


def munlockall(mm: Mm) -> None:
    mm.default_flags = 0
    mm.vmas.replace(0, mm.task_size, lambda vma: _with_bits(vma, 0))


def _lock_everything(mm: Mm, bits: int) -> None:
    mm.vmas.replace(0, mm.task_size, lambda vma: _with_bits(vma, bits))
    if bits & VM.LOCKONFAULT:
        return
    for vma in list(mm.vmas):
        try:
            if vma.flags & ACCESS:
                populate_for_writing(mm, vma, vma.start, vma.end)
        except (MemoryError, LinuxError):
            return  # mlockall does not tell


def _rounded(address: int, length: int) -> tuple[int, int]:
    start = address & ~PAGE_MASK
    end = start + page_align(length + (address & PAGE_MASK))
    if end > WORD_MASK:
        raise LinuxError(Errno.EINVAL)
    return start, end


def _locked_then(mm: Mm, start: int, end: int) -> int:
    """Pages that would be locked after locking a range, wherever it is mapped."""
    locked = mm.vmas.locked_pages + (end - start >> PAGE_SHIFT)
    if locked <= mm.limit(RLIMIT.MEMLOCK) >> PAGE_SHIFT:
        return locked
    parts = (vma.part(start, end) for vma in mm.vmas.overlapping(start, end))
    return locked - sum(part.page_count for part in parts if part.flags & VM.LOCKED)


def _apply(mm: Mm, start: int, end: int, bits: int) -> None:
    """New lock bits for each area up to the first gap, which is ENOMEM."""
    for vma in mm.vmas.overlapping(start, end) if start < end else ():
        if vma.start > start:
            break
        part = vma.part(start, end)
        mm.vmas.replace(part.start, part.end, lambda old: _with_bits(old, bits))
        start = vma.end
    if start < end:
        raise LinuxError(Errno.ENOMEM)


def _with_bits(vma: Vma, bits: int) -> Vma:
    if vma.flags & VM.DONTEXPAND:  # the kernel's own pages, such as the vDSO
        return vma
    return vma.with_flags(vma.flags & ~_LOCK_BITS | bits)


def _populate_locked(mm: Mm, start: int, end: int) -> None:
    for vma in mm.vmas.overlapping(start, end) if start < end else ():
        if not vma.flags & ACCESS:
            raise LinuxError(Errno.ENOMEM)
        if vma.flags & VM.LOCKONFAULT:
            continue
        try:
            populate_for_writing(mm, vma, start, end)
        except MemoryError:
            raise LinuxError(Errno.EAGAIN) from None
