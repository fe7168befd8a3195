"""fork: a second address space that starts as a copy of the first.

Nothing is copied at once. Private pages are shown by both and may be written by neither; a write copies a
few neighbours (faults.fault). Sources: fork(2), madvise(2); Linux kernel/fork.c (dup_mmap).
"""

from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.hypervisor.protocols import Machine
from aionoah.memory.mm import Limit, Mm
from aionoah.memory.vma import VM

_NOT_INHERITED: Final = VM.LOCKED | VM.LOCKONFAULT


def fork(mm: Mm, machine: Machine, limit: Limit) -> Mm:
    """A copy of everything that is inherited. ENOMEM: then there is none."""
    try:
        child = Mm(machine, mm.mmap_base, limit)
    except MemoryError:
        raise LinuxError(Errno.ENOMEM) from None
    try:
        _copy(mm, child)
    except MemoryError:
        child.pages.close()
        child.vmas.clear()
        raise LinuxError(Errno.ENOMEM) from None
    return child


def _copy(mm: Mm, child: Mm) -> None:
    for name in ("start_brk", "brk", "start_stack", "image_data_length", "has_seals"):
        setattr(child, name, getattr(mm, name))
    child.execution = mm.execution.inherited
    for vma in mm.vmas:
        if vma.flags & VM.DONTCOPY:
            continue
        child.vmas.insert(vma.with_flags(vma.flags & ~_NOT_INHERITED))
        if not vma.flags & VM.WIPEONFORK:
            mm.pages.fork(child.pages, vma.start, vma.end, share=vma.is_shared)
