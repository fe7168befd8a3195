"""Host calls on the pool: stepped by hand, as the reactor does."""

import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.host.blocking import run_blocking
from aionoah.host.waiting import Waiter, kernel_lock


class Sleeper:
    """Steps a coroutine that sleeps on the pool."""

    def __init__(self, coroutine: Coroutine[Waiter, None, Any]) -> None:
        self.coroutine = coroutine
        self.woken = threading.Event()

    def start(self) -> Waiter:
        with kernel_lock:
            waiter = self.coroutine.send(None)
            waiter.on_wake = self.woken.set
        return waiter

    def finish(self) -> object:
        assert self.woken.wait(200)
        with kernel_lock, pytest.raises(StopIteration) as stop:
            self.coroutine.send(None)
        return stop.value.value


def test_the_result_comes_from_another_thread_without_the_lock() -> None:
    released = []
    here = threading.get_ident()

    def call() -> bool:
        with kernel_lock:  # would hang if the sleeper held it
            return threading.get_ident() != here

    sleeper = Sleeper(run_blocking(call, lambda: released.append(kernel_lock.locked())))
    sleeper.start()
    assert sleeper.finish() is True
    assert released == [True]


def test_what_it_raises_is_raised() -> None:
    def call() -> None:
        raise LinuxError(Errno.EIO)

    sleeper = Sleeper(run_blocking(call, lambda: None))
    sleeper.start()
    assert sleeper.woken.wait(200)
    with kernel_lock, pytest.raises(LinuxError) as failure:
        sleeper.coroutine.send(None)
    assert failure.value.errno is Errno.EIO


def test_a_signal_does_not_interrupt_it() -> None:
    may_end = threading.Event()
    sleeper = Sleeper(run_blocking(lambda: may_end.wait(200), lambda: None))
    sleeper.start()
    with kernel_lock:
        again = sleeper.coroutine.throw(LinuxError(Errno.ERESTARTSYS))
        again.on_wake = sleeper.woken.set
    may_end.set()
    assert sleeper.finish() is True


def test_what_it_needs_is_released_at_its_end_even_if_the_task_has_died() -> None:
    may_end, released = threading.Event(), threading.Event()
    sleeper = Sleeper(run_blocking(lambda: may_end.wait(200), released.set))
    sleeper.start()
    with kernel_lock:
        sleeper.coroutine.close()
    assert not released.is_set()
    may_end.set()
    assert released.wait(200)
