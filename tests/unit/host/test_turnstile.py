"""Queueing for a lock: one at a time stands before it, and who must hurry comes first."""

import threading

from aionoah.host.turnstile import Place, Turnstile


class Crowd:
    """Threads that want a lock that is held, in the order in which they came."""

    def __init__(self, count: int) -> None:
        self.lock = threading.Lock()
        self.turnstile = Turnstile(self.lock)
        self.order: list[int] = []
        self.places = [Place() for _ in range(count)]
        self.lock.acquire()
        self.threads = [threading.Thread(target=self._want, args=(number,)) for number in range(count)]
        for number, thread in enumerate(self.threads):
            thread.start()
            while not self.has_come(number):
                pass

    def has_come(self, number: int) -> bool:
        return self.turnstile._is_taken and len(self.turnstile._queue) == number

    def _want(self, number: int) -> None:
        self.turnstile.acquire(self.places[number])
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
    crowd.turnstile.hurry(crowd.places[3])
    crowd.turnstile.hurry(crowd.places[0])  # who is there already
    crowd.turnstile.hurry(Place())  # nobody
    assert crowd.end() == [0, 3, 1, 2, 4]


def test_a_free_lock_is_taken_at_once_and_nobody_is_left_behind() -> None:
    lock = threading.Lock()
    turnstile = Turnstile(lock)
    turnstile.acquire()
    assert lock.locked()
    lock.release()
    crowd = Crowd(2)
    crowd.end()
    crowd.turnstile.acquire()
    crowd.lock.release()
    assert not crowd.turnstile._is_taken


def test_many_at_once_exclude_each_other() -> None:
    lock = threading.Lock()
    turnstile = Turnstile(lock)
    count = 0

    def add() -> None:
        nonlocal count
        place = Place()
        for _ in range(500):
            turnstile.acquire(place)
            before = count
            count = before + 1
            lock.release()

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count == 8 * 500


def test_who_has_been_patient_is_not_overtaken() -> None:
    crowd = Crowd(1)
    while not crowd.turnstile.is_starving:
        pass
    late = threading.Thread(target=crowd.turnstile.acquire)
    late.start()
    while not crowd.turnstile._queue:  # though the lock may be free before it comes
        pass
    assert crowd.end() == [0]
    late.join()
    assert not crowd.turnstile.is_starving
    crowd.lock.release()
