"""Children that are born, run and end, one after the other, in a guest and on the host."""

import asyncio
import subprocess
import time
from collections.abc import Callable
from typing import Any, Final

from bench.compare import Case, Result, compare
from bench.measure import Row, alternate
from bench.programs import GUEST_DIRECTORY, Programs

_STATIC: Final = f"{GUEST_DIRECTORY}/true"
_DYNAMIC: Final = "/bin/true"
_SHELL: Final = ("bash", "-c", "for i in $(seq 200); do /bin/true; done")


async def rows(programs: Programs) -> list[Row]:
    static = programs.native("true")

    def case(what: str, name: str, target: str, program: str | None = None) -> Case:
        words = (name, "40") if program is None else (name, "40", program)
        host = tuple(static if word == _STATIC else word for word in words)
        return Case(what, words, target, host)

    cases = (
        case("fork, exit, wait", "fork", "≤ 4 ms"),
        case("vfork, exit, wait", "vfork", ""),
        case("fork, exec, wait: static", "fork", "≤ 7 ms", _STATIC),
        case("fork, exec, wait: dynamic", "fork", "≤ 12 ms", _DYNAMIC),
        case("posix_spawn, wait: static", "spawn", "≤ 6 ms", _STATIC),
        case("posix_spawn, wait: dynamic", "spawn", "", _DYNAMIC),
    )
    async with programs.linux() as linux:
        results = [(await compare(programs, linux, "processes", case)).row(case) for case in cases]
        ours, theirs = await alternate(
            3, _shell(linux.create_subprocess_exec), _shell(asyncio.create_subprocess_exec)
        )
    shell = Case("200 times /bin/true in bash", (), "≤ 3 s")
    return [*results, Result(ours, theirs).row(shell)]


def _shell(spawn: Callable[..., Any]) -> Callable[[], Any]:
    async def measure() -> float:
        start = time.perf_counter()
        process = await spawn(*_SHELL, stdout=subprocess.DEVNULL)
        if await process.wait() != 0:
            raise RuntimeError("the shell failed")
        return time.perf_counter() - start

    return measure
