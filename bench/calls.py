"""A system call that does nothing: with everything there is, against only leaving the guest and coming back, which it
need not do where that is dear and there is a CPU to spare.
"""

import re
import subprocess
from statistics import median
from typing import Final

from bench.measure import Row, alternate, paired_ratio, quantity
from bench.programs import Programs, time_in_guest, time_native

_ROUNDS: Final = 9
_COST: Final = re.compile(rb"exit and back: ([0-9.]+) us")


async def rows(programs: Programs) -> list[Row]:
    inside, outside, core = programs.guest("getppid"), programs.native("getppid"), programs.core_test()
    async with programs.linux() as linux:

        async def guest() -> float:
            return (await time_in_guest(linux, inside)).seconds

        async def exit_and_back() -> float:
            return exit_cost(core)

        async def native() -> float:
            return (await time_native(outside)).seconds

        ours, exits, natives = await alternate(_ROUNDS, guest, exit_and_back, native)
    cost = quantity(median(ours), "s")
    beside_exit = f"{quantity(median(exits), 's')} to leave the guest and return, in C"
    return [
        Row("getppid in a guest", cost, beside_exit, f"{paired_ratio(ours, exits):.2f}", "≤ 1.4"),
        Row("", "", f"{quantity(median(natives), 's')} native", f"{paired_ratio(ours, natives):.0f}"),
    ]


def exit_cost(core_test: str) -> float:
    """Seconds; the program times itself, and checks itself first."""
    done = subprocess.run([core_test], stdout=subprocess.PIPE, check=True)
    found = _COST.search(done.stdout)
    if found is None:
        raise RuntimeError(f"{core_test} does not print what an exit costs")
    return float(found[1]) / 1e6
