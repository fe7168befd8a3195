"""How kernel code asks the application that embeds it, and waits for the answer.

Path walks and inodes are plain functions, and what they ask of a file system written in Python may take
long. So whoever has a question raises `NotYet` before anything is changed; the call as a whole is then begun
anew once the answer is there, as Linux does when a lockless path walk fails (and we do for ESTALE). `answered`
does that: the call runs again with what has been answered so far, gets those answers at the same places, and
comes to its next question, or to its end.

Answers come from coroutines on the application's event loop, or from plain functions on threads. Neither
holds the kernel lock.
"""

import asyncio
import contextlib
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator, Hashable
from queue import SimpleQueue
from time import monotonic_ns
from typing import Any, Final, Generic, TypeVar, cast

from aionoah.abi.errno import LinuxError
from aionoah.host.waiting import Source, Waiter, WaitQueue, kernel_lock, sleep_on

T = TypeVar("T")
Work = Callable[[], None]

_THREADS: Final = 16


class Answer:
    """One question that has been asked. All of it is used under the kernel lock."""

    __slots__ = (
        *("deadline_ns", "error", "is_cancelled", "is_there", "is_uninterruptible", "queue", "stop"),
        "value",
    )

    def __init__(self) -> None:
        self.deadline_ns: int | None = None  # of time.monotonic_ns(): when to go on without it
        self.is_there = False
        self.is_cancelled = False
        self.is_uninterruptible = False  # no signal but the end of the task ends the sleep
        self.value: Any = None
        self.error: BaseException | None = None
        self.queue = WaitQueue()
        self.stop: Callable[[], None] | None = None  # ends what runs on the loop

    def cancel(self) -> None:
        """Nobody waits for it any more. What runs on a thread goes on; what has not begun never will."""
        self.is_cancelled = True
        if self.stop is not None:
            self.stop()

    def give(self, value: object, error: BaseException | None) -> None:
        self.value, self.error, self.is_there = value, error, True
        self.queue.wake()


def answer_of(queue: WaitQueue) -> Answer:
    """An answer that is there when a wait queue is woken."""
    answer = Answer()
    queue.add(_Callback(lambda: answer.give(None, None)))
    return answer


class Workers:
    """Threads for functions that may block. A function that hangs takes its thread with it, and keeps neither
    the others nor the end of the interpreter from coming: that is why it is no ThreadPoolExecutor.
    """

    def __init__(self, limit: int = _THREADS) -> None:
        self._limit = limit
        self._work: SimpleQueue[Work | None] = SimpleQueue()
        self._count = 0
        self._unfinished = 0
        self._lock = threading.Lock()

    def submit(self, work: Work) -> None:
        with self._lock:
            self._unfinished += 1
            is_short = self._unfinished > self._count and self._count < self._limit
            self._count += is_short
        self._work.put(work)
        if is_short:
            threading.Thread(target=self._main, name="aionoah-files", daemon=True).start()

    def _main(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            with self._lock:
                self._unfinished -= 1

    def close(self) -> None:
        """The threads end once they have nothing to do."""
        with self._lock:
            count, self._limit = self._count, 0
        for _ in range(count):
            self._work.put(None)


class Application:
    """The event loop of the application and what runs there, or beside it, on behalf of guests."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.tasks: set[asyncio.Task[None]] = set()
        self._background: set[Answer] = set()

    def ask(self, function: Callable[[], Any], workers: Workers) -> Answer:
        """Begin a call of a function, on the loop if it is a coroutine function. Under the kernel lock."""
        answer = Answer()
        if inspect.iscoroutinefunction(getattr(function, "func", function)):
            self._loop.call_soon_threadsafe(self._start, answer, function)
        else:
            workers.submit(lambda: self._work(answer, function))
        return answer

    def ask_in_background(
        self, function: Callable[[], Any], workers: Workers, then: Callable[[Answer], None]
    ) -> None:
        """As `ask`, for calls that no guest waits for. `then` is called under the kernel lock."""
        answer = self.ask(function, workers)
        self._background.add(answer)

        def done() -> None:
            self._background.discard(answer)
            then(answer)

        answer.queue.add(_Callback(done))

    async def settle(self) -> None:
        """Sleep until nothing is left in the background. Kernel code."""
        while self._background:
            await sleep_on(Source(next(iter(self._background)).queue))

    def _work(self, answer: Answer, function: Callable[[], Any]) -> None:
        """On a thread. What turns out to be awaitable goes on on the loop."""
        value, error = None, None
        if answer.is_cancelled:
            return
        try:
            value = function()
        except BaseException as caught:  # noqa: BLE001 - whoever asked gets it
            error = caught
        if inspect.isawaitable(value):
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._start, answer, lambda: value)
            return
        with kernel_lock:
            answer.give(value, error)

    def _start(self, answer: Answer, function: Callable[[], Awaitable[Any]]) -> None:
        with kernel_lock:
            if answer.is_cancelled:
                return
            task = self._loop.create_task(_run(answer, function))
            answer.stop = lambda: _call_soon(self._loop, task.cancel)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


class _Callback:
    """A listener of its own."""

    __slots__ = ("notify",)

    def __init__(self, notify: Callable[[], None]) -> None:
        self.notify = notify


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed, and the task with it
        loop.call_soon_threadsafe(function)


async def _run(answer: Answer, function: Callable[[], Awaitable[Any]]) -> None:
    value, error = None, None
    try:
        value = await function()
    except BaseException as caught:
        error = caught
        if not isinstance(caught, Exception):
            raise
    finally:
        with kernel_lock:
            answer.give(value, error)


# -- on the kernel's side -----------------------------------------------------------------------------------


class Replay:
    """What has been answered since a call began, for its next beginning: by question, in order."""

    def __init__(self) -> None:
        self._answers: dict[Hashable, list[Answer]] = {}
        self._asked: dict[Hashable, int] = {}

    def rewind(self) -> None:
        self._asked.clear()

    def add(self, key: Hashable, answer: Answer) -> None:
        self._answers.setdefault(key, []).append(answer)

    def next(self, key: Hashable) -> Answer | None:
        """The answer to a question that is asked at this point again."""
        count = self._asked.get(key, 0)
        self._asked[key] = count + 1
        known = self._answers.get(key, ())
        return known[count] if count < len(known) else None


_replay: Replay | None = None  # of the call that runs now; as process.current, under the kernel lock


class NotYet(Exception):  # noqa: N818 - a condition, as MustWait is
    """A question to the application that has no answer yet. Nothing has been changed, and nothing been asked:
    whoever has something to return already, such as part of a copy, returns that instead.
    """

    def __init__(self, key: Hashable, begin: Callable[[], Answer]) -> None:
        super().__init__(key)
        self.key = key
        self.begin = begin


def ask(key: Hashable, begin: Callable[[], Answer]) -> Answer:
    """The answer to a question, which equal keys say to be the same one; NotYet."""
    found = _replay.next(key) if _replay is not None else None
    if found is None:
        raise NotYet(key, begin)
    return found


class _Attempt(Generic[T]):
    """One beginning of a call: every step of it sees the replay."""

    def __init__(self, replay: Replay, attempt: Callable[[], T | Coroutine[Waiter, None, T]]) -> None:
        self._replay = replay
        self._attempt = attempt

    def __await__(self) -> Generator[Waiter, None, T]:
        result = self._step(self._attempt)
        if not inspect.iscoroutine(result):
            return cast("T", result)
        send: Callable[[], Waiter] = lambda: result.send(None)  # noqa: E731
        while True:
            try:
                waiter = self._step(send)
            except StopIteration as stop:
                return cast("T", stop.value)
            try:
                yield waiter
            except GeneratorExit:
                result.close()
                raise
            except BaseException as thrown:  # noqa: BLE001 - goes into the sleep
                send = _thrower(result, thrown)
            else:
                send = lambda: result.send(None)  # noqa: E731

    def _step(self, step: Callable[[], Any]) -> Any:  # noqa: ANN401 - of either kind
        global _replay  # noqa: PLW0603 - as process.current
        before, _replay = _replay, self._replay
        try:
            return step()
        finally:
            _replay = before


def _thrower(coroutine: Coroutine[Waiter, None, Any], thrown: BaseException) -> Callable[[], Waiter]:
    return lambda: coroutine.throw(thrown)


async def answered(
    attempt: Callable[[], T | Coroutine[Waiter, None, T]], question: NotYet | None = None
) -> T:
    """What `attempt` returns (or the coroutine that it makes), begun anew until all it asks is answered.

    `question`: what it has raised already. A signal (LinuxError, thrown into the sleep) or the end of the task
    cancels what the application is doing.
    """
    replay = Replay()
    while True:
        if question is not None:
            await _answer(question, replay)
        replay.rewind()
        try:
            return await _Attempt(replay, attempt)
        except NotYet as further:
            question = further


async def _answer(question: NotYet, replay: Replay) -> None:
    answer = question.begin()
    try:
        while not answer.is_there:
            await _sleep(answer)
    finally:
        if not answer.is_there:
            answer.cancel()
    replay.add(question.key, answer)


async def _sleep(answer: Answer) -> None:
    try:
        await sleep_on(Source(answer.queue), answer.deadline_ns)
    except LinuxError:
        if not answer.is_uninterruptible:
            raise
    if answer.deadline_ns is not None and monotonic_ns() >= answer.deadline_ns and not answer.is_there:
        answer.give(None, None)


def answered_here(attempt: Callable[[], T]) -> T:
    """As `answered`, on a thread of ours that may block. Under the kernel lock, which is free meanwhile."""
    running = answered(attempt)
    while True:
        try:
            waiter = running.send(None)
        except StopIteration as stop:
            return cast("T", stop.value)
        woken = threading.Event()
        if waiter.is_woken:
            continue
        waiter.on_wake = woken.set
        timeout = None if waiter.deadline_ns is None else (waiter.deadline_ns - monotonic_ns()) / 1e9
        kernel_lock.release()
        try:
            woken.wait(timeout)
        finally:
            kernel_lock.acquire()
