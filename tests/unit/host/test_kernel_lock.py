"""The kernel lock, and what is done when it becomes free."""

import pytest

from aionoah.host.waiting import KernelLock


def test_what_is_to_be_done_later_finds_the_lock_free() -> None:
    lock = KernelLock()
    seen: list[bool] = []
    with lock:
        lock.wake_later(lambda: seen.append(lock.locked()))
        assert not seen
        assert lock.locked()
    assert seen == [False]


def test_it_is_done_once_and_in_order() -> None:
    lock = KernelLock()
    seen: list[int] = []
    with lock:
        for number in range(3):
            lock.wake_later(lambda number=number: seen.append(number))
    with lock:
        pass
    assert seen == [0, 1, 2]


def test_an_error_under_the_lock_wakes_too() -> None:
    lock = KernelLock()
    seen: list[None] = []

    def fail() -> None:
        with lock:
            lock.wake_later(lambda: seen.append(None))
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        fail()
    assert seen == [None]
    assert lock.acquire(blocking=False)


def test_who_is_woken_may_take_the_lock() -> None:
    lock = KernelLock()
    seen: list[str] = []

    def take() -> None:
        with lock:
            lock.wake_later(lambda: seen.append("inner"))

    with lock:
        lock.wake_later(take)
        lock.wake_later(lambda: seen.append("outer"))
    assert seen == ["inner", "outer"]
