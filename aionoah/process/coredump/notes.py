"""The notes of a core dump: what debuggers know of its threads, the process and its files (Linux fs/binfmt_elf.c:
fill_note_info, arch/*/include/asm/elf.h).
"""

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.core import ARGUMENTS_LENGTH, MAX_FILE_NOTE, NAME_LENGTH, PF, PrPsInfo, PrStatusCommon
from aionoah.abi.personality import PER
from aionoah.abi.ptrace import NT
from aionoah.abi.time import USEC_PER_SEC
from aionoah.fs.file import File
from aionoah.fs.path import path_of
from aionoah.process.usage import usage_of_process, usage_of_thread

if TYPE_CHECKING:
    from aionoah.memory.memory import MapsLine
    from aionoah.process.task import Task
    from aionoah.process.usage import Usage

RegisterSets = Mapping[int, bytes]
"""What a thread's CPU holds: by NT, as PTRACE_GETREGSET would give it."""

_HEADER: Final = struct.Struct("<III")  # lengths of name and contents, type
_OF_CORE: Final = {
    NT.PRSTATUS,
    NT.PRPSINFO,
    NT.SIGINFO,
    NT.AUXV,
    NT.FILE,
    NT.PRFPREG,
}  # notes whose name is "CORE"
_RUNS: Final = (0, ord("R"))  # pr_state and pr_sname
_WAITS: Final = (2, ord("D"))
_GONE: Final = (8, ord("."))
_WORD: Final = struct.Struct("<Q")
_US_NS: Final = 1000


def note(kind: int, data: bytes) -> bytes:
    name = b"CORE\0" if kind in _OF_CORE else b"LINUX\0"
    return _HEADER.pack(len(name), len(data), kind) + _aligned(name) + _aligned(data)


def _aligned(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def thread_status(task: "Task", signal: int, registers: RegisterSets) -> bytes:
    """A struct elf_prstatus."""
    process = task.process
    used = usage_of_process(process) if task.is_leader else usage_of_thread(task)
    common = PrStatusCommon(
        *(signal, 0, 0, signal, task.signals.pending.bits, task.signals.mask, task.tid),
        *(_parent(task), process.process_group, process.session),
        *_times(used),
        *_times(process.children_usage),
    )
    has_fpu = NT.PRFPREG in registers
    return common.pack() + registers[NT.PRSTATUS] + _WORD.pack(has_fpu)


def _parent(task: "Task") -> int:
    return task.process.parent.pid if task.process.parent is not None else 0


def _times(used: "Usage") -> tuple[int, ...]:
    user, system = used.user_time_ns // _US_NS, used.system_time_ns // _US_NS
    return (*divmod(user, USEC_PER_SEC), *divmod(system, USEC_PER_SEC))


def process_info(task: "Task") -> bytes:
    """A struct elf_prpsinfo, which is about the main thread: in a dump that another one writes it sleeps."""
    process, leader = task.process, task.process.tasks.get(task.process.pid)
    state = _GONE if leader is None else _RUNS if leader is task else _WAITS
    who = (leader or task).credentials
    flags = PF.DUMPCORE | PF.SIGNALED
    flags |= 0 if task.personality & PER.ADDR_NO_RANDOMIZE else PF.RANDOMIZE
    flags |= 0 if process.has_executed else PF.FORKNOEXEC
    info = PrPsInfo(
        *(*state, 0, (leader or task).scheduling.nice, flags, who.uid, who.gid, process.pid),
        *(_parent(task), process.process_group, process.session),
        *(process.name[: NAME_LENGTH - 1], _arguments(task)),
    )
    return info.pack()


def _arguments(task: "Task") -> bytes:
    places = task.memory.strings
    if places is None:
        return b""
    length = min(places.argument_end - places.argument_start, ARGUMENTS_LENGTH - 1)
    return task.memory.peek(places.argument_start, length).replace(b"\0", b" ")


def mapped_files(task: "Task") -> bytes | None:
    """What the areas show, for NT_FILE; None if that is too much."""
    areas = [area for area in task.memory.maps() if area.file is not None or area.inode]
    words = [len(areas), PAGE_SIZE]
    for area in areas:
        words += [area.start, area.end, area.offset // PAGE_SIZE]
    names = b"".join(_name(task, area) + b"\0" for area in areas)
    found = struct.pack(f"<{len(words)}Q", *words) + names
    return found if len(found) <= MAX_FILE_NOTE else None


def _name(task: "Task", area: "MapsLine") -> bytes:
    if area.name or not isinstance(area.file, File):
        return area.name
    dentry = area.file.dentry
    return path_of(dentry, task.fs.root) if dentry is not None else area.file.describe()
