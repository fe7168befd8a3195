"""Futexes with a flag word for each: futex_waitv(2), futex_wait, futex_wake, futex_requeue.

Source: Linux kernel/futex/syscalls.c; Documentation/userspace-api/futex2.rst.
"""

from collections.abc import Sequence
from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.futex import FUTEX2, FUTEX2_SIZE_MASK, FUTEX_WAITV_MAX, FutexWaitv
from aionoah.abi.time import CLOCK, Timespec
from aionoah.clocks.duration import nanoseconds
from aionoah.host.waiting import WaitQueue
from aionoah.process.futex import Deadline, Waiter
from aionoah.process.task import Task
from aionoah.syscalls.arguments import Addr, In, Int, UInt, ULong
from aionoah.syscalls.futex import requeue, wake
from aionoah.syscalls.registry import syscall

_VALID_FLAGS: Final = FUTEX2_SIZE_MASK | FUTEX2.PRIVATE
_PARTIAL: Final = "Words of 32 bits, as in Linux; no FUTEX2_NUMA, which is EINVAL."


@syscall(partial=_PARTIAL)
async def futex_waitv(
    task: Task,
    waiters: Addr,
    nr_futexes: UInt,
    flags: UInt,
    utime: In[Timespec],
    clockid: CLOCK,
) -> int:
    if flags or not 0 < nr_futexes <= FUTEX_WAITV_MAX or not waiters:
        raise LinuxError(Errno.EINVAL)
    deadline = _deadline(task, utime, clockid)
    wanted = _wanted(task, waiters, nr_futexes)
    keys = [task.memory.futex_key(one.uaddr, is_private=_is_private(one)) for one in wanted]
    for one in wanted:
        if task.memory.load_word(one.uaddr) != one.val:
            raise LinuxError(Errno.EAGAIN)
    queue, futexes = WaitQueue(), task.kernel.futexes
    sleepers = [Waiter(task, key, queue=queue) for key in keys]
    for sleeper in sleepers:
        futexes.join(sleeper)
    await futexes.sleep(sleepers, deadline)
    return _last_woken(sleepers)


@syscall(partial=_PARTIAL)
def futex_wake(task: Task, uaddr: Addr, mask: ULong, nr: Int, flags: UInt) -> int:
    _check_flags(flags)
    _check_width(mask)
    if not mask:
        raise LinuxError(Errno.EINVAL)
    is_private = flags & FUTEX2.PRIVATE != 0
    if nr == 0:  # unlike FUTEX_WAKE
        task.memory.futex_key(uaddr, is_private=is_private)
        return 0
    return wake(task, uaddr, nr, mask, is_private=is_private)


@syscall(partial=_PARTIAL)
async def futex_wait(
    task: Task, uaddr: Addr, val: ULong, mask: ULong, flags: UInt, utime: In[Timespec], clockid: CLOCK
) -> None:
    _check_flags(flags)
    _check_width(val)
    _check_width(mask)
    deadline = _deadline(task, utime, clockid)
    if not mask:
        raise LinuxError(Errno.EINVAL)
    key = task.memory.futex_key(uaddr, is_private=flags & FUTEX2.PRIVATE != 0)
    if task.memory.load_word(uaddr) != val:
        raise LinuxError(Errno.EAGAIN)
    await task.kernel.futexes.wait(Waiter(task, key, mask), deadline)


@syscall(partial=_PARTIAL)
def futex_requeue(task: Task, waiters: Addr, flags: UInt, nr_wake: Int, nr_requeue: Int) -> int:
    if flags or not waiters:
        raise LinuxError(Errno.EINVAL)
    first, second = _wanted(task, waiters, 2)
    if first.flags != second.flags:
        raise LinuxError(Errno.EINVAL)
    words = first.uaddr, second.uaddr
    return requeue(task, words, (nr_wake, nr_requeue), first.val, is_private=_is_private(first))


# -- arguments ------------------------------------------------------------------------------------------


def _wanted(task: Task, address: int, count: int) -> list[FutexWaitv]:
    """The array of words to wait for, checked; EFAULT, EINVAL."""
    wanted: list[FutexWaitv] = []
    for index in range(count):
        one = task.memory.get(FutexWaitv, address + index * FutexWaitv.SIZE)
        if one.reserved:
            raise LinuxError(Errno.EINVAL)
        _check_flags(one.flags)
        _check_width(one.val)
        wanted.append(one)
    return wanted


def _check_flags(flags: int) -> None:
    """EINVAL for what does not exist: Linux has words of 32 bits only, so far."""
    if flags & ~_VALID_FLAGS or flags & FUTEX2_SIZE_MASK != FUTEX2.SIZE_U32:
        raise LinuxError(Errno.EINVAL)


def _check_width(value: int) -> None:
    if value >> 32:
        raise LinuxError(Errno.EINVAL)


def _is_private(one: FutexWaitv) -> bool:
    return one.flags & FUTEX2.PRIVATE != 0


def _deadline(task: Task, timeout: int, clock: int) -> Deadline | None:
    """An absolute time of one of two clocks; the clock does not matter without one. EINVAL, EFAULT."""
    if not timeout:
        return None
    if clock not in {CLOCK.REALTIME, CLOCK.MONOTONIC}:
        raise LinuxError(Errno.EINVAL)
    time_ns = nanoseconds(task.memory.get(Timespec, timeout))
    return Deadline(time_ns, is_realtime=clock == CLOCK.REALTIME)


def _last_woken(sleepers: Sequence[Waiter]) -> int:
    """Linux tells the highest index of those that have been woken."""
    return max(index for index, sleeper in enumerate(sleepers) if sleeper.is_woken)
