"""Tracing (uapi linux/ptrace.h, asm/ptrace-abi.h, linux/elf.h, linux/audit.h; ptrace(2))."""

from typing import Annotated

from aionoah.abi.cstruct import I32, U32, U64, Struct
from aionoah.abi.flags import Choice, Flags


class PTRACE(Choice):
    """Requests."""

    WIDTH = 64
    TRACEME = 0
    PEEKTEXT = 1
    PEEKDATA = 2
    PEEKUSER = 3
    POKETEXT = 4
    POKEDATA = 5
    POKEUSER = 6
    CONT = 7
    KILL = 8
    SINGLESTEP = 9
    GETREGS = 12
    SETREGS = 13
    GETFPREGS = 14
    SETFPREGS = 15
    ATTACH = 16
    DETACH = 17
    SYSCALL = 24
    ARCH_PRCTL = 30
    SYSEMU = 31
    SYSEMU_SINGLESTEP = 32
    SINGLEBLOCK = 33
    SETOPTIONS = 0x4200
    GETEVENTMSG = 0x4201
    GETSIGINFO = 0x4202
    SETSIGINFO = 0x4203
    GETREGSET = 0x4204
    SETREGSET = 0x4205
    SEIZE = 0x4206
    INTERRUPT = 0x4207
    LISTEN = 0x4208
    PEEKSIGINFO = 0x4209
    GETSIGMASK = 0x420A
    SETSIGMASK = 0x420B
    SECCOMP_GET_FILTER = 0x420C
    SECCOMP_GET_METADATA = 0x420D
    GET_SYSCALL_INFO = 0x420E
    GET_RSEQ_CONFIGURATION = 0x420F


class PTRACE_O(Flags):  # noqa: N801 - the name of the header
    """Options of SETOPTIONS and SEIZE."""

    TRACESYSGOOD = 0x01
    TRACEFORK = 0x02
    TRACEVFORK = 0x04
    TRACECLONE = 0x08
    TRACEEXEC = 0x10
    TRACEVFORKDONE = 0x20
    TRACEEXIT = 0x40
    TRACESECCOMP = 0x80
    EXITKILL = 0x100000
    SUSPEND_SECCOMP = 0x200000


class PTRACE_EVENT(Choice):  # noqa: N801
    """What happened, of a stop whose signal is SIGTRAP. The option for an event is 1 << event."""

    FORK = 1
    VFORK = 2
    CLONE = 3
    EXEC = 4
    VFORK_DONE = 5
    EXIT = 6
    SECCOMP = 7
    STOP = 128


class EVENTMSG(Choice):
    """What GETEVENTMSG says in a stop at a system call (PTRACE_EVENTMSG_SYSCALL_…)."""

    ENTRY = 1
    EXIT = 2


class SYSCALL_INFO(Choice):  # noqa: N801
    """PtraceSyscallInfo.op."""

    NONE = 0
    ENTRY = 1
    EXIT = 2
    SECCOMP = 3


class PtraceSyscallInfo(Struct):
    """struct ptrace_syscall_info: what every one of its shapes starts with. At an entry number and arguments follow, for a
    filter its value too (u32), at an exit the result and a byte that says whether it is an errno.
    """

    op: Annotated[int, "B3x"]
    arch: U32
    instruction_pointer: U64
    stack_pointer: U64


class PtracePeekSigInfo(Struct):
    """struct ptrace_peeksiginfo_args."""

    off: U64
    flags: U32
    nr: I32


PEEKSIGINFO_SHARED = 1


class PtraceRseqConfiguration(Struct):
    rseq_abi_pointer: U64
    rseq_abi_size: U32
    signature: U32
    flags: U32
    pad: U32


class SeccompMetadata(Struct):
    """struct seccomp_metadata: which filter, and the flags that it was made with."""

    filter_off: U64
    flags: U64


class AUDIT_ARCH(Choice):  # noqa: N801
    """linux/audit.h: the architecture of a system call."""

    X86_64 = 0xC000003E
    AARCH64 = 0xC00000B7


class NT(Choice):
    """Sets of registers (linux/elf.h)."""

    PRSTATUS = 1
    PRFPREG = 2
    PRPSINFO = 3  # these only in core dumps
    AUXV = 6
    SIGINFO = 0x53494749
    FILE = 0x46494C45
    X86_XSTATE = 0x202
    ARM_TLS = 0x401
    ARM_HW_BREAK = 0x402
    ARM_HW_WATCH = 0x403
    ARM_SYSTEM_CALL = 0x404


class UserRegs(Struct):
    """struct user_regs_struct of x86_64 (asm/user_64.h)."""

    r15: U64
    r14: U64
    r13: U64
    r12: U64
    rbp: U64
    rbx: U64
    r11: U64
    r10: U64
    r9: U64
    r8: U64
    rax: U64
    rcx: U64
    rdx: U64
    rsi: U64
    rdi: U64
    orig_rax: U64
    rip: U64
    cs: U64
    eflags: U64
    rsp: U64
    ss: U64
    fs_base: U64
    gs_base: U64
    ds: U64
    es: U64
    fs: U64
    gs: U64


USER_SIZE = 928  # sizeof(struct user) of x86_64, two words more than programs know of
USER_DEBUGREG = 848  # offsetof(struct user, u_debugreg)
DEBUG_REGISTERS = 8
