"""The command line with a program that does nothing, against Python with the libraries that it needs anyway."""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Final

from bench.measure import Row, alternate, paired_ratio, quantity
from bench.programs import Programs

_ROUNDS: Final = 15
_PYTHON: Final = Path(sys.executable)
_AIONOAH: Final = _PYTHON.parent / "aionoah"
# The unrecorded round compiles what has been edited, as a user's first run does, whatever this process may write.
_ENVIRONMENT: Final = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


async def rows(_programs: Programs) -> list[Row]:
    ours, imports, bare = await alternate(
        _ROUNDS,
        _wall(_AIONOAH, "run", "--hypervisor", "kvm", "--", "/bin/true"),
        _wall(_PYTHON, "-c", "import asyncio, uvloop, cffi"),
        _wall(_PYTHON, "-c", "pass"),
    )
    wall = quantity(median(ours), "s")
    beside = f"{quantity(median(imports), 's')} python -c 'import asyncio, uvloop, cffi'"
    ratio = f"{paired_ratio(ours, bare):.2f}"
    return [
        Row("aionoah run -- /bin/true", wall, beside, f"{paired_ratio(ours, imports):.2f}", "≤ 3"),
        Row("", "", f"{quantity(median(bare), 's')} python -c pass", ratio),
    ]


def _wall(*command: str | Path) -> Callable[[], Awaitable[float]]:
    async def measure() -> float:
        start = time.perf_counter()
        process = await asyncio.create_subprocess_exec(*command, env=_ENVIRONMENT)
        status = await process.wait()
        if status != 0:
            raise RuntimeError(f"{command} ended with {status}")
        return time.perf_counter() - start

    return measure
