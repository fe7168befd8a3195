"""What a thread leaves in memory when it ends: the word that pthread_join waits for, and locks it held.

Sources: set_tid_address(2), get_robust_list(2); Linux kernel/fork.c (mm_release), kernel/futex/core.c
(futex_cleanup, exit_robust_list, handle_futex_death). Everything is done as far as the memory allows:
a program that has put nonsense there only fools itself.
"""

from contextlib import suppress
from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.futex import (
    FUTEX_OWNER_DIED,
    FUTEX_TID_MASK,
    FUTEX_WAITERS,
    ROBUST_LIST_LIMIT,
    RobustListHead,
)
from aionoah.abi.words import WORD_MASK
from aionoah.process.futex_pi import exit_pi_locks

if TYPE_CHECKING:
    from aionoah.process.task import Task


def exit_futexes(task: "Task") -> None:
    """The thread ends or starts another program: it waits for no word, and its locks have lost their owner."""
    task.kernel.futexes.forget(task)
    exit_robust_list(task)
    exit_pi_locks(task)


def exit_thread_word(task: "Task") -> None:
    """Zero the word of set_tid_address and wake one who waits for it, if anybody is left in this memory
    (CLONE_CHILD_CLEARTID).
    """
    address, task.clear_child_tid = task.clear_child_tid, 0
    if not address or task.memory.has_one_user:
        return
    with suppress(LinuxError):
        task.memory.write_word(address, 0, 4)
    _wake_shared(task, address)


def exit_robust_list(task: "Task") -> None:
    """Mark every lock on the thread's robust list as having lost its owner, and wake a waiter of each."""
    head_address, task.robust_list = task.robust_list, 0
    if not head_address:
        return
    with suppress(LinuxError):  # the list ends where it is broken
        head = task.memory.get(RobustListHead, head_address)
        pending = head.list_op_pending
        _walk(task, head_address, head)
        if pending & ~1:
            _owner_died(task, pending, head.futex_offset, is_pending=True)


def _walk(task: "Task", head_address: int, head: RobustListHead) -> None:
    """The entries of the list, at most 2048; the lowest bit of one says that it inherits priorities."""
    entry = head.list
    for _ in range(ROBUST_LIST_LIMIT):
        if entry & ~1 == head_address:
            return
        following: int | None = None
        with suppress(LinuxError):  # the entry itself may lie elsewhere
            following = task.memory.read_word(entry & ~1)  # before the new owner may reuse it
        if entry & ~1 != head.list_op_pending & ~1:
            _owner_died(task, entry, head.futex_offset)
        if following is None:
            raise LinuxError(Errno.EFAULT)
        entry = following


def _owner_died(task: "Task", entry: int, offset: int, *, is_pending: bool = False) -> None:
    """Deal with one lock. EINVAL, EFAULT if there can be none.

    A thread that ends between unlocking and waking, or between being woken and locking, leaves its lock
    as the pending one with no owner: somebody has to be woken in its place.
    """
    address, is_pi = (entry & ~1) + offset & WORD_MASK, entry & 1
    if address % 4:
        raise LinuxError(Errno.EINVAL)
    value = task.memory.load_word(address)
    while True:
        owner = value & FUTEX_TID_MASK
        if is_pending and not is_pi and not owner:
            _wake_shared(task, address)
            return
        if owner != task.tid:
            return
        dead = value & FUTEX_WAITERS | FUTEX_OWNER_DIED
        found = task.memory.compare_exchange(address, value, dead)
        if found == value:
            break
        value = found
    if not is_pi and value & FUTEX_WAITERS:
        _wake_shared(task, address)


def _wake_shared(task: "Task", address: int) -> None:
    """Linux takes the word for a shared one, as the C libraries do that make it."""
    with suppress(LinuxError):
        task.kernel.futexes.wake(task.memory.futex_key(address, is_private=False), 1)
