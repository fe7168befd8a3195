"""Two kernels with one way to call them: ours, over a file system in memory, and the host's, the oracle.

A test writes a script, a generator that makes calls and yields what it sees; `same` runs it on both
and compares. Descriptors differ between the two, so scripts do not yield them.
"""

import ctypes
import importlib
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol, cast

import pytest
from fakes.forked import in_child
from fakes.machine import FakeMachine

from aionoah.abi.aarch64 import AARCH64
from aionoah.abi.architecture import Architecture
from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import AT_FDCWD
from aionoah.abi.mman import MAP, PROT
from aionoah.abi.x86_64 import X86_64
from aionoah.fs.context import FsContext
from aionoah.fs.inode import Change
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.operations import mkdir
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.host.waiting import Waiter
from aionoah.memory.memory import Memory
from aionoah.process.credentials import Credentials
from aionoah.process.descriptors import DescriptorTable
from aionoah.process.kernel import Kernel
from aionoah.process.scheduling import Scheduling
from aionoah.process.task import Process, Task
from aionoah.syscalls.dispatch import SyscallTable
from aionoah.syscalls.results import Suspended

WORD: Final = (1 << 64) - 1
PAGE: Final = 4096
ARENA_SIZE: Final = 64 * PAGE
ARENA: Final = 0x10_0000
WILD: Final = 8
"""An address where neither kernel has anything."""

for _module in (
    *("access", "attributes", "descriptors", "directories", "fcntl", "ioctl", "links", "locks", "memfd"),
    *("open", "poll", "positioned", "read_write", "stat", "sync", "times", "transfer", "xattr"),
):
    importlib.import_module(f"aionoah.syscalls.{_module}")


class KernelUnderTest(Protocol):
    """What a script sees of a kernel."""

    architecture: Architecture
    edge: int
    """The first address behind memory that is there."""

    def call(self, name: str, *arguments: int | bytes | None) -> int | Errno:
        """Make a call; bytes become the address of a copy with a NUL behind it, None a null pointer."""
        ...

    def put(self, data: bytes) -> int:
        """The address of a copy of data."""
        ...

    def space(self, length: int) -> int:
        """The address of so many zero bytes."""
        ...

    def get(self, address: int, length: int) -> bytes: ...

    def set(self, address: int, data: bytes) -> None: ...


class Arena:
    """Hands out memory from one region, never twice."""

    def __init__(self, start: int, architecture: Architecture) -> None:
        self.architecture = architecture
        self.edge = start + ARENA_SIZE
        self._next = start

    def put(self, data: bytes) -> int:
        address = self.space(len(data))
        self.set(address, data)
        return address

    def space(self, length: int) -> int:
        address = self._next
        self._next += -(-length // 16) * 16
        assert self._next <= self.edge
        return address

    def _registers(self, arguments: tuple[int | bytes | None, ...]) -> list[int]:
        words = [
            self.put(value + b"\0") if isinstance(value, bytes) else (value or 0) & WORD
            for value in arguments
        ]
        return words + [0] * (6 - len(words))

    def set(self, address: int, data: bytes) -> None:
        raise NotImplementedError


class Guest(Arena):
    """Our kernel, called through decoder and dispatch as a virtual CPU would."""

    def __init__(self, task: Task) -> None:
        super().__init__(ARENA, task.architecture)
        self.task = task
        protection, flags = PROT.READ | PROT.WRITE, MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED
        task.memory.mmap(ARENA, ARENA_SIZE, protection, flags, None, 0)
        self._table = SyscallTable(task.architecture)

    def start(self, name: str, *arguments: int | bytes | None) -> int | Errno | Suspended:
        """Make a call that may sleep."""
        number = self.architecture.syscall_numbers[name]
        return self._result(self._table.call(self.task, number, self._registers(arguments)))

    def resume(self, sleeping: Suspended, thrown: BaseException | None = None) -> int | Errno | Suspended:
        """Go on after a wake-up."""
        return self._result(self._table.step(sleeping.coroutine, thrown))

    def call(self, name: str, *arguments: int | bytes | None) -> int | Errno:
        result = self.start(name, *arguments)
        assert not isinstance(result, Suspended), f"{name} sleeps"
        return result

    @staticmethod
    def _result(result: object) -> int | Errno | Suspended:
        if isinstance(result, Suspended):
            assert isinstance(result.waiter, Waiter)
            return result
        assert isinstance(result, int)
        signed = result - (1 << 64) if result >> 63 else result
        return Errno(-signed) if signed < 0 else signed

    def get(self, address: int, length: int) -> bytes:
        return self.task.memory.read(address, length)

    def set(self, address: int, data: bytes) -> None:
        self.task.memory.write(address, data)


class Oracle(Arena):
    """The host's kernel, called through the C library's syscall()."""

    def __init__(self, architecture: Architecture) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.syscall.restype = ctypes.c_long
        self._libc.mmap.restype = ctypes.c_void_p
        size = ctypes.c_size_t(ARENA_SIZE + PAGE)
        start = self._libc.mmap(None, size, PROT.READ | PROT.WRITE, MAP.PRIVATE | MAP.ANONYMOUS, -1, 0)
        self._libc.munmap(ctypes.c_void_p(start + ARENA_SIZE), ctypes.c_size_t(PAGE))
        super().__init__(start, architecture)
        self._start = start

    def close(self) -> None:
        self._libc.munmap(ctypes.c_void_p(self._start), ctypes.c_size_t(ARENA_SIZE))

    def call(self, name: str, *arguments: int | bytes | None) -> int | Errno:
        words = [ctypes.c_ulong(word) for word in self._registers(arguments)]
        ctypes.set_errno(0)
        result = int(self._libc.syscall(ctypes.c_long(self.architecture.syscall_numbers[name]), *words))
        return Errno(ctypes.get_errno()) if result == -1 else result

    def get(self, address: int, length: int) -> bytes:
        return ctypes.string_at(address, length)

    def set(self, address: int, data: bytes) -> None:
        ctypes.memmove(address, data, len(data))


Script = Callable[[KernelUnderTest], Iterator[Any]]


def new_task(machine: FakeMachine, architecture: Architecture) -> Task:
    """A process of one thread in an empty directory of a file system in memory."""
    uid, gid = os.getuid(), os.getgid()
    credentials = Credentials(uid, gid, os.getgroups())
    mounts = MountNamespace.of(TmpFileSystem(mode=0o755))
    superuser = FsContext(mounts.root, Credentials())
    home = mkdir(superuser, mounts.root, b"home", 0o700)
    home.inode.change(Change(uid=uid, gid=gid))
    process = Process(Kernel(cast("Any", machine), mounts), 100)
    return process.new_task(
        100,
        architecture=architecture,
        memory=Memory(cast("Any", machine), mmap_base=0x7000_0000_0000),
        files=DescriptorTable(lambda: 1024),
        fs=FsContext(mounts.root, credentials, home),
        credentials=credentials,
        scheduling=Scheduling(2),
    )


@pytest.fixture
def guest(machine: FakeMachine) -> Iterator[Guest]:
    """Our kernel with an x86_64 task."""
    task = new_task(machine, X86_64)
    yield Guest(task)
    task.files.close_all()
    task.memory.close()


@pytest.fixture
def oracle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Oracle]:
    """The host's kernel, in an empty directory."""
    architecture = {"x86_64": X86_64, "aarch64": AARCH64}.get(platform.machine())
    if sys.platform != "linux" or architecture is None:
        pytest.skip("the oracle is a Linux kernel")
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.chdir(home)
    umask = os.umask(0o022)
    kernel = Oracle(architecture)
    yield kernel
    kernel.close()
    os.umask(umask)


def open_descriptors() -> set[int]:
    return {int(entry.name) for entry in Path("/proc/self/fd").iterdir()}


@pytest.fixture
def same(guest: Guest, oracle: Oracle) -> Callable[[Script], None]:
    """Runs a script on both kernels; what it yields must be equal. It may leave descriptors open."""

    def run(script: Script) -> None:
        before = open_descriptors()
        expected = list(script(oracle))
        for fd in open_descriptors() - before:
            with suppress(OSError):  # the listing's own descriptor
                os.close(fd)
        assert expected, "the script has seen nothing"
        assert list(script(guest)) == expected

    return run


@pytest.fixture
def same_in_child(guest: Guest, oracle: Oracle) -> Callable[[Script], None]:
    """As `same`, for calls that change the process: the oracle is a child, and has to run as root, as the guest does."""

    def run(script: Script) -> None:
        if guest.task.credentials.uid != 0:
            pytest.skip("needs root")
        expected = in_child(lambda: list(script(oracle)))
        assert expected, "the script has seen nothing"
        assert list(script(guest)) == expected

    return run


def made(kernel: KernelUnderTest, path: bytes, data: bytes = b"", mode: int = 0o644) -> int:
    """A descriptor, open for reading and writing at the end, of a new file."""
    fd = kernel.call("openat", AT_FDCWD, path, 0o102, mode)
    assert not isinstance(fd, Errno), fd
    if data:
        assert kernel.call("write", fd, kernel.put(data), len(data)) == len(data)
    return fd


@pytest.fixture
def make() -> Callable[..., int]:
    """`make(kernel, path, data)`: see `made`."""
    return made
