"""Turns on CPU numbers: one thread each, no starvation, affinity."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.process.cpu_numbers import NO_CPU, CpuNumbers


class Thread:
    def __init__(self, allowed: int) -> None:
        self.cpu = NO_CPU
        self.allowed_cpus = allowed
        self.was_told = self.was_asked_to_leave = False

    def cpu_is_yours(self) -> None:
        self.was_told = True

    def leave_cpu(self) -> None:
        self.was_asked_to_leave = True


class Alarms:
    def __init__(self) -> None:
        self.set: list[Callable[[], None]] = []

    def ring(self) -> None:
        self.set.pop()()


@pytest.fixture
def alarms() -> Alarms:
    return Alarms()


@pytest.fixture
def numbers(alarms: Alarms) -> CpuNumbers:
    return CpuNumbers(alarms.set.append)


def test_each_has_a_number_for_itself_and_keeps_it(numbers: CpuNumbers) -> None:
    one, two = Thread(0b11), Thread(0b11)
    assert numbers.acquire(one)
    assert numbers.acquire(two)
    assert {one.cpu, two.cpu} == {0, 1}
    assert not numbers.enter(one)
    assert numbers.enter(one)
    numbers.release(two)
    numbers.release(one)
    numbers.release(one)
    was = two.cpu
    assert numbers.acquire(two)
    assert two.cpu == was


def test_whoever_waits_gets_it_from_the_one_that_has_had_it_longest(
    numbers: CpuNumbers, alarms: Alarms
) -> None:
    first, second, third = threads = [Thread(0b11) for _ in range(3)]
    assert [numbers.acquire(thread) for thread in threads] == [True, True, False]
    alarms.ring()
    assert [thread.was_asked_to_leave for thread in threads] == [True, False, False]
    assert alarms.set  # somebody still waits
    numbers.enter(first)
    numbers.release(first)
    assert third.was_told
    assert third.cpu == first.cpu
    assert numbers.is_running(third)
    assert not numbers.is_running(first)
    assert not numbers.enter(third)  # somebody else has been there
    alarms.ring()
    assert not alarms.set
    assert not second.was_asked_to_leave


def test_only_allowed_numbers_are_given(numbers: CpuNumbers, alarms: Alarms) -> None:
    pinned, other, late = Thread(0b10), Thread(0b01), Thread(0b10)
    assert numbers.acquire(pinned)
    assert numbers.acquire(other)
    assert not numbers.acquire(late)
    alarms.ring()
    assert pinned.was_asked_to_leave
    assert not other.was_asked_to_leave
    numbers.release(other)
    assert not late.was_told
    numbers.forget(pinned)
    assert late.was_told


def test_whoever_does_not_want_to_wait_any_more_gets_nothing(numbers: CpuNumbers) -> None:
    one, two = Thread(1), Thread(1)
    assert numbers.acquire(one)
    assert not numbers.acquire(two)
    numbers.release(two)
    numbers.release(one)
    assert not two.was_told
    assert numbers.acquire(one)


def test_a_number_is_wanted_by_those_who_wait_and_may_have_it(numbers: CpuNumbers) -> None:
    running, waiting = Thread(0b1), Thread(0b1)
    assert numbers.acquire(running)
    assert not numbers.is_wanted(0)
    assert not numbers.acquire(waiting)
    assert numbers.is_wanted(0)
    assert not numbers.is_wanted(1)
    numbers.release(running)
    assert waiting.was_told
    assert not numbers.is_wanted(0)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60),
    st.lists(st.integers(1, 7), min_size=6),
)
def test_nobody_shares_and_nobody_waits_for_nothing(
    steps: list[tuple[int, bool]], allowed: list[int]
) -> None:
    numbers = CpuNumbers(lambda _: None)
    threads = [Thread(mask) for mask in allowed[:6]]
    waiting: set[int] = set()
    for index, wants in steps:
        thread = threads[index]
        if wants and not numbers.is_running(thread) and index not in waiting and not numbers.acquire(thread):
            waiting.add(index)
        elif not wants:
            numbers.release(thread)
            waiting.discard(index)
        waiting = {i for i in waiting if not numbers.is_running(threads[i])}
        running = [t for t in threads if numbers.is_running(t)]
        taken = {t.cpu for t in running}
        assert len(taken) == len(running)
        assert all(t.allowed_cpus >> t.cpu & 1 for t in running)
        assert all(threads[i].allowed_cpus & ~sum(1 << n for n in taken) == 0 for i in waiting)
