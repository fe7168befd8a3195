"""What calls cost in Python, from their registers to their result: a real task makes them, and no guest code runs.

Times are those of the thread's CPU, so others on the machine hardly count; the host's own part is in them.
"""

import asyncio
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aionoah.host.waiting import kernel_lock
from aionoah.process.current import set_current
from bench.measure import Row, quantity
from bench.programs import GUEST_DIRECTORY, Programs

if TYPE_CHECKING:
    import aionoah

_ROUNDS: Final = 40
_BATCH_NS: Final = 1_000_000
_HERE: Final = -100  # AT_FDCWD
_WORD: Final = (1 << 64) - 1
_ROOM: Final = 1 << 20
_SIZES: Final = {"4 KiB": 4096, "64 KiB": 65536}

Once = Callable[[], int]


class _Caller:
    """Makes calls for a task, with some of its memory for their arguments."""

    def __init__(self, linux: "aionoah.Linux", pid: int) -> None:
        self._table: Any = linux._table  # noqa: SLF001 - what answers guests
        self._task: Any = linux.kernel.processes[pid].tasks[pid]
        set_current(self._task)
        self._numbers = self._table.architecture.syscall_numbers
        self.buffer = self("mmap", 0, _ROOM, 3, 0x22, -1, 0)()
        self._task.memory.write(self.buffer, bytes(_ROOM))
        self._free = self.buffer + _ROOM // 2

    def __call__(self, name: str, *arguments: int) -> Once:
        words = [each & _WORD for each in arguments] + [0] * (6 - len(arguments))
        call, task, number = self._table.call, self._task, self._numbers[name]

        def once() -> int:
            result: int = call(task, number, words)
            return result - (1 << 64) if result >> 63 else result

        return once

    def text(self, text: str) -> int:
        """The address of a string."""
        address = self._free
        self._task.memory.write(address, text.encode() + b"\0")
        self._free += len(text) + 8
        return address

    def closed(self, once: Once) -> Once:
        """A call that opens something, and close."""
        call, task, number = self._table.call, self._task, self._numbers["close"]

        def both() -> int:
            fd = once()
            return int(call(task, number, (fd, 0, 0, 0, 0, 0))) or fd

        return both


async def rows(programs: Programs) -> list[Row]:
    _make_files(programs.directory)
    async with programs.linux({GUEST_DIRECTORY: str(programs.directory)}) as linux:
        process = await linux.create_subprocess_exec("sleep", "1000", stdin=subprocess.DEVNULL)
        found = await asyncio.to_thread(_measured, linux, process.pid)
        process.kill()
        await process.wait()
    return found


def _make_files(directory: Path) -> None:
    (directory / "small").write_bytes(bytes(1 << 17))
    (directory / "crowded").mkdir()
    for number in range(1000):
        (directory / "crowded" / f"file{number}").touch()


def _measured(linux: "aionoah.Linux", pid: int) -> list[Row]:
    with kernel_lock:
        call = _Caller(linux, pid)
        cases = {**_of_names(call), **_of_data(call), **_of_memory(call), **_of_others(call)}
        return [Row(what, quantity(_cost(once), "s")) for what, once in cases.items()]


def _cost(once: Once) -> float:
    """The least seconds of CPU time that one takes."""
    for _ in range(20):
        result = once()
    if result < 0:
        raise RuntimeError(f"a call failed with {result}")
    start = time.perf_counter_ns()
    once()
    count = max(1, _BATCH_NS // (time.perf_counter_ns() - start))
    best = _WORD
    for _ in range(_ROUNDS):
        start = time.thread_time_ns()
        for _ in range(count):
            once()
        best = min(best, time.thread_time_ns() - start)
    return best / count / 1e9


def _of_names(call: _Caller) -> dict[str, Once]:
    bin_, share = (call("openat", _HERE, call.text(f"/usr/{name}"), 0)() for name in ("bin", "share"))
    mounted = call("openat", _HERE, call.text(GUEST_DIRECTORY), 0)()
    crowded = call("openat", mounted, call.text("crowded"), 0)()
    env, small, absolute = call.text("env"), call.text("small"), call.text("/usr/bin/env")
    rewind, entries = call("lseek", crowded, 0, 0), call("getdents64", crowded, call.buffer, 1 << 17)
    return {
        "openat and close of a file in the overlay": call.closed(call("openat", bin_, env, 0)),
        "the same by an absolute path": call.closed(call("openat", _HERE, absolute, 0)),
        "openat and close of a directory there": call.closed(call("openat", share, call.text("doc"), 0)),
        "openat and close of a file in a mount": call.closed(call("openat", mounted, small, 0)),
        "newfstatat of a file in the overlay": call("newfstatat", bin_, env, call.buffer, 0),
        "newfstatat of a file in a mount": call("newfstatat", mounted, small, call.buffer, 0),
        "newfstatat by an absolute path": call("newfstatat", _HERE, absolute, call.buffer, 0),
        "statx of a file in a mount": call("statx", mounted, small, 0, 0x7FF, call.buffer),
        "fstat of a directory": call("fstat", mounted, call.buffer),
        "faccessat": call("faccessat", mounted, small, 4),
        "getdents64 of 1,000 entries": lambda: rewind() or entries(),
        "fchdir": call("fchdir", bin_),
    }


def _of_data(call: _Caller) -> dict[str, Once]:
    fd = call("openat", _HERE, call.text(f"{GUEST_DIRECTORY}/small"), 2)()
    cases = {
        f"{name} of {size}": call(name, fd, call.buffer, count, 0)
        for size, count in _SIZES.items()
        for name in ("pread64", "pwrite64")
    }
    back, read = call("lseek", fd, 0, 0), call("read", fd, call.buffer, 4096)
    return {
        **cases,
        "lseek and read of 4 KiB": lambda: back() or read(),
        "lseek": back,
        "fcntl, F_GETFD": call("fcntl", fd, 1),
        "dup and close": call.closed(call("dup", fd)),
    }


def _of_memory(call: _Caller) -> dict[str, Once]:
    fd = call("openat", _HERE, call.text(f"{GUEST_DIRECTORY}/small"), 0)()

    def mapped(*arguments: int) -> Once:
        place = call("mmap", *arguments)()
        call("munmap", place, arguments[1])()
        there, away = call("mmap", place, *arguments[1:]), call("munmap", place, arguments[1])
        return lambda: there() and away()

    heap = call("brk", 0)()
    up, down = call("brk", heap + 0x21000), call("brk", heap)
    guard, open_ = call("mprotect", call.buffer, 4096, 1), call("mprotect", call.buffer, 4096, 3)
    return {
        "mmap and munmap of 128 KiB": mapped(0, 1 << 17, 3, 0x22, -1, 0),
        "mmap and munmap of a file": mapped(0, 1 << 16, 1, 2, fd, 0),
        "brk, up and down": lambda: up() and down(),
        "mprotect, twice": lambda: guard() or open_(),
        "madvise, MADV_DONTNEED": call("madvise", call.buffer, 4096, 4),
    }


def _of_others(call: _Caller) -> dict[str, Once]:
    return {
        "getppid": call("getppid"),
        "rt_sigaction, a question": call("rt_sigaction", 10, 0, call.buffer, 8),
        "rt_sigprocmask, a question": call("rt_sigprocmask", 0, 0, call.buffer, 8),
        "futex, waking nobody": call("futex", call.buffer, 129, 1),
    }
