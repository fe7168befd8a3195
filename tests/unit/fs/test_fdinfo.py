"""Lines of /proc/PID/fdinfo that only some descriptors have, in Linux's own form; and /dev/kmsg."""

import logging
import re
from typing import Any

import pytest

from aionoah.abi.epoll import Epoll
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.fs.device_numbers import internal_device
from aionoah.fs.devices import KMSG, open_device
from aionoah.fs.epoll import EpollFile, Interest
from aionoah.fs.eventfd import EventFile
from aionoah.fs.file import WouldBlock
from aionoah.fs.signalfd import SignalFile
from aionoah.host.edges import HostEdges
from aionoah.memory.buffer import KernelBuffer


def test_eventfd() -> None:
    text = EventFile(O(O.RDWR), 3, is_semaphore=True).fdinfo()
    assert re.fullmatch(rb"eventfd-count:                3\neventfd-id: \d+\neventfd-semaphore: 1\n", text)


def test_signalfd() -> None:
    assert SignalFile(1 << 1, O(O.RDWR)).fdinfo() == b"sigmask:\t0000000000000002\n"


def test_epoll() -> None:
    epoll, event = EpollFile(HostEdges()), EventFile(O(O.RDWR))
    epoll.add(event, 3, Interest(Epoll(0x19), 3))
    found = event.attributes()
    assert epoll.fdinfo() == (
        b"tfd:        3 events:       19 data:                3  pos:0 ino:%x sdev:%x\n"
        % (found.ino, internal_device(found.dev))
    )


@pytest.mark.parametrize(
    ("message", "level", "text"),
    [
        (b"<3>broken\n", logging.ERROR, "broken"),
        (b"plain", logging.WARNING, "plain"),
        (b"<x>y", logging.WARNING, "<x>y"),
    ],
)
def test_kmsg_goes_to_the_log(caplog: Any, message: bytes, level: int, text: str) -> None:
    device = open_device(KMSG, O(O.RDWR))
    with caplog.at_level(logging.DEBUG, "aionoah.kmsg"):
        assert device.write_nowait(KernelBuffer(message)) == len(message)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(level, text)]
    with pytest.raises(WouldBlock):
        device.read_nowait(KernelBuffer(bytearray(10)))
    with pytest.raises(LinuxError, match=Errno.EAGAIN.name):
        device.pread(KernelBuffer(bytearray(10)), 0)
    with pytest.raises(LinuxError, match=Errno.EINVAL.name):
        device.write_nowait(KernelBuffer(bytes(2000)))
