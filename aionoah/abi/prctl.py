"""Operations on a process (uapi linux/prctl.h; prctl(2)). arch_prctl of x86_64 is in x86_64.py."""

from aionoah.abi.flags import Choice, Flags


class PR(Choice):
    SET_PDEATHSIG = 1
    GET_PDEATHSIG = 2
    GET_DUMPABLE = 3
    SET_DUMPABLE = 4
    GET_UNALIGN = 5
    SET_UNALIGN = 6
    GET_KEEPCAPS = 7
    SET_KEEPCAPS = 8
    GET_FPEMU = 9
    SET_FPEMU = 10
    GET_FPEXC = 11
    SET_FPEXC = 12
    GET_TIMING = 13
    SET_TIMING = 14
    SET_NAME = 15
    GET_NAME = 16
    GET_ENDIAN = 19
    SET_ENDIAN = 20
    GET_SECCOMP = 21
    SET_SECCOMP = 22
    CAPBSET_READ = 23
    CAPBSET_DROP = 24
    GET_TSC = 25
    SET_TSC = 26
    GET_SECUREBITS = 27
    SET_SECUREBITS = 28
    SET_TIMERSLACK = 29
    GET_TIMERSLACK = 30
    TASK_PERF_EVENTS_DISABLE = 31
    TASK_PERF_EVENTS_ENABLE = 32
    MCE_KILL = 33
    MCE_KILL_GET = 34
    SET_MM = 35
    SET_CHILD_SUBREAPER = 36
    GET_CHILD_SUBREAPER = 37
    SET_NO_NEW_PRIVS = 38
    GET_NO_NEW_PRIVS = 39
    GET_TID_ADDRESS = 40
    SET_THP_DISABLE = 41
    GET_THP_DISABLE = 42
    MPX_ENABLE_MANAGEMENT = 43
    MPX_DISABLE_MANAGEMENT = 44
    SET_FP_MODE = 45
    GET_FP_MODE = 46
    CAP_AMBIENT = 47
    SVE_SET_VL = 50
    SVE_GET_VL = 51
    GET_SPECULATION_CTRL = 52
    SET_SPECULATION_CTRL = 53
    PAC_RESET_KEYS = 54
    SET_TAGGED_ADDR_CTRL = 55
    GET_TAGGED_ADDR_CTRL = 56
    SET_IO_FLUSHER = 57
    GET_IO_FLUSHER = 58
    SET_SYSCALL_USER_DISPATCH = 59
    PAC_SET_ENABLED_KEYS = 60
    PAC_GET_ENABLED_KEYS = 61
    SCHED_CORE = 62
    SME_SET_VL = 63
    SME_GET_VL = 64
    SET_MDWE = 65
    GET_MDWE = 66
    SET_MEMORY_MERGE = 67
    GET_MEMORY_MERGE = 68
    RISCV_V_SET_CONTROL = 69
    RISCV_V_GET_CONTROL = 70
    RISCV_SET_ICACHE_FLUSH_CTX = 71
    PPC_GET_DEXCR = 72
    PPC_SET_DEXCR = 73
    SET_PTRACER = 0x59616D61
    SET_VMA = 0x53564D41


PR_SET_VMA_ANON_NAME = 0  # the only operation of SET_VMA


class MDWE(Flags):
    """Bits of SET_MDWE."""

    REFUSE_EXEC_GAIN = 1
    NO_INHERIT = 2


class PR_MCE_KILL(Choice):  # noqa: N801 - the name of the header
    """Operations of MCE_KILL, and what SET sets."""

    CLEAR = 0
    SET = 1
    LATE = 0
    EARLY = 1
    DEFAULT = 2


class PR_CAP_AMBIENT(Choice):  # noqa: N801 - the name of the header
    IS_SET = 1
    RAISE = 2
    LOWER = 3
    CLEAR_ALL = 4


class PR_SET_MM(Choice):  # noqa: N801 - the name of the header
    START_CODE = 1
    END_CODE = 2
    START_DATA = 3
    END_DATA = 4
    START_STACK = 5
    START_BRK = 6
    BRK = 7
    ARG_START = 8
    ARG_END = 9
    ENV_START = 10
    ENV_END = 11
    AUXV = 12
    EXE_FILE = 13
    MAP = 14
    MAP_SIZE = 15


class PR_TSC(Choice):  # noqa: N801 - the name of the header
    ENABLE = 1
    SIGSEGV = 2


class SECCOMP_MODE(Choice):  # noqa: N801 - the name of the header (linux/seccomp.h)
    DISABLED = 0
    STRICT = 1
    FILTER = 2


class SUID_DUMP(Choice):  # noqa: N801 - the name of the header (include/linux/sched/coredump.h)
    """Values of SET_DUMPABLE; ROOT can be seen, not set."""

    DISABLE = 0
    USER = 1
    ROOT = 2
