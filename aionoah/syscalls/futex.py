"""Sleeping on a word of memory: futex(2).

Here are the arguments of its thirteen operations; who sleeps, and who is woken, is in process/futex.py and
process/futex_pi.py. The order of the checks is Linux's (kernel/futex/syscalls.c, waitwake.c, requeue.c).
"""

from collections.abc import Hashable
from functools import partial
from typing import Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.futex import (
    FUTEX,
    FUTEX_BITSET_MATCH_ANY,
    FUTEX_CLOCK_REALTIME,
    FUTEX_CMD_MASK,
    FUTEX_PRIVATE_FLAG,
)
from aionoah.abi.time import Timespec
from aionoah.abi.words import signed
from aionoah.clocks.duration import nanoseconds
from aionoah.process.futex import Deadline, Waiter
from aionoah.process.futex_op import exchange_and_compare
from aionoah.process.futex_pi import Lock, lock_pi, requeue_pi, try_lock_pi, unlock_pi, wait_requeue_pi
from aionoah.process.task import Task
from aionoah.syscalls.arguments import Addr, UInt, ULong
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.results import wants_restart

_WAKE: Final = int(FUTEX.WAKE)
_HAS_TIMEOUT: Final = frozenset(
    {FUTEX.WAIT, FUTEX.WAIT_BITSET, FUTEX.LOCK_PI, FUTEX.LOCK_PI2, FUTEX.WAIT_REQUEUE_PI}
)
_WAITS: Final = frozenset({int(FUTEX.WAIT), int(FUTEX.WAIT_BITSET)})
_HAS_CLOCK: Final = frozenset({FUTEX.WAIT_BITSET, FUTEX.LOCK_PI2, FUTEX.WAIT_REQUEUE_PI})


@syscall
async def futex(task: Task, uaddr: Addr, op: UInt, val: UInt, val2: ULong, uaddr2: Addr, val3: UInt) -> int:
    """`val2` is the address of a timeout or, for calls with two words, a count."""
    command, is_private = op & FUTEX_CMD_MASK, op & FUTEX_PRIVATE_FLAG != 0
    deadline = _deadline(task, op, command, val2) if val2 and command in _HAS_TIMEOUT else None
    if op & FUTEX_CLOCK_REALTIME and command not in _HAS_CLOCK:
        raise LinuxError(Errno.ENOSYS)
    if command == _WAKE:
        return wake(task, uaddr, signed(val), FUTEX_BITSET_MATCH_ANY, is_private=is_private)
    if command in _WAITS:
        wanted = Wait(uaddr, val, val3 if command else FUTEX_BITSET_MATCH_ANY, deadline, is_private)
        await _sleep(task, _expected_key(task, wanted), wanted)
        return 0
    if command == FUTEX.WAKE_BITSET:
        return wake(task, uaddr, signed(val), val3, is_private=is_private)
    if command in _LOCKS:
        return await _lock_operation(task, command, uaddr, deadline, is_private=is_private)
    if command == FUTEX.WAIT_REQUEUE_PI:
        await _wait_requeue_pi(task, uaddr, val, uaddr2, deadline, is_private=is_private)
        return 0
    return _two_words(task, command, (uaddr, uaddr2), (val, val2, val3), is_private=is_private)


def _two_words(
    task: Task, command: int, words: tuple[int, int], values: tuple[int, int, int], *, is_private: bool
) -> int:
    """The operations that never sleep and use the fourth argument as a count."""
    count, second, third = signed(values[0]), signed(values[1] & 0xFFFF_FFFF), values[2]
    if command in {FUTEX.REQUEUE, FUTEX.CMP_REQUEUE}:
        expected = third if command == FUTEX.CMP_REQUEUE else None
        return requeue(task, words, (count, second), expected, is_private=is_private)
    if command == FUTEX.WAKE_OP:
        return _wake_op(task, words, (count, second), third, is_private=is_private)
    if command == FUTEX.CMP_REQUEUE_PI:
        return _cmp_requeue_pi(task, words, (count, second), third, is_private=is_private)
    raise LinuxError(Errno.ENOSYS)


# -- waiting and waking ---------------------------------------------------------------------------------


class Wait(NamedTuple):
    """What a thread waits for, and what it takes to do it again after a signal."""

    address: int
    expected: int
    bitset: int
    deadline: Deadline | None
    is_private: bool


async def _sleep(task: Task, key: Hashable, wanted: Wait) -> None:
    """Sleep until woken. ETIMEDOUT; a signal without a handler lets restart_syscall go on, until the same
    deadline.
    """
    try:
        await task.kernel.futexes.wait(Waiter(task, key, wanted.bitset), wanted.deadline)
    except LinuxError as error:
        if wanted.deadline is None or not wants_restart(error):
            raise
        task.signals.restart_block = partial(_sleep_again, task, wanted)
        raise LinuxError(Errno.ERESTART_RESTARTBLOCK) from None


async def _sleep_again(task: Task, wanted: Wait) -> None:
    await _sleep(task, _expected_key(task, wanted), wanted)


def _expected_key(task: Task, wanted: Wait) -> Hashable:
    """The key of a word that is as it has to be for sleeping. EINVAL, EFAULT; EAGAIN if it is not.

    This comes before `_sleep`, because most waits go no further.
    """
    if not wanted.bitset:
        raise LinuxError(Errno.EINVAL)
    return _expect(task, wanted.address, wanted.expected, is_private=wanted.is_private)


def wake(task: Task, address: int, count: int, bitset: int, *, is_private: bool) -> int:
    """Wake up to `count` who wait for a word, but at least one: Linux looks at the count after waking."""
    if not bitset:
        raise LinuxError(Errno.EINVAL)
    return task.kernel.futexes.wake(task.memory.futex_key(address, is_private=is_private), count, bitset)


def requeue(
    task: Task,
    words: tuple[int, int],
    counts: tuple[int, int],
    expected: int | None,
    *,
    is_private: bool,
) -> int:
    """Wake `counts[0]` who wait for the first word and let `counts[1]` wait for the second."""
    if counts[0] < 0 or counts[1] < 0:
        raise LinuxError(Errno.EINVAL)
    memory = task.memory
    key, new = (memory.futex_key(word, is_private=is_private) for word in words)
    if expected is not None and memory.load_word(words[0]) != expected:
        raise LinuxError(Errno.EAGAIN)
    return task.kernel.futexes.requeue(key, new, *counts)


def _wake_op(
    task: Task, words: tuple[int, int], counts: tuple[int, int], code: int, *, is_private: bool
) -> int:
    memory, futexes = task.memory, task.kernel.futexes
    key = memory.futex_key(words[0], is_private=is_private)
    second = memory.futex_key(words[1], is_private=is_private, writes=True)
    holds = exchange_and_compare(memory, words[1], code)
    woken = futexes.wake(key, counts[0])
    if holds:
        woken += futexes.wake(second, counts[1])
    return woken


def _expect(task: Task, address: int, expected: int, *, is_private: bool) -> Hashable:
    """The key of a word that is as expected; EAGAIN if it is not."""
    key = task.memory.futex_key(address, is_private=is_private)
    if task.memory.load_word(address) != expected:
        raise LinuxError(Errno.EAGAIN)
    return key


# -- locks with priority inheritance ----------------------------------------------------------------------

_LOCKS: Final = frozenset({FUTEX.LOCK_PI, FUTEX.LOCK_PI2, FUTEX.TRYLOCK_PI, FUTEX.UNLOCK_PI})


async def _lock_operation(
    task: Task, command: int, address: int, deadline: Deadline | None, *, is_private: bool
) -> int:
    if command == FUTEX.UNLOCK_PI:
        unlock_pi(task, task.memory, address, is_private=is_private)
    elif command == FUTEX.TRYLOCK_PI:
        try_lock_pi(task, _lock(task, address, is_private=is_private))
    else:
        await lock_pi(task, _lock(task, address, is_private=is_private), deadline)
    return 0


def _lock(task: Task, address: int, *, is_private: bool) -> Lock:
    key = task.memory.futex_key(address, is_private=is_private, writes=True)
    return Lock(task.memory, address, key)


async def _wait_requeue_pi(
    task: Task, address: int, expected: int, target: int, deadline: Deadline | None, *, is_private: bool
) -> None:
    if address == target:
        raise LinuxError(Errno.EINVAL)
    lock = _lock(task, target, is_private=is_private)
    key = _expect(task, address, expected, is_private=is_private)
    await wait_requeue_pi(task, key, lock, deadline)


def _cmp_requeue_pi(
    task: Task, words: tuple[int, int], counts: tuple[int, int], expected: int, *, is_private: bool
) -> int:
    if counts[0] < 0 or counts[1] < 0 or words[0] == words[1] or counts[0] != 1:
        raise LinuxError(Errno.EINVAL)
    key = task.memory.futex_key(words[0], is_private=is_private)
    lock = _lock(task, words[1], is_private=is_private)
    if key == lock.key:
        raise LinuxError(Errno.EINVAL)
    if task.memory.load_word(words[0]) != expected:
        raise LinuxError(Errno.EAGAIN)
    return requeue_pi(task, key, lock, counts[1])


# -- arguments ------------------------------------------------------------------------------------------


def _deadline(task: Task, op: int, command: int, timeout: int) -> Deadline:
    """When a wait is over. WAIT gives a duration, LOCK_PI always means CLOCK_REALTIME. EFAULT, EINVAL."""
    time_ns = nanoseconds(task.memory.get(Timespec, timeout))
    if command == FUTEX.WAIT:
        return Deadline.after(time_ns)
    return Deadline(time_ns, is_realtime=command == FUTEX.LOCK_PI or op & FUTEX_CLOCK_REALTIME != 0)
