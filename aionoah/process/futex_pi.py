"""Locks with priority inheritance: the word has its owner's number, and the kernel gives the lock on.

Sources: futex(2), "Priority-inheritance futexes"; Linux kernel/futex/pi.c, requeue.c. The host schedules, so
no priority is lent in fact; ownership, order and errors are Linux's.

A lock changes hands at once, when its owner unlocks it or ends, and not when the new owner gets to run:
under one kernel lock nobody can see the difference, and a lock never is without an owner.
"""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.futex import FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS
from aionoah.process.futex import Deadline, FutexTable, PiState, Waiter

if TYPE_CHECKING:
    from aionoah.memory.memory import Memory
    from aionoah.process.task import Task

_INTERRUPTED: Final = (Errno.ERESTARTSYS, Errno.ERESTARTNOINTR)


class Lock(NamedTuple):
    """The word of a lock, as one task sees it, and the key of its waiters."""

    memory: "Memory"
    address: int
    key: Hashable


async def lock_pi(task: "Task", lock: Lock, deadline: Deadline | None) -> None:
    """Get a lock, sleeping until its owner gives it away.

    EDEADLK; ESRCH if the owner does not exist; EINVAL if the word and the kernel disagree about the owner;
    ETIMEDOUT; EFAULT. A signal interrupts the sleep, and the call is always made again.
    """
    table = task.kernel.futexes
    state = _take_or_join(task, lock)
    if state is None:
        return
    waiter = Waiter(task, lock.key, lock_address=lock.address)
    table.block(waiter, state)
    try:
        await table.wait(waiter, deadline)
    except LinuxError as error:
        raise _always_restarted(error) from None
    if waiter.error is not None:
        raise waiter.error


def try_lock_pi(task: "Task", lock: Lock) -> None:
    """Get a lock if it is free: EAGAIN, and the errors of `lock_pi`."""
    if _take_or_join(task, lock) is not None:
        raise LinuxError(Errno.EAGAIN)


def unlock_pi(task: "Task", memory: "Memory", address: int, *, is_private: bool) -> None:
    """Give a lock to the next who waits for it. EPERM if it is not the task's; EINVAL; EAGAIN if the
    program has changed the word meanwhile.
    """
    table = task.kernel.futexes
    while True:
        value = memory.read_word(address, 4)
        if value & FUTEX_TID_MASK != task.tid:
            raise LinuxError(Errno.EPERM)
        key = memory.futex_key(address, is_private=is_private, writes=True)
        first = table.first(key)
        if first is None:
            if memory.compare_exchange(address, value, 0) != value:
                raise LinuxError(Errno.EAGAIN)
            return
        state = first.pi
        if state is None or state.owner is not task:
            raise LinuxError(Errno.EINVAL)
        heir = state.first()
        found = memory.compare_exchange(address, value, heir.task.tid | FUTEX_WAITERS)
        if found == value:
            table.give(state, heir)
            return
        if found & FUTEX_TID_MASK != value:
            raise LinuxError(Errno.EINVAL)


def exit_pi_locks(task: "Task") -> None:
    """The task ends: each lock that others wait for gets a new owner, who learns from the word what happened."""
    table = task.kernel.futexes
    for state in table.owned_by(task):
        _bequeath(table, state)


def _bequeath(table: FutexTable, state: PiState) -> None:
    """Give a dead owner's lock to the first who can write to the word; EFAULT for the others."""
    while state.waiters:
        heir = state.first()
        try:
            _mark_inherited(heir)
        except LinuxError as error:
            heir.error = LinuxError(error.errno)
            table.wake_one(heir)
        else:
            table.give(state, heir)
            return


def _mark_inherited(heir: Waiter) -> None:
    memory, address = heir.task.memory, heir.lock_address
    wanted = heir.task.tid | FUTEX_WAITERS | FUTEX_OWNER_DIED
    value = memory.load_word(address)
    while (found := memory.compare_exchange(address, value, wanted)) != value:
        value = found


def _always_restarted(error: LinuxError) -> LinuxError:
    return LinuxError(Errno.ERESTARTNOINTR if error.errno in _INTERRUPTED else error.errno)


# -- the word -------------------------------------------------------------------------------------------


def _take_or_join(task: "Task", lock: Lock, *, keeps_waiters: bool = False) -> PiState | None:
    """Make a task the owner of a free lock and return None, or say whom it has to wait for (Linux:
    futex_lock_pi_atomic). Then the word says that somebody waits.

    `keeps_waiters`: say so also if the lock was free.
    """
    memory, address, key = lock
    while True:
        value = memory.load_word(address)
        owner_tid = value & FUTEX_TID_MASK
        if owner_tid == task.tid:
            raise LinuxError(Errno.EDEADLK)
        first = task.kernel.futexes.first(key)
        if first is not None:
            return _existing(first, value)
        if owner_tid:
            wanted = value | FUTEX_WAITERS
        else:
            wanted = value & FUTEX_OWNER_DIED | task.tid | (FUTEX_WAITERS if keeps_waiters else 0)
        if memory.compare_exchange(address, value, wanted) != value:
            continue
        if not owner_tid:
            return None
        owner = task.kernel.tasks.get(owner_tid)
        if owner is not None:
            return PiState(key, owner)
        if memory.load_word(address) == wanted:
            raise LinuxError(Errno.ESRCH)


def _existing(first: Waiter, value: int) -> PiState:
    """What the first waiter waits for, if it is this lock; EINVAL if the program has spoilt the word."""
    state, owner_tid = first.pi, value & FUTEX_TID_MASK
    if state is None:
        raise LinuxError(Errno.EINVAL)
    is_being_inherited = value & FUTEX_OWNER_DIED and not owner_tid
    if owner_tid != state.owner.tid and not is_being_inherited:
        raise LinuxError(Errno.EINVAL)
    return state


# -- from a condition variable to its lock ----------------------------------------------------------------


async def wait_requeue_pi(task: "Task", key: Hashable, lock: Lock, deadline: Deadline | None) -> None:
    """Sleep until `requeue_pi` has got the lock for the task. The caller has just looked at the word of `key`.

    ETIMEDOUT; a signal has the call made again, or is EAGAIN if the task waits for the lock already.
    """
    if key == lock.key:
        raise LinuxError(Errno.EINVAL)
    waiter = Waiter(task, key, lock_address=lock.address, requeue_key=lock.key)
    try:
        await task.kernel.futexes.wait(waiter, deadline)
    except LinuxError as error:
        if error.errno in _INTERRUPTED and waiter.pi is not None:
            raise LinuxError(Errno.EAGAIN) from None
        raise _always_restarted(error) from None
    if waiter.error is not None:
        raise waiter.error


def requeue_pi(task: "Task", key: Hashable, lock: Lock, move_count: int) -> int:
    """Get the lock for the first waiter of `key`, or let it wait for it, and so many others; returns how many.

    EINVAL for waiters that have not called for this lock; the errors of `lock_pi`.
    """
    if key == lock.key:
        raise LinuxError(Errno.EINVAL)
    table = task.kernel.futexes
    first = table.first(key)
    if first is None:
        return 0
    _check_requeue(first, lock)
    state = _take_or_join(first.task, lock, keeps_waiters=move_count > 0)
    done = 0
    if state is None:
        state = PiState(lock.key, first.task)
        table.wake_one(first)
        done = 1
    for waiter in table.waiters(key):
        if done > move_count:
            break
        _check_requeue(waiter, lock)
        table.block(waiter, state)
        table.move(waiter, lock.key)
        done += 1
    return done


def _check_requeue(waiter: Waiter, lock: Lock) -> None:
    if waiter.requeue_key != lock.key or waiter.pi is not None:
        raise LinuxError(Errno.EINVAL)
