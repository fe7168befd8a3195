"""Mappings that stay as they are: mseal(2); Linux mm/mseal.c."""

from aionoah.abi.architecture import PAGE_MASK
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.words import WORD_MASK
from aionoah.memory.mm import Mm, page_align
from aionoah.memory.vma import VM


def mseal(mm: Mm, start: int, length: int) -> None:
    """Nobody may unmap, move, replace or protect a range any more. EINVAL; ENOMEM for gaps: then nothing is sealed."""
    end = start + page_align(length)
    if start & PAGE_MASK or end > WORD_MASK or (length and end == start):
        raise LinuxError(Errno.EINVAL)
    if start == end:
        return
    covered = start
    for vma in mm.vmas.overlapping(start, end):
        if vma.start > covered:
            break
        covered = vma.end
    if covered < end:
        raise LinuxError(Errno.ENOMEM)
    mm.vmas.replace(start, end, lambda part: part.with_flags(part.flags | VM.SEALED))
    mm.has_seals = True
