"""What a system call costs in Python without a virtual machine: decoding, a handler that does nothing, the result."""

# ruff: noqa: ARG001 - handlers that do nothing

import time
from collections.abc import Callable
from inspect import CO_COROUTINE
from statistics import median
from typing import Any

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.x86_64 import X86_64
from aionoah.host.waiting import Source, sleep_on
from aionoah.syscalls import registry
from aionoah.syscalls.arguments import Addr, Fd, Int, Mode, Path, Size
from aionoah.syscalls.dispatch import SyscallTable
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.results import Suspended
from bench.measure import Row, quantity
from bench.programs import Programs

_BATCH = 200
_ROUNDS = 300


class _Memory:
    def read_cstring(self, _address: int, _limit: int = 4096) -> bytes:
        return b"/etc/passwd"


class _Task:
    memory = _Memory()


def _handlers() -> dict[str, tuple[int, Callable[..., Any]]]:
    def getppid(task: _Task) -> int:
        return 1

    def lseek(task: _Task, fd: Fd, offset: Int, whence: Int) -> int:
        return offset

    def open_(task: _Task, path: Path, flags: O, mode: Mode) -> int:
        return 3

    def close(task: _Task, fd: Fd) -> None:
        raise LinuxError(Errno.EBADF)

    async def read(task: _Task, fd: Fd, buf: Addr, count: Size) -> int:
        return count

    async def pause(task: _Task) -> int:
        await sleep_on(Source())
        return 0

    found = {}
    for function in (getppid, lseek, open_, close, read, pause):
        syscall(function)
        name = function.__name__.removesuffix("_")
        found[name] = X86_64.syscall_numbers[name], function
    return found


def _measure(table: SyscallTable, number: int) -> float:
    """Median seconds of a call."""
    task: Any = _Task()
    args = (3, 4096, 1, 0, 0, 0)
    times = []
    for _ in range(_ROUNDS):
        start = time.perf_counter_ns()
        for _ in range(_BATCH):
            result = table.call(task, number, args)
            if result.__class__ is Suspended:
                result.coroutine.close()
        times.append((time.perf_counter_ns() - start) / _BATCH)
    return median(times) / 1e9


async def rows(_programs: Programs) -> list[Row]:
    real = dict(registry._handlers)  # noqa: SLF001 - the real handlers would need a kernel
    registry._handlers.clear()  # noqa: SLF001
    try:
        table = SyscallTable(X86_64)
        return [_row(table, name, *handler) for name, handler in _handlers().items()]
    finally:
        registry._handlers.clear()  # noqa: SLF001
        registry._handlers.update(real)  # noqa: SLF001


def _row(table: SyscallTable, name: str, number: int, function: Callable[..., Any]) -> Row:
    kind = "async def" if function.__code__.co_flags & CO_COROUTINE else "def"
    sleeps = name == "pause"
    what = f"dispatch of {name}, {kind}{', which sleeps' if sleeps else ''}"
    return Row(what, quantity(_measure(table, number), "s"), target="" if sleeps else "≤ 3 µs")
