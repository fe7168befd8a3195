"""Sleeping on a word of memory: futex(2). The waiters are in process/futex.py."""

import time
from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.futex import (
    FUTEX,
    FUTEX_BITSET_MATCH_ANY,
    FUTEX_CLOCK_REALTIME,
    FUTEX_CMD_MASK,
    FUTEX_OP,
    FUTEX_OP_CMP,
    FUTEX_OP_OPARG_SHIFT,
)
from aionoah.abi.time import Timespec
from aionoah.clocks.duration import nanoseconds
from aionoah.process.task import Task
from aionoah.syscalls.arguments import Addr, UInt, ULong
from aionoah.syscalls.registry import syscall

_WAITS: Final = (FUTEX.WAIT, FUTEX.WAIT_BITSET)
_WAKES: Final = (FUTEX.WAKE, FUTEX.WAKE_BITSET)
_REQUEUES: Final = (FUTEX.REQUEUE, FUTEX.CMP_REQUEUE)
_WORD_SIZE: Final = 4
_MASK: Final = 0xFFFF_FFFF
_PARTIAL: Final = "WAIT, WAKE, REQUEUE and WAKE_OP; no priority inheritance; a word in shared memory is one word per process."


@syscall(partial=_PARTIAL)
async def futex(task: Task, uaddr: Addr, op: UInt, val: UInt, val2: ULong, uaddr2: Addr, val3: UInt) -> int:
    """`val2` is the address of a timeout or, for calls with two words, a count."""
    operation = op & FUTEX_CMD_MASK
    if op & FUTEX_CLOCK_REALTIME and operation != FUTEX.WAIT_BITSET:
        raise LinuxError(Errno.ENOSYS)
    if operation in _WAITS:
        bitset = val3 if operation == FUTEX.WAIT_BITSET else FUTEX_BITSET_MATCH_ANY
        deadline_ns = _deadline(task, op, val2)
        await _wait(task, uaddr, val, bitset, deadline_ns)
        return 0
    if operation in _WAKES:
        bitset = val3 if operation == FUTEX.WAKE_BITSET else FUTEX_BITSET_MATCH_ANY
        return _wake(task, uaddr, val, bitset)
    if operation in _REQUEUES:
        expected = val3 if operation == FUTEX.CMP_REQUEUE else None
        return _requeue(task, uaddr, val, uaddr2, val2, expected)
    if operation == FUTEX.WAKE_OP:
        return _wake_op(task, uaddr, val, uaddr2, val2, val3)
    raise LinuxError(Errno.ENOSYS)


# -- operations -----------------------------------------------------------------------------------------


async def _wait(task: Task, address: int, expected: int, bitset: int, deadline_ns: int | None) -> None:
    if not bitset:
        raise LinuxError(Errno.EINVAL)
    key = _key(task, address)
    if task.memory.read_word(address, _WORD_SIZE) != expected:
        raise LinuxError(Errno.EAGAIN)
    await task.kernel.futexes.wait(key, bitset, deadline_ns)


def _wake(task: Task, address: int, count: int, bitset: int) -> int:
    if not bitset:
        raise LinuxError(Errno.EINVAL)
    # Linux looks at the count after waking one.
    return task.kernel.futexes.wake(_key(task, address), max(_signed(count), 1), bitset)


def _requeue(
    task: Task, address: int, wake_word: int, target: int, move_word: int, expected: int | None
) -> int:
    wake_count, move_count = _signed(wake_word), _signed(move_word & _MASK)
    if wake_count < 0 or move_count < 0:
        raise LinuxError(Errno.EINVAL)
    key, new = _key(task, address), _key(task, target)
    if expected is not None and task.memory.read_word(address, _WORD_SIZE) != expected:
        raise LinuxError(Errno.EAGAIN)
    futexes = task.kernel.futexes
    return futexes.wake(key, wake_count) + futexes.requeue(key, new, move_count)


def _wake_op(task: Task, address: int, count: int, target: int, target_count: int, code: int) -> int:
    key, second = _key(task, address), _key(task, target)
    old = task.memory.read_word(target, _WORD_SIZE)
    task.memory.write_word(target, _changed_word(old, code), _WORD_SIZE)
    futexes = task.kernel.futexes
    woken = futexes.wake(key, max(_signed(count), 1))
    if _compares(old, code):
        woken += futexes.wake(second, max(_signed(target_count & _MASK), 1))
    return woken


# -- words ----------------------------------------------------------------------------------------------


def _key(task: Task, address: int) -> tuple[object, int]:
    """What waiters of this word are found by. EINVAL for a misaligned address, EFAULT for a bad one."""
    if address % _WORD_SIZE:
        raise LinuxError(Errno.EINVAL)
    if address >= task.memory.space.end:
        raise LinuxError(Errno.EFAULT)
    return task.memory, address


def _deadline(task: Task, op: int, timeout: int) -> int | None:
    """When a wait is over, as time.monotonic_ns(); None for never. EFAULT, EINVAL."""
    if not timeout:
        return None
    wanted_ns = nanoseconds(task.memory.get(Timespec, timeout))
    if op & FUTEX_CMD_MASK == FUTEX.WAIT:
        return time.monotonic_ns() + wanted_ns
    if op & FUTEX_CLOCK_REALTIME:
        return time.monotonic_ns() + wanted_ns - time.time_ns()
    return wanted_ns


def _changed_word(old: int, code: int) -> int:
    """What FUTEX_WAKE_OP makes of its second word; ENOSYS for an operation that does not exist."""
    operation, argument = code >> 28 & 0xF, _signed_12(code >> 12)
    if operation & FUTEX_OP_OPARG_SHIFT:
        operation, argument = operation & ~FUTEX_OP_OPARG_SHIFT, 1 << (argument & 31)
    if operation == FUTEX_OP.SET:
        new = argument
    elif operation == FUTEX_OP.ADD:
        new = old + argument
    elif operation == FUTEX_OP.OR:
        new = old | argument
    elif operation == FUTEX_OP.ANDN:
        new = old & ~argument
    elif operation == FUTEX_OP.XOR:
        new = old ^ argument
    else:
        raise LinuxError(Errno.ENOSYS)
    return new & _MASK


def _compares(old_word: int, code: int) -> bool:
    """Whether FUTEX_WAKE_OP's comparison holds; ENOSYS for one that does not exist."""
    old, operand = _signed(old_word), _signed_12(code)
    outcomes = {
        FUTEX_OP_CMP.EQ: old == operand,
        FUTEX_OP_CMP.NE: old != operand,
        FUTEX_OP_CMP.LT: old < operand,
        FUTEX_OP_CMP.LE: old <= operand,
        FUTEX_OP_CMP.GT: old > operand,
        FUTEX_OP_CMP.GE: old >= operand,
    }
    try:
        return outcomes[code >> 24 & 0xF]
    except KeyError:
        raise LinuxError(Errno.ENOSYS) from None


def _signed(word: int) -> int:
    """A 32-bit word as C's int."""
    return word - (1 << 32) if word >> 31 else word


def _signed_12(word: int) -> int:
    """The low twelve bits as a signed number."""
    return (word & 0xFFF ^ 0x800) - 0x800
