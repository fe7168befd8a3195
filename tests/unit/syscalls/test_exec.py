"""execve and execveat: what reaches the new program, and what is refused as the kernel refuses it."""

import importlib
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from fakes.forked import in_child

from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import AT, AT_FDCWD, FD, F, O
from aionoah.abi.personality import PER
from aionoah.abi.signal import SIG, SIG_IGN
from aionoah.process.exec import Loaded
from aionoah.signals.actions import Disposition
from aionoah.syscalls.results import Outcome

for _module in ("exec", "process"):
    importlib.import_module(f"aionoah.syscalls.{_module}")

WILD = 8
HERE = AT_FDCWD


def static_program() -> bytes:
    """A page that is a program: it exits at once."""
    code = b"\xb8\x3c\0\0\0\x31\xff\x0f\x05"  # mov eax, 60; xor edi, edi; syscall
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, 0x1000, 0x1000, 0x1000)
    return (header + load + code).ljust(4096, b"\0")


class Cpu:
    """What execve does to the CPU."""

    def __init__(self) -> None:
        self.started: list[Loaded] = []

    def start_program(self, program: Loaded) -> None:
        self.started.append(program)

    def exit_thread(self) -> None:
        """Nothing runs."""

    def cpu_time_ns(self) -> int:
        return 0

    user_time_ns = cpu_time_ns


@pytest.fixture
def cpu(guest: Any) -> Cpu:
    guest.task.control = Cpu()
    guest.task.process.name = guest.task.name = b"old"
    return guest.task.control  # type: ignore[no-any-return]


def strings(k: Any, *words: bytes) -> int:
    """An array of pointers that ends with NULL."""
    return int(k.put(struct.pack(f"<{len(words) + 1}Q", *(k.put(word + b"\0") for word in words), 0)))


def write(k: Any, path: bytes, data: bytes, mode: int = 0o755) -> None:
    fd = k.call("openat", HERE, path, O.WRONLY | O.CREAT, mode)
    assert k.call("write", fd, k.put(data), len(data)) == len(data)
    k.call("close", fd)


def execute(guest: Any, name: str, *arguments: Any) -> Any:
    """An exec that succeeds; the arena is gone with the old memory."""
    number = guest.architecture.syscall_numbers[name]
    result = guest._table.call(guest.task, number, guest._registers(arguments))
    assert result is Outcome.KEEP_REGISTERS
    return guest.task.control.started[-1]


# -- success --------------------------------------------------------------------------------------------------


def test_the_task_is_another_program(guest: Any, cpu: Cpu) -> None:
    task = guest.task
    write(guest, b"a program with a long name", static_program())
    task.signals.shared.dispositions[SIG.USR1] = Disposition(0x1234)
    task.signals.shared.dispositions[SIG.USR2] = Disposition(SIG_IGN)
    kept = guest.call("openat", HERE, b".", O.RDONLY, 0)
    closed = guest.call("openat", HERE, b".", O.RDONLY | O.CLOEXEC, 0)
    old = task.memory

    path = guest.put(b"a program with a long name\0")
    loaded = execute(guest, "execve", path, strings(guest, b"x", b"", b"-y"), strings(guest, b"A=1"))

    assert cpu.started == [loaded]
    assert task.memory is loaded.memory is not old
    assert old.space.is_closed
    assert loaded.entry == 0x400078
    assert loaded.memory.read_word(loaded.stack_pointer) == 3
    assert task.process.command_line == b"x\0\0-y\0"
    assert task.process.environment == b"A=1\0"
    assert task.process.auxiliary_vector == loaded.stack.auxiliary_vector
    assert task.process.executable.name == b"a program with a long name"
    assert task.name == task.process.name == b"a program with "
    assert task.credentials is task.fs.credentials is loaded.credentials
    assert kept in task.files
    assert closed not in task.files
    assert task.signals.shared.dispositions[SIG.USR1] == Disposition()
    assert task.signals.shared.dispositions[SIG.USR2] == Disposition(SIG_IGN)
    assert task.process.has_executed


def test_null_arrays(guest: Any, cpu: Cpu) -> None:
    write(guest, b"p", static_program())
    loaded = execute(guest, "execve", b"p", 0, 0)
    assert guest.task.process.command_line == b"\0"
    assert loaded.memory.read_word(loaded.stack_pointer) == 1


def test_personality_is_kept_and_counts(guest: Any, cpu: Cpu) -> None:
    write(guest, b"p", static_program())
    assert guest.call("personality", PER.ADDR_NO_RANDOMIZE) == 0
    loaded = execute(guest, "execve", b"p", 0, 0)
    assert loaded.memory.stack_start == guest.architecture.stack_top
    assert guest.task.personality == PER.ADDR_NO_RANDOMIZE


def test_by_descriptor(guest: Any, cpu: Cpu) -> None:
    write(guest, b"p", static_program())
    fd = guest.call("openat", HERE, b"p", O.PATH, 0)
    loaded = execute(guest, "execveat", fd, b"", strings(guest, b"x"), 0, AT.EMPTY_PATH)
    assert loaded.name == b"%d" % fd
    assert loaded.executable.name == b"p"


def test_relative_to_a_descriptor(guest: Any, cpu: Cpu) -> None:
    guest.call("mkdirat", HERE, b"dir", 0o755)
    write(guest, b"dir/p", static_program())
    fd = guest.call("openat", HERE, b"dir", O.PATH, 0)
    loaded = execute(guest, "execveat", fd, b"p", 0, 0, 0)
    assert loaded.name == b"p"
    assert b"/dev/fd/%d/p\0" % fd in loaded.stack.data


def test_scripts_by_descriptor_need_it_open(guest: Any, cpu: Cpu) -> None:
    write(guest, b"interpreter", static_program())
    write(guest, b"script", b"#!interpreter\n")
    fd = guest.call("openat", HERE, b"script", O.RDONLY | O.CLOEXEC, 0)
    assert guest.call("execveat", fd, b"", 0, 0, AT.EMPTY_PATH) is Errno.ENOENT
    assert guest.call("fcntl", fd, F.SETFD, 0) == 0
    execute(guest, "execveat", fd, b"", 0, 0, AT.EMPTY_PATH)
    assert guest.task.process.command_line == b"interpreter\0/dev/fd/%d\0" % fd
    assert FD.CLOEXEC == 1


# -- failure ------------------------------------------------------------------------------------------------------


def refusals(k: Any) -> Iterator[Any]:
    """Everything here fails, on the kernel too."""
    write(k, b"text", b"no program")
    write(k, b"plain", b"no program", 0o644)
    write(k, b"lost", b"#!/no/such/interpreter\n")
    k.call("mkdirat", HERE, b"dir", 0o755)
    k.call("symlinkat", b"text", HERE, b"link")
    k.call("symlinkat", b"loop", HERE, b"loop")
    for path in (
        b"",
        b"missing",
        b"text",
        b"plain",
        b"lost",
        b"dir",
        b"dir/",
        b"link",
        b"loop",
        b"text/x",
        b"x" * 256,
    ):
        yield path, k.call("execve", path, 0, 0)
    yield k.call("execve", WILD, 0, 0), k.call("execve", 0, 0, 0), k.call("execve", b"x" * 5000, 0, 0)
    yield k.call("execve", b"text", WILD, 0), k.call("execve", b"text", 0, WILD)
    yield k.call("execve", b"missing", WILD, WILD), k.call("execve", b"plain", WILD, WILD)
    bad = k.put(struct.pack("<2Q", WILD, 0))
    yield k.call("execve", b"text", bad, 0), k.call("execve", b"text", 0, bad)
    long = k.put(b"a" * 131072 + b"\0")
    short = k.put(b"a" * 131071 + b"\0")
    yield k.call("execve", b"text", k.put(struct.pack("<2Q", long, 0)), 0)
    yield k.call("execve", b"text", k.put(struct.pack("<2Q", short, 0)), 0)

    fd = k.call("openat", HERE, b"dir", O.PATH, 0)
    file = k.call("openat", HERE, b"text", O.RDONLY, 0)
    for flags in (1, AT.SYMLINK_FOLLOW, AT.REMOVEDIR):
        yield k.call("execveat", HERE, b"text", 0, 0, flags)
    yield (
        k.call("execveat", HERE, b"link", 0, 0, AT.SYMLINK_NOFOLLOW),
        k.call("execveat", HERE, b"link", 0, 0, 0),
    )
    yield k.call("execveat", fd, b"", 0, 0, 0), k.call("execveat", fd, b"", 0, 0, AT.EMPTY_PATH)
    yield k.call("execveat", file, b"", 0, 0, AT.EMPTY_PATH), k.call("execveat", file, b"x", 0, 0, 0)
    yield k.call("execveat", 999, b"text", 0, 0, 0), k.call("execveat", 999, b"", 0, 0, AT.EMPTY_PATH)
    yield k.call("execveat", HERE, b"", 0, 0, AT.EMPTY_PATH), k.call("execveat", HERE, WILD, 0, 0, 0)


@pytest.fixture
def wide_arena(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for the longest arguments, in both kernels."""
    import sys

    conftest = next(module for name, module in sys.modules.items() if name.endswith("syscalls.conftest"))
    monkeypatch.setattr(conftest, "ARENA_SIZE", 512 * 4096)


def test_refusals_are_the_kernels(wide_arena: None, guest: Any, oracle: Any, cpu: Cpu) -> None:
    expected = in_child(lambda: list(refusals(oracle)))
    memory = guest.task.memory
    assert list(refusals(guest)) == expected
    assert not cpu.started
    assert guest.task.memory is memory
    assert guest.task.name == b"old"


def test_endless_arguments(guest: Any, cpu: Cpu) -> None:
    """An array that never ends, of pointers to one string, costs no more than Linux allows."""
    write(guest, b"p", static_program())
    text = guest.put(b"a" * 100 + b"\0")
    pointers = struct.pack("<Q", text) * (200 * 1024 // 8)
    array = guest.space(len(pointers))
    guest.set(array, pointers)
    assert guest.call("execve", b"p", array, 0) is Errno.E2BIG
    assert not cpu.started
