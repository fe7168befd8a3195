"""The handlers of memory calls: from arguments to Memory and back."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Final

import pytest
from fakes.expect import fails
from fakes.files import HostFile
from fakes.machine import FakeMachine

from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import O
from aionoah.abi.mman import MADV, MAP, MCL, MREMAP, MS, PKEY, PROT
from aionoah.abi.x86_64 import X86_64
from aionoah.hypervisor.protocols import PAGE_SIZE
from aionoah.memory.memory import Memory
from aionoah.syscalls import memory as calls
from aionoah.syscalls.decode import compile_call
from aionoah.syscalls.registry import find_handler

P: Final = PAGE_SIZE
AT: Final = 0x10_0000_0000
MINUS_1: Final = (1 << 64) - 1
ANON = MAP.PRIVATE | MAP.ANONYMOUS
RW = PROT.READ | PROT.WRITE


class Files(dict[int, Any]):
    """A descriptor table that only looks up."""


@pytest.fixture
def task(machine: FakeMachine) -> Iterator[Any]:
    memory = Memory(machine, mmap_base=0x7FFF_0000_0000)
    yield SimpleNamespace(memory=memory, files=Files())
    memory.close()


@pytest.fixture
def call(task: Any) -> Callable[..., Any]:
    """Make a call as the dispatcher does, from registers."""

    def make(name: str, *registers: int) -> Any:
        handler = find_handler(name)
        assert handler is not None
        words = [*registers, 0, 0, 0, 0, 0, 0][:6]
        return compile_call(handler, X86_64)(task, *words)

    return make


@pytest.fixture
def file(tmp_path: Any) -> Iterator[HostFile]:
    path = tmp_path / "file"
    path.write_bytes(b"contents")
    with path.open("r+b") as host:
        yield HostFile(host.fileno())


def test_mmap_of_memory(task: Any, call: Callable[..., Any]) -> None:
    assert call("mmap", AT, P, RW, ANON | MAP.FIXED, MINUS_1, 0) == AT
    task.memory.write(AT, b"x")


def test_mmap_of_a_file(task: Any, call: Callable[..., Any], file: HostFile) -> None:
    task.files[3] = file
    address = call("mmap", 0, P, PROT.READ, MAP.PRIVATE, 3, 0)
    assert task.memory.read(address, 8) == b"contents"
    fails(Errno.EINVAL, call, "mmap", 0, P, PROT.READ, MAP.PRIVATE, 3, 1)


def test_the_descriptor_of_anonymous_memory_is_ignored(call: Callable[..., Any]) -> None:
    assert call("mmap", AT, P, RW, ANON, 77, 0) == AT


def test_a_path_descriptor_cannot_be_mapped(task: Any, call: Callable[..., Any], file: HostFile) -> None:
    file.flags = O(O.PATH)
    task.files[3] = file
    fails(Errno.EBADF, call, "mmap", 0, P, PROT.READ, MAP.PRIVATE, 3, 0)


def test_life_of_a_mapping(task: Any, call: Callable[..., Any]) -> None:
    call("mmap", AT, 2 * P, RW, ANON, MINUS_1, 0)
    task.memory.write(AT, b"mine")
    assert call("mprotect", AT, P, PROT.READ) is None
    fails(Errno.EFAULT, task.memory.write, AT, b"x")
    moved = call("mremap", AT, P, P, MREMAP.MAYMOVE | MREMAP.FIXED, AT + 16 * P)
    assert (moved, task.memory.read(moved, 4)) == (AT + 16 * P, b"mine")
    assert call("madvise", AT + P, P, MADV.DONTNEED) is None
    assert call("msync", AT + P, P, MS.SYNC) is None
    assert call("munmap", AT + P, P) is None
    fails(Errno.EFAULT, task.memory.read, AT + P, 1)


def test_brk(task: Any, call: Callable[..., Any]) -> None:
    task.memory.set_brk(AT)
    assert call("brk", 0) == AT
    assert call("brk", AT + 5) == AT + 5
    assert call("brk", 1) == AT + 5


class TestMincore:
    def test_vector(self, task: Any, call: Callable[..., Any]) -> None:
        call("mmap", AT, 8 * P, RW, ANON, MINUS_1, 0)
        call("madvise", AT + P, P, MADV.DONTNEED)
        task.memory.write(AT + 4 * P, b"\xff" * 8)
        assert call("mincore", AT, 3 * P, AT + 4 * P) is None
        assert task.memory.read(AT + 4 * P, 5) == b"\1\0\1\xff\xff"

    def test_longer_than_a_stretch(self, task: Any, call: Callable[..., Any]) -> None:
        vector = call("mmap", 0, 2 * P, RW, ANON, MINUS_1, 0)
        call("mmap", AT, 5000 * P, RW, ANON | MAP.NORESERVE, MINUS_1, 0)
        task.memory.write(AT + 4999 * P, b"x")
        call("mincore", AT, 5000 * P, vector)
        assert task.memory.read(vector, 5001)[4095:].count(1) == 5000 - 4992

    def test_errors(self, call: Callable[..., Any]) -> None:
        call("mmap", AT, P, RW, ANON, MINUS_1, 0)
        fails(Errno.EFAULT, call, "mincore", AT, P, 0)
        fails(Errno.ENOMEM, call, "mincore", AT, 2 * P, AT)
        fails(Errno.EINVAL, call, "mincore", AT + 1, P, AT)


def test_locking(task: Any, call: Callable[..., Any]) -> None:
    call("mmap", AT, 4 * P, RW, ANON, MINUS_1, 0)
    for name, arguments, locked in (
        ("mlock", (AT, P), 1),
        ("mlock2", (AT + P, P, 1), 2),
        ("munlock", (AT, P), 1),
        ("mlockall", (MCL.CURRENT,), 4),
        ("munlockall", (), 0),
    ):
        assert call(name, *arguments) is None
        assert task.memory.usage().locked == locked
    fails(Errno.EINVAL, call, "mlock2", AT, P, 2)


class TestKeys:
    def test_there_are_none(self, call: Callable[..., Any]) -> None:
        for arguments in ((0, 0), (0, PKEY.DISABLE_WRITE), (1, 0), (0, 8)):
            fails(Errno.EINVAL, call, "pkey_alloc", *arguments)
        for key in (0, 1, MINUS_1):
            fails(Errno.EINVAL, call, "pkey_free", key)

    def test_mprotect_without_a_key(self, task: Any, call: Callable[..., Any]) -> None:
        call("mmap", AT, P, PROT.NONE, ANON, MINUS_1, 0)
        fails(Errno.EINVAL, call, "pkey_mprotect", AT, P, RW, 0)
        fails(Errno.EFAULT, task.memory.read, AT, 1)
        assert call("pkey_mprotect", AT, 0, RW, 0) is None
        assert call("pkey_mprotect", AT, P, RW, MINUS_1) is None
        task.memory.write(AT, b"x")


def test_every_handler_is_registered_under_its_name() -> None:
    names = [
        name for name, value in vars(calls).items() if getattr(value, "__module__", "") == calls.__name__
    ]
    assert {find_handler(name) is not None for name in names} == {True}
    assert len(names) == 18
