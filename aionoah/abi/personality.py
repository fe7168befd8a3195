"""Execution domains (uapi linux/personality.h; personality(2))."""

from aionoah.abi.flags import Flags


class PER(Flags):
    """The flags of a personality; its low byte names the system that is imitated, 0 for Linux."""

    UNAME26 = 0x0020000
    ADDR_NO_RANDOMIZE = 0x0040000
    FDPIC_FUNCPTRS = 0x0080000
    MMAP_PAGE_ZERO = 0x0100000
    ADDR_COMPAT_LAYOUT = 0x0200000
    READ_IMPLIES_EXEC = 0x0400000
    ADDR_LIMIT_32BIT = 0x0800000
    SHORT_INODE = 0x1000000
    WHOLE_SECONDS = 0x2000000
    STICKY_TIMEOUTS = 0x4000000
    ADDR_LIMIT_3GB = 0x8000000


PER_CLEAR_ON_SETID = (
    PER.READ_IMPLIES_EXEC | PER.ADDR_NO_RANDOMIZE | PER.ADDR_COMPAT_LAYOUT | PER.MMAP_PAGE_ZERO
)
QUERY = 0xFFFF_FFFF  # ask only
