"""The tree of /proc."""

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.stat import S
from aionoah.fs.file import File
from aionoah.fs.proc import (
    descriptors,
    details,
    hardware,
    ipc,
    locks,
    maps,
    mounts,
    numa_maps,
    settings,
    smaps,
    status,
    sysctl,
    system,
    users,
    waiting,
)
from aionoah.fs.proc.descriptors import parse_number
from aionoah.fs.proc.map_files import MAP_FILES
from aionoah.fs.proc.mem import MemoryFile
from aionoah.fs.proc.namespaces import NS
from aionoah.fs.proc.subject import Subject, find_task, ids_of, process_of, require_inspectable, task_of
from aionoah.fs.synthetic import Bound, Directory, LazyDirectory, Link, Node, Place, SyntheticInode, Text
from aionoah.process import strings
from aionoah.process.current import current_task

if TYPE_CHECKING:
    from aionoah.fs.inode import Inode
    from aionoah.fs.path import Dentry
    from aionoah.process.kernel import Kernel


# -- small files of a process -------------------------------------------------------------------------------


def _command_line(subject: Subject) -> bytes:
    task = find_task(subject)
    return strings.command_line(task) if task is not None else b""


def _environment(subject: Subject) -> bytes:
    return strings.environment(require_inspectable(subject))


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


# -- the directories of processes and threads ---------------------------------------------------------------

_text = partial(Text, refusal=Errno.EINVAL)


class _Pagemap(Node[Subject]):
    kind = S.IFREG

    def make_inode(self, place: Place) -> SyntheticInode["_Pagemap"]:
        return _PagemapInode(place, self)


class _PagemapInode(SyntheticInode[_Pagemap]):
    def open(self, flags: O, dentry: "Dentry") -> File:
        return smaps.PagemapFile(flags, dentry, self.owner)


class _Memory(Node[Subject]):
    kind = S.IFREG

    def make_inode(self, place: Place) -> SyntheticInode["_Memory"]:
        return _MemoryInode(place, self)


class _MemoryInode(SyntheticInode[_Memory]):
    def open(self, flags: O, dentry: "Dentry") -> File:
        return MemoryFile(flags, dentry, require_inspectable(self.owner).memory)


def _load_net() -> Directory[Subject]:
    from aionoah.fs.proc.network import NET  # noqa: PLC0415 - sockets are loaded by those who want them

    return NET


_ATTR: Final[Directory[Subject]] = Directory(
    {
        name: _text(details.no_security_module, mode=0o444 if name == b"prev" else 0o666)
        for name in (b"current", b"exec", b"fscreate", b"keycreate", b"prev", b"sockcreate")
    }
)

_COMMON: Final[dict[bytes, Node[Subject]]] = {
    b"attr": _ATTR,
    b"auxv": _text(_auxiliary_vector, mode=0o400),
    b"clear_refs": _text(lambda _subject: b"", details.clear_refs, mode=0o200),
    b"gid_map": users.id_map("gids"),
    b"loginuid": _text(details.login_user, settings.set_login_user),
    b"net": LazyDirectory(_load_net),
    b"mem": _Memory(0o600),
    b"ns": NS,
    b"numa_maps": _text(numa_maps.numa_maps),
    b"oom_adj": _text(settings.oom_adj, settings.set_oom_adj),
    b"oom_score": _text(details.oom_score),
    b"pagemap": _Pagemap(0o400),
    b"personality": _text(details.personality, mode=0o400),
    b"projid_map": users.id_map("projects"),
    b"sched": _text(details.sched, mode=0o644),
    b"schedstat": _text(details.schedstat),
    b"sessionid": _text(details.login_session),
    b"setgroups": users.SETGROUPS,
    b"smaps": _text(smaps.smaps),
    b"smaps_rollup": _text(smaps.smaps_rollup),
    b"stack": _text(details.stack, mode=0o400),
    b"syscall": _text(waiting.system_call, mode=0o400),
    b"uid_map": users.id_map("uids"),
    b"wchan": _text(waiting.wait_channel),
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
    b"oom_score_adj": _text(_oom_score_adj, settings.set_oom_score_adj),
    b"root": descriptors.ROOT,
    b"stat": _text(status.stat),
    b"statm": _text(maps.statm),
    b"status": _text(status.status),
}


def _thread_ids(subject: Subject) -> set[int]:
    process = process_of(subject)
    return {process.pid, *process.tasks}


def _thread_names(subject: Subject) -> Iterable[bytes]:
    return [b"%d" % tid for tid in sorted(_thread_ids(subject))]


def _thread_links(subject: Subject) -> int:
    """By these do programs count their threads (proc_task_getattr in fs/proc/base.c)."""
    return len(_thread_ids(subject))


def _find_thread(subject: Subject, name: bytes) -> Bound | None:
    tid, process = parse_number(name), process_of(subject)
    thread: Subject | None = process.tasks.get(tid) if tid is not None else None
    if thread is None and tid == process.pid:
        thread = process  # a main thread that has ended, being a zombie until the process does
    return Bound(_THREAD, thread, partial(ids_of, thread)) if thread is not None else None


_THREAD: Final[Directory[Subject]] = Directory(
    dict(sorted({**_COMMON, b"children": _text(details.children)}.items()))
)
_THREADS: Final[Directory[Subject]] = Directory(
    names=_thread_names, find=_find_thread, computed_links=_thread_links
)
_OF_PROCESSES: Final[dict[bytes, Node[Subject]]] = {
    b"coredump_filter": _text(settings.core_filter, settings.set_core_filter),
    b"map_files": MAP_FILES,
    b"mountstats": _text(details.mountstats, mode=0o400),
    b"task": _THREADS,
    b"timers": _text(details.timers),
    b"timerslack_ns": _text(details.timer_slack, settings.set_timer_slack, mode=0o666),
}
_PROCESS: Final[Directory[Subject]] = Directory(dict(sorted({**_COMMON, **_OF_PROCESSES}.items())))


def find_subject(inode: "Inode") -> Subject | None:
    """Whom an inode is the directory of, if it is /proc/PID."""
    if isinstance(inode, SyntheticInode) and inode.node is _PROCESS:
        owner: Subject = inode.owner
        return owner
    return None


def _process_names(kernel: "Kernel") -> Iterable[bytes]:
    return [b"%d" % pid for pid in sorted(kernel.processes)]


def _process_links(kernel: "Kernel") -> int:
    return len(kernel.processes)  # proc_root_getattr in fs/proc/root.c


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


class _FixedText(Text["Kernel"]):
    """What never changes, so that its size is told (fs/proc/cmdline.c)."""

    def size(self, owner: "Kernel") -> int:
        return len(self.read(owner))


_ROOT: Final[dict[bytes, Node["Kernel"]]] = {
    b"buddyinfo": Text(hardware.buddyinfo),
    b"cgroups": Text(hardware.control_groups),
    b"consoles": Text(hardware.nothing),
    b"crypto": Text(hardware.nothing),
    b"devices": Text(hardware.devices),
    b"diskstats": Text(hardware.nothing),
    b"dma": Text(hardware.nothing),
    b"execdomains": Text(hardware.execution_domains),
    b"fb": Text(hardware.nothing),
    b"fs": Directory(),
    b"interrupts": Text(hardware.interrupts),
    b"iomem": Text(hardware.nothing, mode=0o400),
    b"ioports": Text(hardware.nothing, mode=0o400),
    b"kallsyms": Text(hardware.nothing),
    b"key-users": Text(hardware.key_users),
    b"keys": Text(hardware.nothing),
    b"misc": Text(hardware.nothing),
    b"modules": Text(hardware.nothing),
    b"net": Link(b"self/net", size=8),
    b"partitions": Text(hardware.partitions),
    b"schedstat": Text(hardware.schedstat),
    b"slabinfo": Text(hardware.slabinfo, mode=0o400),
    b"softirqs": Text(hardware.softirqs),
    b"tty": Directory({b"drivers": Text(hardware.tty_drivers)}),
    b"vmstat": Text(hardware.vmstat),
    b"zoneinfo": Text(hardware.zoneinfo),
    b"cmdline": _FixedText(system.cmdline),
    b"cpuinfo": Text(system.cpuinfo),
    b"filesystems": Text(system.filesystems),
    b"loadavg": Text(system.loadavg),
    b"meminfo": Text(system.meminfo),
    b"mounts": Link(b"self/mounts", size=11),
    b"self": Link(_self),
    b"stat": Text(system.stat),
    b"locks": Text(locks.locks),
    b"swaps": Text(system.swaps),
    b"sys": sysctl.SYS,
    b"sysvipc": ipc.SYSVIPC,
    b"thread-self": Link(_thread_self),
    b"uptime": Text(system.uptime),
    b"version": Text(system.version),
}


ROOT: Final = Directory(
    dict(sorted(_ROOT.items())), names=_process_names, find=_find_process, computed_links=_process_links
)
