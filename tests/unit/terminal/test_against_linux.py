"""The same settings, keys, reads and writes on a pty of the real kernel and on ours: the same bytes and readiness.

The kernel passes bytes on in a thread of its own, which may be late: what differs is tried again with more time.
"""

import fcntl
import os
import select
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aionoah.abi.ioctl import IOCTL
from aionoah.abi.termios import CC, NCCS, Iflag, Lflag, Oflag, Termios
from aionoah.terminal.pty import Ptys

linux_only = pytest.mark.skipif(not os.path.exists("/dev/ptmx"), reason="the oracle is Linux")
# Seconds for the kernel's thread: nothing tells when it has done its work.
_PATIENCE: Final = (0.0, 0.002, 0.02, 0.1, 1.0, 10.0)
_BOTH: Final = select.POLLIN | select.POLLOUT | select.POLLPRI | select.POLLHUP | select.POLLERR


class Pair(Protocol):
    def apply(self, termios: Termios) -> None: ...
    def type(self, data: bytes) -> int | None: ...
    def write(self, data: bytes) -> int | None: ...
    def read(self, limit: int) -> bytes | None: ...
    def screen(self) -> bytes: ...
    def packet(self) -> bytes | None: ...
    def readiness(self) -> list[int]: ...
    def readable(self) -> int: ...
    def set_packet(self, is_on: int) -> None: ...
    def flush(self, queue: int) -> None: ...
    def flow(self, action: int) -> None: ...
    def state(self) -> bytes: ...
    def close(self) -> None: ...


class Native:
    """The kernel's."""

    def __init__(self, patience: float) -> None:
        self.master, self.slave = os.openpty()
        self._patience = patience
        for fd in (self.master, self.slave):
            os.set_blocking(fd, False)

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)

    def state(self) -> bytes:
        return fcntl.ioctl(self.slave, IOCTL.TCGETS, bytes(Termios.SIZE))

    def apply(self, termios: Termios) -> None:
        fcntl.ioctl(self.slave, IOCTL.TCSETS, termios.pack())
        self.readiness()

    def _settle(self) -> None:
        self.readiness()
        time.sleep(self._patience)
        self.readiness()

    def type(self, data: bytes) -> int | None:
        return self._written(self.master, data)

    def write(self, data: bytes) -> int | None:
        return self._written(self.slave, data)

    def _written(self, fd: int, data: bytes) -> int | None:
        try:
            return os.write(fd, data)
        except BlockingIOError:
            return None
        finally:
            self._settle()

    def read(self, limit: int) -> bytes | None:
        return self._read(self.slave, limit)

    def packet(self) -> bytes | None:
        return self._read(self.master, 100)

    def _read(self, fd: int, limit: int) -> bytes | None:
        try:
            return os.read(fd, limit)
        except BlockingIOError:
            return None
        finally:
            self._settle()

    def screen(self) -> bytes:
        shown = bytearray()
        while (part := self._read(self.master, 8192)) is not None:
            shown += part
        return bytes(shown)

    def readiness(self) -> list[int]:
        found = []
        for fd in (self.slave, self.master):
            poller = select.poll()
            poller.register(fd, _BOTH)
            found += [sum(events for _, events in poller.poll(0))]
        return found

    def readable(self) -> int:
        (count,) = struct.unpack("i", fcntl.ioctl(self.slave, IOCTL.FIONREAD, bytes(4)))
        return int(count)

    def set_packet(self, is_on: int) -> None:
        fcntl.ioctl(self.master, IOCTL.TIOCPKT, struct.pack("i", is_on))

    def flush(self, queue: int) -> None:
        fcntl.ioctl(self.slave, IOCTL.TCFLSH, queue)
        self._settle()

    def flow(self, action: int) -> None:
        fcntl.ioctl(self.slave, IOCTL.TCXONC, action)
        self._settle()


class Ours:
    def __init__(self) -> None:
        self.pty = Ptys().new(uid=0)
        self.pty.is_locked = False
        self.pty.slave_opened()

    def close(self) -> None:
        self.pty.slave_closed()

    def state(self) -> bytes:
        return self.pty.slave.settings.termios().pack()

    def apply(self, termios: Termios) -> None:
        self.pty.slave.change(self.pty.slave.settings.changed_by_termios(termios))

    def type(self, data: bytes) -> int | None:
        return self.pty.master.write(data) or None

    def write(self, data: bytes) -> int | None:
        return self.pty.slave.write(data) or None

    def read(self, limit: int) -> bytes | None:
        slave = self.pty.slave
        if not slave.discipline.available:
            return None
        data, count = slave.peek(limit)
        slave.take(count)
        return data

    def packet(self) -> bytes | None:
        master = self.pty.master
        if master.is_packet and master.link.news:
            news, master.link.news = bytes((master.link.news,)), 0
            return news
        if not master.discipline.available:
            return None
        prefix = b"\0" if master.is_packet else b""
        data, count = master.peek(100 - len(prefix))
        master.take(count)
        return prefix + data

    def screen(self) -> bytes:
        shown = bytearray()
        while (part := self.packet()) is not None:
            shown += part
        return bytes(shown)

    def readiness(self) -> list[int]:
        return [self.pty.slave.poll() & _BOTH, self.pty.master.poll() & _BOTH]

    def readable(self) -> int:
        return self.pty.slave.discipline.readable

    def set_packet(self, is_on: int) -> None:
        master = self.pty.master
        if is_on and not master.is_packet:
            master.link.news = 0
        master.is_packet = bool(is_on)

    def flush(self, queue: int) -> None:
        if queue != 1:
            self.pty.slave.flush_input()
        if queue != 0:
            self.pty.slave.flush_output()

    def flow(self, action: int) -> None:
        slave = self.pty.slave
        if action < 2:
            (slave.suspend_output, slave.resume_output)[action]()
        else:
            slave.send_flow_character((CC.STOP, CC.START)[action - 2])


# -- what is done ---------------------------------------------------------------------------------------

_KEYS: Final = (
    b"ab_c1 \t\n\r\x03\x1c\x1a\x04\x7f\x15\x17\x16\x12\x11\x13\x00\xff\xc3\xa9\x80\x01\bABZ\xdf\xe0,."
)
_text = st.lists(st.sampled_from(_KEYS), min_size=1, max_size=12).map(bytes)


def _bits(flags: Any) -> st.SearchStrategy[int]:
    chosen = st.lists(st.sampled_from(sorted(flags.members().values())), max_size=4)
    return chosen.map(lambda bits: sum(set(bits)) & 0xFFFF_FFFF)


_CHANGES: Final = st.tuples(
    _bits(Iflag), _bits(Oflag), _bits(Lflag), st.integers(0, NCCS - 1), st.none() | st.sampled_from(_KEYS)
)
_STEPS: Final = st.one_of(
    st.tuples(st.just("change"), _CHANGES),
    st.tuples(st.sampled_from(["type", "type", "write"]), _text),
    st.tuples(st.just("read"), st.sampled_from([1, 2, 3, 5, 100])),
    st.tuples(st.sampled_from(["screen", "readiness", "readable", "packet"]), st.none()),
    st.tuples(st.just("set_packet"), st.integers(0, 1)),
    st.tuples(st.just("flush"), st.integers(0, 2)),
    st.tuples(st.just("flow"), st.integers(0, 3)),
)
Step = tuple[str, Any]


def _perform(pair: Pair, steps: Sequence[Step]) -> list[object]:
    """What comes of each step, and the screen at the end."""
    results: list[object] = []
    for name, argument in steps:
        if name == "change":
            results.append(_change(pair, argument))
        else:
            method: Callable[..., object] = getattr(pair, name)
            results.append(method() if argument is None else method(argument))
    return [*results, pair.readiness(), pair.screen()]


def _change(pair: Pair, change: tuple[int, int, int, int, int | None]) -> bytes:
    """Turn some flags round, and set a character."""
    termios = Termios.unpack(pair.state())
    termios.c_iflag ^= change[0]
    termios.c_oflag ^= change[1]
    termios.c_lflag ^= change[2]
    if change[4] is not None and change[3] not in (CC.MIN, CC.TIME):
        keys = bytearray(termios.c_cc)
        keys[change[3]] = change[4]
        termios.c_cc = bytes(keys)
    pair.apply(termios)
    return pair.state()


def _on(pair: Pair, steps: Sequence[Step]) -> list[object]:
    try:
        return _perform(pair, steps)
    finally:
        pair.close()


def _require_same(steps: Sequence[Step]) -> None:
    ours = _on(Ours(), steps)
    native: list[object] = []
    for patience in _PATIENCE:
        native = _on(Native(patience), steps)
        if native == ours:
            return
    assert ours == native


@linux_only
@settings(max_examples=200, deadline=None)
@given(st.lists(_STEPS, max_size=12))
@example([("type", b"abc\x03def\n"), ("read", 100)])
@example([("type", b"ab\x16\x03\x7f\tc\x15x\x12\n"), ("read", 3), ("read", 100)])
@example([("type", b"ab\x04"), ("read", 2), ("type", b"\x04"), ("read", 5), ("read", 5)])
@example([("set_packet", 1), ("type", b"a\x13"), ("packet", None), ("type", b"\x11"), ("packet", None)])
@example([("type", b"\x13abc"), ("flush", 0), ("flow", 1), ("type", b"\x11"), ("screen", None)])
@example([("flow", 0), ("write", b"abc"), ("type", b"x"), ("screen", None), ("flow", 1), ("screen", None)])
def test_any_sequence(steps: list[Step]) -> None:
    _require_same(steps)


@linux_only
@pytest.mark.parametrize("size", [4094, 4095, 4096, 4097, 5000])
@pytest.mark.parametrize("end", [b"\n", b"\x04", b"\x7f\n", b"\x15z\n"])
def test_a_long_line(size: int, end: bytes) -> None:
    """Beyond 4095 characters they replace one another; the line can still be ended, and erased."""
    line = b"".join(b"%d" % (number % 10) for number in range(size))
    silent = ("change", (0, 0, Lflag.ECHO, 0, None))
    steps = [silent, *(("type", line[start : start + 500]) for start in range(0, size, 500)), ("type", end)]
    _require_same([*steps, ("readable", None), ("read", 5000), ("read", 5000), ("readiness", None)])


@linux_only
@pytest.mark.parametrize("minimum", [0, 1, 3])
@pytest.mark.parametrize("time_tenths", [0, 1])
def test_readiness_by_minimum_and_time(minimum: int, time_tenths: int) -> None:
    def perform(pair: Pair) -> list[object]:
        termios = Termios.unpack(pair.state())
        termios.c_lflag &= ~Lflag.ICANON
        keys = bytearray(termios.c_cc)
        keys[CC.MIN], keys[CC.TIME] = minimum, time_tenths
        termios.c_cc = bytes(keys)
        pair.apply(termios)
        found: list[object] = []
        for data in (b"a", b"b", b"cd"):
            pair.type(data)
            found.append(pair.readiness())
        pair.close()
        return found

    ours = perform(Ours())
    assert any(perform(Native(patience)) == ours for patience in _PATIENCE)
