"""How an instance comes up: its tree of mounts, and a process that starts from nothing.

Later processes come from clone and execve; this is for those that the application starts.
"""

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.resource import RLIMIT
from aionoah.abi.stat import S
from aionoah.fs.context import FsContext
from aionoah.fs.devfs import DevFileSystem
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.mount import Namespace
from aionoah.fs.path import walk
from aionoah.fs.proc import ProcFileSystem
from aionoah.fs.stdio import HostStreamFile
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.memory.memory import Memory
from aionoah.process.credentials import Credentials
from aionoah.process.descriptors import DescriptorTable
from aionoah.process.elf import ExecError
from aionoah.process.exec import Processor, Program, load_program
from aionoah.process.executable import Executable, find_executable
from aionoah.process.limits import Limits
from aionoah.process.scheduling import Scheduling
from aionoah.process.task import Process, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aionoah.abi.architecture import Architecture
    from aionoah.linux import Mount
    from aionoah.process.control import TaskControl
    from aionoah.process.kernel import Kernel
    from aionoah.subprocess import Streams

_DEFAULT_PATH: Final = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Command(NamedTuple):
    """What the application wants to run."""

    argv: list[bytes]
    environment: list[bytes]
    cwd: bytes | None
    uid: int
    gid: int


def mount_tree(root: bytes, mounts: "Mapping[bytes, Mount]") -> Namespace:
    """The host's `root` read-only, the kernel's own file systems above it, and what the user gives.

    OSError for a host path that does not exist.
    """
    tree = Namespace(HostFileSystem(root), read_only=True, source=root)
    for path, filesystem in {
        b"/proc": ProcFileSystem(),
        b"/dev": DevFileSystem(),
        b"/dev/shm": TmpFileSystem(mode=0o1777),
        b"/tmp": TmpFileSystem(mode=0o1777),
        b"/run": TmpFileSystem(mode=0o755),
    }.items():
        tree.mount(filesystem, path)
    for path, what in mounts.items():
        source = os.path.abspath(os.fsencode(what.source))  # noqa: PTH100 - bytes
        tree.mount(HostFileSystem(source), path, read_only=what.read_only, source=source)
    return tree


def boot_process(
    kernel: "Kernel", architecture: "Architecture", command: Command, streams: "Streams", control: "TaskControl"
) -> Task:
    """A process of one thread with the command's program in memory and the streams as descriptors.

    Raises LinuxError, among them ExecError with a sentence; then nothing is left of it.
    """
