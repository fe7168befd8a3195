"""How the many take a lock that a few must get soon: one of them stands before it, the others queue behind that one.

The few take the lock itself and so wait for one of the many at most, though these be thousands. Who comes by
while the lock is free need not queue, as a handover takes longer than most hold it; until the one before it starves.
"""

import threading
from collections import deque
from typing import Final

_PATIENCE: Final = 0.005  # seconds before the lock, while others are quicker


class Place:
    """Where a thread stands in the queue; one for each thread, or for each time."""

    __slots__ = ("turn",)

    def __init__(self) -> None:
        self.turn = threading.Lock()  # free when it is this place's turn
        self.turn.acquire()


class Turnstile:
    def __init__(self, lock: threading.Lock) -> None:
        self.is_starving = False  # who stands before the lock has been patient: nobody may be quicker
        self._lock = lock
        self._mutex = threading.Lock()
        self._is_taken = False  # somebody stands before the lock
        self._queue: deque[Place] = deque()

    def acquire(self, place: Place | None = None) -> None:
        """Take the lock, in turn. With a place of its own a thread can be let through by `hurry`."""
        if not self.is_starving and self._lock.acquire(blocking=False):
            return
        place = place or Place()
        with self._mutex:
            is_late, self._is_taken = self._is_taken, True
            if is_late:
                self._queue.append(place)
        if is_late:
            place.turn.acquire()
        if not self._lock.acquire(timeout=_PATIENCE):
            self.is_starving = True
            self._lock.acquire()
            self.is_starving = False
        with self._mutex:
            if self._queue:
                self._queue.popleft().turn.release()
            else:
                self._is_taken = False

    def hurry(self, place: Place) -> None:
        """Who stands there, if anybody does, comes before all others."""
        with self._mutex:
            if place in self._queue:
                self._queue.remove(place)
                self._queue.appendleft(place)
