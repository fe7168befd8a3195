"""What reading a clock costs in a guest beside a native program: through the vDSO, and as a system call.

    python bench/vdso.py

prints nanoseconds of one clock_gettime, the median of some rounds, native and guest in turns. The vDSO is to cost
at most 1.3 times as much in a guest.
"""

import asyncio
import subprocess
import tempfile
from pathlib import Path
from statistics import median

import aionoah

_ROUNDS = 7
_SOURCE = """
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv) {
    long clock = atol(argv[1]), readings = atol(argv[2]), is_call = atol(argv[3]);
    struct timespec t;
    for (int i = 0; i < 100; i++) clock_gettime((clockid_t)clock, &t);
    double start = now();
    for (long i = 0; i < readings; i++)
        if (is_call) syscall(SYS_clock_gettime, clock, &t);
        else clock_gettime((clockid_t)clock, &t);
    printf("%f\\n", (now() - start) / readings);
    return argc == 0;
}
"""
# Name, clock id, readings, whether by system call.
_CASES = (
    ("REALTIME", 0, 3_000_000, False),
    ("MONOTONIC", 1, 3_000_000, False),
    ("MONOTONIC_RAW", 4, 3_000_000, False),
    ("MONOTONIC_COARSE", 6, 3_000_000, False),
    ("as system call", 1, 10_000, True),
)


def _natively(command: list[str]) -> float:
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def _compile(directory: Path) -> str:
    source = directory / "read.c"
    source.write_text(_SOURCE)
    program = str(source.with_suffix(""))
    subprocess.run(["gcc", "-O2", "-o", program, source], check=True)
    return program


async def _measure(
    linux: aionoah.Linux, program: str, case: tuple[str, int, int, bool]
) -> tuple[float, float]:
    """Median nanoseconds of a reading: natively, in a guest."""
    _, clock, readings, is_call = case
    command = [program, str(clock), str(readings), str(int(is_call))]
    native, guest = [], []
    for _ in range(_ROUNDS):
        native.append(await asyncio.to_thread(_natively, command))
        done = await linux.run(command, capture_output=True, check=True)
        guest.append(float(done.stdout))
    return median(native), median(guest)


async def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        program = await asyncio.to_thread(_compile, Path(directory))
        async with aionoah.Linux(mounts={directory: directory}) as linux:
            print(f"{'':18}{'native':>10}{'guest':>10}{'ratio':>8}")
            for case in _CASES:
                native, guest = await _measure(linux, program, case)
                print(f"{case[0]:18}{native:8.1f}ns{guest:8.1f}ns{guest / native:8.2f}")


if __name__ == "__main__":
    asyncio.run(main())
