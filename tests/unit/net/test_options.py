"""Options of SOL_SOCKET, compared with what the host's UNIX sockets say."""

import os
import socket
import struct
import sys

import pytest
from fakes.expect import fails
from fakes.sockets import pair
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.socket import SO, SOL, Linger
from aionoah.host.errors import errno_of
from aionoah.net.options import DEFAULT_BUFFER, LocalOptions, as_int, from_int, require_may_set

NUMBERS = [
    *(
        SO.DEBUG,
        SO.REUSEADDR,
        SO.TYPE,
        SO.ERROR,
        SO.DONTROUTE,
        SO.BROADCAST,
        SO.SNDBUF,
        SO.RCVBUF,
        SO.KEEPALIVE,
    ),
    *(
        SO.OOBINLINE,
        SO.NO_CHECK,
        SO.PASSCRED,
        SO.RCVLOWAT,
        SO.SNDLOWAT,
        SO.ACCEPTCONN,
        SO.PROTOCOL,
        SO.DOMAIN,
    ),
]
VALUES = st.one_of(st.integers(-(1 << 31), (1 << 31) - 1), st.integers(0, 212992), st.integers(-1, 2))
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the oracle is a Linux kernel")


def of_host(option: int, value: int) -> tuple[Errno | None, bytes]:
    one, other = socket.socketpair()
    with one, other:
        failure = None
        try:
            one.setsockopt(socket.SOL_SOCKET, option, value)
        except OSError as error:
            failure = errno_of(error)
        return failure, one.getsockopt(socket.SOL_SOCKET, option, 4)


def of_ours(option: int, value: int) -> tuple[Errno | None, bytes]:
    one, _ = pair()
    failure = None
    try:
        require_may_set(option, value, is_admin=os.geteuid() == 0)
        one.set_option(SOL.SOCKET, option, from_int(value))
    except LinuxError as error:
        failure = error.errno
    return failure, one.get_option(SOL.SOCKET, option, 4)


@on_linux
@pytest.mark.parametrize("option", NUMBERS)
@given(value=VALUES)
def test_setting_and_reading_back(option: int, value: int) -> None:
    if option in (SO.SNDBUF, SO.RCVBUF) and not 0 <= value <= DEFAULT_BUFFER:
        assert of_ours(option, value) == (
            None,
            from_int(2 * DEFAULT_BUFFER),
        )  # the host's limit may be another
    else:
        assert of_ours(option, value) == of_host(option, value)


@on_linux
@pytest.mark.parametrize("option", [SO.RCVTIMEO, SO.SNDTIMEO])
@given(seconds=st.integers(-2, 10_000), microseconds=st.integers(-2, 1_000_002))
def test_limits_of_time(option: int, seconds: int, microseconds: int) -> None:
    value = struct.pack("<qq", seconds, microseconds // 20_000 * 20_000)  # Linux counts in ticks
    one, other = socket.socketpair()
    ours, _ = pair()
    with one, other:
        try:
            one.setsockopt(socket.SOL_SOCKET, option, value)
        except OSError as error:
            fails(errno_of(error), ours.set_option, SOL.SOCKET, option, value)
        else:
            ours.set_option(SOL.SOCKET, option, value)
        assert ours.get_option(SOL.SOCKET, option, 16) == one.getsockopt(socket.SOL_SOCKET, option, 16)


def test_a_limit_is_kept_in_nanoseconds() -> None:
    one, _ = pair()
    one.set_option(SOL.SOCKET, SO.RCVTIMEO, struct.pack("<qq", 1, 500_000))
    one.set_option(SOL.SOCKET, SO.SNDTIMEO, struct.pack("<qq", 0, 0))
    assert one.read_timeout_ns == 1_500_000_000
    assert one.write_timeout_ns is None


def test_short_values_and_short_answers() -> None:
    one, _ = pair()
    fails(Errno.EINVAL, one.set_option, SOL.SOCKET, SO.KEEPALIVE, b"\1\0\0")
    fails(Errno.EINVAL, one.set_option, SOL.SOCKET, SO.RCVTIMEO, bytes(15))
    fails(Errno.EINVAL, one.set_option, SOL.SOCKET, SO.LINGER, bytes(4))
    assert one.get_option(SOL.SOCKET, SO.TYPE, 2) == b"\1\0"
    assert one.get_option(SOL.SOCKET, SO.TYPE, 0) == b""
    fails(Errno.EINVAL, as_int, b"")


def test_what_needs_the_administrator() -> None:
    options = LocalOptions()
    for option, value in ((SO.SNDBUFFORCE, 1), (SO.PRIORITY, 7), (SO.MARK, 1)):
        with pytest.raises(LinuxError) as caught:
            options.set(option, from_int(value), is_admin=False)
        assert caught.value.errno is Errno.EPERM
        options.set(option, from_int(value), is_admin=True)
    options.set(SO.SNDBUFFORCE, from_int(1 << 22), is_admin=True)
    assert options.send_buffer == 1 << 23
    assert options.get(SO.PRIORITY) == from_int(7)


def test_linger_is_two_numbers() -> None:
    options = LocalOptions()
    options.set(SO.LINGER, Linger(1, 5).pack(), is_admin=False)
    assert Linger.unpack(options.get(SO.LINGER)) == Linger(1, 5)


@pytest.mark.parametrize("option", [9999, SO.ATTACH_FILTER, SO.PEERSEC])
def test_unknown_ones(option: int) -> None:
    one, _ = pair()
    fails(Errno.ENOPROTOOPT, one.get_option, SOL.SOCKET, option, 4)
    fails(Errno.ENOPROTOOPT, one.set_option, SOL.SOCKET, option, bytes(4))
