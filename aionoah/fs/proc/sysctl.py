"""/proc/sys: the parameters that programs look at (proc_sys(5)).

Those that mean something here can be changed; parameters.py has those that cannot.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from aionoah.abi.capability import CAP_LAST_CAP
from aionoah.abi.core import CORE_NAME_SIZE
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.limits import NGROUPS_MAX
from aionoah.abi.prctl import SUID_DUMP
from aionoah.abi.random import POOL_BITS
from aionoah.abi.socket import SOMAXCONN
from aionoah.abi.utsname import NEW_UTS_LEN
from aionoah.abi.words import INT_MAX
from aionoah.fs.mount import MOUNTS_MAX
from aionoah.fs.pipe import MAX_CAPACITY
from aionoah.fs.proc import ipc
from aionoah.fs.proc.parameters import PARAMETERS, Table
from aionoah.fs.synthetic import Directory, Node, Text
from aionoah.memory.mm import MMAP_MIN_ADDRESS
from aionoah.memory.vma import MAX_MAP_COUNT
from aionoah.process.kernel import PID_MAX, random_uuid
from aionoah.process.limits import OPEN_FILES_MAX
from aionoah.process.namespaces import current_namespaces

if TYPE_CHECKING:
    from aionoah.process.kernel import Kernel

_OVERFLOW_ID = 65534  # what ids that do not fit are shown as
_MIN_THREADS = 20  # kernel/fork.c: MIN_THREADS

Parameter = Callable[["Kernel"], bytes | int]


def _read_only(value: Parameter | bytes | int) -> Text["Kernel"]:
    """Nobody may write it, not even root (test_perm in fs/proc/proc_sysctl.c)."""

    def read(kernel: "Kernel") -> bytes:
        found = value(kernel) if callable(value) else value
        return (found if isinstance(found, bytes) else b"%d" % found) + b"\n"

    return Text(read, mode=0o444, refusal=Errno.EACCES)


def _name(attribute: str) -> Text["Kernel"]:
    """The host or domain name: a line of at most 64 bytes."""

    def read(kernel: "Kernel") -> bytes:
        name: bytes = getattr(current_namespaces(kernel).uts, attribute)
        return name + b"\n"

    def write(kernel: "Kernel", data: bytes) -> None:
        line = data.partition(b"\n")[0].partition(b"\0")[0]
        if len(line) > NEW_UTS_LEN:
            raise LinuxError(Errno.EINVAL)
        setattr(current_namespaces(kernel).uts, attribute, line)

    return Text(read, write)


def _number(data: bytes, low: int, high: int) -> int:
    """A decimal number, as proc_dointvec_minmax takes one. EINVAL."""
    word = data.strip(b" \t\n\0")
    if not word.isdigit() or not low <= int(word) <= high:
        raise LinuxError(Errno.EINVAL)
    return int(word)


def _set_max_tasks(kernel: "Kernel", data: bytes) -> None:
    kernel.max_tasks = _number(data, _MIN_THREADS, PID_MAX)


def _drop_caches(kernel: "Kernel", data: bytes) -> None:  # noqa: ARG001
    """Nothing is cached here, and the host's caches are the host's."""
    _number(data, 1, 4)


def _set_core_pattern(kernel: "Kernel", data: bytes) -> None:
    """A path, or a program behind a `|`. EINVAL for sockets, and for no program."""
    line = data.partition(b"\n")[0].partition(b"\0")[0]
    if line.startswith(b"@") or (line.startswith(b"|") and not line[1:].split()):
        raise LinuxError(Errno.EINVAL)
    kernel.core_settings.pattern = line[: CORE_NAME_SIZE - 1]


def _open_files(kernel: "Kernel") -> bytes:
    tables = {id(task.files): len(task.files) for task in kernel.tasks.values()}
    return b"%d\t0\t%d" % (sum(tables.values()), (1 << 63) - 1)


def _settable(limits: Callable[["Kernel"], object], attribute: str, most: int = INT_MAX) -> Text["Kernel"]:
    """A number that a guest's root may change."""

    def read(kernel: "Kernel") -> bytes:
        return b"%d\n" % getattr(limits(kernel), attribute)

    def write(kernel: "Kernel", data: bytes) -> None:
        word = data.split()[0] if data.split() else b""
        if not word.isdigit() or int(word) > most:
            raise LinuxError(Errno.EINVAL)
        setattr(limits(kernel), attribute, int(word))

    return Text(read, write)


_RANDOM: dict[bytes, Node["Kernel"]] = {
    b"boot_id": _read_only(lambda kernel: kernel.boot_id),
    b"entropy_avail": _read_only(POOL_BITS),
    b"poolsize": _read_only(POOL_BITS),
    b"uuid": _read_only(lambda kernel: random_uuid(kernel.random)),
}

_KERNEL: dict[bytes, Node["Kernel"]] = {
    **ipc.LIMITS,
    b"arch": _read_only(lambda kernel: kernel.machine.architecture.encode()),
    b"cap_last_cap": _read_only(CAP_LAST_CAP),
    b"core_pattern": Text(lambda kernel: kernel.core_settings.pattern + b"\n", _set_core_pattern),
    b"core_pipe_limit": _settable(lambda kernel: kernel.core_settings, "pipe_limit"),
    b"core_uses_pid": _settable(lambda kernel: kernel.core_settings, "uses_pid"),
    b"domainname": _name("domainname"),
    b"hostname": _name("hostname"),
    b"ns_last_pid": _read_only(lambda kernel: kernel.last_pid),
    b"ngroups_max": _read_only(NGROUPS_MAX),
    b"osrelease": _read_only(lambda kernel: kernel.release),
    b"ostype": _read_only(b"Linux"),
    b"overflowgid": _read_only(_OVERFLOW_ID),
    b"overflowuid": _read_only(_OVERFLOW_ID),
    b"pid_max": _read_only(PID_MAX),
    b"random": Directory(_RANDOM),
    b"randomize_va_space": _read_only(2),
    b"tainted": _read_only(0),
    b"threads-max": Text(lambda kernel: b"%d\n" % kernel.max_tasks, _set_max_tasks),
    b"unprivileged_userns_clone": _settable(
        lambda kernel: kernel.user_namespace_settings, "are_for_all", most=1
    ),
    b"version": _read_only(lambda kernel: kernel.version),
}

_VM: dict[bytes, Node["Kernel"]] = {
    b"drop_caches": Text(lambda _kernel: b"0\n", _drop_caches, mode=0o200),
    b"max_map_count": _read_only(MAX_MAP_COUNT),
    b"mmap_min_addr": _read_only(MMAP_MIN_ADDRESS),
    b"overcommit_memory": _read_only(0),
    b"overcommit_ratio": _read_only(50),
}


_INOTIFY: dict[bytes, Node["Kernel"]] = {
    b"max_queued_events": _settable(lambda kernel: kernel.inotify_limits, "queued_events"),
    b"max_user_instances": _settable(lambda kernel: kernel.inotify_limits, "instances"),
    b"max_user_watches": _settable(lambda kernel: kernel.inotify_limits, "watches"),
}

_MQUEUE: dict[bytes, Node["Kernel"]] = {
    name.encode(): _settable(lambda kernel: current_namespaces(kernel).ipc.message_queues.limits, name)
    for name in ("msg_default", "msg_max", "msgsize_default", "msgsize_max", "queues_max")
}

_FS: dict[bytes, Node["Kernel"]] = {
    b"aio-max-nr": _settable(lambda kernel: kernel.aio_limits, "most"),
    b"aio-nr": _read_only(lambda kernel: kernel.aio_limits.taken),
    b"inotify": Directory(_INOTIFY),
    b"lease-break-time": _settable(lambda kernel: kernel.lease_limits, "break_time"),
    b"leases-enable": _settable(lambda kernel: kernel.lease_limits, "are_enabled"),
    b"mount-max": _read_only(MOUNTS_MAX),
    b"mqueue": Directory(_MQUEUE),
    b"file-max": _read_only((1 << 63) - 1),
    b"file-nr": _read_only(_open_files),
    b"nr_open": _read_only(OPEN_FILES_MAX),
    b"overflowgid": _read_only(_OVERFLOW_ID),
    b"overflowuid": _read_only(_OVERFLOW_ID),
    b"pipe-max-size": _read_only(MAX_CAPACITY),
    b"suid_dumpable": _settable(lambda kernel: kernel.core_settings, "suid_dumpable", SUID_DUMP.ROOT),
}

_NET: dict[bytes, Node["Kernel"]] = {b"core": Directory({b"somaxconn": _read_only(SOMAXCONN)})}
_SPECIAL: dict[str, dict[bytes, Node["Kernel"]]] = {"fs": _FS, "kernel": _KERNEL, "net": _NET, "vm": _VM}


def _directory(constants: Table, special: Mapping[bytes, Node["Kernel"]]) -> Directory["Kernel"]:
    """A directory of what never changes and of what has a function of its own."""
    nodes: dict[bytes, Node[Kernel]] = {}
    for name, value in constants.items():
        own = special.get(name.encode())
        if isinstance(value, dict):
            nodes[name.encode()] = _directory(value, own.table if isinstance(own, Directory) else {})
        else:
            nodes[name.encode()] = _read_only(value)
    for key, node in special.items():
        if key not in nodes or not isinstance(node, Directory):
            nodes[key] = node
    return Directory(dict(sorted(nodes.items())))


def _of_part(part: str) -> Directory["Kernel"]:
    constants = PARAMETERS[part]
    assert isinstance(constants, dict)  # noqa: S101 - so is the table
    return _directory(constants, _SPECIAL.get(part, {}))


SYS: Directory["Kernel"] = Directory({part.encode(): _of_part(part) for part in PARAMETERS})
