"""Calls of interval timers and POSIX timers, side by side with the host's kernel."""

import signal as host_signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import aionoah.syscalls.timers  # noqa: F401 - registers its calls
from aionoah.abi.errno import Errno
from aionoah.abi.resource import RLIMIT
from aionoah.abi.siginfo import Sigevent
from aionoah.abi.signal import SIG, SIGEV
from aionoah.abi.time import CLOCK, ITIMER, TIMER, Itimerspec, Itimerval, Timespec, Timeval
from aionoah.process.limits import Limit

WILD = 8
LONG = 100_000


def val(value: tuple[int, int] = (0, 0), interval: tuple[int, int] = (0, 0)) -> bytes:
    return Itimerval(Timeval(*interval), Timeval(*value)).pack()


def spec(value: tuple[int, int] = (0, 0), interval: tuple[int, int] = (0, 0)) -> bytes:
    return Itimerspec(Timespec(*interval), Timespec(*value)).pack()


def setting(kernel: Any, address: int) -> tuple[int, int, int]:
    """The value to about ten seconds, and the interval."""
    value = Itimerspec.unpack(kernel.get(address, Itimerspec.SIZE))
    seconds = value.it_value.tv_sec + (value.it_value.tv_nsec > 0)
    return round(seconds, -1), value.it_interval.tv_sec, value.it_interval.tv_nsec


def event(kernel: Any, notify: int = SIGEV.NONE, signal: int = SIG.USR1, thread: int = 0) -> int:
    return int(kernel.put(Sigevent(0, signal, notify, thread).pack()))


def test_interval_timers(same: Callable[[Any], None]) -> None:
    def script(kernel: Any) -> Iterator[Any]:
        old = kernel.space(32)
        for which in (ITIMER.REAL, ITIMER.VIRTUAL, ITIMER.PROF):
            yield kernel.call("setitimer", which, kernel.put(val((LONG, 0), (5, 6))), old)
            yield setting(kernel, old)
            yield kernel.call("getitimer", which, old), setting(kernel, old)
            yield kernel.call("setitimer", which, 0, old), setting(kernel, old)
            yield kernel.call("getitimer", which, old), setting(kernel, old)

    same(script)


def test_errors_of_interval_timers(same: Callable[[Any], None]) -> None:
    def script(kernel: Any) -> Iterator[Any]:
        for bad in (val((0, 10**6)), val((-1, 0)), val((0, 0), (0, -1))):
            yield kernel.call("setitimer", ITIMER.REAL, kernel.put(bad), 0)
        yield kernel.call("setitimer", 3, kernel.put(val()), 0)
        yield kernel.call("setitimer", ITIMER.REAL, WILD, 0)
        yield kernel.call("setitimer", ITIMER.REAL, 0, WILD)
        yield kernel.call("getitimer", 3, WILD)
        yield kernel.call("getitimer", ITIMER.REAL, WILD)

    same(script)


def left_of(kernel: Any, seconds: int, microseconds: int) -> int:
    """What alarm says is left of a timer at once, however slow this machine is."""
    while True:
        start = time.monotonic()
        kernel.call("setitimer", ITIMER.REAL, kernel.put(val((seconds, microseconds))), 0)
        left: int = kernel.call("alarm", 0)
        if time.monotonic() - start < 0.2:
            return left


@pytest.fixture
def alarms_are_nothing() -> Iterator[None]:
    """Where the oracle's comes before it is taken back."""
    before = host_signal.signal(host_signal.SIGALRM, lambda *_: None)
    yield
    host_signal.signal(host_signal.SIGALRM, before)


def test_alarm(same: Callable[[Any], None], alarms_are_nothing: None) -> None:
    def script(kernel: Any) -> Iterator[Any]:
        yield round(kernel.call("alarm", LONG), -1)
        yield round(kernel.call("alarm", 0xFFFF_FFFF), -1)
        yield round(kernel.call("alarm", 0), -1)
        yield kernel.call("alarm", 0)
        yield left_of(kernel, 10, 300_000), left_of(kernel, 10, 900_000), left_of(kernel, 0, 400_000)

    same(script)


def test_posix_timers(same: Callable[[Any], None]) -> None:
    def script(kernel: Any) -> Iterator[Any]:
        number, old = kernel.space(4), kernel.space(32)
        ignored = event(kernel, SIGEV.SIGNAL, SIG.URG)  # by default
        yield kernel.call("timer_create", CLOCK.MONOTONIC, ignored, number)
        timer = int.from_bytes(kernel.get(number, 4), "little")
        yield kernel.call("timer_gettime", timer, old), setting(kernel, old)
        yield kernel.call("timer_settime", timer, 0, kernel.put(spec((LONG, 0), (5, 6))), old)
        yield setting(kernel, old)
        yield kernel.call("timer_settime", timer, 0, kernel.put(spec((0, 0), (7, 8))), old)
        yield setting(kernel, old)
        yield kernel.call("timer_gettime", timer, old), setting(kernel, old)
        yield kernel.call("timer_settime", timer, TIMER.ABSTIME, kernel.put(spec((0, 1))), old)
        yield kernel.call("timer_gettime", timer, old), setting(kernel, old)
        yield kernel.call("timer_getoverrun", timer)
        yield kernel.call("timer_delete", timer)
        for name in ("timer_delete", "timer_getoverrun", "timer_gettime"):
            yield kernel.call(name, timer, old)

    same(script)


def test_errors_of_making(same: Callable[[Any], None]) -> None:
    def script(kernel: Any) -> Iterator[Any]:
        number = kernel.space(4)
        for clock in (*range(12), 99, -1, -6, -2):
            yield clock, kernel.call("timer_create", clock, event(kernel), number)
        for notify, signal in ((0, 0), (0, 65), (0, 64), (0, -1), (1, 0), (2, 0), (2, 5), (3, 5), (77, 5)):
            yield kernel.call("timer_create", CLOCK.MONOTONIC, event(kernel, notify, signal), number)
        yield kernel.call("timer_create", CLOCK.MONOTONIC, event(kernel, SIGEV.THREAD_ID, 5, 1), number)
        yield kernel.call("timer_create", CLOCK.MONOTONIC, 0, number)
        yield kernel.call("timer_create", CLOCK.MONOTONIC, event(kernel), WILD)
        yield kernel.call("timer_create", 99, WILD, number)

    same(script)


def test_errors_of_setting(same: Callable[[Any], None]) -> None:
    def script(kernel: Any) -> Iterator[Any]:
        number, fine = kernel.space(4), kernel.put(spec((LONG, 0)))
        kernel.call("timer_create", CLOCK.MONOTONIC, event(kernel), number)
        timer = int.from_bytes(kernel.get(number, 4), "little")
        for bad in (spec((0, 10**9)), spec((-1, 0)), spec((0, 0), (0, -1))):
            yield kernel.call("timer_settime", timer, 0, kernel.put(bad), 0)
        for address in (0, WILD):
            yield kernel.call("timer_settime", timer, 0, address, 0)
        yield kernel.call("timer_settime", timer, 77, fine, 0)
        yield kernel.call("timer_settime", timer, 0, fine, WILD)
        yield kernel.call("timer_settime", 999_999, 0, fine, 0)
        yield kernel.call("timer_settime", -1, 0, fine, 0)
        yield kernel.call("timer_gettime", timer, WILD)
        yield kernel.call("timer_delete", timer)

    same(script)


def test_too_many_timers(guest: Any) -> None:
    task, number = guest.task, guest.space(4)
    task.process.limits.set(RLIMIT.SIGPENDING, Limit(2, 2), task.credentials)
    for expected in (0, 0, Errno.EAGAIN):
        assert guest.call("timer_create", CLOCK.MONOTONIC, event(guest), number) == expected


def test_the_own_thread_is_notified(guest: Any) -> None:
    number = guest.space(4)
    own = event(guest, SIGEV.THREAD_ID, SIG.USR1, guest.task.tid)
    assert guest.call("timer_create", CLOCK.MONOTONIC, own, number) == 0
    assert guest.call("timer_settime", 0, TIMER.ABSTIME, guest.put(spec((0, 1))), 0) == 0
    assert len(guest.task.signals.pending) == 1


def test_without_an_event_the_number_is_the_value(guest: Any) -> None:
    number = guest.space(4)
    for _ in range(2):
        assert guest.call("timer_create", CLOCK.REALTIME, 0, number) == 0
    assert guest.call("timer_settime", 1, TIMER.ABSTIME, guest.put(spec((0, 1))), 0) == 0
    info = guest.task.process.signals.pending.take(-1)
    assert info.si_signo == SIG.ALRM
    assert int.from_bytes(info.pack()[24:32], "little") == 1
