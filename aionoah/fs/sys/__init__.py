"""/sys: what the kernel tells of processors, memory and interfaces (sysfs(5)).

tree.py puts it together; the other modules have its parts. /sys/fs/cgroup is a file system of its own.
"""

from typing import TYPE_CHECKING, Final

from aionoah.abi.statfs import MAGIC
from aionoah.fs.device_numbers import anonymous_device
from aionoah.fs.synthetic import Directory, LazyDirectory, Node, SyntheticFileSystem, Text

if TYPE_CHECKING:
    from aionoah.process.kernel import Kernel

_SYS_DEVICE: Final = anonymous_device()
_CGROUP_DEVICE: Final = anonymous_device()


FS: Final[Directory["Kernel"]] = Directory({b"cgroup": Directory()})


def new_sysfs(kernel: "Kernel") -> SyntheticFileSystem:
    """A file system for /sys. Its tree is made when somebody looks into it."""

    def load() -> "Directory[Kernel]":
        from aionoah.fs.sys.tree import new_tree  # noqa: PLC0415 - most programs never look

        return new_tree(kernel)

    return SyntheticFileSystem(
        LazyDirectory(load, known={b"fs": FS}),
        kernel,
        type_name=b"sysfs",
        magic=MAGIC.SYSFS,
        device=_SYS_DEVICE,
        block_size=4096,
    )


def new_cgroupfs(kernel: "Kernel") -> SyntheticFileSystem:
    """A hierarchy of control groups with no controllers and all processes in its root, as in a container that
    may not make any.
    """
    files: dict[bytes, Node[Kernel]] = {
        b"cgroup.controllers": Text(lambda _kernel: b"\n"),
        b"cgroup.max.depth": Text(lambda _kernel: b"max\n"),
        b"cgroup.max.descendants": Text(lambda _kernel: b"max\n"),
        b"cgroup.procs": Text(_processes),
        b"cgroup.stat": Text(lambda _kernel: b"nr_descendants 0\nnr_dying_descendants 0\n"),
        b"cgroup.subtree_control": Text(lambda _kernel: b"\n"),
        b"cgroup.threads": Text(_threads),
        b"cpu.stat": Text(_cpu_time),
    }
    return SyntheticFileSystem(
        Directory(files),
        kernel,
        type_name=b"cgroup2",
        magic=MAGIC.CGROUP2,
        device=_CGROUP_DEVICE,
        block_size=4096,
    )


def _processes(kernel: "Kernel") -> bytes:
    return b"".join(b"%d\n" % pid for pid in sorted(kernel.processes))


def _threads(kernel: "Kernel") -> bytes:
    return b"".join(b"%d\n" % tid for tid in sorted(kernel.tasks))


def _cpu_time(kernel: "Kernel") -> bytes:
    times = [(process.all_cpu_time_ns, process.user_time_ns) for process in kernel.processes.values()]
    total, user = (sum(column) // 1000 for column in zip(*times, strict=True)) if times else (0, 0)
    return b"usage_usec %d\nuser_usec %d\nsystem_usec %d\n" % (total, user, total - user)
