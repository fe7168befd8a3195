"""Terminal requests: translated by name they do what the host's own kernel does with them raw."""

import errno
import fcntl
import os
import pty
import struct
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ioctl import IOCTL, Winsize
from aionoah.abi.termios import CC, TC, Iflag, Lflag, Oflag, Termios
from aionoah.host import terminal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the oracle is Linux")


@pytest.fixture
def slave() -> Iterator[int]:
    master, slave = pty.openpty()
    yield slave
    os.close(slave)
    os.close(master)


def raw(fd: int) -> Termios:
    return Termios.unpack(fcntl.ioctl(fd, IOCTL.TCGETS, bytes(36)))


def translated(fd: int) -> Termios:
    return Termios.unpack(terminal.translated_exchange(fd, IOCTL.TCGETS, b""))


def test_settings_are_read_alike(slave: int) -> None:
    assert translated(slave) == raw(slave)
    assert terminal.exchange(slave, IOCTL.TCGETS, bytes(36)) == raw(slave).pack()


FLAGS = st.tuples(
    st.sets(st.sampled_from(["IGNBRK", "BRKINT", "ICRNL", "INLCR", "IXON", "IXANY", "ISTRIP"])),
    st.sets(st.sampled_from(["OPOST", "ONLCR", "OCRNL", "ONOCR", "ONLRET"])),
    st.sets(st.sampled_from(["ISIG", "ICANON", "ECHO", "ECHOE", "ECHONL", "NOFLSH", "TOSTOP", "IEXTEN"])),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(FLAGS, st.binary(min_size=17, max_size=17))
def test_settings_are_written_alike(slave: int, flags: tuple[set[str], ...], keys: bytes) -> None:
    before = raw(slave)
    wanted = Termios(
        sum(getattr(Iflag, name) for name in flags[0]),
        sum(getattr(Oflag, name) for name in flags[1]),
        before.c_cflag,
        sum(getattr(Lflag, name) for name in flags[2]),
        0,
        keys + bytes(2),
    )
    fcntl.ioctl(slave, IOCTL.TCSETS, wanted.pack())
    expected = raw(slave)
    fcntl.ioctl(slave, IOCTL.TCSETS, before.pack())
    terminal.translated_exchange(slave, IOCTL.TCSETS, wanted.pack())
    assert raw(slave) == expected


@pytest.mark.parametrize("request_", [IOCTL.TCSETS, IOCTL.TCSETSW, IOCTL.TCSETSF])
def test_each_way_of_writing(slave: int, request_: int) -> None:
    wanted = raw(slave)
    wanted.c_lflag &= ~(Lflag.ECHO | Lflag.ICANON)
    wanted.c_cc = bytes(3 if index == CC.MIN else key for index, key in enumerate(wanted.c_cc))
    terminal.translated_exchange(slave, request_, wanted.pack())
    assert raw(slave) == wanted
    assert translated(slave) == wanted


def test_sizes(slave: int) -> None:
    terminal.translated_exchange(slave, IOCTL.TIOCSWINSZ, Winsize(7, 9, 0, 0).pack())
    for exchange in (terminal.exchange, terminal.translated_exchange):
        assert exchange(slave, IOCTL.TIOCGWINSZ, bytes(8)) == Winsize(7, 9, 0, 0).pack()


def test_queues(slave: int) -> None:
    for exchange in (terminal.exchange, terminal.translated_exchange):
        assert exchange(slave, IOCTL.FIONREAD, bytes(4)) == struct.pack("<i", 0)
        assert exchange(slave, IOCTL.TIOCOUTQ, bytes(4)) == struct.pack("<i", 0)


@pytest.mark.parametrize("perform", [terminal.perform, terminal.translated_perform])
def test_numbers(slave: int, perform: object) -> None:
    assert callable(perform)
    for queue in range(3):
        perform(slave, IOCTL.TCFLSH, queue)
    perform(slave, IOCTL.TCXONC, TC.OOFF)
    perform(slave, IOCTL.TCXONC, TC.OON)
    perform(slave, IOCTL.TCSBRK, 1)
    with pytest.raises((OSError, LinuxError)):
        perform(slave, IOCTL.TCFLSH, 3)
    with pytest.raises((OSError, LinuxError)):
        perform(slave, IOCTL.TCXONC, 9)


def test_what_is_not_known_elsewhere(slave: int) -> None:
    with pytest.raises(LinuxError) as refused:
        terminal.translated_exchange(slave, IOCTL.TCGETS2, bytes(44))
    assert refused.value.errno is Errno.ENOTTY


def test_what_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    try:
        with pytest.raises(OSError, match="Inappropriate"):
            terminal.exchange(reader, IOCTL.TCGETS, bytes(36))
        monkeypatch.setattr(terminal, "sys", SimpleNamespace(platform="darwin"))
        with pytest.raises(OSError, match="Inappropriate") as error:
            terminal.exchange(reader, IOCTL.TCGETS, bytes(36))
        assert error.value.errno == errno.ENOTTY
        with pytest.raises(OSError, match="Inappropriate"):
            terminal.perform(reader, IOCTL.TCFLSH, 0)
    finally:
        os.close(reader)
        os.close(writer)


def test_the_other_host_takes_the_other_way(slave: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(terminal, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr(
        terminal, "translated_exchange", lambda _fd, request, data: calls.append(request) or data
    )
    monkeypatch.setattr(terminal, "translated_perform", lambda _fd, request, _value: calls.append(request))
    assert terminal.exchange(slave, IOCTL.TCGETS, b"x") == b"x"
    terminal.perform(slave, IOCTL.TCFLSH, 0)
    assert calls == [IOCTL.TCGETS, IOCTL.TCFLSH]
