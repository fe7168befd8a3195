"""Putting the segments of an ELF image into an address space (Linux fs/binfmt_elf.c: elf_load)."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mman import MAP, PROT
from aionoah.memory.memory import Contents
from aionoah.process.elf import Image, Segment

if TYPE_CHECKING:
    from aionoah.fs.file import File
    from aionoah.memory.memory import Memory

_ANYWHERE: Final = MAP.PRIVATE | MAP.ANONYMOUS | MAP.NORESERVE


def page_down(address: int) -> int:
    return address & -PAGE_SIZE


def page_up(address: int) -> int:
    return (address + PAGE_SIZE - 1) & -PAGE_SIZE


def load_image(memory: "Memory", image: Image, file: "File", wanted: int | None) -> int:
    """Map an image and return its load bias, which is to be added to every address in its headers.

    A position-independent image begins at `wanted`, wherever there is room if None. Nothing that is
    mapped already is replaced: EEXIST. Also ENOMEM, and what mmap raises.
    """
    bias = _reserve(memory, image, wanted) - image.start
    for segment in image.segments:
        _load_segment(memory, segment, file, bias)
    return bias


def contents_of(image: Image, bias: int) -> Contents:
    """Where code and data are, as load_elf_binary reckons that."""
    code = [segment for segment in image.segments if segment.is_executable]
    return Contents(
        min((segment.address for segment in code), default=0) + bias,
        max((segment.address + segment.file_size for segment in code), default=0) + bias,
        max(segment.address for segment in image.segments) + bias,
        max(segment.address + segment.file_size for segment in image.segments) + bias,
    )


def _reserve(memory: "Memory", image: Image, wanted: int | None) -> int:
    """Find out that the whole span is free, or find one that is."""
    length = page_up(image.end) - image.start
    if not image.is_position_independent:
        wanted = image.start
    if length == 0:
        raise LinuxError(Errno.EINVAL)
    if wanted is not None:
        found = memory.mmap(wanted, length, PROT.NONE, _ANYWHERE | MAP.FIXED_NOREPLACE)
        memory.munmap(found, length)
        return found
    slack = image.alignment - PAGE_SIZE
    found = memory.mmap(0, length + slack, PROT.NONE, _ANYWHERE)
    memory.munmap(found, length + slack)
    return (found + slack) & -image.alignment


def _load_segment(memory: "Memory", segment: Segment, file: "File", bias: int) -> None:
    prot = (
        (PROT.READ if segment.is_readable else 0)
        | (PROT.WRITE if segment.is_writable else 0)
        | (PROT.EXEC if segment.is_executable else 0)
    )
    start = segment.address + bias
    zero_from = start
    if segment.file_size:
        zero_from += segment.file_size
        first = page_down(start)
        offset = page_down(segment.offset)
        flags = MAP.PRIVATE | MAP.FIXED | MAP.DENYWRITE
        memory.mmap(first, page_up(zero_from) - first, prot, flags, file, offset)
        if segment.memory_size > segment.file_size:
            _zero_partial_page(memory, zero_from, may_fail=not segment.is_writable)
            zero_from = page_up(zero_from)
    zero_from, end = page_down(zero_from), page_up(segment.end + bias)
    if segment.memory_size > segment.file_size and end > zero_from:
        # Always readable and writable, as Linux's vm_brk_flags makes it, whatever the header says.
        prot = PROT.READ | PROT.WRITE | (PROT.EXEC if segment.is_executable else 0)
        memory.mmap(zero_from, end - zero_from, prot, MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED)


def _zero_partial_page(memory: "Memory", address: int, *, may_fail: bool) -> None:
    """Zero what the file has behind the end of a segment. A segment that cannot be written keeps it."""
    try:
        memory.write(address, bytes(-address % PAGE_SIZE))
    except LinuxError as error:
        if error.errno is not Errno.EFAULT or not may_fail:
            raise
