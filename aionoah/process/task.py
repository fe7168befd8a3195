"""Tasks and processes: what a system-call handler can reach."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aionoah.abi.architecture import Architecture
    from aionoah.fs.context import FsContext
    from aionoah.fs.path import Dentry
    from aionoah.memory.memory import Memory
    from aionoah.process.credentials import Credentials
    from aionoah.process.descriptors import DescriptorTable
    from aionoah.process.kernel import Kernel
    from aionoah.process.limits import Limits
    from aionoah.signals.state import SharedSignals, TaskSignals


class Process:
    """A thread group: what its threads share and its parent waits for."""

    kernel: "Kernel"
    pid: int
    parent: "Process | None"
    tasks: "dict[int, Task]"
    signals: "SharedSignals"  # dispositions and the shared pending queue
    limits: "Limits"
    executable: "Dentry"
    command_line: bytes  # as /proc/self/cmdline shows it: arguments, each with its NUL
    name: bytes  # comm, at most 15 bytes
    wait_status: int | None  # as wait4 reports it, once the process has ended
    start_ns: int  # CLOCK_BOOTTIME of the start


class Task:
    """A guest thread as the kernel sees it. It knows no registers."""

    kernel: "Kernel"
    process: Process
    tid: int
    architecture: "Architecture"
    memory: "Memory"
    files: "DescriptorTable"
    fs: "FsContext"  # root, working directory, umask
    credentials: "Credentials"
    signals: "TaskSignals"  # mask, private pending queue, alternate stack
    clear_child_tid: int  # address for set_tid_address
    robust_list: int
