"""mremap (mremap(2); Linux mm/mremap.c)."""

from typing import Final

from aionoah.abi.architecture import PAGE_MASK, PAGE_SHIFT
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mman import MAP, MREMAP
from aionoah.abi.words import WORD_MASK
from aionoah.memory.faults import gather, install, is_eager
from aionoah.memory.mappings import map_region, munmap, populate_as_asked, unmap_range
from aionoah.memory.mm import MMAP_MIN_ADDRESS, Mm, page_align
from aionoah.memory.vma import MAX_MAP_COUNT, VM, Vma

_VALID: Final = MREMAP.MAYMOVE | MREMAP.FIXED | MREMAP.DONTUNMAP
_SPARE_MAPS: Final = 3  # a move may split areas, and must not fail half-way


def mremap(mm: Mm, old: int, old_length: int, new_length: int, flags: int, new: int) -> int:
    """Resize or move a mapping; returns its address. Lengths are in bytes."""
    old_length, new_length = page_align(old_length), page_align(new_length)
    _check(mm, old, old_length, new_length, flags, new)
    vma = mm.vmas.find(old)
    if vma is None:
        raise LinuxError(Errno.EFAULT)
    if vma.flags & VM.SEALED:
        raise LinuxError(Errno.EPERM)
    is_placed = bool(flags & (MREMAP.FIXED | MREMAP.DONTUNMAP))
    if is_placed or new_length > old_length:
        _check_resize(mm, vma, old, min(old_length, new_length), new_length)
    if is_placed:
        return _move_to(mm, vma, old, old_length, new_length, flags, new)
    if new_length <= old_length:
        if new_length < old_length:
            munmap(mm, old + new_length, old_length - new_length)
        return old
    if old_length == vma.end - old and _may_extend(mm, vma, new_length - old_length):
        _extend(mm, vma, vma.end + new_length - old_length)
        return old
    if not flags & MREMAP.MAYMOVE:
        raise LinuxError(Errno.ENOMEM)
    target = mm.choose_address(0, new_length, 0, is_anonymous=vma.backing is None)
    _move(mm, vma, old, old_length, target, new_length)
    return target


def _check(mm: Mm, old: int, old_length: int, new_length: int, flags: int, new: int) -> None:
    """What can be said without looking at the mapping: EINVAL."""
    is_bad = flags & ~_VALID or old & PAGE_MASK or new_length == 0 or new_length > mm.task_size
    if not is_bad and flags & (MREMAP.FIXED | MREMAP.DONTUNMAP):
        is_bad = (
            not flags & MREMAP.MAYMOVE
            or (flags & MREMAP.DONTUNMAP and old_length != new_length)
            or new > mm.task_size - new_length
            or new & PAGE_MASK
            or (old + old_length > new and new + new_length > old)
        )
    if is_bad:
        raise LinuxError(Errno.EINVAL)


def _check_resize(mm: Mm, vma: Vma, old: int, old_length: int, new_length: int) -> None:
    """Whether this part of an area may get that length, which is not less than its own."""
    if old_length == 0 and not vma.is_shared:  # duplicating is for shared memory only
        raise LinuxError(Errno.EINVAL)
    if old_length > vma.end - old:
        raise LinuxError(Errno.EFAULT)
    if new_length == old_length:
        return
    if vma.offset_at(old) + new_length > WORD_MASK:
        raise LinuxError(Errno.EINVAL)
    if vma.flags & VM.DONTEXPAND:
        raise LinuxError(Errno.EFAULT)
    growth = new_length - old_length
    if not mm.may_lock_more(vma.flags, growth):
        raise LinuxError(Errno.EAGAIN)
    if not mm.may_expand(vma.flags, growth >> PAGE_SHIFT):
        raise LinuxError(Errno.ENOMEM)


def _may_extend(mm: Mm, vma: Vma, growth: int) -> bool:
    end = vma.end + growth
    return end <= mm.task_size and mm.vmas.is_empty(vma.end, end)


def remap_file_pages(mm: Mm, start: int, length: int, page: int, flags: int) -> None:
    """Show other pages of what a shared mapping shows, from `page` on, as a mapping of its own. EINVAL."""
    start, length = start & ~PAGE_MASK, length & ~PAGE_MASK
    vma = mm.vmas.find(start)
    end = start + length
    if length == 0 or end > WORD_MASK or page + (length >> PAGE_SHIFT) > WORD_MASK:
        raise LinuxError(Errno.EINVAL)
    if vma is None or not vma.flags & VM.SHARED or vma.backing is None or vma.name:
        raise LinuxError(Errno.EINVAL)
    if not _is_uniform(mm, vma, end):
        raise LinuxError(Errno.EINVAL)
    if (page << PAGE_SHIFT) + length > WORD_MASK:
        raise LinuxError(Errno.EOVERFLOW)
    new = Vma(start, end, vma.flags, vma.backing, page << PAGE_SHIFT, vma.name, vma.policy)
    vma.backing.hold()  # it may be nowhere else for a moment
    try:
        map_region(mm, new)
    finally:
        vma.backing.drop()
    if not flags & MAP.NONBLOCK:
        populate_as_asked(mm, start, length, MAP.POPULATE)


def _is_uniform(mm: Mm, first: Vma, end: int) -> bool:
    """Whether areas of one thing with the same rights go on without a gap."""
    covered = first.start
    for vma in mm.vmas.overlapping(first.start, end):
        if vma.start != covered and vma is not first:
            return False
        if vma.backing != first.backing or vma.flags != first.flags:
            return False
        covered = vma.end
    return covered >= end


def _extend(mm: Mm, vma: Vma, end: int) -> None:
    """Give an area more pages at its end. ENOMEM."""
    added = Vma(vma.end, end, vma.flags, vma.backing, vma.offset_at(vma.end), vma.name, vma.policy)
    _fill(mm, added, whole=vma.moved(vma.start, end - vma.start))
    mm.vmas.insert(added)


def _fill(mm: Mm, added: Vma, whole: Vma) -> None:
    """Get the pages of what is added to an area, if the whole of it is one that has them at once."""
    if added.flags & VM.ACCOUNT:
        mm.require_commit(added.page_count)
    if added.page_count == 0 or not (is_eager(whole) or added.flags & VM.LOCKED):
        return
    try:
        install(mm, added, gather(mm, added))
    except MemoryError:
        raise LinuxError(Errno.ENOMEM) from None


def _move_to(mm: Mm, vma: Vma, old: int, old_length: int, new_length: int, flags: int, new: int) -> int:
    """MREMAP_FIXED, or MREMAP_DONTUNMAP with `new` as a hint."""
    if len(mm.vmas) + 2 >= MAX_MAP_COUNT - _SPARE_MAPS:
        raise LinuxError(Errno.ENOMEM)
    keeps_old = bool(flags & MREMAP.DONTUNMAP)
    if keeps_old and not mm.may_expand(vma.flags, old_length >> PAGE_SHIFT):
        raise LinuxError(Errno.ENOMEM)
    if flags & MREMAP.FIXED:
        if new < MMAP_MIN_ADDRESS:
            raise LinuxError(Errno.EPERM)
        unmap_range(mm, new, new + new_length)
    if old_length > new_length:
        munmap(mm, old + new_length, old_length - new_length)
        old_length = new_length
    place = MAP.FIXED if flags & MREMAP.FIXED else 0
    target = mm.choose_address(new, new_length, place, is_anonymous=vma.backing is None)
    _move(mm, vma, old, old_length, target, new_length, keeps_old=keeps_old)
    return target


def _move(
    mm: Mm, vma: Vma, old: int, old_length: int, new: int, new_length: int, *, keeps_old: bool = False
) -> None:
    """Move pages and area to a free place; the pages that are added there are new. ENOMEM."""
    if len(mm.vmas) >= MAX_MAP_COUNT - _SPARE_MAPS:
        raise LinuxError(Errno.ENOMEM)
    offset = vma.offset_at(old)
    moved = Vma(new, new + new_length, vma.flags, vma.backing, offset, vma.name, vma.policy)
    _fill(mm, moved.part(new + old_length, moved.end), whole=moved)
    if old_length:
        mm.pages.move(old, new, old_length)
    mm.vmas.insert(moved)
    if keeps_old:
        unlocked = ~(VM.LOCKED | VM.LOCKONFAULT)
        mm.vmas.replace(old, old + old_length, lambda part: part.with_flags(part.flags & unlocked))
    elif old_length:
        mm.vmas.remove(old, old + old_length)
