"""FUTEX_WAKE_OP: a small program in one word, carried out on another.

Source: futex(2), FUTEX_WAKE_OP; Linux kernel/futex/waitwake.c (futex_atomic_op_inuser).
"""

from collections.abc import Callable
from operator import eq, ge, gt, le, lt, ne
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.futex import FUTEX_OP, FUTEX_OP_CMP, FUTEX_OP_OPARG_SHIFT
from aionoah.abi.words import signed

if TYPE_CHECKING:
    from aionoah.memory.guest_memory import GuestMemory

_MASK: Final = 0xFFFF_FFFF
_WIDTH: Final = 12  # bits of an argument
_OPERATIONS: Final[dict[int, Callable[[int, int], int]]] = {
    FUTEX_OP.SET: lambda _, argument: argument,
    FUTEX_OP.ADD: lambda old, argument: old + argument,
    FUTEX_OP.OR: lambda old, argument: old | argument,
    FUTEX_OP.ANDN: lambda old, argument: old & ~argument,
    FUTEX_OP.XOR: lambda old, argument: old ^ argument,
}
_COMPARISONS: Final[dict[int, Callable[[int, int], bool]]] = {
    FUTEX_OP_CMP.EQ: eq,
    FUTEX_OP_CMP.NE: ne,
    FUTEX_OP_CMP.LT: lt,
    FUTEX_OP_CMP.LE: le,
    FUTEX_OP_CMP.GT: gt,
    FUTEX_OP_CMP.GE: ge,
}


def exchange_and_compare(memory: "GuestMemory", address: int, code: int) -> bool:
    """Change a word as `code` says, atomically, and compare what was there before.

    ENOSYS for an operation that does not exist; for such a comparison too, but the word has been changed
    by then. EFAULT.
    """
    operation = code >> 28 & 0xF
    argument = signed(code >> 12, _WIDTH)
    if operation & FUTEX_OP_OPARG_SHIFT:
        operation, argument = operation & ~FUTEX_OP_OPARG_SHIFT, 1 << (argument & 31)
    change = _OPERATIONS.get(operation)
    if change is None:
        raise LinuxError(Errno.ENOSYS)
    old = memory.load_word(address)
    while (found := memory.compare_exchange(address, old, change(old, argument) & _MASK)) != old:
        old = found
    compare = _COMPARISONS.get(code >> 24 & 0xF)
    if compare is None:
        raise LinuxError(Errno.ENOSYS)
    return compare(signed(old), signed(code, _WIDTH))
