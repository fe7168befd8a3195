"""A lock that many want, and that a few must get soon: these take the lock itself, while the many queue for it.

One of the many stands before the lock, so that the few wait for one of them at most, though these be thousands. Who
comes by while the lock is free need not queue, as a handover takes longer than most hold it; until the one before
it starves. Nor is that one woken while somebody spins for the lock, for the lock would be taken before it is awake.
"""

import time
from collections import deque
from threading import Condition, Lock
from types import TracebackType
from typing import Final

_PATIENCE_NS: Final = 5_000_000  # before the lock, while others are quicker


class Place:
    """Where a thread stands in the queue; one for each thread, or for each time."""

    __slots__ = ("since_ns", "turn")

    def __init__(self) -> None:
        self.turn = Lock()  # free when it is this place's turn: to stand before the lock, or to try it
        self.turn.acquire()
        self.since_ns = 0  # it stands before the lock, by time.monotonic_ns()


class QueuedLock:
    def __init__(self) -> None:
        self.is_starving = False  # who stands before the lock has been patient: nobody may be quicker
        self.spinners = memoryview(bytes(4)).cast("i")  # how many threads are about to want the lock
        self._lock = Lock()
        self.acquire = self._lock.acquire  # for the few, and for who comes by
        self.locked = self._lock.locked
        self._mutex = Lock()  # of what follows
        self._is_taken = False  # somebody stands before the lock
        self._queue: deque[Place] = deque()
        self._standing: deque[Place] = deque()  # that one, until it is called

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def condition(self) -> Condition:
        """To wait for, with the lock held."""
        return Condition(self)  # type: ignore[arg-type] # any lock will do, says its documentation

    def release(self) -> None:
        self._lock.release()
        if self._standing and (not self.spinners[0] or self._is_late()):
            try:
                place = self._standing.pop()
            except IndexError:  # somebody else has called it just now
                return
            place.turn.release()

    def _is_late(self) -> bool:
        """Who stands before the lock has been patient."""
        try:
            since_ns = self._standing[0].since_ns
        except IndexError:
            return False
        self.is_starving = time.monotonic_ns() > since_ns + _PATIENCE_NS
        return self.is_starving

    def acquire_in_turn(self, place: Place | None = None) -> None:
        """As one of the many. With a place of its own a thread can be let through by `hurry`."""
        if not self.is_starving and self._lock.acquire(blocking=False):
            return
        place = place or Place()
        with self._mutex:
            is_late, self._is_taken = self._is_taken, True
            if is_late:
                self._queue.append(place)
        if is_late:
            place.turn.acquire()
        self._stand(place)
        with self._mutex:
            if self._queue:
                self._queue.popleft().turn.release()
            else:
                self._is_taken = False

    def _stand(self, place: Place) -> None:
        """Take the lock. Whoever lets it go after the place stands there calls it; so nobody tries before that."""
        place.since_ns = time.monotonic_ns()
        self._standing.append(place)
        while not self._lock.acquire(blocking=False):
            place.turn.acquire()
            self._standing.append(place)
        try:
            self._standing.remove(place)
        except ValueError:  # it has been called meanwhile
            place.turn.acquire()
        self.is_starving = False

    def hurry(self, place: Place) -> None:
        """Who stands there, if anybody does, comes before all others."""
        with self._mutex:
            if place in self._queue:
                self._queue.remove(place)
                self._queue.appendleft(place)
