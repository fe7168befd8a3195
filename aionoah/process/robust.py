"""What a thread leaves in memory when it ends: the word that pthread_join waits for, and locks it held.

Sources: set_tid_address(2), get_robust_list(2); Linux kernel/fork.c (mm_release), kernel/futex/core.c
(exit_robust_list). Everything is done as far as the memory allows: a program that has put nonsense
there only fools itself.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.futex import (
    FUTEX_OWNER_DIED,
    FUTEX_TID_MASK,
    FUTEX_WAITERS,
    ROBUST_LIST_LIMIT,
    RobustListHead,
)

if TYPE_CHECKING:
    from aionoah.process.task import Task


def exit_thread_word(task: "Task") -> None:
    """Zero the word of set_tid_address and wake one who waits for it (CLONE_CHILD_CLEARTID)."""
    address, task.clear_child_tid = task.clear_child_tid, 0
    if not address:
        return
    try:
        task.memory.write_word(address, 0, 4)
    except LinuxError as error:
        _only_fault(error)
    task.kernel.futexes.wake((task.memory, address), 1)


def exit_robust_list(task: "Task") -> None:
    """Mark every lock on the thread's robust list as having lost its owner, and wake a waiter of each."""
    head_address, task.robust_list = task.robust_list, 0
    if not head_address:
        return
    try:
        head = task.memory.get(RobustListHead, head_address)
        pending = head.list_op_pending
        for entry in _entries(task, head_address, head):
            if entry & ~1 != pending & ~1:
                _owner_died(task, entry, head.futex_offset)
        if pending & ~1:
            _owner_died(task, pending, head.futex_offset)
    except LinuxError as error:
        _only_fault(error)


def _entries(task: "Task", head_address: int, head: RobustListHead) -> Iterator[int]:
    """The entries of the list with their lowest bit, at most 2048; EFAULT where it is broken."""
    entry = head.list
    for _ in range(ROBUST_LIST_LIMIT):
        if entry & ~1 == head_address:
            return
        following = task.memory.read_word(entry & ~1)  # before the owner of the entry may reuse it
        yield entry
        entry = following


def _owner_died(task: "Task", entry: int, offset: int) -> None:
    """Deal with one lock; the lowest bit of an entry says that it inherits priorities."""
    address = (entry & ~1) + offset & 0xFFFF_FFFF_FFFF_FFFF
    word = task.memory.read_word(address, 4)
    if word & FUTEX_TID_MASK != task.tid:
        return
    task.memory.write_word(address, word & FUTEX_WAITERS | FUTEX_OWNER_DIED, 4)
    if word & FUTEX_WAITERS and not entry & 1:
        task.kernel.futexes.wake((task.memory, address), 1)


def _only_fault(error: LinuxError) -> None:
    """Let nothing but a bad address pass unnoticed."""
    if error.errno is not Errno.EFAULT:
        raise error
