"""mmap, munmap and mprotect (mmap(2), munmap(2), mprotect(2); Linux mm/mmap.c, mm/vma.c, mm/mprotect.c)."""

from typing import Final

from aionoah.abi.architecture import PAGE_MASK, PAGE_SHIFT
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mman import MAP, PROT
from aionoah.abi.resource import RLIMIT
from aionoah.abi.words import WORD_MASK
from aionoah.memory.backing import Backing, FileBacking, FramesBacking, MappableFile
from aionoah.memory.faults import Run, gather, give_back, install, is_eager, populate, populate_for_writing
from aionoah.memory.mm import MMAP_MIN_ADDRESS, Mm, page_align
from aionoah.memory.vma import ACCESS, MAX_MAP_COUNT, MAY_ALL, VM, Vma

_OFFSET_MAX: Final = (1 << 63) - 1  # of files on a 64-bit kernel: MAX_LFS_FILESIZE
# What MAP_SHARED_VALIDATE accepts (include/linux/mman.h: LEGACY_MAP_MASK); MAP_SYNC needs persistent memory.
_LEGACY: Final = (
    MAP.SHARED
    | MAP.PRIVATE
    | MAP.FIXED
    | MAP.ANONYMOUS
    | MAP.DENYWRITE
    | MAP.EXECUTABLE
    | MAP.UNINITIALIZED
    | MAP.GROWSDOWN
    | MAP.LOCKED
    | MAP.NORESERVE
    | MAP.POPULATE
    | MAP.NONBLOCK
    | MAP.STACK
    | MAP.HUGETLB
    | MAP.BIT32
    | 63 << 26  # MAP_HUGE_*
)
# What distinguishes a mapping whose memory is charged (mm/vma.c: accountable_mapping).
_UNCHARGED: Final = VM.NORESERVE | VM.SHARED | VM.WRITE


def mmap(
    mm: Mm, hint: int, length: int, prot: int, flags: int, file: MappableFile | None, offset: int
) -> int:
    """Make a mapping and return its address. `file` is None for MAP_ANONYMOUS."""
    length = _check_length(mm, length, flags, file, offset)
    if flags & MAP.FIXED_NOREPLACE:
        flags |= MAP.FIXED
    if not flags & MAP.FIXED:
        hint = _round_hint(hint)
    address = mm.choose_address(hint, length, flags, is_anonymous=file is None)
    if flags & MAP.FIXED_NOREPLACE and not mm.vmas.is_empty(address, address + length):
        raise LinuxError(Errno.EEXIST)
    vm_flags = prot & ACCESS | MAY_ALL | mm.default_flags | _flag_bits(flags)
    _check_locking(mm, flags, vm_flags, length)
    if file is None:
        _map_anonymous(mm, address, length, vm_flags, flags)
    else:
        _map_file(mm, address, length, vm_flags, flags, file, offset)
    populate_as_asked(mm, address, length, flags)
    return address


def _check_length(mm: Mm, length: int, flags: int, file: MappableFile | None, offset: int) -> int:
    """The length in whole pages, if there can be such a mapping at all."""
    if offset & PAGE_MASK:
        raise LinuxError(Errno.EINVAL)
    if flags & MAP.HUGETLB:  # no huge pages are set aside here
        raise LinuxError(Errno.EINVAL if file is not None else Errno.ENOMEM)
    if length == 0:
        raise LinuxError(Errno.EINVAL)
    length = page_align(length)
    if length == 0 or len(mm.vmas) > MAX_MAP_COUNT:
        raise LinuxError(Errno.ENOMEM)
    return length


def _round_hint(hint: int) -> int:
    hint &= ~PAGE_MASK
    return max(hint, MMAP_MIN_ADDRESS) if hint else 0


def _flag_bits(flags: int) -> int:
    """The vm_flags that MAP flags ask for; a stack is not to be of huge pages, as since Linux 6.7."""
    bits = VM.GROWSDOWN if flags & MAP.GROWSDOWN else 0
    bits |= VM.LOCKED if flags & MAP.LOCKED else 0
    bits |= VM.NOHUGEPAGE if flags & MAP.STACK else 0
    bits |= VM.NORESERVE if flags & MAP.NORESERVE else 0
    return bits


def _check_locking(mm: Mm, flags: int, vm_flags: int, length: int) -> None:
    if flags & MAP.LOCKED and mm.limit(RLIMIT.MEMLOCK) == 0:
        raise LinuxError(Errno.EPERM)
    if not mm.may_lock_more(vm_flags, length):
        raise LinuxError(Errno.EAGAIN)


def _map_anonymous(mm: Mm, address: int, length: int, vm_flags: int, flags: int) -> None:
    kind = flags & MAP.TYPE
    if kind == MAP.PRIVATE:
        map_region(mm, Vma(address, address + length, vm_flags))
        return
    if kind != MAP.SHARED or vm_flags & VM.GROWSDOWN:
        raise LinuxError(Errno.EINVAL)
    vm_flags |= VM.SHARED | VM.MAYSHARE
    mm.require_commit(length >> PAGE_SHIFT)
    try:
        memory = FramesBacking.anonymous(mm.pages.frames, length >> PAGE_SHIFT)
    except MemoryError:
        raise LinuxError(Errno.ENOMEM) from None
    try:
        map_region(mm, Vma(address, address + length, vm_flags, memory))
    finally:
        memory.drop()


def _map_file(
    mm: Mm, address: int, length: int, vm_flags: int, flags: int, file: MappableFile, offset: int
) -> None:
    if offset + length > _OFFSET_MAX:
        raise LinuxError(Errno.EOVERFLOW)
    kind = flags & MAP.TYPE
    if kind == MAP.SHARED_VALIDATE and flags & ~_LEGACY:
        raise LinuxError(Errno.EOPNOTSUPP)
    if kind not in {MAP.SHARED, MAP.SHARED_VALIDATE, MAP.PRIVATE}:
        raise LinuxError(Errno.EINVAL)
    if kind != MAP.PRIVATE:
        vm_flags |= VM.SHARED | VM.MAYSHARE
        if not file.is_writable:
            if vm_flags & VM.WRITE:
                raise LinuxError(Errno.EACCES)
            vm_flags &= ~(VM.MAYWRITE | VM.SHARED)
    if not file.is_readable:
        raise LinuxError(Errno.EACCES)
    file = file.for_mapping(shared=kind != MAP.PRIVATE)  # ENODEV
    if kind != MAP.PRIVATE and file.is_write_sealed:
        vm_flags = _sealed(vm_flags)
    if vm_flags & VM.GROWSDOWN:
        raise LinuxError(Errno.EINVAL)
    map_region(mm, Vma(address, address + length, vm_flags, FileBacking(file), offset))


def _sealed(vm_flags: int) -> int:
    """The rights of a shared mapping that may never be written. EPERM for one that asks for it now."""
    if vm_flags & VM.WRITE:
        raise LinuxError(Errno.EPERM)
    return vm_flags & ~VM.MAYWRITE


def map_backing(
    mm: Mm, address: int, length: int, vm_flags: int, backing: Backing, *, offset: int = 0, name: bytes = b""
) -> None:
    """Map what the kernel itself brings (the vDSO, System V shared memory) at a free place."""
    map_region(mm, Vma(address, address + length, vm_flags, backing, offset, name))


def map_region(mm: Mm, vma: Vma) -> None:
    """Put an area in place of whatever is there (mm/vma.c: mmap_region). ENOMEM.

    Frames are found before the old mappings go, so that running out of them changes nothing. EACCES, EPERM.
    """
    mm.require_no_gain(vma.flags, vma.flags)
    if not mm.may_expand(vma.flags, vma.page_count):
        replaced = mm.vmas.pages_between(vma.start, vma.end)
        if not mm.may_expand(vma.flags, vma.page_count - replaced):
            raise LinuxError(Errno.ENOMEM)
    if vma.flags & _UNCHARGED == VM.WRITE:
        mm.require_commit(vma.page_count)
        vma = vma.with_flags(vma.flags | VM.ACCOUNT)
    try:
        runs = gather(mm, vma) if is_eager(vma) else []
    except MemoryError:
        raise LinuxError(Errno.ENOMEM) from None
    _replace_region(mm, vma, runs)


def _replace_region(mm: Mm, vma: Vma, runs: list[Run]) -> None:
    try:
        unmap_range(mm, vma.start, vma.end)
    except LinuxError:
        give_back(mm.pages.frames, runs)
        raise
    try:
        install(mm, vma, runs)
    except MemoryError:
        raise LinuxError(Errno.ENOMEM) from None
    mm.vmas.insert(vma)


def populate_as_asked(mm: Mm, address: int, length: int, flags: int) -> None:
    """MAP_POPULATE and MAP_LOCKED, of which mmap never tells that they failed."""
    is_wanted = flags & (MAP.POPULATE | MAP.NONBLOCK) == MAP.POPULATE or flags & MAP.LOCKED
    vma = mm.vmas.find(address)
    if not is_wanted or vma is None or not vma.flags & ACCESS:
        return
    try:
        populate_for_writing(mm, vma, address, address + length)
    except (MemoryError, LinuxError):
        return  # what is missing comes by page faults


def munmap(mm: Mm, address: int, length: int) -> None:
    if address & PAGE_MASK or length == 0:
        raise LinuxError(Errno.EINVAL)
    if address > mm.task_size or length > mm.task_size - address:
        raise LinuxError(Errno.EINVAL)
    unmap_range(mm, address, address + page_align(length))


def unmap_range(mm: Mm, start: int, end: int) -> None:
    """Empty a range. ENOMEM if it would have to split an area and there are too many; EPERM if it is sealed."""
    if mm.vmas.is_empty(start, end):
        return
    mm.require_unsealed(start, end)
    mm.vmas.remove(start, end)
    mm.pages.unmap(start, end)


def mprotect(mm: Mm, address: int, length: int, prot: int) -> None:
    """Change rights, area by area up to the first that refuses: EACCES, ENOMEM."""
    grows = prot & (PROT.GROWSDOWN | PROT.GROWSUP)
    prot &= ~grows
    if grows == PROT.GROWSDOWN | PROT.GROWSUP or address & PAGE_MASK:
        raise LinuxError(Errno.EINVAL)
    if length == 0:
        return
    end = address + page_align(length)
    if end == address or end > WORD_MASK:
        raise LinuxError(Errno.ENOMEM)
    if prot & ~(ACCESS | PROT.SEM):
        raise LinuxError(Errno.EINVAL)
    start = _first_to_protect(mm, address, end, grows)
    for vma in mm.vmas.overlapping(start, end):
        if vma.start > start:
            raise LinuxError(Errno.ENOMEM)
        _protect_part(mm, vma.part(start, end), prot & ACCESS)
        start = vma.end
    if start < end:
        raise LinuxError(Errno.ENOMEM)


def _first_to_protect(mm: Mm, address: int, end: int, grows: int) -> int:
    vma = mm.vmas.find_from(address)
    if vma is None:
        raise LinuxError(Errno.ENOMEM)
    if not grows & PROT.GROWSDOWN:
        if vma.start > address:
            raise LinuxError(Errno.ENOMEM)
        if grows:  # nothing grows up on these architectures
            raise LinuxError(Errno.EINVAL)
        return address
    if vma.start >= end:
        raise LinuxError(Errno.ENOMEM)
    if not vma.flags & VM.GROWSDOWN:
        raise LinuxError(Errno.EINVAL)
    return vma.start


def _protect_part(mm: Mm, part: Vma, prot: int) -> None:
    if prot & ~(part.flags >> 4):  # the MAY bits stand four above the rights
        raise LinuxError(Errno.EACCES)
    mm.require_no_gain(part.flags, prot)
    mm.require_unsealed(part.start, part.end)
    flags = part.flags & ~ACCESS | prot
    if flags == part.flags:
        return
    flags = _charge(mm, part, flags)
    changed = part.with_flags(flags)
    mm.vmas.replace(part.start, part.end, lambda _: changed)
    mm.pages.protect(part.start, part.end, flags)
    if not part.flags & ACCESS and is_eager(changed):
        try:
            populate(mm, changed, part.start, part.end)
        except (MemoryError, LinuxError):
            return  # page faults will try again


def _charge(mm: Mm, part: Vma, flags: int) -> int:
    """Private memory becomes the process's own when it can be written to. ENOMEM."""
    if not flags & VM.WRITE:
        is_given_up = part.flags & VM.ACCOUNT and part.backing is None
        return flags & ~VM.ACCOUNT if is_given_up else flags
    if not mm.may_expand(flags, part.page_count) and mm.may_expand(part.flags, part.page_count):
        raise LinuxError(Errno.ENOMEM)
    if part.flags & (VM.ACCOUNT | VM.WRITE | VM.SHARED | VM.NORESERVE):
        return flags
    mm.require_commit(part.page_count)
    return flags | VM.ACCOUNT
