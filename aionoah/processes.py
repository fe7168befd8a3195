"""The guest processes of an instance, as the application sees them: what `ps` shows, without a program."""

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.process.strings import command_line
from aionoah.process.usage import usage_of_process

if TYPE_CHECKING:
    from aionoah.process.kernel import Kernel
    from aionoah.process.task import Process

_NS: Final = 1e9


class CpuTime(NamedTuple):
    """Seconds of CPU time."""

    user: float  # in the program
    system: float  # in the kernel, on the program's behalf


class ProcessInfo(NamedTuple):
    """A guest process at one moment."""

    pid: int
    ppid: int  # 1 for those that the application has started, and for orphans
    name: str  # as the program calls itself, at most 15 bytes
    command: tuple[str, ...]  # the program's arguments; empty for a zombie
    state: str  # "running", "sleeping" (all its threads), "stopped" or "zombie"
    uid: int  # of the real user
    threads: int
    cpu_time: CpuTime  # of all threads, past and present, without children
    memory: int  # bytes that it has in memory now, shared ones included
    peak_memory: int  # the most that it has had
    start_time: float  # seconds since the epoch, as time.time


def cpu_time_of(process: "Process") -> CpuTime:
    usage = usage_of_process(process)
    return CpuTime(usage.user_time_ns / _NS, usage.system_time_ns / _NS)


def describe_processes(kernel: "Kernel") -> list[ProcessInfo]:
    """Every process by its pid, zombies too, but not init, which is ours. Under the kernel lock."""
    return [_describe(guest) for guest in kernel.guests]


def _describe(process: "Process") -> ProcessInfo:
    task = process.tasks.get(process.pid) or next(iter(process.tasks.values()), None)
    words = command_line(task).removesuffix(b"\0").split(b"\0") if task is not None else []
    return ProcessInfo(
        pid=process.pid,
        ppid=process.parent.pid if process.parent is not None else 0,
        name=os.fsdecode(process.name),
        command=tuple(os.fsdecode(word) for word in words),
        state=_state(process),
        uid=process.uid if task is None else task.credentials.uid,
        threads=len(process.tasks),
        cpu_time=cpu_time_of(process),
        memory=0 if task is None else task.memory.resident,
        peak_memory=usage_of_process(process).peak_resident,
        start_time=(process.kernel.boot_time_ns + process.start_ns) / _NS,
    )


def _state(process: "Process") -> str:
    if not process.tasks:
        return "zombie"
    if all(task.is_stopped for task in process.tasks.values()):
        return "stopped"
    return "sleeping" if all(task.is_sleeping for task in process.tasks.values()) else "running"


def family_of(process: "Process") -> list["Process"]:
    """A process that the application has started, and all that descend from it, orphans too, which still live."""
    family = [other for other in process.kernel.processes.values() if other.origin is process]
    return [member for member in family if member.wait_status is None]
