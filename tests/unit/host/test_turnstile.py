"""Queueing for a lock: one at a time stands before it, and who must hurry comes first."""

import threading
import time
from array import array

from aionoah.host.turnstile import Place, QueuedLock


class Crowd:
    """Threads that want a lock that is held, in the order in which they came."""

    def __init__(self, count: int) -> None:
        self.lock = QueuedLock()
        self.order: list[int] = []
        self.places = [Place() for _ in range(count)]
        self.lock.acquire()
        self.threads = [threading.Thread(target=self._want, args=(number,)) for number in range(count)]
        for number, thread in enumerate(self.threads):
            thread.start()
            while not self.has_come(number):
                pass

    def has_come(self, number: int) -> bool:
        return self.lock._is_taken and len(self.lock._queue) == number

    def _want(self, number: int) -> None:
        self.lock.acquire_in_turn(self.places[number])
        self.order.append(number)
        self.lock.release()

    def end(self) -> list[int]:
        self.lock.release()
        for thread in self.threads:
            thread.join()
        return self.order


def test_they_come_in_turn() -> None:
    assert Crowd(5).end() == [0, 1, 2, 3, 4]


def test_who_hurries_is_next_but_for_who_stands_before_the_lock() -> None:
    crowd = Crowd(5)
    crowd.lock.hurry(crowd.places[3])
    crowd.lock.hurry(crowd.places[0])  # who is there already
    crowd.lock.hurry(Place())  # nobody
    assert crowd.end() == [0, 3, 1, 2, 4]


def test_a_free_lock_is_taken_at_once_and_nobody_is_left_behind() -> None:
    lock = QueuedLock()
    lock.acquire_in_turn()
    assert not lock.acquire(blocking=False)
    lock.release()
    crowd = Crowd(2)
    crowd.end()
    crowd.lock.acquire_in_turn()
    crowd.lock.release()
    assert not crowd.lock._is_taken


def test_many_at_once_exclude_each_other() -> None:
    lock = QueuedLock()
    count = 0

    def add() -> None:
        nonlocal count
        place = Place()
        for _ in range(500):
            lock.acquire_in_turn(place)
            before = count
            count = before + 1
            lock.release()

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count == 8 * 500


def _spun_for(crowd: Crowd) -> "array[int]":
    """The lock, of which threads say that they are about to take it."""
    spinners = array("i", [1])
    crowd.lock.spinners = memoryview(spinners)
    while not crowd.lock._standing:
        pass
    return spinners


def test_nobody_is_woken_while_somebody_spins() -> None:
    crowd = Crowd(1)
    spinners = _spun_for(crowd)
    crowd.places[0].since_ns = time.monotonic_ns() + 10**12
    crowd.lock.release()
    assert crowd.lock.acquire(blocking=False)
    assert crowd.lock._standing
    spinners[0] = 0
    assert crowd.end() == [0]


def test_who_has_been_patient_is_woken_though_somebody_spins() -> None:
    crowd = Crowd(1)
    _spun_for(crowd)
    while not crowd.order:
        crowd.lock.release()
        crowd.lock.acquire()
    assert crowd.end() == [0]


def test_who_has_been_patient_is_not_overtaken() -> None:
    crowd = Crowd(1)
    _spun_for(crowd)
    crowd.places[0].since_ns = 0
    assert crowd.lock._is_late()
    late = threading.Thread(target=crowd.lock.acquire_in_turn)
    late.start()
    while not crowd.lock._queue:  # though the lock may be free before it comes
        pass
    assert crowd.end() == [0]
    late.join()
    assert not crowd.lock.is_starving
    crowd.lock.release()
