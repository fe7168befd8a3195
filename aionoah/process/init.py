"""Process 1, which adopts orphans and reaps them (wait(2), NOTES; kill(2), NOTES).

It is ours: no program, no thread of the host, no virtual CPU. For guests it is a process like any other, root's and
asleep for ever. As on Linux, a signal that it has no handler for does nothing to it, not even SIGKILL.
"""

from typing import TYPE_CHECKING, Final

from aionoah.abi.resource import RLIMIT
from aionoah.fs.context import FsContext
from aionoah.memory.empty import EmptySpace
from aionoah.memory.memory import Memory
from aionoah.process.credentials import Credentials
from aionoah.process.descriptors import DescriptorTable
from aionoah.process.scheduling import Scheduling

if TYPE_CHECKING:
    from aionoah.abi.architecture import Architecture
    from aionoah.process.kernel import Kernel

_NAME: Final = b"init"


def show_init(kernel: "Kernel", architecture: "Architecture") -> None:
    """Give the kernel's `init` a thread, so that it can be found; `Kernel.close` ends it."""
    process, root = kernel.init, Credentials()
    process.name, process.command_line = _NAME, _NAME + b"\0"
    process.start_ns = kernel.uptime_ns()
    process.signals.is_unkillable = True
    kernel.processes[process.pid] = process
    process.new_task(
        process.pid,
        architecture=architecture,
        memory=Memory(kernel.machine, mmap_base=0, space=EmptySpace()),
        files=DescriptorTable(lambda: process.limits.soft(RLIMIT.NOFILE)),
        fs=FsContext(kernel.mounts.root, root),
        credentials=root,
        scheduling=Scheduling(kernel.cpu_count),
    ).is_sleeping = True


def end_init(kernel: "Kernel") -> None:
    """Give back what it holds, if it has ever been shown."""
    for tid, task in list(kernel.init.tasks.items()):
        task.files.leave()
        task.memory.drop()
        task.namespaces.drop()
        del kernel.init.tasks[tid], kernel.tasks[tid], kernel.processes[kernel.init.pid]
