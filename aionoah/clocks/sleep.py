"""Sleeping until a clock shows a time."""

import time
from typing import Final

from aionoah.clocks.clock import Clock
from aionoah.host.waiting import Source, sleep_on

_SHORTEST_LOOK_NS: Final = 1_000_000


async def sleep_until(clock: Clock, time_ns: int) -> None:
    """Return once the clock shows at least `time_ns`.

    The sleep ends early only by what is thrown into it. If somebody sets the host's clock forward, a
    sleeper of CLOCK_REALTIME finds out no sooner than its own sleep ends.
    """
    while (left_ns := time_ns - clock.now_ns()) > 0:
        if clock.process is not None:
            left_ns = _next_look(left_ns, len(clock.process.tasks))
        await sleep_on(Source(), time.monotonic_ns() + left_ns)


def _next_look(left_ns: int, threads: int) -> int:
    """When to look at a CPU-time clock again: it runs no faster than its threads together, but it may
    stand still, and nothing tells.
    """
    return max(left_ns // max(threads, 1), _SHORTEST_LOOK_NS)
