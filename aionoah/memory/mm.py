"""One process's address space as a whole (Linux: struct mm_struct): areas, page tables, limits, layout.

The functions of mappings.py, remapping.py, faults.py, advice.py, locking.py and heap.py work on an Mm; memory.py
is the face that the rest of the kernel sees.
"""

from collections.abc import Callable
from enum import Enum
from typing import Final

from aionoah.abi.architecture import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mman import MAP
from aionoah.abi.resource import RLIM_INFINITY, RLIMIT
from aionoah.hypervisor.protocols import AddressSpace, Machine
from aionoah.memory.pages import Pages
from aionoah.memory.vma import VM, Vma, VmaMap, guarded_start, is_data

MMAP_MIN_ADDRESS: Final = 65536  # vm.mmap_min_addr
_HUGE_PAGE: Final = 2 << 20
_PAGES: Final = (1 << 64) - PAGE_SIZE
_LOW_START: Final = 0x4000_0000  # arch/x86/kernel/sys_x86_64.c: where MAP_32BIT looks
_LOW_END: Final = 0x8000_0000

Limit = Callable[[int], int]
"""The soft limit for an RLIMIT, RLIM_INFINITY if there is none (process.limits.Limits.soft)."""


class Execution(Enum):
    """How memory may become executable (PR_SET_MDWE of prctl(2))."""

    FREE = 0
    DENIED = 1  # only new memory that can never be written
    DENIED_HERE = 2  # the same, but children and later programs are free

    @property
    def inherited(self) -> "Execution":
        return Execution.DENIED if self is Execution.DENIED else Execution.FREE


def page_align(length: int) -> int:
    """Up to a multiple of the page size, in 64 bits: what is close below 2**64 becomes 0, as in Linux."""
    return length + PAGE_MASK & _PAGES


class Mm:
    """The state; see the module. Addresses are bytes, `*_pages` are pages."""

    def __init__(
        self, machine: Machine, mmap_base: int, limit: Limit, space: AddressSpace | None = None
    ) -> None:
        self.vmas = VmaMap()
        self.pages = Pages(machine, space)
        self.limit = limit
        self.mmap_base = mmap_base
        self.task_size = self.pages.space.end
        self.has_low_mappings = machine.architecture == "x86_64"  # knows MAP_32BIT
        self.default_flags = 0  # VM.LOCKED and VM.LOCKONFAULT after mlockall(MCL_FUTURE)
        self.execution = Execution.FREE
        self.has_seals = False  # mseal has been called
        self.start_brk = 0
        self.brk = 0
        self.start_stack = 0
        self.image_data_length = 0  # of the program's data segment: RLIMIT_DATA counts it with the heap

    # -- limits ---------------------------------------------------------------------------------------

    def may_expand(self, flags: int, page_count: int) -> bool:
        """RLIMIT_AS and RLIMIT_DATA (mm/vma.c: may_expand_vm)."""
        if self.vmas.total_pages + page_count > self.limit(RLIMIT.AS) >> PAGE_SHIFT:
            return False
        if not is_data(flags):
            return True
        return self.vmas.data_pages + page_count <= self.limit(RLIMIT.DATA) >> PAGE_SHIFT

    def require_commit(self, page_count: int) -> None:
        """ENOMEM for what could never be filled (vm.overcommit_memory = 0)."""
        if page_count > self.pages.frames.limit:
            raise LinuxError(Errno.ENOMEM)

    def may_lock_more(self, flags: int, length: int) -> bool:
        """Whether a mapping with these flags may grow by `length` bytes (mm/mmap.c: mlock_future_ok)."""
        limit = self.limit(RLIMIT.MEMLOCK)
        if not flags & VM.LOCKED or limit == RLIM_INFINITY:
            return True
        return self.vmas.locked_pages + (length >> PAGE_SHIFT) <= limit >> PAGE_SHIFT

    # -- what must not be -------------------------------------------------------------------------------

    def require_unsealed(self, start: int, end: int) -> None:
        """EPERM if mseal forbids that anything of a range goes or changes."""
        if self.has_seals and any(vma.flags & VM.SEALED for vma in self.vmas.overlapping(start, end)):
            raise LinuxError(Errno.EPERM)

    def require_no_gain(self, old: int, new: int) -> None:
        """EACCES where PR_SET_MDWE forbids that memory becomes executable (mm/mman.h: map_deny_write_exec)."""
        if self.execution is not Execution.FREE and new & VM.EXEC and (new & VM.WRITE or not old & VM.EXEC):
            raise LinuxError(Errno.EACCES)

    # -- places -----------------------------------------------------------------------------------------

    def choose_address(self, hint: int, length: int, flags: int, *, is_anonymous: bool = True) -> int:
        """Where a mapping goes (mm/mmap.c: __get_unmapped_area). ENOMEM, EINVAL, EPERM."""
        if length > self.task_size:
            raise LinuxError(Errno.ENOMEM)
        address = hint if flags & MAP.FIXED else self._search(hint, length, flags, is_anonymous=is_anonymous)
        if address > self.task_size - length:
            raise LinuxError(Errno.ENOMEM)
        if address & PAGE_MASK:
            raise LinuxError(Errno.EINVAL)
        if address < MMAP_MIN_ADDRESS:
            raise LinuxError(Errno.EPERM)
        return address

    def _search(self, hint: int, length: int, flags: int, *, is_anonymous: bool) -> int:
        is_low = bool(flags & MAP.BIT32) and self.has_low_mappings
        high = _LOW_END if is_low else self.task_size
        if hint and self._fits(page_align(hint), length, high):
            return page_align(hint)
        if is_low:
            found = self.vmas.lowest_gap(length, _LOW_START, _LOW_END)
        else:
            found = self._search_top_down(length, is_anonymous=is_anonymous)
        if found is None:
            raise LinuxError(Errno.ENOMEM)
        return found

    def _fits(self, address: int, length: int, high: int) -> bool:
        if address < MMAP_MIN_ADDRESS or address + length > high:
            return False
        above = self.vmas.find_from(address)
        return above is None or address + length <= guarded_start(above)

    def _search_top_down(self, length: int, *, is_anonymous: bool) -> int | None:
        """Below mmap_base; if that is full, from a third of the space upwards.

        Whole huge pages of anonymous memory are aligned so that a backend can map them as such.
        """
        is_huge = is_anonymous and length % _HUGE_PAGE == 0
        low, base, find = MMAP_MIN_ADDRESS, self.mmap_base, self.vmas.highest_gap
        found = find(length, low, base, _HUGE_PAGE) if is_huge else None
        if found is None:
            found = find(length, low, base)
        if found is None:
            found = self.vmas.lowest_gap(length, page_align(self.task_size // 3), self.task_size)
        return found

    def is_heap(self, vma: Vma) -> bool:
        return vma.start < self.brk and vma.end > self.start_brk

    def is_stack(self, vma: Vma) -> bool:
        return vma.start <= self.start_stack <= vma.end
