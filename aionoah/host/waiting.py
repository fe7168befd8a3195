"""How kernel code sleeps: the kernel lock, wait queues, and the one object that is ever awaited.

A system-call handler is first stepped on its vCPU thread. If it awaits, what reaches the stepper is a
`Waiter`: a one-shot event that says what would wake it. The reactor arms it on the event loop and steps
the handler again once it is woken. Nothing in this module touches an event loop, so that kernel
code may wait and wake on any thread.

Everything here is called under `kernel_lock`, which is released exactly while a handler is suspended.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from aionoah.host.turnstile import QueuedLock

kernel_lock: Final = QueuedLock()
"""Held by whoever runs kernel code, on vCPU threads and on the event loop. The vCPU threads queue for it, so that the
event loop need not wait for each of the hundreds that a fork bomb has.
"""


@contextmanager
def kernel_lock_in_turn() -> Iterator[None]:
    """The kernel lock, queued for."""
    kernel_lock.acquire_in_turn()
    try:
        yield
    finally:
        kernel_lock.release()


class Listener(Protocol):
    """Something enlisted in a wait queue."""

    def notify(self) -> None:
        """Called under the kernel lock when the queue is woken; must not sleep."""
        ...


class WaitQueue:
    """Listeners that wait for one thing to change, in order of arrival."""

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        self._listeners: dict[Listener, None] = {}

    def add(self, listener: Listener) -> None:
        self._listeners[listener] = None

    def remove(self, listener: Listener) -> None:
        self._listeners.pop(listener, None)

    def wake(self, count: int | None = None) -> int:
        """Notify the first `count` listeners, all if None; returns how many there were.

        A notified listener stays enlisted until it removes itself.
        """
        if not self._listeners:
            return 0
        chosen = list(self._listeners)[:count]
        for listener in chosen:
            listener.notify()
        return len(chosen)

    def __len__(self) -> int:
        return len(self._listeners)

    def __iter__(self) -> Iterator[Listener]:
        return iter(self._listeners)


class Source:
    """What to wait for: wait queues of ours, and readiness of host descriptors."""

    __slots__ = ("queues", "readable", "writable")

    def __init__(
        self, *queues: WaitQueue, readable: Iterable[int] = (), writable: Iterable[int] = ()
    ) -> None:
        self.queues = queues
        self.readable = tuple(readable)
        self.writable = tuple(writable)

    @property
    def descriptors(self) -> set[int]:
        """Those of the host."""
        return {*self.readable, *self.writable}

    def is_like(self, other: "Source") -> bool:
        mine, theirs = (
            (self.queues, self.readable, self.writable),
            (other.queues, other.readable, other.writable),
        )
        return mine == theirs

    def __or__(self, other: "Source") -> "Source":
        return Source(
            *self.queues,
            *other.queues,
            readable=self.readable + other.readable,
            writable=self.writable + other.writable,
        )


class Waiter:
    """One sleep. Whoever steps the coroutine receives it, sets `on_wake` and waits for the call."""

    __slots__ = ("deadline_ns", "is_woken", "on_wake", "source")

    def __init__(self, source: Source, deadline_ns: int | None) -> None:
        self.source = source
        self.deadline_ns = deadline_ns  # of time.monotonic_ns()
        self.is_woken = False
        self.on_wake: Callable[[], None] | None = None

    @property
    def needs_host(self) -> bool:
        """Whether something else than wait queues of ours may wake it."""
        source = self.source
        return self.deadline_ns is not None or bool(source.readable or source.writable)

    def notify(self) -> None:
        if not self.is_woken:
            self.is_woken = True
            if self.on_wake is not None:
                self.on_wake()

    def __await__(self) -> Generator["Waiter", None, None]:
        for queue in self.source.queues:
            queue.add(self)
        try:
            yield self
        finally:
            for queue in self.source.queues:
                queue.remove(self)


def sleep_on(source: Source, deadline_ns: int | None = None) -> Waiter:
    """To be awaited: sleep until the source has news or the deadline (time.monotonic_ns) has passed.

    Wake-ups may be spurious: look again, and sleep again. This is the only cancellation point of a
    handler; a cancelled handler must have consumed nothing when it gets here.
    """
    return Waiter(source, deadline_ns)
