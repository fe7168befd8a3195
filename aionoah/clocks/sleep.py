"""Sleeping until a clock shows a time."""

import time

from aionoah.clocks.alarm import next_look
from aionoah.clocks.clock import Clock
from aionoah.host.waiting import Source, sleep_on


async def sleep_until(clock: Clock, time_ns: int) -> None:
    """Return once the clock shows at least `time_ns`.

    The sleep ends early only by what is thrown into it. If somebody sets the host's clock forward, a
    sleeper of CLOCK_REALTIME finds out no sooner than its own sleep ends.
    """
    while (left_ns := time_ns - clock.now_ns()) > 0:
        if clock.process is not None:
            left_ns = next_look(left_ns, len(clock.process.tasks))
        await sleep_on(Source(), time.monotonic_ns() + left_ns)
