"""Cloning and scheduling (uapi linux/sched.h, linux/sched/types.h; clone(2), sched(7))."""

from aionoah.abi.cstruct import I32, U32, U64, Struct
from aionoah.abi.flags import Choice, Flags


class CLONE(Flags):
    """Flags of clone, clone3, unshare and setns. clone has the exit signal in the low byte."""

    NEWTIME = 0x00000080
    VM = 0x00000100
    FS = 0x00000200
    FILES = 0x00000400
    SIGHAND = 0x00000800
    PIDFD = 0x00001000
    PTRACE = 0x00002000
    VFORK = 0x00004000
    PARENT = 0x00008000
    THREAD = 0x00010000
    NEWNS = 0x00020000
    SYSVSEM = 0x00040000
    SETTLS = 0x00080000
    PARENT_SETTID = 0x00100000
    CHILD_CLEARTID = 0x00200000
    DETACHED = 0x00400000
    UNTRACED = 0x00800000
    CHILD_SETTID = 0x01000000
    NEWCGROUP = 0x02000000
    NEWUTS = 0x04000000
    NEWIPC = 0x08000000
    NEWUSER = 0x10000000
    NEWPID = 0x20000000
    NEWNET = 0x40000000
    IO = 0x80000000
    CLEAR_SIGHAND = 0x100000000
    INTO_CGROUP = 0x200000000


CSIGNAL = 0xFF


class CloneArgs(Struct):
    """Argument of clone3; callers may pass the first 64 (VER0) or 80 (VER1) bytes only."""

    flags: U64
    pidfd: U64
    child_tid: U64
    parent_tid: U64
    exit_signal: U64
    stack: U64
    stack_size: U64
    tls: U64
    set_tid: U64
    set_tid_size: U64
    cgroup: U64


CLONE_ARGS_SIZE_VER0 = 64


class SCHED(Choice):
    """Policies. RESET_ON_FORK may be or-ed to one of them."""

    NORMAL = 0
    FIFO = 1
    RR = 2
    BATCH = 3
    IDLE = 5
    DEADLINE = 6
    EXT = 7
    RESET_ON_FORK = 0x40000000


class SCHED_FLAG(Flags):  # noqa: N801 - the name of the header
    """SchedAttr.sched_flags."""

    RESET_ON_FORK = 0x01
    RECLAIM = 0x02
    DL_OVERRUN = 0x04
    KEEP_POLICY = 0x08
    KEEP_PARAMS = 0x10
    UTIL_CLAMP_MIN = 0x20
    UTIL_CLAMP_MAX = 0x40


class SchedParam(Struct):
    sched_priority: I32


class SchedAttr(Struct):
    """Argument of sched_setattr; the first 48 bytes are SCHED_ATTR_SIZE_VER0."""

    size: U32
    sched_policy: U32
    sched_flags: U64
    sched_nice: I32
    sched_priority: U32
    sched_runtime: U64
    sched_deadline: U64
    sched_period: U64
    sched_util_min: U32
    sched_util_max: U32


SCHED_ATTR_SIZE_VER0 = 48


class Rseq(Struct):
    """The area that rseq registers, as of its first 28 bytes (linux/rseq.h); aligned to 32 in C."""

    cpu_id_start: U32
    cpu_id: U32
    rseq_cs: U64
    flags: U32
    node_id: U32
    mm_cid: U32


class RseqCs(Struct):
    """What the area's rseq_cs points to: a critical section and where it goes on if it is interrupted."""

    version: U32
    flags: U32
    start_ip: U64
    post_commit_offset: U64
    abort_ip: U64


RSEQ_FLAG_UNREGISTER = 1
RSEQ_CPU_ID_UNINITIALIZED = 0xFFFF_FFFF
