import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import RLIMIT
from aionoah.abi.sched import SCHED
from aionoah.process.credentials import Credentials
from aionoah.process.limits import Limit, Limits
from aionoah.process.scheduling import Scheduling, is_realtime, priority_range

ROOT, USER = Credentials(), Credentials(1000, 1000)


def set_policy(
    scheduling: Scheduling,
    policy: int,
    priority: int,
    who: Credentials,
    limits: Limits,
) -> Errno | None:
    try:
        scheduling.set_policy(policy, priority, limits, who)
    except LinuxError as error:
        return error.errno
    return None


def test_priorities_of_policies() -> None:
    assert priority_range(SCHED.FIFO) == priority_range(SCHED.RR) == (1, 99)
    for policy in (SCHED.NORMAL, SCHED.BATCH, SCHED.IDLE, SCHED.DEADLINE, SCHED.EXT):
        assert priority_range(policy) == (0, 0)
    for policy in (4, 99, -1):
        with pytest.raises(LinuxError, match="EINVAL"):
            priority_range(policy)
    assert is_realtime(SCHED.RR)
    assert not is_realtime(SCHED.BATCH)


@given(st.integers(1, 200), st.integers(0, (1 << 200) - 1))
def test_affinity_is_what_exists_of_the_mask(cpu_count: int, mask: int) -> None:
    scheduling = Scheduling(cpu_count)
    everything = (1 << cpu_count) - 1
    assert scheduling.affinity == everything
    if mask & everything:
        scheduling.set_affinity(mask)
        assert scheduling.affinity == mask & everything
        for tid in range(1, 5):
            assert scheduling.affinity >> scheduling.cpu_of(tid) & 1
    else:
        with pytest.raises(LinuxError, match="EINVAL"):
            scheduling.set_affinity(mask)
        assert scheduling.affinity == everything


def test_threads_are_spread() -> None:
    scheduling = Scheduling(4)
    assert {scheduling.cpu_of(tid) for tid in range(8)} == {0, 1, 2, 3}


def test_nice() -> None:
    scheduling, limits = Scheduling(1), Limits()
    scheduling.set_nice(5, limits, USER)
    scheduling.set_nice(100, limits, USER)
    assert scheduling.nice == 19
    with pytest.raises(LinuxError, match="EACCES"):
        scheduling.set_nice(18, limits, USER)
    scheduling.set_nice(-100, limits, ROOT)
    assert scheduling.nice == -20


def test_nice_within_the_limit() -> None:
    scheduling, limits = Scheduling(1), Limits()
    limits.set(RLIMIT.NICE, Limit(25, 25), ROOT)  # nice -5
    scheduling.set_nice(-5, limits, USER)
    assert scheduling.nice == -5
    with pytest.raises(LinuxError, match="EACCES"):
        scheduling.set_nice(-6, limits, USER)


@pytest.mark.parametrize(
    ("policy", "priority", "who", "expected"),
    [
        (SCHED.FIFO, 1, ROOT, None),
        (SCHED.FIFO, 0, ROOT, Errno.EINVAL),
        (SCHED.FIFO, 100, ROOT, Errno.EINVAL),
        (SCHED.NORMAL, 1, ROOT, Errno.EINVAL),
        (SCHED.DEADLINE, 0, ROOT, Errno.EINVAL),
        (SCHED.EXT, 0, ROOT, Errno.EINVAL),
        (77, 0, ROOT, Errno.EINVAL),
        (SCHED.RR, 1, USER, Errno.EPERM),
        (SCHED.BATCH, 0, USER, None),
        (SCHED.IDLE, 0, USER, None),
        (SCHED.FIFO | SCHED.RESET_ON_FORK, 9, ROOT, None),
    ],
)
def test_policies(policy: int, priority: int, who: Credentials, expected: Errno | None) -> None:
    scheduling = Scheduling(1)
    assert set_policy(scheduling, policy, priority, who, Limits()) is expected
    if expected is None:
        assert scheduling.policy == policy & ~SCHED.RESET_ON_FORK
        assert scheduling.priority == priority
        assert scheduling.resets_on_fork == bool(policy & SCHED.RESET_ON_FORK)
    else:
        assert (scheduling.policy, scheduling.priority) == (SCHED.NORMAL, 0)


def test_real_time_within_the_limit() -> None:
    scheduling, limits = Scheduling(1), Limits()
    limits.set(RLIMIT.RTPRIO, Limit(10, 10), ROOT)
    assert set_policy(scheduling, SCHED.RR, 11, USER, limits) is Errno.EPERM
    assert set_policy(scheduling, SCHED.RR, 10, USER, limits) is None
    assert set_policy(scheduling, SCHED.RR, 3, USER, Limits()) is None


def test_reset_on_fork_cannot_be_taken_back() -> None:
    scheduling = Scheduling(1)
    assert set_policy(scheduling, SCHED.NORMAL | SCHED.RESET_ON_FORK, 0, USER, Limits()) is None
    assert set_policy(scheduling, SCHED.NORMAL, 0, USER, Limits()) is Errno.EPERM
    assert set_policy(scheduling, SCHED.NORMAL, 0, ROOT, Limits()) is None


def test_children() -> None:
    scheduling = Scheduling(4)
    scheduling.set_affinity(0b0110)
    scheduling.set_nice(3, Limits(), ROOT)
    copy = scheduling.copy()
    assert (copy.affinity, copy.nice, copy.policy) == (0b0110, 3, SCHED.NORMAL)
    scheduling.set_nice(-3, Limits(), ROOT)
    scheduling.set_policy(SCHED.BATCH | SCHED.RESET_ON_FORK, 0, Limits(), ROOT)
    assert (scheduling.copy().policy, scheduling.copy().nice) == (SCHED.BATCH, 0)
    scheduling.set_policy(SCHED.FIFO | SCHED.RESET_ON_FORK, 5, Limits(), ROOT)
    child = scheduling.copy()
    assert (child.affinity, child.policy, child.priority, child.resets_on_fork) == (
        0b0110,
        SCHED.NORMAL,
        0,
        False,
    )
