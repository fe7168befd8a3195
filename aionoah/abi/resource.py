"""Limits, usage and priorities (uapi linux/resource.h, asm-generic/resource.h; getrlimit(2), getrusage(2))."""

from aionoah.abi.cstruct import I64, U64, Struct
from aionoah.abi.flags import Choice
from aionoah.abi.time import Timeval


class RLIMIT(Choice):
    CPU = 0
    FSIZE = 1
    DATA = 2
    STACK = 3
    CORE = 4
    RSS = 5
    NPROC = 6
    NOFILE = 7
    MEMLOCK = 8
    AS = 9
    LOCKS = 10
    SIGPENDING = 11
    MSGQUEUE = 12
    NICE = 13
    RTPRIO = 14
    RTTIME = 15


STK_LIM = 8 << 20  # bytes: the stack of who has set no other limit
RLIM_NLIMITS = 16
RLIM_INFINITY = 0xFFFF_FFFF_FFFF_FFFF


class Rlimit(Struct):
    rlim_cur: U64
    rlim_max: U64


class RUSAGE(Choice):
    CHILDREN = -1
    SELF = 0
    THREAD = 1


class Rusage(Struct):
    ru_utime: Timeval
    ru_stime: Timeval
    ru_maxrss: I64  # KiB
    ru_ixrss: I64
    ru_idrss: I64
    ru_isrss: I64
    ru_minflt: I64
    ru_majflt: I64
    ru_nswap: I64
    ru_inblock: I64
    ru_oublock: I64
    ru_msgsnd: I64
    ru_msgrcv: I64
    ru_nsignals: I64
    ru_nvcsw: I64
    ru_nivcsw: I64


class PRIO(Choice):
    """Whose priority getpriority and setpriority mean."""

    PROCESS = 0
    PGRP = 1
    USER = 2


class IOPRIO_WHO(Choice):  # noqa: N801 - the name of the header (linux/ioprio.h)
    PROCESS = 1
    PGRP = 2
    USER = 3


class IOPRIO_CLASS(Choice):  # noqa: N801
    """The upper bits of a priority of input and output; levels below are from 0, the best, to 7."""

    NONE = 0
    RT = 1
    BE = 2
    IDLE = 3


IOPRIO_CLASS_SHIFT = 13
IOPRIO_CLASS_MASK = 7
IOPRIO_LEVEL_MASK = 7
