"""The state of a clock that nobody steers, as Linux shows it before any NTP client has run."""

from aionoah.abi.time import STA, TIME, Timeval
from aionoah.clocks.adjustment import STATE, adjustment


def test_as_on_a_fresh_linux() -> None:
    state = adjustment(5_000_123_456)
    assert STATE == TIME.ERROR
    assert state.status == STA.UNSYNC
    assert (state.offset, state.freq, state.tai) == (0, 0, 0)
    assert (state.maxerror, state.esterror) == (16_000_000, 16_000_000)
    assert (state.constant, state.precision, state.tolerance, state.tick) == (2, 1, 32_768_000, 10_000)
    assert state.time == Timeval(5, 123)
