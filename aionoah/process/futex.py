"""Futexes: sleeping until another thread says that a word in memory has changed.

Sources: futex(2), futex(7); Linux kernel/futex/waitwake.c and requeue.c. Everything runs under the kernel
lock, so looking at the word and going to sleep are one step, and no wake-up can fall between them.

All who wait for a word are in one queue under its key (Memory.futex_key): plain waiters, those that wait for
a lock with priority inheritance (futex_pi.py), and those that are to be moved from one to the other.
"""

import time
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.futex import FUTEX_BITSET_MATCH_ANY
from aionoah.host.waiting import Source, WaitQueue, sleep_on

if TYPE_CHECKING:
    from aionoah.process.task import Task


class Deadline:
    """A moment of CLOCK_MONOTONIC or CLOCK_REALTIME, in nanoseconds."""

    __slots__ = ("is_realtime", "time_ns")

    def __init__(self, time_ns: int, *, is_realtime: bool = False) -> None:
        self.time_ns = time_ns
        self.is_realtime = is_realtime

    @classmethod
    def after(cls, duration_ns: int) -> "Deadline":
        return cls(time.monotonic_ns() + duration_ns)

    def left_ns(self) -> int:
        return self.time_ns - (time.time_ns() if self.is_realtime else time.monotonic_ns())


class PiState:
    """A lock with priority inheritance that somebody waits for; it exists for no longer than that.

    `owner` is the task whose number is in the word.
    """

    __slots__ = ("key", "owner", "waiters")

    def __init__(self, key: Hashable, owner: "Task") -> None:
        self.key = key
        self.owner = owner
        self.waiters: dict[Waiter, None] = {}

    def first(self) -> "Waiter":
        """Who gets the lock next: the first of those with the highest real-time priority."""
        return max(self.waiters, key=lambda waiter: waiter.priority)


class Waiter:
    """One thread that waits for one word."""

    __slots__ = (
        *("task", "key", "bitset", "queue", "priority", "is_woken"),
        *("lock_address", "requeue_key", "pi", "error"),
    )

    def __init__(
        self,
        task: "Task",
        key: Hashable,
        bitset: int = FUTEX_BITSET_MATCH_ANY,
        *,
        queue: WaitQueue | None = None,
        lock_address: int = 0,
        requeue_key: Hashable | None = None,
    ) -> None:
        """`queue` is shared by a thread's waiters for several words."""
        self.task = task
        self.key = key
        self.bitset = bitset
        self.queue = WaitQueue() if queue is None else queue
        self.priority = task.scheduling.priority
        self.is_woken = False
        self.lock_address = lock_address  # where the task sees the word of the lock that it is to own
        self.requeue_key = requeue_key  # the lock's, of who waits for something else first
        self.pi: PiState | None = None  # the lock that it waits for now
        self.error: LinuxError | None = None  # instead of the lock

    @property
    def is_plain(self) -> bool:
        return self.pi is None and self.requeue_key is None


class FutexTable:
    """All sleeping waiters, by key in the order in which they are to be woken, and by task."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, dict[Waiter, None]] = {}
        self._sleeping: dict[Task, Sequence[Waiter]] = {}
        self._owned: dict[Task, dict[PiState, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    # -- waiting ------------------------------------------------------------------------------------

    async def wait(self, waiter: Waiter, deadline: Deadline | None) -> None:
        """Join the queue and sleep until woken. The caller has just looked at the word.

        ETIMEDOUT after the deadline; and what interrupts.
        """
        self.join(waiter)
        await self.sleep((waiter,), deadline)

    async def sleep(self, waiters: Sequence[Waiter], deadline: Deadline | None) -> None:
        """Sleep until one of a thread's waiters, which are queued and share a wait queue, is woken.

        A wake-up that has been given counts, even if a signal or the deadline comes before the thread
        gets to run: whoever woke it believes that somebody has the lock now.
        """
        task = waiters[0].task
        self._sleeping[task] = waiters
        source = Source(waiters[0].queue)
        try:
            while not any(waiter.is_woken for waiter in waiters):
                await sleep_on(source, end_of_sleep(deadline))
        except LinuxError:
            if not any(waiter.is_woken for waiter in waiters):
                raise
        finally:
            self._sleeping.pop(task, None)
            for waiter in waiters:
                self.leave(waiter)

    def forget(self, task: "Task") -> None:
        """A task that may be asleep ends: no wake-up is to be lost on it."""
        for waiter in self._sleeping.pop(task, ()):
            self.leave(waiter)

    # -- waking -------------------------------------------------------------------------------------

    def wake(self, key: Hashable, count: int, bitset: int = FUTEX_BITSET_MATCH_ANY) -> int:
        """Wake up to `count` waiters, but at least one, whose bitset has a bit of this one; returns how many.

        EINVAL when it gets to one that waits for a lock, which only its owner may give away.
        """
        queue = self._queues.get(key)
        if queue is None:
            return 0
        chosen: list[Waiter] = []
        is_mixed = False
        for waiter in queue:
            if not waiter.is_plain:
                is_mixed = True
                break
            if waiter.bitset & bitset:
                chosen.append(waiter)
                if len(chosen) >= count:
                    break
        for waiter in chosen:
            self.wake_one(waiter)
        if is_mixed:
            raise LinuxError(Errno.EINVAL)
        return len(chosen)

    def wake_one(self, waiter: Waiter) -> None:
        self.leave(waiter)
        waiter.is_woken = True
        waiter.queue.wake()

    def requeue(self, key: Hashable, new: Hashable, wake_count: int, move_count: int) -> int:
        """Wake some waiters, and let some of the others wait for another key; returns how many in all.

        EINVAL as `wake`.
        """
        done = 0
        for waiter in self.waiters(key):
            if done - wake_count >= move_count:
                break
            if not waiter.is_plain:
                raise LinuxError(Errno.EINVAL)
            done += 1
            if done <= wake_count:
                self.wake_one(waiter)
            else:
                self.move(waiter, new)
        return done

    # -- queues -------------------------------------------------------------------------------------

    def waiters(self, key: Hashable) -> list[Waiter]:
        return list(self._queues.get(key, ()))

    def first(self, key: Hashable) -> Waiter | None:
        return next(iter(self._queues.get(key, ())), None)

    def join(self, waiter: Waiter) -> None:
        """To the end of the queue, or behind all others of its real-time priority."""
        queue = self._queues.setdefault(waiter.key, {})
        queue[waiter] = None
        if waiter.priority:
            self._queues[waiter.key] = dict.fromkeys(sorted(queue, key=lambda other: -other.priority))

    def move(self, waiter: Waiter, key: Hashable) -> None:
        if waiter.key != key:
            self._leave_queue(waiter)
            waiter.key = key
            self.join(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Out of the queue and of its lock's; again is the same as once."""
        self._leave_queue(waiter)
        if waiter.pi is not None:
            self._leave_lock(waiter, waiter.pi)

    def _leave_queue(self, waiter: Waiter) -> None:
        queue = self._queues.get(waiter.key)
        if queue is not None:
            queue.pop(waiter, None)
            if not queue:
                del self._queues[waiter.key]

    # -- locks and their owners -----------------------------------------------------------------------

    def block(self, waiter: Waiter, state: PiState) -> None:
        """Let a waiter wait for a lock. EDEADLK if the owner, too, waits for this task in the end."""
        owner: Task | None = state.owner
        while owner is not None:
            if owner is waiter.task:
                raise LinuxError(Errno.EDEADLK)
            blocked_on = self._blocked_on(owner)
            owner = blocked_on.owner if blocked_on is not None else None
        waiter.pi = state
        state.waiters[waiter] = None
        self._owned.setdefault(state.owner, {})[state] = None

    def give(self, state: PiState, waiter: Waiter) -> None:
        """The lock is this waiter's now; the others wait for it."""
        self._disown(state)
        state.owner = waiter.task
        self._owned.setdefault(state.owner, {})[state] = None
        self.wake_one(waiter)

    def owned_by(self, task: "Task") -> Iterable[PiState]:
        """The locks of a task that others wait for."""
        return list(self._owned.get(task, ()))

    def _blocked_on(self, task: "Task") -> PiState | None:
        waiters = self._sleeping.get(task)
        return None if waiters is None or waiters[0].is_woken else waiters[0].pi

    def _leave_lock(self, waiter: Waiter, state: PiState) -> None:
        state.waiters.pop(waiter, None)
        if not state.waiters:
            self._disown(state)

    def _disown(self, state: PiState) -> None:
        owned = self._owned.get(state.owner)
        if owned is not None:
            owned.pop(state, None)
            if not owned:
                del self._owned[state.owner]


def end_of_sleep(deadline: Deadline | None) -> int | None:
    """Until when to sleep, as time.monotonic_ns(); ETIMEDOUT if that has come already."""
    if deadline is None:
        return None
    left_ns = deadline.left_ns()
    if left_ns <= 0:
        raise LinuxError(Errno.ETIMEDOUT)
    return time.monotonic_ns() + left_ns
