"""A Linux with two processes, without virtual CPUs, and its /proc."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from aionoah.abi.fcntl import O
from aionoah.abi.mman import MAP, PROT
from aionoah.abi.resource import RLIMIT
from aionoah.abi.x86_64 import X86_64
from aionoah.fs.context import FsContext
from aionoah.fs.file import File
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.path import Dentry, walk
from aionoah.fs.pipe import open_pipe
from aionoah.fs.proc import new_procfs
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.memory.buffer import KernelBuffer
from aionoah.memory.memory import Memory
from aionoah.process.credentials import Credentials
from aionoah.process.current import set_current
from aionoah.process.descriptors import DescriptorTable
from aionoah.process.kernel import Kernel
from aionoah.process.scheduling import Scheduling
from aionoah.process.task import Process, Task

if TYPE_CHECKING:
    from fakes.machine import FakeMachine

STACK_TOP = 0x7FFF_0000_0000


class Linux:
    """The kernel, and what the tests need to ask of it."""

    def __init__(self, machine: "FakeMachine") -> None:
        tree = MountNamespace.of(TmpFileSystem(mode=0o755), source=b"root")
        self.kernel = Kernel(machine, tree, hostname=b"testhost")
        self.kernel.free_pid(self.kernel.init.pid)  # so that the first process of a test is number 1
        self.kernel.last_pid = self.kernel.forks = 0
        tree.mount(new_procfs(self.kernel), b"/proc")
        tree.mount(TmpFileSystem(), b"/a dir/tmp", source=b"tmpfs", read_only=True)
        for directory in (b"/bin", b"/home"):
            tree.root.inode.mkdir(directory[1:], 0o755, 0, 0)
        self.program = tree.root.child(b"bin").attach(
            b"prog", tree.root.child(b"bin").inode.create(b"prog", 0o755, 0, 0)
        )

    def new_process(self, uid: int = 0, parent: Process | None = None) -> Task:
        """A process of one thread with a stack, a heap and descriptors 0 to 2."""
        kernel = self.kernel
        pid = kernel.allocate_pid()
        process = Process(kernel, pid, parent=parent, start_ns=12_340_000_000)
        process.executable = self.program
        process.name = b"prog"
        process.command_line = b"prog\0-v\0"
        process.environment = b"HOME=/home\0"
        process.auxiliary_vector = bytes(range(32))
        return self.new_thread(process, pid, uid)

    def new_thread(self, process: Process, tid: int, uid: int = 0) -> Task:
        root = self.kernel.mounts.root
        credentials = Credentials(uid, uid, (3, 9))
        files = DescriptorTable(lambda: process.limits.soft(RLIMIT.NOFILE))
        reader, writer = open_pipe()
        home = FsContext(root, credentials, root.child(b"home"), umask=0o027)
        files.add(reader, cloexec=False)
        files.add(writer, cloexec=True)
        files.add(self.program.inode.open(O(O.RDWR | O.LARGEFILE), self.program), cloexec=False)
        memory = Memory(self.kernel.machine, mmap_base=0x7FF0_0000_0000)
        memory.setup_stack(STACK_TOP, 0x21000)
        memory.mmap(0x5555_0000_0000, 0x3000, PROT.READ, MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED)
        memory.set_brk(0x5555_0001_0000)
        memory.brk(0x5555_0001_2000)
        return process.new_task(
            tid,
            architecture=X86_64,
            memory=memory,
            files=files,
            fs=home,
            credentials=credentials,
            scheduling=Scheduling(2),
        )

    def find(self, path: bytes, *, follow: bool = True) -> Dentry:
        """What a path leads to for the current task, who may search everything."""
        root = self.kernel.mounts.root
        return walk(FsContext(root, Credentials()), root, path, follow=follow)

    def open(self, path: bytes, flags: int = O.RDONLY) -> File:
        dentry = self.find(path)
        return dentry.inode.open(O(flags), dentry)

    def read(self, path: bytes) -> bytes:
        file = self.open(path)
        memory = bytearray(1 << 16)
        return bytes(memory[: file.read_nowait(KernelBuffer(memory))])

    def write(self, path: bytes, data: bytes) -> int:
        return self.open(path, O.WRONLY).write_nowait(KernelBuffer(data))

    def names(self, path: bytes) -> list[bytes]:
        dentry = self.find(path)
        return [name for _, _, name in dentry.inode.listing()[2:]]

    def close(self) -> None:
        for task in self.kernel.tasks.values():
            task.files.close_all()
            task.memory.close()
        self.kernel.mounts.release()


@pytest.fixture
def linux(machine: "FakeMachine") -> Iterator[Linux]:
    made = Linux(machine)
    yield made
    set_current(None)
    made.close()


@pytest.fixture
def task(linux: Linux) -> Task:
    """Process 1, which reads what the tests read."""
    made = linux.new_process()
    set_current(made)
    return made


@pytest.fixture
def other(linux: Linux, task: Task) -> Task:
    """Process 2, a child of process 1 that belongs to user 1000."""
    return linux.new_process(uid=1000, parent=task.process)


@pytest.fixture
def acting() -> Callable[[Task], None]:
    """Make another task the reader."""
    return set_current
