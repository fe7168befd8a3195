"""Guest times and nanoseconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.time import Timespec, Timeval
from aionoah.clocks.duration import nanoseconds, timespec, timeval

LONGEST = (1 << 63) - 1


@given(st.integers(0, LONGEST))
def test_there_and_back(time_ns: int) -> None:
    assert nanoseconds(timespec(time_ns)) == time_ns


@pytest.mark.parametrize(("seconds", "rest"), [(-1, 0), (0, -1), (0, 1_000_000_000), (5, 1 << 62)])
def test_malformed_times(seconds: int, rest: int) -> None:
    with pytest.raises(LinuxError) as raised:
        nanoseconds(Timespec(seconds, rest))
    assert raised.value.errno is Errno.EINVAL


def test_the_last_nanosecond_of_a_second() -> None:
    assert nanoseconds(Timespec(0, 999_999_999)) == 999_999_999


def test_times_beyond_the_end_of_time_are_cut() -> None:
    assert nanoseconds(Timespec(LONGEST, 999_999_999)) == LONGEST
    assert nanoseconds(Timespec(9_223_372_036, 854_775_807)) == LONGEST
    assert nanoseconds(Timespec(9_223_372_036, 854_775_806)) == LONGEST - 1


def test_microseconds_are_rounded_down() -> None:
    assert timeval(1_000_001_999) == Timeval(1, 1)
    assert timeval(-1) == Timeval(-1, 999_999)
