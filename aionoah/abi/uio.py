"""Vectored input and output (uapi linux/uio.h, linux/fs.h; readv(2))."""

from aionoah.abi.cstruct import U64, Struct
from aionoah.abi.flags import Flags

UIO_MAXIOV = 1024
MAX_RW_COUNT = 0x7FFFF000  # the most that one call transfers (include/linux/fs.h)


class Iovec(Struct):
    iov_base: U64
    iov_len: U64


class RWF(Flags):
    """Flags of preadv2 and pwritev2."""

    HIPRI = 0x01
    DSYNC = 0x02
    SYNC = 0x04
    NOWAIT = 0x08
    APPEND = 0x10
    NOAPPEND = 0x20
    ATOMIC = 0x40
    DONTCACHE = 0x80
    NOSIGNAL = 0x100


RWF_FOR_ALL = 0x13F
"""Those of files without a cache: all but ATOMIC and DONTCACHE."""
