"""What an instance takes while its one guest sleeps: memory over a bare Python, and CPU time."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bench.measure import Row, quantity
from bench.programs import GUEST_DIRECTORY, Programs

_IDLE_SECONDS: Final = 10
_BARE: Final = "import sys; print('ready', flush=True); sys.stdin.read()"
_INSTANCE: Final = f"""
import asyncio, sys, uvloop, aionoah

async def main():
    mounts = {{"{GUEST_DIRECTORY}": aionoah.Mount(sys.argv[1], read_only=True)}}
    async with aionoah.Linux(hypervisor="kvm", mounts=mounts) as linux:
        guest = await linux.create_subprocess_exec(
            "{GUEST_DIRECTORY}/park", stdin=aionoah.PIPE, stdout=aionoah.PIPE
        )
        await guest.stdout.readexactly(1)
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.Runner(loop_factory=uvloop.new_event_loop).run(main())
"""


async def rows(programs: Programs) -> list[Row]:
    programs.native("park")
    async with _python(_BARE) as bare, _python(_INSTANCE, str(programs.directory)) as instance:
        await asyncio.sleep(1)  # what is done once, after the start, is not idleness
        before = cpu_seconds(instance)
        await asyncio.sleep(_IDLE_SECONDS)
        spent = cpu_seconds(instance) - before
        pss, bare_pss = pss_of(instance), pss_of(bare)
    beside = f"{quantity(bare_pss, 'B')} bare Python, {quantity(pss, 'B')} in all"
    return [
        Row("memory of an idle instance (PSS)", quantity(pss - bare_pss, "B"), beside, "", "≤ 25 MiB"),
        Row(f"CPU time in {_IDLE_SECONDS} s of idleness", quantity(spent, "s"), "", "", "none"),
    ]


@asynccontextmanager
async def _python(code: str, *args: str) -> AsyncIterator[int]:
    """The process id of a Python that has said it is ready; it ends when its standard input does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        *args,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if await process.stdout.readline() != b"ready\n":
            raise RuntimeError("the measured Python did not start")
        yield process.pid
    finally:
        process.stdin.close()
        await process.wait()


def pss_of(pid: int) -> int:
    """Bytes: what is shared counts in parts."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def cpu_seconds(pid: int) -> float:
    """Of all threads, to the nanosecond."""
    files = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9
