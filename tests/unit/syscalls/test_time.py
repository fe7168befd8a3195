"""Time calls through the dispatcher, with the errors that Linux gave to the same arguments."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.tasks import BAD, BASE, new_task

import aionoah.syscalls.signal
import aionoah.syscalls.time  # noqa: F401 - its handlers
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.time import ADJ, CLOCK, Timespec, Timeval, Timex, Timezone
from aionoah.abi.x86_64 import X86_64
from aionoah.clocks import clock as clocks
from aionoah.clocks import sleep
from aionoah.clocks.clock import Clock
from aionoah.syscalls.dispatch import SyscallTable
from aionoah.syscalls.results import Suspended

WORD = 1 << 64
SECOND = 1_000_000_000
OTHER = BASE + 512


@pytest.fixture
def task() -> Any:
    return new_task()


@pytest.fixture
def table() -> SyscallTable:
    return SyscallTable(X86_64)


class Calls:
    """System calls of one task, by name; a negative result comes as its Errno."""

    def __init__(self, table: SyscallTable, task: Any) -> None:
        self.table = table
        self.task = task

    def __getattr__(self, name: str) -> Any:
        def call(*args: int) -> Any:
            words = [arg % WORD for arg in args] + [0] * (6 - len(args))
            return self.decoded(self.table.call(self.task, X86_64.syscall_numbers[name], words))

        return call

    def step(self, coroutine: Any, thrown: BaseException | None = None) -> Any:
        return self.decoded(self.table.step(coroutine, thrown))

    @staticmethod
    def decoded(result: Any) -> Any:
        return Errno(WORD - result) if isinstance(result, int) and result >= WORD - 4095 else result


@pytest.fixture
def call(table: SyscallTable, task: Any) -> Calls:
    return Calls(table, task)


class Hands:
    """The monotonic clock, which one sets."""

    def __init__(self) -> None:
        self.now_ns = 100 * SECOND

    def monotonic_ns(self) -> int:
        return self.now_ns


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    hands = Hands()
    monkeypatch.setattr(sleep, "time", SimpleNamespace(monotonic_ns=hands.monotonic_ns))
    monkeypatch.setitem(clocks._CLOCKS, CLOCK.MONOTONIC, Clock(hands.monotonic_ns, can_sleep=True))
    return hands


def slept(result: Any) -> Suspended:
    assert isinstance(result, Suspended)
    return result


# -- reading clocks -------------------------------------------------------------------------------------------


def test_clock_gettime(call: Calls, task: Any) -> None:
    before = time.time_ns()
    assert call.clock_gettime(CLOCK.REALTIME, BASE) == 0
    shown = task.memory.get(Timespec, BASE)
    assert before <= shown.tv_sec * SECOND + shown.tv_nsec <= time.time_ns()


def test_clock_gettime_of_the_own_process(call: Calls, task: Any) -> None:
    task.control.spent_ns = 3 * SECOND + 4
    assert call.clock_gettime(-6, BASE) == 0
    assert task.memory.get(Timespec, BASE) == Timespec(3, 4)


@pytest.mark.parametrize("name", ["clock_gettime", "clock_getres"])
def test_errors_of_reading_clocks(call: Calls, name: str) -> None:
    assert getattr(call, name)(99, BASE) is Errno.EINVAL
    assert getattr(call, name)(99, BAD) is Errno.EINVAL
    assert getattr(call, name)(CLOCK.REALTIME, BAD) is Errno.EFAULT


def test_a_null_pointer_is_no_place_for_the_time_but_for_the_resolution(call: Calls) -> None:
    assert call.clock_gettime(CLOCK.REALTIME, 0) is Errno.EFAULT
    assert call.clock_getres(CLOCK.REALTIME, 0) == 0
    assert call.clock_getres(99, 0) is Errno.EINVAL


def test_clock_getres(call: Calls, task: Any) -> None:
    assert call.clock_getres(CLOCK.REALTIME_COARSE, BASE) == 0
    assert task.memory.get(Timespec, BASE) == Timespec(0, 4_000_000)


def test_gettimeofday(call: Calls, task: Any) -> None:
    before = time.time_ns() // 1000
    task.memory.put(OTHER, Timezone(7, 7))
    assert call.gettimeofday(BASE, OTHER) == 0
    shown = task.memory.get(Timeval, BASE)
    assert before <= shown.tv_sec * 1_000_000 + shown.tv_usec <= time.time_ns() // 1000
    assert task.memory.get(Timezone, OTHER) == Timezone(0, 0)
    assert call.gettimeofday(0, 0) == 0
    assert call.gettimeofday(BAD, 0) is Errno.EFAULT
    assert call.gettimeofday(0, BAD) is Errno.EFAULT


def test_time(call: Calls, task: Any) -> None:
    before = int(time.time())
    now = call.time(BASE)
    assert before <= now <= int(time.time())
    assert task.memory.read_word(BASE) == now
    assert call.time(0) >= now
    assert call.time(BAD) is Errno.EFAULT


# -- setting clocks: nobody may ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock_id", "wanted", "errno"),
    [
        (CLOCK.REALTIME, Timespec(1, 0), Errno.EPERM),
        (CLOCK.REALTIME, Timespec(-1, 0), Errno.EINVAL),
        (CLOCK.MONOTONIC, Timespec(1, 0), Errno.EINVAL),
        (CLOCK.THREAD_CPUTIME_ID, Timespec(1, 0), Errno.EINVAL),
        (99, Timespec(1, 0), Errno.EINVAL),
        (-6, Timespec(-1, 0), Errno.EPERM),
        (-1, Timespec(1, 0), Errno.EINVAL),
    ],
)
def test_clock_settime(call: Calls, task: Any, clock_id: int, wanted: Timespec, errno: Errno) -> None:
    task.memory.put(BASE, wanted)
    assert call.clock_settime(clock_id, BASE) is errno


def test_clock_settime_of_nowhere(call: Calls) -> None:
    assert call.clock_settime(CLOCK.REALTIME, BAD) is Errno.EFAULT


def test_settimeofday(call: Calls, task: Any) -> None:
    assert call.settimeofday(0, 0) == 0  # asks for nothing
    assert call.settimeofday(BAD, 0) is Errno.EFAULT
    assert call.settimeofday(0, BAD) is Errno.EFAULT
    assert call.settimeofday(0, OTHER) is Errno.EPERM
    for wanted, errno in (
        (Timeval(1, 0), Errno.EPERM),
        (Timeval(1, 1 << 40), Errno.EINVAL),
        (Timeval(-1, 0), Errno.EINVAL),
    ):
        task.memory.put(BASE, wanted)
        assert call.settimeofday(BASE, 0) is errno


def test_adjtimex_reads(call: Calls, task: Any) -> None:
    for modes in (0, ADJ.OFFSET_SS_READ):
        task.memory.write_word(BASE, modes, 4)
        assert call.adjtimex(BASE) == 5
        shown = task.memory.get(Timex, BASE)
        assert (shown.modes, shown.tick) == (modes, 10_000)
    assert call.adjtimex(BAD) is Errno.EFAULT


def test_adjtimex_does_not_write(call: Calls, task: Any) -> None:
    for modes in (ADJ.FREQUENCY, ADJ.TICK, ADJ.OFFSET_SINGLESHOT):
        task.memory.write_word(BASE, modes, 4)
        assert call.adjtimex(BASE) is Errno.EPERM


def test_clock_adjtime(call: Calls) -> None:
    assert call.clock_adjtime(CLOCK.REALTIME, BASE) == 5
    assert call.clock_adjtime(CLOCK.MONOTONIC, BASE) is Errno.EOPNOTSUPP
    assert call.clock_adjtime(99, BASE) is Errno.EINVAL
    assert call.clock_adjtime(99, BAD) is Errno.EFAULT


# -- sleeping -------------------------------------------------------------------------------------------------


def test_nanosleep_until_its_time_has_come(call: Calls, task: Any, hands: Hands) -> None:
    task.memory.put(BASE, Timespec(2, 5))
    suspended = slept(call.nanosleep(BASE, 0))
    assert suspended.waiter.deadline_ns == 102 * SECOND + 5
    hands.now_ns = 102 * SECOND + 5
    assert call.step(suspended.coroutine) == 0


def test_nanosleep_for_nothing(call: Calls, hands: Hands) -> None:
    assert call.nanosleep(BASE, 0) == 0


def test_errors_of_nanosleep(call: Calls, task: Any) -> None:
    for wanted in (Timespec(-1, 0), Timespec(0, SECOND), Timespec(0, -1)):
        task.memory.put(BASE, wanted)
        assert call.nanosleep(BASE, 0) is Errno.EINVAL
    assert call.nanosleep(0, 0) is Errno.EFAULT


def interrupted(call: Calls, suspended: Suspended) -> Errno:
    with pytest.raises(LinuxError) as raised:
        call.step(suspended.coroutine, LinuxError(Errno.ERESTARTSYS))
    return raised.value.errno


def test_a_signal_leaves_what_remained_and_a_restart(call: Calls, task: Any, hands: Hands) -> None:
    task.memory.put(BASE, Timespec(10, 0))
    suspended = slept(call.nanosleep(BASE, OTHER))
    hands.now_ns += 3 * SECOND
    assert interrupted(call, suspended) is Errno.ERESTART_RESTARTBLOCK
    assert task.memory.get(Timespec, OTHER) == Timespec(7, 0)

    hands.now_ns += 2 * SECOND
    again = slept(call.restart_syscall())
    assert again.waiter.deadline_ns == 110 * SECOND
    assert interrupted(call, again) is Errno.ERESTART_RESTARTBLOCK
    assert task.memory.get(Timespec, OTHER) == Timespec(5, 0)

    hands.now_ns = 110 * SECOND
    assert call.restart_syscall() == 0
    assert call.restart_syscall() is Errno.EINTR


def test_a_signal_at_the_very_end_is_no_interruption(call: Calls, task: Any, hands: Hands) -> None:
    task.memory.put(BASE, Timespec(1, 0))
    suspended = slept(call.nanosleep(BASE, OTHER))
    hands.now_ns += 2 * SECOND
    assert call.step(suspended.coroutine, LinuxError(Errno.ERESTARTSYS)) == 0
    assert task.memory.get(Timespec, OTHER) == Timespec(0, 0)


def test_no_place_for_the_remaining_time(call: Calls, task: Any, hands: Hands) -> None:
    task.memory.put(BASE, Timespec(1, 0))
    suspended = slept(call.nanosleep(BASE, BAD))
    assert call.step(suspended.coroutine, LinuxError(Errno.ERESTARTSYS)) is Errno.EFAULT


def test_clock_nanosleep_until_a_time(call: Calls, task: Any, hands: Hands) -> None:
    task.memory.put(BASE, Timespec(101, 0))
    suspended = slept(call.clock_nanosleep(CLOCK.MONOTONIC, 1, BASE, OTHER))
    assert suspended.waiter.deadline_ns == 101 * SECOND
    assert interrupted(call, suspended) is Errno.ERESTARTNOHAND
    assert task.memory.get(Timespec, OTHER) == Timespec(0, 0)
    task.memory.put(BASE, Timespec(99, 0))
    assert call.clock_nanosleep(CLOCK.MONOTONIC, 1, BASE, 0) == 0


def test_a_duration_does_not_depend_on_the_time_of_day(call: Calls, task: Any, hands: Hands) -> None:
    task.memory.put(BASE, Timespec(1, 0))
    suspended = slept(call.clock_nanosleep(CLOCK.REALTIME, 0, BASE, 0))
    hands.now_ns += SECOND
    assert call.step(suspended.coroutine) == 0


def test_errors_of_clock_nanosleep(call: Calls, task: Any) -> None:
    assert call.clock_nanosleep(CLOCK.MONOTONIC, 0, 0, 0) is Errno.EFAULT
    assert call.clock_nanosleep(99, 0, 0, 0) is Errno.EINVAL
    assert call.clock_nanosleep(CLOCK.THREAD_CPUTIME_ID, 0, BASE, 0) is Errno.EOPNOTSUPP
    assert call.clock_nanosleep(-2, 0, BASE, 0) is Errno.EINVAL
    assert call.clock_nanosleep(CLOCK.MONOTONIC, 98, BASE, 0) == 0  # unknown flags are ignored


def test_sleeping_for_cpu_time(call: Calls, task: Any) -> None:
    task.memory.put(BASE, Timespec(0, 500))
    suspended = slept(call.clock_nanosleep(CLOCK.PROCESS_CPUTIME_ID, 0, BASE, 0))
    task.control.spent_ns = 499
    suspended = slept(call.step(suspended.coroutine))
    task.control.spent_ns = 500
    assert call.step(suspended.coroutine) == 0
