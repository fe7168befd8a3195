"""Which clocks there are, by the same ids and errors as Linux (read back from Linux 6)."""

import time
from typing import Any

import pytest
from fakes.tasks import FakeTask, new_kernel, new_task

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.time import CLOCK
from aionoah.clocks.clock import TICK_NS, as_clock_id, boot_time_ns, find_clock, find_sleep_clock

PROF, VIRT, SCHED, FD = range(4)
THREAD = 4


def cpu_clock(pid: int, kind: int) -> int:
    """The id of a CPU-time clock, as MAKE_PROCESS_CPUCLOCK makes it."""
    return ~pid << 3 | kind


@pytest.fixture
def task() -> Any:
    return new_task(pid=100)


def errno_of(find: Any, task: Any, clock_id: int) -> Errno | None:
    try:
        find(task, clock_id)
    except LinuxError as error:
        return error.errno
    return None


PLAIN = [0, 1, 2, 3, 4, 5, 6, 7, 11]


@pytest.mark.parametrize("clock_id", range(20))
def test_the_clocks_there_are(task: Any, clock_id: int) -> None:
    assert errno_of(find_clock, task, clock_id) == (None if clock_id in PLAIN else Errno.EINVAL)


@pytest.mark.parametrize("clock_id", range(20))
def test_the_clocks_one_can_sleep_on(task: Any, clock_id: int) -> None:
    expected = {**dict.fromkeys((0, 1, 2, 7, 11)), **dict.fromkeys((3, 4, 5, 6, 8, 9), Errno.EOPNOTSUPP)}
    assert errno_of(find_sleep_clock, task, clock_id) == expected.get(clock_id, Errno.EINVAL)


# Id, then what clock_gettime and clock_nanosleep of Linux said.
NEGATIVE = {
    -8: (None, None),
    -7: (None, None),
    -6: (None, None),
    -5: (Errno.EINVAL, Errno.EOPNOTSUPP),
    -4: (None, Errno.EINVAL),
    -3: (None, Errno.EINVAL),
    -2: (None, Errno.EINVAL),
    -1: (Errno.EINVAL, Errno.EINVAL),
    cpu_clock(100, SCHED): (None, None),
    cpu_clock(100, SCHED | THREAD): (None, Errno.EINVAL),
    cpu_clock(1, SCHED | THREAD): (Errno.EINVAL, Errno.EINVAL),
    cpu_clock(999_999, SCHED): (Errno.EINVAL, Errno.EINVAL),
    cpu_clock(3, FD): (Errno.EINVAL, Errno.EOPNOTSUPP),
}


@pytest.mark.parametrize(("clock_id", "errnos"), NEGATIVE.items())
def test_cpu_time_clocks(task: Any, clock_id: int, errnos: tuple[Errno | None, Errno | None]) -> None:
    assert (errno_of(find_clock, task, clock_id), errno_of(find_sleep_clock, task, clock_id)) == errnos


@pytest.mark.parametrize("clock_id", [*PLAIN, -6, -2])
def test_resolutions(task: Any, clock_id: int) -> None:
    coarse = clock_id in (CLOCK.REALTIME_COARSE, CLOCK.MONOTONIC_COARSE)
    assert find_clock(task, clock_id).resolution_ns == (TICK_NS if coarse else 1)


@pytest.mark.parametrize("clock_id", [-8, -7, -4, -3])
def test_old_cpu_clocks_count_in_ticks(task: Any, clock_id: int) -> None:
    assert find_clock(task, clock_id).resolution_ns == TICK_NS


@pytest.mark.parametrize("clock_id", [0, 1, 4, 7])
def test_clocks_go_forward(task: Any, clock_id: int) -> None:
    clock = find_clock(task, clock_id)
    first = clock.now_ns()
    assert 0 < first <= clock.now_ns()


def test_clocks_are_the_hosts(task: Any) -> None:
    for clock_id, host in ((CLOCK.REALTIME, time.time_ns), (CLOCK.MONOTONIC, time.monotonic_ns)):
        before = host()
        now = find_clock(task, clock_id).now_ns()
        assert before <= now <= host()


@pytest.mark.parametrize(
    ("coarse", "precise"),
    [(CLOCK.REALTIME_COARSE, CLOCK.REALTIME), (CLOCK.MONOTONIC_COARSE, CLOCK.MONOTONIC)],
)
def test_coarse_clocks_show_the_latest_tick(task: Any, coarse: int, precise: int) -> None:
    before = find_clock(task, precise).now_ns()
    shown = find_clock(task, coarse).now_ns()
    assert shown % TICK_NS == 0
    assert before - TICK_NS < shown <= find_clock(task, precise).now_ns()


def test_boot_time_is_never_behind_the_time_awake() -> None:
    awake = time.monotonic_ns()
    assert boot_time_ns() >= awake


def test_cpu_time_of_threads_and_processes() -> None:
    kernel = new_kernel()
    task = new_task(kernel, 100)
    other = FakeTask(task.process, 101)
    stranger = new_task(kernel, 200)
    task.control.spent_ns, other.control.spent_ns, stranger.control.spent_ns = 5, 7, 100
    shown = {
        CLOCK.THREAD_CPUTIME_ID: 5,
        CLOCK.PROCESS_CPUTIME_ID: 12,
        cpu_clock(0, SCHED): 12,
        cpu_clock(0, SCHED | THREAD): 5,
        cpu_clock(101, SCHED | THREAD): 7,
        cpu_clock(100, PROF): 12,
        cpu_clock(200, SCHED): 100,
    }
    assert {clock_id: find_clock(task, clock_id).now_ns() for clock_id in shown} == shown


def test_only_own_threads_have_clocks() -> None:
    kernel = new_kernel()
    task, stranger = new_task(kernel, 100), new_task(kernel, 200)
    assert errno_of(find_clock, task, cpu_clock(stranger.tid, SCHED | THREAD)) is Errno.EINVAL


def test_a_register_as_a_clock_id() -> None:
    assert as_clock_id(0xFFFF_FFFA) == -6
    assert as_clock_id(7) == 7
