"""Files about the memory of a process: maps, statm, and the sizes in stat and status."""

from typing import TYPE_CHECKING, NamedTuple

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.mman import PROT
from aionoah.abi.stat import major, minor
from aionoah.fs.file import File
from aionoah.fs.proc.subject import Subject, find_task, require_inspectable, shown_path

if TYPE_CHECKING:
    from aionoah.memory.memory import MapsLine, Memory

_NAME_COLUMN = 73


class Sizes(NamedTuple):
    """In bytes."""

    total: int = 0
    resident: int = 0
    anonymous: int = 0  # resident and of the process alone
    file: int = 0  # resident and from files
    shared: int = 0  # resident, shared and without a file
    data: int = 0  # private, writable, not the stack
    stack: int = 0
    code: int = 0  # executable parts of the first file, which is the program
    libraries: int = 0  # executable parts of the others
    locked: int = 0


def maps(subject: Subject) -> bytes:
    """/proc/PID/maps; empty for a zombie, EACCES without the right to look."""
    if find_task(subject) is None:
        return b""
    return b"".join(map(format_area, require_inspectable(subject).memory.maps()))


def format_area(area: "MapsLine") -> bytes:
    rights = (
        (b"r" if area.prot & PROT.READ else b"-")
        + (b"w" if area.prot & PROT.WRITE else b"-")
        + (b"x" if area.prot & PROT.EXEC else b"-")
        + (b"s" if area.is_shared else b"p")
    )
    line = b"%08x-%08x %s %08x %02x:%02x %d " % (
        *(area.start, area.end, rights, area.offset),
        *(major(area.device), minor(area.device), area.inode),
    )
    name = name_of(area)
    if name:
        line = line.ljust(_NAME_COLUMN) + name.replace(b"\n", b"\\012")
    return line + b"\n"


def name_of(area: "MapsLine") -> bytes:
    """What is mapped there, as the reader sees it."""
    if area.name or not isinstance(area.file, File):
        return area.name
    dentry = area.file.dentry
    return shown_path(dentry) if dentry is not None else area.file.describe()


def sizes_of(memory: "Memory") -> Sizes:
    """Of resident pages it is not known what they are; pages of files count first."""
    usage = memory.usage()
    file = shared = code = libraries = 0
    program = None
    for area in memory.maps():
        length = area.end - area.start
        if area.file is not None:
            identity = area.device, area.inode
            program = program or identity
            file += length if area.prot else 0
            if area.prot & PROT.EXEC:
                code += length if identity == program else 0
                libraries += length if identity != program else 0
        elif area.is_shared:
            shared += length
    resident = usage.resident * PAGE_SIZE
    file = min(file, resident)
    shared = min(shared, resident - file)
    return Sizes(
        total=usage.total * PAGE_SIZE,
        resident=resident,
        anonymous=resident - file - shared,
        file=file,
        shared=shared,
        data=usage.data * PAGE_SIZE,
        stack=usage.stack * PAGE_SIZE,
        code=code,
        libraries=libraries,
        locked=usage.locked * PAGE_SIZE,
    )


def sizes(subject: Subject) -> Sizes:
    """Zeros for a zombie."""
    task = find_task(subject)
    return Sizes() if task is None else sizes_of(task.memory)


def statm(subject: Subject) -> bytes:
    """Pages: size, resident, file-backed and shared, code, 0, data and stack, 0."""
    found = sizes(subject)
    counts = (found.total, found.resident, found.file + found.shared, found.code)
    pages = [size // PAGE_SIZE for size in (*counts, 0, found.data + found.stack, 0)]
    return b"%d %d %d %d %d %d %d\n" % tuple(pages)
