"""Asynchronous input and output (uapi linux/aio_abi.h; io_submit(2); fs/aio.c for the ring)."""

from aionoah.abi.cstruct import I16, I64, U16, U32, U64, Struct
from aionoah.abi.flags import Choice

IOCB_FLAG_RESFD = 1
IOCB_FLAG_IOPRIO = 2

AIO_RING_MAGIC = 0xA10A10A1
AIO_RING_COMPAT_FEATURES = 1
AIO_RING_INCOMPAT_FEATURES = 0


class IOCB_CMD(Choice):  # noqa: N801 - the name of the header
    """What is to be done."""

    PREAD = 0
    PWRITE = 1
    FSYNC = 2
    FDSYNC = 3
    POLL = 5
    NOOP = 6
    PREADV = 7
    PWRITEV = 8


class Iocb(Struct):
    data: U64
    key: U32
    rw_flags: U32
    lio_opcode: U16
    reqprio: I16
    fildes: U32
    buf: U64
    nbytes: U64
    offset: I64
    reserved2: U64
    flags: U32
    resfd: U32


class IoEvent(Struct):
    data: U64
    obj: U64  # the address of the iocb
    res: I64
    res2: I64


class AioRing(Struct):
    """The head of the memory that a context shares with its program; events follow."""

    id: U32
    nr: U32  # events that there is room for
    head: U32
    tail: U32
    magic: U32
    compat_features: U32
    incompat_features: U32
    header_length: U32


class AioSigset(Struct):
    """The last argument of io_pgetevents."""

    sigmask: U64
    sigsetsize: U64
