"""What adjtimex(2) tells: a clock that nobody steers, as on a Linux without an NTP client."""

from typing import Final

from aionoah.abi.time import STA, TIME, USEC_PER_SEC, USER_HZ, Timex
from aionoah.clocks.duration import timeval

STATE: Final = TIME.ERROR  # not synchronized
_TICK_US: Final = USEC_PER_SEC // USER_HZ
_UNKNOWN_ERROR_US: Final = 16_000_000  # NTP_PHASE_LIMIT
_TOLERANCE: Final = 500 << 16  # MAXFREQ, in millionths scaled by 2^16
_TIME_CONSTANT: Final = 2


def adjustment(now_ns: int) -> Timex:
    """The state of a clock that has never been adjusted and shows `now_ns`."""
    state = Timex.unpack(bytes(Timex.SIZE))
    state.maxerror = state.esterror = _UNKNOWN_ERROR_US
    state.status = STA.UNSYNC
    state.constant = _TIME_CONSTANT
    state.precision = 1
    state.tolerance = _TOLERANCE
    state.time = timeval(now_ns)
    state.tick = _TICK_US
    return state
