"""Deadlines of an instance: order, cancelling, and what the host is asked for."""

import pytest
from fakes.hands import MS, Hands, use_hands
from hypothesis import given
from hypothesis import strategies as st

from aionoah.clocks.timers import Timers


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    return use_hands(monkeypatch)


def test_calls_come_in_order_of_their_deadlines(hands: Hands) -> None:
    calls: list[str] = []
    hands.timers.schedule(hands.now_ns + 2 * MS, lambda: calls.append("second"))
    hands.timers.schedule(hands.now_ns + MS, lambda: calls.append("first"))
    hands.timers.schedule(hands.now_ns + 2 * MS, lambda: calls.append("third"))
    hands.advance(MS)
    assert calls == ["first"]
    hands.advance(MS)
    assert calls == ["first", "second", "third"]


def test_nothing_happens_before_the_deadline(hands: Hands) -> None:
    calls: list[int] = []
    hands.timers.schedule(hands.now_ns + MS, lambda: calls.append(1))
    hands.timers.expire()
    assert not calls


def test_the_host_is_asked_only_for_earlier_deadlines(hands: Hands) -> None:
    start_ns = hands.now_ns
    hands.timers.schedule(start_ns + 5, lambda: None)
    hands.timers.schedule(start_ns + 7, lambda: None)
    hands.timers.schedule(start_ns + 3, lambda: None)
    assert hands.armed == [start_ns + 5, start_ns + 3]
    hands.advance(3)
    assert hands.armed[-1] == start_ns + 5


def test_without_deadlines_the_host_is_not_asked(hands: Hands) -> None:
    hands.timers.schedule(hands.now_ns + 5, lambda: None)
    hands.advance(5)
    assert len(hands.armed) == 1
    assert hands.timers.next_ns is None


def test_a_cancelled_call_is_never_made(hands: Hands) -> None:
    calls: list[int] = []
    timer = hands.timers.schedule(hands.now_ns + 5, lambda: calls.append(1))
    timer.cancel()
    timer.cancel()
    assert hands.timers.next_ns is None
    hands.timers.expire()
    hands.advance(10)
    assert not calls


def test_cancelling_after_the_call_is_harmless(hands: Hands) -> None:
    timer = hands.timers.schedule(hands.now_ns + 5, lambda: None)
    hands.advance(5)
    timer.cancel()
    assert hands.timers.next_ns is None


def test_a_call_cancels_another_of_the_same_time(hands: Hands) -> None:
    calls: list[int] = []
    first = hands.timers.schedule(hands.now_ns + 5, lambda: cancel_second())  # noqa: PLW0108 - made below
    cancel_second = hands.timers.schedule(hands.now_ns + 5, lambda: calls.append(2)).cancel
    hands.advance(5)
    assert first.callback is None
    assert not calls


def test_a_call_may_schedule_the_next(hands: Hands) -> None:
    times: list[int] = []

    def again() -> None:
        times.append(hands.now_ns)
        if len(times) < 3:
            hands.timers.schedule(hands.now_ns + MS, again)

    start_ns = hands.now_ns
    hands.timers.schedule(start_ns, again)
    hands.advance(10 * MS)
    assert times == [start_ns, start_ns + MS, start_ns + 2 * MS]


def test_an_error_of_a_call_does_not_stop_the_clock(hands: Hands) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    later_ns = hands.now_ns + 9
    hands.timers.schedule(hands.now_ns + 5, fail)
    hands.timers.schedule(later_ns, lambda: None)
    hands.now_ns += 5
    with pytest.raises(ZeroDivisionError):
        hands.timers.expire()
    assert hands.armed[-1] == later_ns


def test_many_cancelled_timers_take_no_room(hands: Hands) -> None:
    kept = hands.timers.schedule(hands.now_ns + 5, lambda: None)
    for _ in range(1000):
        hands.timers.schedule(hands.now_ns + 10, lambda: None).cancel()
    assert len(hands.timers._heap) < 200
    assert hands.timers.next_ns == kept.deadline_ns


def test_timers_that_nobody_drives() -> None:
    assert Timers().schedule(1, lambda: None).deadline_ns == 1


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans())))
def test_every_call_is_made_once_and_in_time(plan: list[tuple[int, bool]]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        hands = use_hands(monkeypatch)
        start_ns = hands.now_ns
        made: list[tuple[int, int]] = []
        for number, (delay_ns, is_cancelled) in enumerate(plan):
            timer = hands.timers.schedule(
                start_ns + delay_ns, lambda number=number: made.append((number, hands.now_ns - start_ns))
            )
            if is_cancelled:
                timer.cancel()
        hands.advance(60)
    assert sorted(made) == [(i, delay) for i, (delay, is_cancelled) in enumerate(plan) if not is_cancelled]


@pytest.mark.parametrize("deadline_ns", [(1 << 64) * 1_000_000_000, 1 << 63])
def test_a_time_beyond_all_clocks_is_asked_for_as_the_last_one(deadline_ns: int) -> None:
    asked: list[int] = []
    timers = Timers(asked.append)
    timers.schedule(deadline_ns, lambda: None)
    assert asked == [(1 << 63) - 1]
