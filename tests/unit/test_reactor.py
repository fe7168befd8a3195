"""Sleeping calls on the loop: what wakes them, what ends them, and that nothing is left."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.signal import SIG
from aionoah.abi.x86_64 import X86_64
from aionoah.host.waiting import Source, Waiter, WaitQueue, kernel_lock, sleep_on
from aionoah.process.current import current_task
from aionoah.reactor import Reactor, SleepingCall
from aionoah.syscalls.dispatch import SyscallTable, error_result
from aionoah.syscalls.results import Outcome, Suspended

TABLE = SyscallTable(X86_64)
INTERRUPTED = error_result(LinuxError(Errno.EINTR))
Handler = Coroutine[Waiter, None, Any]


class Task:
    """As much of a task as the reactor sees."""

    def __init__(self) -> None:
        self.killed: list[int] = []
        self.process = SimpleNamespace(exit_group=self.killed.append)
        self.signals = SimpleNamespace(is_dying=False)


@pytest.fixture
def task() -> Any:
    return Task()


@pytest.fixture
async def reactor() -> AsyncIterator[Reactor]:
    made = Reactor(asyncio.get_running_loop())
    yield made
    assert not made.sleeping
    assert not made._sleepers._watched
    made.close()
    made.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    yield reading, writing
    for fd in (reading, writing):
        os.close(fd)


class Sleeper(SleepingCall):
    """A call with a thread of its own that finishes it."""

    result: Any = None

    def begin(self) -> "Sleeper":
        self._thread = threading.Thread(target=self._finish)
        self._thread.start()
        return self

    def _finish(self) -> None:
        with kernel_lock:
            try:
                self.result = self.finish()
            except Exception as error:  # noqa: BLE001 - the test looks at it
                self.result = error

    async def until_asleep(self) -> None:
        while self.waiter.on_wake is None:
            await asyncio.sleep(0)

    async def until_awake(self) -> Any:
        while self._thread.is_alive():
            await asyncio.sleep(0.001)
        return self.result


def hand_over(reactor: Reactor, task: Any, handler: Handler) -> Sleeper:
    """Step a handler to its sleep, as a vCPU thread does."""
    with kernel_lock:
        waiter = handler.send(None)
        return Sleeper(reactor, task, TABLE, Suspended(handler, waiter)).begin()


async def result_of(call: Sleeper) -> Any:
    return await call.until_awake()


async def sleep_then(source: Source, value: int, deadline_ns: int | None = None) -> int:
    await sleep_on(source, deadline_ns)
    return value


async def sleep_for_ever(source: Source) -> int:
    while True:
        await sleep_on(source)


def locked(function: Any, *arguments: Any) -> Any:
    with kernel_lock:
        return function(*arguments)


# -- what wakes a call ----------------------------------------------------------------------------------


async def test_a_wait_queue(reactor: Reactor, task: Any) -> None:
    queue = WaitQueue()
    call = hand_over(reactor, task, sleep_then(Source(queue), 5))
    await call.until_asleep()
    locked(queue.wake)
    assert await result_of(call) == 5
    assert len(queue) == 0


async def test_a_wait_queue_woken_by_another_thread(reactor: Reactor, task: Any) -> None:
    queue = WaitQueue()
    call = hand_over(reactor, task, sleep_then(Source(queue), 5))
    await call.until_asleep()
    await asyncio.to_thread(locked, queue.wake)
    assert await result_of(call) == 5


async def test_news_before_the_thread_is_parked(reactor: Reactor, task: Any) -> None:
    queue = WaitQueue()
    call = hand_over(reactor, task, sleep_then(Source(queue), 5))
    locked(queue.wake)
    assert await result_of(call) == 5


async def test_data_in_a_descriptor(reactor: Reactor, task: Any, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    call = hand_over(reactor, task, sleep_then(Source(readable=[reading]), 6))
    await call.until_asleep()
    os.write(writing, b"x")
    assert await result_of(call) == 6


async def test_the_end_of_a_pipe(reactor: Reactor, task: Any) -> None:
    reading, writing = os.pipe()
    call = hand_over(reactor, task, sleep_then(Source(readable=[reading]), 6))
    await call.until_asleep()
    os.close(writing)
    assert await result_of(call) == 6
    os.close(reading)


async def test_room_in_a_descriptor(reactor: Reactor, task: Any, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, bytes(1 << 20))
    call = hand_over(reactor, task, sleep_then(Source(writable=[writing]), 7))
    await call.until_asleep()
    assert not call.waiter.is_woken
    os.read(reading, 1 << 20)
    assert await result_of(call) == 7


@pytest.mark.parametrize("delay_ns", [-(10**9), 0, 1_000_000])
async def test_a_deadline(reactor: Reactor, task: Any, delay_ns: int) -> None:
    deadline = time.monotonic_ns() + delay_ns
    call = hand_over(reactor, task, sleep_then(Source(), 8, deadline))
    assert await result_of(call) == 8
    assert time.monotonic_ns() >= deadline


async def test_whichever_comes_first(reactor: Reactor, task: Any, pipe: tuple[int, int]) -> None:
    queue = WaitQueue()
    source = Source(queue, readable=[pipe[0]]) | Source(readable=[pipe[0]], writable=[pipe[1]])
    far = time.monotonic_ns() + 10**15
    assert await result_of(hand_over(reactor, task, sleep_then(source, 9, far))) == 9
    assert len(queue) == 0


async def test_a_call_may_sleep_again_and_again(reactor: Reactor, task: Any, pipe: tuple[int, int]) -> None:
    queue, seen = WaitQueue(), []

    async def handler() -> int:
        for number in range(5):
            await sleep_on(Source(queue) if number % 2 else Source(readable=[pipe[0]]))
            seen.append(number)
        return len(seen)

    call = hand_over(reactor, task, handler())
    os.write(pipe[1], b"x")
    while len(seen) < 5:
        await asyncio.sleep(0)
        locked(queue.wake)
    assert await result_of(call) == 5


async def test_all_who_wait_for_a_descriptor_look(reactor: Reactor, task: Any, pipe: tuple[int, int]) -> None:
    reading, writing = pipe

    async def read() -> int:
        while True:
            try:
                return os.read(reading, 1)[0]
            except BlockingIOError:
                await sleep_on(Source(readable=[reading]))

    calls = [hand_over(reactor, task, read()) for _ in range(3)]
    for call in calls:
        await call.until_asleep()
    for letter in b"abc":
        os.write(writing, bytes([letter]))
        await asyncio.sleep(0)
    assert {await result_of(call) for call in calls} == set(b"abc")


async def test_the_current_task_is_the_sleepers(reactor: Reactor, task: Any) -> None:
    queue, seen = WaitQueue(), []

    async def handler() -> int:
        await sleep_on(Source(queue))
        seen.append(current_task())
        return 0

    call = hand_over(reactor, task, handler())
    locked(queue.wake)
    await result_of(call)
    assert seen == [task]


async def test_handlers_run_under_the_kernel_lock(reactor: Reactor, task: Any) -> None:
    queue, held = WaitQueue(), []

    async def handler() -> int:
        await sleep_on(Source(queue))
        held.append(kernel_lock.locked())
        return 0

    call = hand_over(reactor, task, handler())
    locked(queue.wake)
    await result_of(call)
    assert held == [True]


# -- signals and death --------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", [0, 1, 3])
async def test_a_signal(reactor: Reactor, task: Any, turns: int) -> None:
    queue = WaitQueue()
    call = hand_over(reactor, task, sleep_for_ever(Source(queue)))
    for _ in range(turns):
        await asyncio.sleep(0)
    locked(call.interrupt)
    error = await result_of(call)
    assert isinstance(error, LinuxError)
    assert error.errno is Errno.ERESTARTSYS
    assert len(queue) == 0


@pytest.mark.parametrize("is_dying", [False, True])
async def test_what_has_happened_counts_before_a_signal(reactor: Reactor, task: Any, is_dying: bool) -> None:
    """Whatever came first; but who is about to be killed takes nothing."""
    task.signals.is_dying = is_dying
    queue = WaitQueue()
    call = hand_over(reactor, task, sleep_then(Source(queue), 7))
    with kernel_lock:
        call.interrupt()
        queue.wake()
    result = await result_of(call)
    assert isinstance(result, LinuxError) if is_dying else result == 7


async def test_each_signal_ends_one_sleep(reactor: Reactor, task: Any) -> None:
    sleeps = []

    async def handler() -> int:
        while len(sleeps) < 3:
            try:
                await sleep_for_ever(Source())
            except LinuxError:
                sleeps.append(call.waiter)
        return 3

    call = hand_over(reactor, task, handler())
    for count in range(3):
        while len(sleeps) < count:
            await asyncio.sleep(0)
        locked(call.interrupt)
    assert await result_of(call) == 3


async def test_a_handler_may_make_of_a_signal_what_it_wants(reactor: Reactor, task: Any) -> None:
    async def handler() -> int:
        try:
            await sleep_for_ever(Source())
        except LinuxError:
            raise LinuxError(Errno.EINTR) from None
        return 0

    call = hand_over(reactor, task, handler())
    locked(call.interrupt)
    assert await result_of(call) == INTERRUPTED


async def test_a_handler_may_sleep_on_after_a_signal(reactor: Reactor, task: Any) -> None:
    queue = WaitQueue()

    async def handler() -> int:
        try:
            await sleep_for_ever(Source())
        except LinuxError:
            await sleep_on(Source(queue))
        return 4

    call = hand_over(reactor, task, handler())
    locked(call.interrupt)
    while not len(queue):
        await asyncio.sleep(0)
    locked(queue.wake)
    assert await result_of(call) == 4


@pytest.mark.parametrize("turns", [0, 1, 3])
async def test_the_end_of_the_task(reactor: Reactor, task: Any, turns: int) -> None:
    queue, closed = WaitQueue(), []

    async def handler() -> int:
        try:
            await sleep_on(Source(queue))
        finally:
            closed.append(True)
        raise AssertionError("never gets here")

    call = hand_over(reactor, task, handler())
    for _ in range(turns):
        await asyncio.sleep(0)
    locked(call.abandon)
    assert await result_of(call) is Outcome.KEEP_REGISTERS
    assert closed == [True]
    assert len(queue) == 0


async def test_the_end_of_the_task_beats_a_signal(reactor: Reactor, task: Any) -> None:
    call = hand_over(reactor, task, sleep_then(Source(), 0))
    locked(call.interrupt)
    locked(call.abandon)
    assert await result_of(call) is Outcome.KEEP_REGISTERS


# -- what goes wrong -----------------------------------------------------------------------------------------


async def test_an_error_is_a_number(reactor: Reactor, task: Any) -> None:
    async def handler() -> int:
        await sleep_on(Source(), 0)
        raise LinuxError(Errno.EPIPE)

    assert await result_of(hand_over(reactor, task, handler())) == error_result(LinuxError(Errno.EPIPE))


async def test_a_bug_of_ours_reaches_the_thread(reactor: Reactor, task: Any) -> None:
    async def handler() -> int:
        await sleep_on(Source(), 0)
        raise ZeroDivisionError

    assert isinstance(await result_of(hand_over(reactor, task, handler())), ZeroDivisionError)


async def test_a_descriptor_that_cannot_be_waited_for_reaches_the_thread(reactor: Reactor, task: Any) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    os.close(reading)
    closed = []

    async def handler() -> int:
        try:
            await sleep_on(Source(readable=[reading]))
        finally:
            closed.append(True)
        return 0

    assert isinstance(await result_of(hand_over(reactor, task, handler())), (OSError, ValueError))
    assert closed


async def test_a_file_that_has_never_news(reactor: Reactor, task: Any, tmp_path: Path) -> None:
    queue = WaitQueue()
    with (tmp_path / "file").open("w") as file:
        call = hand_over(reactor, task, sleep_then(Source(queue, readable=[file.fileno()]), 3))
        await call.until_asleep()
        assert not call.waiter.is_woken
        locked(queue.wake)
        assert await result_of(call) == 3


async def test_a_loop_that_ends_kills_the_process(task: Any) -> None:
    """asyncio.run cancels every task at its end: nobody would ever wake the guest."""
    reactor = Reactor(asyncio.get_running_loop())
    early = hand_over(reactor, task, sleep_then(Source(), 0))
    task.process.exit_group = lambda signal: (task.killed.append(signal), early.abandon())
    await early.until_asleep()
    reactor._keeper.cancel()
    assert await result_of(early) is Outcome.KEEP_REGISTERS
    late_task: Any = Task()
    hand_over(reactor, late_task, sleep_then(Source(), 0, 0))
    while not late_task.killed:
        await asyncio.sleep(0)
    assert task.killed == late_task.killed == [SIG.KILL]
    while reactor.sleeping:
        await asyncio.sleep(0)
    reactor.close()


async def test_many_at_once(reactor: Reactor, task: Any) -> None:
    queue = WaitQueue()
    calls = [hand_over(reactor, task, sleep_then(Source(queue), number)) for number in range(100)]
    for call in calls:
        await call.until_asleep()
    assert reactor.sleeping == set(calls)
    locked(queue.wake)
    assert [await result_of(call) for call in calls] == list(range(100))


async def test_an_interruption_while_awake_is_not_lost(reactor: Reactor, task: Any) -> None:
    queue, calls = WaitQueue(), []

    async def handler() -> int:
        await sleep_on(Source(queue))
        calls[0].interrupt()
        return await sleep_for_ever(Source(queue))

    calls.append(hand_over(reactor, task, handler()))
    locked(queue.wake)
    error = await result_of(calls[0])
    assert isinstance(error, LinuxError)
    assert error.errno is Errno.ERESTARTSYS


async def test_call_soon_from_any_thread(reactor: Reactor) -> None:
    here: list[int] = []
    reactor.call_soon(lambda: here.append(1))
    assert here == [], "not at once"
    await asyncio.to_thread(reactor.call_soon, lambda: here.append(2))
    while len(here) < 2:
        await asyncio.sleep(0)
    assert here == [1, 2]
