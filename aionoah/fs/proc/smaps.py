"""/proc/PID/smaps, smaps_rollup and pagemap: what of a mapping is resident, and how.

Whether a resident page of a private file mapping is still the file's is not known here: writable ones count as
changed. Nothing is swapped, and who else shows a page is not counted, so that Pss is Rss.
"""

import struct
from collections import Counter
from typing import TYPE_CHECKING, Final

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.mman import PROT
from aionoah.fs.file import File
from aionoah.fs.proc.maps import format_area
from aionoah.fs.proc.subject import Subject, find_task, require_inspectable
from aionoah.fs.regular import seek_endless
from aionoah.memory.buffer import Buffer
from aionoah.memory.vma import VM
from aionoah.process.current import find_current_task

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry
    from aionoah.memory.memory import MapsLine, Memory

_ENTRY: Final = struct.Struct("<Q")
_END: Final = (1 << 47) // PAGE_SIZE * _ENTRY.size  # behind the last address there can be
_PRESENT: Final = 1 << 63
_FILE_PAGE: Final = 1 << 61
_SIZES: Final = (
    *("Rss", "Pss", "Pss_Dirty", "Shared_Clean", "Shared_Dirty", "Private_Clean", "Private_Dirty"),
    *("Referenced", "Anonymous", "KSM", "LazyFree", "AnonHugePages", "ShmemPmdMapped", "FilePmdMapped"),
    *("Shared_Hugetlb", "Private_Hugetlb", "Swap", "SwapPss", "Locked"),
)
_ROLLUP_SIZES: Final = (*_SIZES[:3], "Pss_Anon", "Pss_File", "Pss_Shmem", *_SIZES[3:])
_FLAGS: Final = (  # in the order of show_smap_vma_flags in fs/proc/task_mmu.c
    *((VM.READ, b"rd"), (VM.WRITE, b"wr"), (VM.EXEC, b"ex"), (VM.SHARED, b"sh"), (VM.MAYREAD, b"mr")),
    *((VM.MAYWRITE, b"mw"), (VM.MAYEXEC, b"me"), (VM.MAYSHARE, b"ms"), (VM.GROWSDOWN, b"gd")),
    *((VM.LOCKED, b"lo"), (VM.SEQ_READ, b"sr"), (VM.RAND_READ, b"rr"), (VM.DONTCOPY, b"dc")),
    *((VM.DONTEXPAND, b"de"), (VM.LOCKONFAULT, b"lf"), (VM.ACCOUNT, b"ac"), (VM.NORESERVE, b"nr")),
    *((VM.WIPEONFORK, b"wf"), (VM.DONTDUMP, b"dd"), (VM.HUGEPAGE, b"hg"), (VM.NOHUGEPAGE, b"nh")),
    *((VM.MERGEABLE, b"mg"), (VM.SEALED, b"sl")),
)


def smaps(subject: Subject) -> bytes:
    """Empty for a zombie."""
    if find_task(subject) is None:
        return b""
    memory = require_inspectable(subject).memory
    return b"".join(_area_text(memory, area) for area in memory.maps())


def smaps_rollup(subject: Subject) -> bytes:
    """The sums, under the first and the last address."""
    memory = require_inspectable(subject).memory
    areas = list(memory.maps())
    if not areas:
        return b""
    total: Counter[str] = Counter()
    for area in areas:
        total.update(_sizes(memory, area))
    head = b"%08x-%08x ---p 00000000 00:00 0 " % (areas[0].start, areas[-1].end)
    return head.ljust(73) + b"[rollup]\n" + _lines(_ROLLUP_SIZES, total)


def _area_text(memory: "Memory", area: "MapsLine") -> bytes:
    size = area.end - area.start
    head = _line("Size", size) + _line("KernelPageSize", PAGE_SIZE) + _line("MMUPageSize", PAGE_SIZE)
    flags = b"".join(name + b" " for bit, name in _FLAGS if area.flags & bit)
    tail = b"THPeligible:           0\nVmFlags: %s\n" % flags
    return format_area(area) + head + _lines(_SIZES, _sizes(memory, area)) + tail


def _sizes(memory: "Memory", area: "MapsLine") -> Counter[str]:
    """Bytes by name; what is not named is 0."""
    resident = resident_pages(memory, area) * PAGE_SIZE
    sizes = Counter({"Rss": resident, "Pss": resident, "Referenced": resident})
    is_changed = bool(area.prot & PROT.WRITE) or area.file is None
    owner = "Shared" if area.is_shared else "Private"
    sizes[f"{owner}_{'Dirty' if is_changed else 'Clean'}"] = resident
    if is_changed:
        sizes["Pss_Dirty"] = resident
    if area.is_shared:
        sizes["Pss_File" if area.file is not None else "Pss_Shmem"] = resident
    elif is_changed:
        sizes["Anonymous"] = sizes["Pss_Anon"] = resident
    else:
        sizes["Pss_File"] = resident
    if area.flags & VM.LOCKED:
        sizes["Locked"] = resident
    return sizes


def resident_pages(memory: "Memory", area: "MapsLine") -> int:
    """What nobody may touch has never been filled: it is not looked through, for it may be terabytes."""
    if not area.prot:
        return 0
    return sum(chunk.count(1) for chunk in memory.mincore(area.start, area.end - area.start))


def _lines(names: tuple[str, ...], sizes: Counter[str]) -> bytes:
    return b"".join(_line(name, sizes[name]) for name in names)


def _line(name: str, size: int) -> bytes:
    return b"%-16s%8d kB\n" % (name.encode() + b":", size // 1024)


# -- pagemap ------------------------------------------------------------------------------------------------


class PagemapFile(File):
    """Eight bytes for each page (Documentation/admin-guide/mm/pagemap.rst). Frame numbers are 0, as for everybody
    without CAP_SYS_ADMIN.
    """

    is_seekable = True

    def __init__(self, flags: O, dentry: "Dentry", subject: Subject) -> None:
        super().__init__(flags, dentry)
        self._subject = subject

    def read_nowait(self, dst: Buffer) -> int:
        done = self.pread(dst, self.offset)
        self.offset += done
        return done

    def pread(self, dst: Buffer, offset: int) -> int:
        """EINVAL unless position and count are those of whole entries."""
        if offset % _ENTRY.size or dst.length % _ENTRY.size:
            raise LinuxError(Errno.EINVAL)
        memory = require_inspectable(self._subject).memory
        if offset >= _END:
            return 0
        first, count = offset // _ENTRY.size, min(dst.length // _ENTRY.size, 4096)
        entries = bytearray(count * _ENTRY.size)
        start, end = first * PAGE_SIZE, (first + count) * PAGE_SIZE
        for area in memory.maps():
            low, high = max(area.start, start), min(area.end, end)
            if low < high and area.prot:
                bits = _PRESENT | (_FILE_PAGE if area.file is not None or area.is_shared else 0)
                _mark(entries, (low - start) // PAGE_SIZE, b"".join(memory.mincore(low, high - low)), bits)
        return dst.fill(entries)

    def seek(self, offset: int, whence: int) -> int:
        return seek_endless(self, offset, whence)


def _mark(entries: bytearray, first: int, resident: bytes, bits: int) -> None:
    for index, is_resident in enumerate(resident, first):
        if is_resident:
            _ENTRY.pack_into(entries, index * _ENTRY.size, bits)


def require_administrator() -> None:
    """EPERM for those who may not look at the kernel's own affairs."""
    reader = find_current_task()
    if reader is not None:
        reader.credentials.require(CAP.SYS_ADMIN)
