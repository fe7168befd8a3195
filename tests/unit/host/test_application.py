"""Questions to the application: calls that begin anew, and answers from the loop and from threads."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.host.application import (
    Answer,
    Application,
    NotYet,
    Replay,
    Workers,
    answer_of,
    answered,
    answered_here,
    ask,
)
from aionoah.host.waiting import Source, Waiter, WaitQueue, kernel_lock, sleep_on


@pytest.fixture
async def application() -> Application:
    return Application(asyncio.get_running_loop())


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    made = Workers(2)
    yield made
    made.close()


async def drive(coroutine: Any, *, throw: BaseException | None = None) -> Any:
    """What the reactor does with kernel code."""
    loop, step = asyncio.get_running_loop(), lambda: coroutine.send(None)
    while True:
        with kernel_lock:
            try:
                waiter: Waiter = step()
            except StopIteration as stop:
                return stop.value
            woken = loop.create_future()
            waiter.on_wake = lambda woken=woken: loop.call_soon_threadsafe(woken.set_result, None)
            is_woken = waiter.is_woken
        if throw is not None:
            thrown, throw = throw, None
            step = lambda thrown=thrown: coroutine.throw(thrown)  # noqa: E731
        elif not is_woken:
            await asyncio.wait_for(woken, 200)
            step = lambda: coroutine.send(None)  # noqa: E731


def given(value: object) -> Answer:
    answer = Answer()
    answer.give(value, None)
    return answer


def value_of(key: object, begin: Callable[[], Answer]) -> Any:
    return ask(key, begin).value


def test_nothing_is_asked_before_somebody_waits() -> None:
    with pytest.raises(NotYet):
        ask("key", lambda: pytest.fail("asked"))


async def test_a_call_begins_anew_with_what_was_answered() -> None:
    asked: list[str] = []

    def begin(name: str) -> Answer:
        asked.append(name)
        return given(name.upper())

    def attempt() -> list[Any]:
        return [value_of(name, lambda name=name: begin(name)) for name in ("a", "b", "a")]

    assert await drive(answered(attempt)) == ["A", "B", "A"]
    assert asked == ["a", "b", "a"]  # the same question at another place is a question of its own


async def test_a_coroutine_begins_anew_too_and_sleeps_with_its_own_answers() -> None:
    queue = WaitQueue()
    beginnings = 0

    async def attempt() -> list[Any]:
        nonlocal beginnings
        beginnings += 1
        first = value_of("first", lambda: given(1))
        asyncio.get_running_loop().call_soon(wake)
        await sleep_on(Source(queue))
        return [first, value_of("second", lambda: given(2))]

    def wake() -> None:
        with kernel_lock:
            with pytest.raises(NotYet):  # another call has no part in it
                ask("first", lambda: given(3))
            queue.wake()

    assert await drive(answered(attempt)) == [1, 2]
    assert beginnings == 3


async def test_errors_end_the_call() -> None:
    def attempt() -> None:
        ask("key", lambda: given(None))
        raise LinuxError(Errno.ENOENT)

    with pytest.raises(LinuxError, match="ENOENT"):
        await drive(answered(attempt))


async def test_a_signal_cancels_the_coroutine(application: Application, workers: Workers) -> None:
    ended = asyncio.Event()
    began = asyncio.Event()

    async def forever() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    coroutine = answered(lambda: ask("key", lambda: application.ask(forever, workers)))
    with kernel_lock:
        coroutine.send(None)
    await asyncio.wait_for(began.wait(), 200)
    with kernel_lock, pytest.raises(LinuxError, match="ERESTARTSYS"):
        coroutine.throw(LinuxError(Errno.ERESTARTSYS))
    await asyncio.wait_for(ended.wait(), 200)
    await asyncio.gather(*application.tasks, return_exceptions=True)


async def test_the_end_of_the_task_keeps_a_coroutine_from_beginning(
    application: Application, workers: Workers
) -> None:
    async def never() -> None:
        pytest.fail("begun")

    coroutine = answered(lambda: ask("key", lambda: application.ask(never, workers)))
    with kernel_lock:
        coroutine.send(None)
        coroutine.close()
    await asyncio.sleep(0)
    assert not application.tasks


@pytest.mark.parametrize("kind", ["thread", "loop", "awaitable"])
async def test_where_functions_run(application: Application, workers: Workers, kind: str) -> None:
    async def on_loop() -> int:
        assert not kernel_lock.locked()
        return threading.get_ident()

    def on_thread() -> int:
        return threading.get_ident()

    function: Any = {"thread": on_thread, "loop": on_loop, "awaitable": lambda: on_loop()}[kind]  # noqa: PLW0108 - a plain function
    answer = await drive(answered(lambda: ask("key", lambda: application.ask(function, workers))))
    assert (answer.value == threading.get_ident()) == (kind != "thread")


async def test_what_is_raised_is_the_answer(application: Application, workers: Workers) -> None:
    async def fails() -> None:
        raise ZeroDivisionError

    for function in (fails, lambda: 1 / 0):
        answer = await drive(answered(lambda f=function: ask("key", lambda: application.ask(f, workers))))
        assert isinstance(answer.error, ZeroDivisionError)


async def test_a_hanging_function_leaves_threads_for_others(
    application: Application, workers: Workers
) -> None:
    hanging = threading.Event()
    coroutine = answered(lambda: ask("hang", lambda: application.ask(lambda: hanging.wait(60), workers)))
    with kernel_lock:
        coroutine.send(None)
        coroutine.close()
    answer = await drive(answered(lambda: ask("key", lambda: application.ask(lambda: 7, workers))))
    assert answer.value == 7
    hanging.set()


async def test_background_calls_settle(application: Application, workers: Workers) -> None:
    done: list[object] = []
    with kernel_lock:
        application.ask_in_background(lambda: 5, workers, lambda answer: done.append(answer.value))
    await drive(application.settle())
    assert done == [5]


def test_on_a_thread_of_ours() -> None:
    queue = WaitQueue()
    waker = threading.Thread(target=lambda: kernel_lock.acquire() and (queue.wake(), kernel_lock.release()))

    def attempt() -> str:
        ask("key", lambda: answer_of(queue))
        return "done"

    with kernel_lock:
        waker.start()
        assert answered_here(attempt) == "done"
    waker.join()


def test_a_replay_gives_answers_in_order() -> None:
    replay = Replay()
    first, second = given(1), given(2)
    replay.add("key", first)
    replay.add("key", second)
    for _ in range(2):
        replay.rewind()
        assert [replay.next("key"), replay.next("key"), replay.next("key")] == [first, second, None]
