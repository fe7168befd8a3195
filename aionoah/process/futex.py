"""Futexes: sleeping until another thread says that a word in memory has changed.

Sources: futex(2), futex(7); Linux kernel/futex/. A waiter is found by a key: which memory, which
address. Everything runs under the kernel lock, so looking at the word and going to sleep are one step.
"""

import time
from collections.abc import Hashable
from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.host.waiting import Source, WaitQueue, sleep_on

MATCH_ANY: Final = 0xFFFF_FFFF  # FUTEX_BITSET_MATCH_ANY


class _Waiter:
    """One thread that sleeps. Its queue is its own, so that a wake-up is meant for it alone."""

    __slots__ = ("bitset", "is_woken", "key", "queue")

    def __init__(self, key: Hashable, bitset: int) -> None:
        self.key = key
        self.bitset = bitset
        self.is_woken = False
        self.queue = WaitQueue()


class FutexTable:
    """All sleeping waiters, by key and in order of arrival."""

    def __init__(self) -> None:
        self._waiters: dict[Hashable, dict[_Waiter, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiters.values()))

    async def wait(self, key: Hashable, bitset: int = MATCH_ANY, deadline_ns: int | None = None) -> None:
        """Sleep until woken. The caller has just compared the word. ETIMEDOUT when the deadline, of
        time.monotonic_ns(), has passed; and what interrupts.

        A wake-up that has been given counts, even if a signal or the deadline comes before the thread
        gets to run: whoever woke it believes that somebody has the lock now.
        """
        waiter = _Waiter(key, bitset)
        self._waiters.setdefault(key, {})[waiter] = None
        try:
            while not waiter.is_woken:
                _check_deadline(deadline_ns)
                await sleep_on(Source(waiter.queue), deadline_ns)
        except LinuxError:
            if not waiter.is_woken:
                raise
        finally:
            self._leave(waiter)

    def wake(self, key: Hashable, count: int, bitset: int = MATCH_ANY) -> int:
        """Wake up to `count` waiters whose bitset has a bit of this one; returns how many."""
        woken = [w for w in self._waiters.get(key, ()) if w.bitset & bitset][:count]
        for waiter in woken:
            self._leave(waiter)
            waiter.is_woken = True
            waiter.queue.wake()
        return len(woken)

    def requeue(self, key: Hashable, new: Hashable, count: int) -> int:
        """Let up to `count` waiters wait for another key; returns how many."""
        moved = list(self._waiters.get(key, ()))[:count]
        for waiter in moved:
            self._leave(waiter)
            waiter.key = new
            self._waiters.setdefault(new, {})[waiter] = None
        return len(moved)

    def _leave(self, waiter: _Waiter) -> None:
        waiters = self._waiters.get(waiter.key)
        if waiters is not None:
            waiters.pop(waiter, None)
            if not waiters:
                del self._waiters[waiter.key]


def _check_deadline(deadline_ns: int | None) -> None:
    if deadline_ns is not None and time.monotonic_ns() >= deadline_ns:
        raise LinuxError(Errno.ETIMEDOUT)
