"""What a process has used of the machine, as getrusage and wait4 report it."""

from aionoah.abi.resource import Rusage
from aionoah.abi.time import Timeval
from aionoah.clocks.duration import timeval


def usage_of(cpu_time_ns: int) -> Rusage:
    """CPU time is all counted as the user's; nothing else is counted."""
    return Rusage(timeval(cpu_time_ns), Timeval(0, 0), *([0] * 14))
