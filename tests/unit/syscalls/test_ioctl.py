"""ioctl."""

import os
import select
from collections.abc import Callable, Iterator
from typing import Any

from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import AT_FDCWD, F, O
from aionoah.abi.ioctl import IOCTL, Winsize
from aionoah.abi.stat import S
from aionoah.fs.stdio import HostStreamFile

HERE = AT_FDCWD
WILD = 8


def number(value: int) -> bytes:
    return value.to_bytes(4, "little", signed=True)


def test_what_every_file_knows(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = make(k, b"file", b"0123456789")
        yield k.call("ioctl", fd, IOCTL.FIOCLEX, 0), k.call("fcntl", fd, F.GETFD, 0)
        yield k.call("ioctl", fd, IOCTL.FIONCLEX, 0), k.call("fcntl", fd, F.GETFD, 0)
        for value in (1, 0, 4):
            yield k.call("ioctl", fd, IOCTL.FIONBIO, k.put(number(value)))
            yield k.call("fcntl", fd, F.GETFL, 0) & O.NONBLOCK
        yield k.call("ioctl", fd, IOCTL.FIONBIO, WILD)
        for request in (0, 0x1234, IOCTL.TCGETS, IOCTL.TIOCGWINSZ, IOCTL.TIOCGPGRP, IOCTL.SIOCGIFCONF):
            yield k.call("ioctl", fd, request, k.space(64)), k.call("ioctl", 999, request, WILD)
        path = k.call("openat", HERE, b"file", O.PATH, 0)
        yield k.call("ioctl", path, IOCTL.FIOCLEX, 0), k.call("ioctl", path, IOCTL.FIONREAD, k.space(8))

    same(script)


def test_what_is_left_to_read(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd, left = make(k, b"file", b"0123456789"), k.space(8)
        for position in (0, 3, 10, 12):
            k.call("lseek", fd, position, 0)
            yield k.call("ioctl", fd, IOCTL.FIONREAD, left), k.get(left, 8)
        yield k.call("ioctl", fd, IOCTL.FIONREAD, WILD), k.call("ioctl", fd, IOCTL.FIOQSIZE, left)
        pair = k.space(8)
        k.call("pipe2", pair, 0)
        reader, writer = (int.from_bytes(k.get(pair + at, 4), "little") for at in (0, 4))
        k.call("write", writer, k.put(b"abc"), 3)
        yield k.call("ioctl", reader, IOCTL.FIONREAD, left), k.get(left, 4)
        yield k.call("ioctl", writer, IOCTL.FIONREAD, left), k.get(left, 4)
        yield k.call("ioctl", reader, IOCTL.FIOQSIZE, left)
        eventfd = k.call("eventfd2", 0, 0)
        yield k.call("ioctl", eventfd, IOCTL.FIONREAD, left), k.call("ioctl", eventfd, IOCTL.FIOCLEX, 0)

    same(script)


def test_terminals(guest: Any) -> None:
    master, slave = os.openpty()
    try:
        fd = guest.task.files.add(HostStreamFile(slave), cloexec=False)
        wanted = Winsize(24, 80, 0, 0).pack()
        assert guest.call("ioctl", fd, IOCTL.TIOCSWINSZ, guest.put(wanted)) == 0
        size = guest.space(16)
        assert guest.call("ioctl", fd, IOCTL.TIOCGWINSZ, size) == 0
        assert guest.get(size, 8) == wanted
        assert guest.call("ioctl", fd, IOCTL.TCGETS, guest.space(64)) == 0
        assert guest.call("ioctl", fd, IOCTL.TCGETS, WILD) is Errno.EFAULT
        assert guest.call("ioctl", fd, IOCTL.TIOCSWINSZ, WILD) is Errno.EFAULT
        assert guest.call("ioctl", fd, 0x1234, 0) is Errno.ENOTTY
        os.write(master, b"line\n")
        select.select([slave], [], [])
        assert guest.call("ioctl", fd, IOCTL.FIONREAD, size) == 0
        assert guest.get(size, 4) == number(5)
        guest.call("close", fd)
    finally:
        os.close(master)
        os.close(slave)


def test_the_block_size(guest: Any, make: Callable[..., int]) -> None:
    fd, size = make(guest, b"file"), guest.space(4)
    assert guest.call("ioctl", fd, IOCTL.FIGETBSZ, size) == 0
    assert guest.get(size, 4) == number(4096)
    assert guest.call("mknod", b"fifo", S.IFIFO | 0o600, 0) == 0
    fifo = guest.call("open", b"fifo", O.RDWR, 0)
    assert guest.call("ioctl", fifo, IOCTL.FIOQSIZE, size) is Errno.ENOTTY
