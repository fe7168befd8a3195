"""Futexes (uapi linux/futex.h; futex(2))."""

from aionoah.abi.cstruct import I64, U32, U64, Struct
from aionoah.abi.flags import Choice, Flags


class FUTEX(Choice):
    """Operations, without the flags."""

    WAIT = 0
    WAKE = 1
    FD = 2
    REQUEUE = 3
    CMP_REQUEUE = 4
    WAKE_OP = 5
    LOCK_PI = 6
    UNLOCK_PI = 7
    TRYLOCK_PI = 8
    WAIT_BITSET = 9
    WAKE_BITSET = 10
    WAIT_REQUEUE_PI = 11
    CMP_REQUEUE_PI = 12
    LOCK_PI2 = 13


FUTEX_PRIVATE_FLAG = 128
FUTEX_CLOCK_REALTIME = 256
FUTEX_CMD_MASK = ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME)
FUTEX_BITSET_MATCH_ANY = 0xFFFFFFFF


class FUTEX_OP(Choice):  # noqa: N801 - the name of the header
    """What FUTEX_WAKE_OP does to the second word (bits 28 to 30); OPARG_SHIFT means 1 << oparg."""

    SET = 0
    ADD = 1
    OR = 2
    ANDN = 3
    XOR = 4


FUTEX_OP_OPARG_SHIFT = 8  # a bit of the operation


class FUTEX_OP_CMP(Choice):  # noqa: N801 - the name of the header
    """How FUTEX_WAKE_OP compares its old value (bits 24 to 27)."""

    EQ = 0
    NE = 1
    LT = 2
    LE = 3
    GT = 4
    GE = 5


# The word of a robust or priority-inheriting futex.
FUTEX_WAITERS = 0x80000000
FUTEX_OWNER_DIED = 0x40000000
FUTEX_TID_MASK = 0x3FFFFFFF

ROBUST_LIST_LIMIT = 2048


class FUTEX2(Flags):
    """Flags of futex_waitv, futex_wake, futex_wait and futex_requeue."""

    SIZE_U8 = 0x00
    SIZE_U16 = 0x01
    SIZE_U32 = 0x02
    SIZE_U64 = 0x03
    NUMA = 0x04
    PRIVATE = 0x80


FUTEX2_SIZE_MASK = 0x03
FUTEX_WAITV_MAX = 128


class FutexWaitv(Struct):
    val: U64
    uaddr: U64
    flags: U32
    reserved: U32


class RobustListHead(Struct):
    list: U64
    futex_offset: I64
    list_op_pending: U64
