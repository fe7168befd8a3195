"""What messages cost, compared with the host's kernel."""

import contextlib
import fcntl
import socket
import struct
import sys
import termios

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aionoah.net.unix.accounting import packet_cost, segment_cost, segment_limit

SEND_BUFFER = 212992


def cost_of_host(kind: int, length: int) -> int:
    one, other = socket.socketpair(socket.AF_UNIX, kind)
    with contextlib.closing(one), contextlib.closing(other):
        if one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) != SEND_BUFFER:
            pytest.skip("the host has other limits")
        one.setblocking(False)
        assert one.send(bytes(length)) == length
        return int(struct.unpack("i", fcntl.ioctl(one, termios.TIOCOUTQ, bytes(4)))[0])


def stream_cost(length: int) -> int:
    total, limit = 0, segment_limit(SEND_BUFFER)
    while length:
        part = min(length, limit)
        total += segment_cost(part)
        length -= part
    return total


@pytest.mark.skipif(sys.platform != "linux", reason="the oracle is a Linux kernel")
@settings(max_examples=60, deadline=None)
@example(0)
@example(192)
@example(193)
@example(704)
@example(3776)
@example(3777)
@example(16064)
@example(16065)
@example(36544)
@example(36545)
@given(st.integers(0, 65_536))
def test_as_the_host_counts(length: int) -> None:
    assert packet_cost(length) == cost_of_host(socket.SOCK_DGRAM, length)
    assert stream_cost(length) == cost_of_host(socket.SOCK_STREAM, length)


@given(st.integers(0, 1 << 20))
def test_memory_is_never_less_than_the_bytes(length: int) -> None:
    assert packet_cost(length) > length
    assert not length or stream_cost(length) > length


@given(st.integers(4608, 1 << 24))
def test_two_segments_fit_into_a_buffer(send_buffer: int) -> None:
    assert 0 < segment_limit(send_buffer) <= min(send_buffer // 2, 36544)
