"""The tree of /proc."""

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.fs.proc import descriptors, maps, mounts, status, sysctl, system
from aionoah.fs.proc.descriptors import parse_number
from aionoah.fs.proc.subject import Subject, find_task, ids_of, process_of, require_inspectable, task_of
from aionoah.fs.synthetic import Bound, Directory, Link, Node, Text
from aionoah.process.current import current_task

if TYPE_CHECKING:
    from aionoah.process.kernel import Kernel

_SCORE_RANGE: Final = 1000  # oom_score_adj goes from -1000 to 1000


# -- small files of a process -------------------------------------------------------------------------------


def _command_line(subject: Subject) -> bytes:
    return process_of(subject).command_line if find_task(subject) is not None else b""


def _environment(subject: Subject) -> bytes:
    return require_inspectable(subject).process.environment


def _auxiliary_vector(subject: Subject) -> bytes:
    return require_inspectable(subject).process.auxiliary_vector


def _comm(subject: Subject) -> bytes:
    return status.comm(subject) + b"\n"


def _rename(subject: Subject, data: bytes) -> None:
    """Only threads of the process itself may (comm_write in fs/proc/base.c)."""
    if current_task().process is not process_of(subject):
        raise LinuxError(Errno.EINVAL)
    task_of(subject).rename(data[:15].partition(b"\0")[0])


def _oom_score_adj(subject: Subject) -> bytes:
    return b"%d\n" % process_of(subject).oom_score_adj


def _set_oom_score_adj(subject: Subject, data: bytes) -> None:
    """Remembered; nobody is killed for want of memory here. EINVAL for no number within -1000 to 1000."""
    try:
        value = int(data.strip(b" \t\n\0"))
    except ValueError:
        raise LinuxError(Errno.EINVAL) from None
    if abs(value) > _SCORE_RANGE:
        raise LinuxError(Errno.EINVAL)
    process_of(subject).oom_score_adj = value


# -- the directories of processes and threads ---------------------------------------------------------------

_text = partial(Text, refusal=Errno.EINVAL)

_COMMON: Final[dict[bytes, Node[Subject]]] = {
    b"auxv": _text(_auxiliary_vector, mode=0o400),
    b"cgroup": _text(lambda _subject: b"0::/\n"),
    b"cmdline": _text(_command_line),
    b"comm": _text(_comm, _rename),
    b"cwd": descriptors.CWD,
    b"environ": _text(_environment, mode=0o400),
    b"exe": descriptors.EXE,
    b"fd": descriptors.FD,
    b"fdinfo": descriptors.FDINFO,
    b"io": _text(status.io, mode=0o400),
    b"limits": _text(status.limits),
    b"maps": _text(maps.maps),
    b"mountinfo": _text(mounts.mountinfo),
    b"mounts": _text(mounts.mounts),
    b"oom_score_adj": _text(_oom_score_adj, _set_oom_score_adj),
    b"root": descriptors.ROOT,
    b"stat": _text(status.stat),
    b"statm": _text(maps.statm),
    b"status": _text(status.status),
}


def _thread_names(subject: Subject) -> Iterable[bytes]:
    return [b"%d" % tid for tid in sorted(process_of(subject).tasks)]


def _find_thread(subject: Subject, name: bytes) -> Bound | None:
    tid = parse_number(name)
    task = process_of(subject).tasks.get(tid) if tid is not None else None
    return Bound(_THREAD, task, partial(ids_of, task)) if task is not None else None


_THREAD: Final[Directory[Subject]] = Directory(_COMMON)
_THREADS: Final[Directory[Subject]] = Directory(names=_thread_names, find=_find_thread)
_PROCESS: Final[Directory[Subject]] = Directory({**_COMMON, b"task": _THREADS})


def _process_names(kernel: "Kernel") -> Iterable[bytes]:
    return [b"%d" % pid for pid in sorted(kernel.processes)]


def _find_process(kernel: "Kernel", name: bytes) -> Bound | None:
    """Threads that lead no process can be entered too, though they are not listed."""
    number = parse_number(name)
    if number is None:
        return None
    subject = kernel.processes.get(number) or kernel.tasks.get(number)
    return Bound(_PROCESS, subject, partial(ids_of, subject)) if subject is not None else None


# -- the root -----------------------------------------------------------------------------------------------


def _self(kernel: "Kernel") -> bytes:  # noqa: ARG001 - the reader decides
    return b"%d" % current_task().process.pid


def _thread_self(kernel: "Kernel") -> bytes:  # noqa: ARG001
    task = current_task()
    return b"%d/task/%d" % (task.process.pid, task.tid)


_ROOT: Final[dict[bytes, Node["Kernel"]]] = {
    b"cmdline": Text(system.cmdline),
    b"cpuinfo": Text(system.cpuinfo),
    b"filesystems": Text(system.filesystems),
    b"loadavg": Text(system.loadavg),
    b"meminfo": Text(system.meminfo),
    b"mounts": Link(b"self/mounts", size=11),
    b"self": Link(_self),
    b"stat": Text(system.stat),
    b"swaps": Text(system.swaps),
    b"sys": sysctl.SYS,
    b"thread-self": Link(_thread_self),
    b"uptime": Text(system.uptime),
    b"version": Text(system.version),
}


ROOT: Final = Directory(_ROOT, names=_process_names, find=_find_process)
