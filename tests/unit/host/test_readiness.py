"""Asking the host what a descriptor is ready for, and hosts with bits of their own."""

import os
import select
import socket

import pytest

from aionoah.abi.poll import Poll
from aionoah.host import readiness


def test_readiness_is_asked_again_and_again() -> None:
    one, other = socket.socketpair()
    with one, other:
        ready = readiness.Readiness(one.fileno())
        assert not ready.now() & Poll.IN
        assert ready.now() & Poll.OUT
        other.send(b"x")
        assert ready.now() & Poll.IN
        one.recv(1)
        assert not ready.now() & Poll.IN


def test_a_host_may_have_one_bit_for_two_events(monkeypatch: pytest.MonkeyPatch) -> None:
    same = [(bits, select.POLLOUT if bits == Poll.WRNORM else host) for bits, host in readiness._EVENTS]
    monkeypatch.setattr(readiness, "_EVENTS", tuple(same))
    monkeypatch.setattr(readiness, "_ALL_EVENTS", readiness._mask(same))
    monkeypatch.setattr(readiness, "_HAS_SAME_BITS", False)
    reader, writer = os.pipe()
    try:
        assert readiness.poll_now(writer) == Poll.OUT | Poll.WRNORM
        assert not readiness._ALL_EVENTS & select.POLLNVAL
    finally:
        os.close(reader)
        os.close(writer)
