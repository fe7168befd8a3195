"""Times of the guest's structures and nanoseconds, which is what the kernel counts in."""

from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.time import NSEC_PER_SEC, NSEC_PER_USEC, Timespec, Timeval

_LONGEST_NS: Final = (1 << 63) - 1  # KTIME_MAX: longer times are as good as for ever


def nanoseconds(time: Timespec) -> int:
    """A time that is not negative, cut to what Linux can count to; EINVAL for one that is malformed."""
    if time.tv_sec < 0 or not 0 <= time.tv_nsec < NSEC_PER_SEC:
        raise LinuxError(Errno.EINVAL)
    return min(time.tv_sec * NSEC_PER_SEC + time.tv_nsec, _LONGEST_NS)


def microseconds(time: Timeval) -> int:
    """The same for a time in microseconds, as nanoseconds; EINVAL."""
    if not 0 <= time.tv_usec < NSEC_PER_SEC // NSEC_PER_USEC:
        raise LinuxError(Errno.EINVAL)
    return nanoseconds(Timespec(time.tv_sec, time.tv_usec * NSEC_PER_USEC))


def timespec(time_ns: int) -> Timespec:
    """Nanoseconds as a guest structure."""
    return Timespec(*divmod(time_ns, NSEC_PER_SEC))


def timeval(time_ns: int) -> Timeval:
    """Nanoseconds as a guest structure of microseconds, rounded down."""
    seconds, rest = divmod(time_ns, NSEC_PER_SEC)
    return Timeval(seconds, rest // NSEC_PER_USEC)
