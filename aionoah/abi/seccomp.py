"""Filters of system calls (uapi linux/seccomp.h; seccomp(2))."""

from typing import Annotated

from aionoah.abi.cstruct import I32, I64, U16, U32, U64, Struct
from aionoah.abi.flags import Choice, Flags


class SECCOMP_OP(Choice):  # noqa: N801 - operations of seccomp; the header has the prefix alone
    SET_MODE_STRICT = 0
    SET_MODE_FILTER = 1
    GET_ACTION_AVAIL = 2
    GET_NOTIF_SIZES = 3


class SECCOMP_FILTER_FLAG(Flags):  # noqa: N801 - as the header has it
    TSYNC = 1
    LOG = 2
    SPEC_ALLOW = 4
    NEW_LISTENER = 8
    TSYNC_ESRCH = 16
    WAIT_KILLABLE_RECV = 32


class SECCOMP_RET(Choice):  # noqa: N801 - as the header has it
    """What a filter says: an action, and 16 bits for it. As signed numbers, the lowest counts most."""

    KILL_PROCESS = 0x8000_0000
    KILL_THREAD = 0
    TRAP = 0x0003_0000
    ERRNO = 0x0005_0000
    USER_NOTIF = 0x7FC0_0000
    TRACE = 0x7FF0_0000
    LOG = 0x7FFC_0000
    ALLOW = 0x7FFF_0000


SECCOMP_RET_ACTION_FULL = 0xFFFF_0000
SECCOMP_RET_DATA = 0x0000_FFFF
SECCOMP_DATA_SIZE = 64  # struct seccomp_data: number, architecture, instruction pointer, six arguments


class SeccompNotifSizes(Struct):
    seccomp_notif: U16
    seccomp_notif_resp: U16
    seccomp_data: U16


class SeccompNotif(Struct):
    """A call that waits for an answer."""

    id: U64
    pid: U32
    flags: U32
    data: Annotated[bytes, "64s"]  # struct seccomp_data, of which each word is aligned


class SeccompNotifResp(Struct):
    id: U64
    val: I64
    error: I32
    flags: U32


class SeccompNotifAddfd(Struct):
    id: U64
    flags: U32
    srcfd: U32
    newfd: U32
    newfd_flags: U32


SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1
SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP = 1


class SECCOMP_ADDFD_FLAG(Flags):  # noqa: N801 - as the header has it
    SETFD = 1
    SEND = 2


class SECCOMP_IOCTL(Choice):  # noqa: N801
    """SECCOMP_IOCTL_NOTIF_…"""

    RECV = 0xC050_2100
    SEND = 0xC018_2101
    ID_VALID = 0x4008_2102
    ID_VALID_WRONG_DIR = 0x8008_2102  # as the header said first
    ADDFD = 0x4018_2103
    SET_FLAGS = 0x4008_2104
