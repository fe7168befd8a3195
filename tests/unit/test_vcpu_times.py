"""The CPU time of guest threads."""

import time
from typing import Any

from aionoah.vcpu_times import VcpuTimes


class Vcpu:
    """Says that it has been in the guest for so long."""

    def __init__(self, user_ns: int) -> None:
        self.user_ns = user_ns

    def user_time_ns(self) -> int:
        return self.user_ns


def vcpu(user_ns: int) -> Any:
    return Vcpu(user_ns)


def work(milliseconds: int) -> None:
    end = time.thread_time_ns() + milliseconds * 1_000_000
    while time.thread_time_ns() < end:
        pass


def test_a_thread_that_has_not_begun_has_used_nothing() -> None:
    times = VcpuTimes()
    assert times.total_ns() == times.user_ns(None) == 0


def test_only_what_the_thread_has_used_since_it_began_counts() -> None:
    work(2)
    times = VcpuTimes()
    times.begin()
    work(1)
    used = time.thread_time_ns()
    assert 1_000_000 <= times.total_ns() < used


def test_the_end_stands_still() -> None:
    times = VcpuTimes()
    times.begin()
    times.end()
    total = times.total_ns()
    work(1)
    assert times.total_ns() == total


def test_the_guests_time_is_that_of_all_virtual_cpus() -> None:
    times = VcpuTimes()
    times.begin()
    work(3)
    times.closes(vcpu(1_000_000))
    assert times.user_ns(vcpu(500_000)) == 1_500_000


def test_there_is_no_more_than_all_and_it_never_goes_back() -> None:
    times = VcpuTimes()
    times.begin()
    work(1)
    times.end()
    assert times.user_ns(vcpu(1 << 60)) == times.total_ns()
    assert times.user_ns(vcpu(0)) == times.total_ns()
