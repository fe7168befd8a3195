"""A program's whole life in a running instance, against the same on the host."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any, Final

from bench.measure import Row, alternate, paired_ratio, quantity
from bench.programs import Programs

_ROUNDS: Final = 60
_DYNAMIC: Final = "/bin/true"


async def rows(programs: Programs) -> list[Row]:
    inside, outside = programs.guest("true"), programs.native("true")
    spawn_natively = asyncio.create_subprocess_exec
    async with programs.linux() as linux:
        spawn = linux.create_subprocess_exec
        static, dynamic, native_static, native_dynamic = await alternate(
            _ROUNDS,
            _life(spawn, inside),
            _life(spawn, _DYNAMIC),
            _life(spawn_natively, outside),
            _life(spawn_natively, _DYNAMIC),
        )
    return [
        _row("a static program, start to end", static, native_static, "≤ 5 ms"),
        _row("Debian's /bin/true, start to end", dynamic, native_dynamic, "≤ 15 ms"),
    ]


def _life(spawn: Callable[..., Awaitable[Any]], path: str) -> Callable[[], Awaitable[float]]:
    async def measure() -> float:
        start = time.perf_counter()
        process = await spawn(path)
        status = await process.wait()
        if status != 0:
            raise RuntimeError(f"{path} ended with {status}")
        return time.perf_counter() - start

    return measure


def _row(what: str, ours: list[float], native: list[float], target: str) -> Row:
    other = f"{quantity(median(native), 's')} native"
    return Row(what, quantity(median(ours), "s"), other, f"{paired_ratio(ours, native):.2f}", target)
