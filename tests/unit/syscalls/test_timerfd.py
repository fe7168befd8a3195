"""timerfd calls, side by side with the host's kernel."""

from collections.abc import Callable, Iterator
from typing import Any

import aionoah.syscalls.timerfd  # noqa: F401 - registers its calls
from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import F, O
from aionoah.abi.time import CLOCK, TFD, Itimerspec, Timespec

WILD = 8
LONG = 100_000


def spec(value: tuple[int, int] = (0, 0), interval: tuple[int, int] = (0, 0)) -> bytes:
    return Itimerspec(Timespec(*interval), Timespec(*value)).pack()


def setting(kernel: Any, address: int) -> tuple[bool, int, int]:
    """Whether there is time left, and the interval."""
    value = Itimerspec.unpack(kernel.get(address, Itimerspec.SIZE))
    is_set = bool(value.it_value.tv_sec or value.it_value.tv_nsec)
    return is_set, value.it_interval.tv_sec, value.it_interval.tv_nsec


def test_making(same: Callable[[Any], None]) -> None:
    def script(kernel: Any) -> Iterator[Any]:
        for clock in (0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 99):
            fd = kernel.call("timerfd_create", clock, 0)
            yield fd if isinstance(fd, Errno) else "made"
        for flags in (1, TFD.CLOEXEC, TFD.NONBLOCK):
            fd = kernel.call("timerfd_create", CLOCK.MONOTONIC, flags)
            if not isinstance(fd, Errno):
                fd = kernel.call("fcntl", fd, F.GETFD), kernel.call("fcntl", fd, F.GETFL) & ~O.LARGEFILE
            yield fd

    same(script)


def test_setting(same: Callable[[Any], None]) -> None:
    def script(kernel: Any) -> Iterator[Any]:
        fd, old = kernel.call("timerfd_create", CLOCK.MONOTONIC, TFD.NONBLOCK), kernel.space(32)
        yield kernel.call("timerfd_gettime", fd, old), setting(kernel, old)
        yield kernel.call("timerfd_settime", fd, 0, kernel.put(spec((LONG, 0), (5, 6))), old)
        yield setting(kernel, old)
        yield kernel.call("timerfd_settime", fd, 0, kernel.put(spec((0, 0), (7, 8))), old)
        yield setting(kernel, old)
        yield kernel.call("timerfd_gettime", fd, old), setting(kernel, old)
        yield kernel.call("read", fd, old, 8)
        yield kernel.call("timerfd_settime", fd, TFD.TIMER_ABSTIME, kernel.put(spec((0, 1))), 0)
        yield kernel.call("read", fd, old, 8), kernel.get(old, 8)
        yield kernel.call("read", fd, old, 7)

    same(script)


def test_errors(same: Callable[[Any], None], make: Callable[..., int]) -> None:
    def script(kernel: Any) -> Iterator[Any]:
        fd, fine = kernel.call("timerfd_create", CLOCK.MONOTONIC, 0), kernel.put(spec((LONG, 0)))
        for bad in (spec((0, 10**9)), spec((-1, 0)), spec((0, 0), (0, -1))):
            yield kernel.call("timerfd_settime", fd, 0, kernel.put(bad), 0)
        yield kernel.call("timerfd_settime", fd, 4, fine, 0)
        yield kernel.call("timerfd_settime", fd, 0, WILD, 0)
        yield kernel.call("timerfd_settime", fd, 0, fine, WILD)
        for other in (999, make(kernel, b"file")):
            yield kernel.call("timerfd_settime", other, 0, fine, 0)
            yield kernel.call("timerfd_gettime", other, fine)
        yield kernel.call("timerfd_gettime", fd, WILD)

    same(script)
