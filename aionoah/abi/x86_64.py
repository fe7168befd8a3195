"""The x86_64 guest: arch/x86/include/uapi/asm/*.h, System V psABI, syscall(2)."""

from typing import Annotated, Final

from aionoah.abi.architecture import Architecture
from aionoah.abi.cstruct import I32, I64, U16, U32, U64, Struct
from aionoah.abi.flags import Choice, Flags
from aionoah.abi.numbers_x86_64 import SYSCALLS
from aionoah.abi.signal import Sigaction, StackT

# Indices into Vcpu.registers: struct kvm_regs without its tail (asm/kvm.h).
RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP, R8, R9, R10, R11, R12, R13, R14, R15, RIP, RFLAGS = range(18)

REGISTER_NAMES: Final = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"),
    *("rip", "rflags"),
)

USER_CS: Final = 0x33  # __USER_CS, what cs holds in a signal frame
USER_SS: Final = 0x2B  # __USER_DS


class EFLAGS(Flags):
    """Bits of rflags (asm/processor-flags.h)."""

    CF = 0x1
    FIXED = 0x2
    PF = 0x4
    AF = 0x10
    ZF = 0x40
    SF = 0x80
    TF = 0x100
    IF = 0x200
    DF = 0x400
    OF = 0x800
    NT = 0x4000
    RF = 0x10000
    AC = 0x40000
    ID = 0x200000


# What rt_sigreturn takes from a frame (arch/x86/kernel/signal.c: FIX_EFLAGS).
SIGRETURN_EFLAGS: Final = 0x50DD5


class ARCH(Choice):
    """Codes of arch_prctl (asm/prctl.h)."""

    SET_GS = 0x1001
    SET_FS = 0x1002
    GET_FS = 0x1003
    GET_GS = 0x1004
    GET_CPUID = 0x1011
    SET_CPUID = 0x1012
    GET_XCOMP_SUPP = 0x1021
    GET_XCOMP_PERM = 0x1022
    REQ_XCOMP_PERM = 0x1023
    GET_XCOMP_GUEST_PERM = 0x1024
    REQ_XCOMP_GUEST_PERM = 0x1025
    MAP_VDSO_X32 = 0x2001
    MAP_VDSO_32 = 0x2002
    MAP_VDSO_64 = 0x2003
    SHSTK_ENABLE = 0x5001
    SHSTK_DISABLE = 0x5002
    SHSTK_LOCK = 0x5003
    SHSTK_UNLOCK = 0x5004
    SHSTK_STATUS = 0x5005


class Stat(Struct):
    """struct stat (asm/stat.h), 144 bytes."""

    st_dev: U64
    st_ino: U64
    st_nlink: U64
    st_mode: U32
    st_uid: U32
    st_gid: U32
    st_rdev: U64
    st_size: I64
    st_blksize: I64
    st_blocks: I64
    st_atime: I64
    st_atime_nsec: U64
    st_mtime: I64
    st_mtime_nsec: U64
    st_ctime: I64
    st_ctime_nsec: Annotated[int, "Q24x"]


class EpollEvent(Struct):
    """struct epoll_event, packed here only (linux/eventpoll.h): "Q0x" is a word without alignment."""

    events: U32
    data: Annotated[int, "Q0x"]


# -- signal frames ------------------------------------------------------------------------------------


class UC(Flags):
    """uc_flags (asm/ucontext.h)."""

    FP_XSTATE = 0x1
    SIGCONTEXT_SS = 0x2
    STRICT_RESTORE_SS = 0x4


FP_XSTATE_MAGIC1: Final = 0x46505853
FP_XSTATE_MAGIC2: Final = 0x46505845
FP_XSTATE_MAGIC2_SIZE: Final = 4
FXSAVE_SIZE: Final = 512
SW_RESERVED_OFFSET: Final = 464  # of FpxSwBytes in the FXSAVE area
XSAVE_ALIGNMENT: Final = 64
RED_ZONE: Final = 128  # below the stack pointer, not to be touched by a frame


class SigContext(Struct):
    """struct sigcontext_64 (asm/sigcontext.h)."""

    r8: U64
    r9: U64
    r10: U64
    r11: U64
    r12: U64
    r13: U64
    r14: U64
    r15: U64
    rdi: U64
    rsi: U64
    rbp: U64
    rbx: U64
    rdx: U64
    rax: U64
    rcx: U64
    rsp: U64
    rip: U64
    eflags: U64
    cs: U16
    gs: U16
    fs: U16
    ss: U16
    err: U64
    trapno: U64
    oldmask: U64
    cr2: U64
    fpstate: Annotated[int, "Q64x"]  # address; 0 without FPU context


class UContext(Struct):
    uc_flags: U64
    uc_link: U64
    uc_stack: StackT
    uc_mcontext: SigContext
    uc_sigmask: U64


class RtSigFrame(Struct):
    """struct rt_sigframe (arch/x86/include/asm/sigframe.h), 440 bytes.

    On entry of the handler rsp is its address, and rsp + 8 a multiple of 16: as if `pretcode` had been
    pushed by a call. The XSAVE image is elsewhere, at uc.uc_mcontext.fpstate.
    """

    pretcode: U64
    uc: UContext
    info: Annotated[bytes, "128s"]


class FpxSwBytes(Struct):
    """struct _fpx_sw_bytes: tells that the XSAVE image goes on behind the FXSAVE area.

    FP_XSTATE_MAGIC2 stands behind the image: extended_size is xstate_size + 4.
    """

    magic1: U32
    extended_size: U32
    xfeatures: U64
    xstate_size: Annotated[int, "I28x"]


class FpState(Struct):
    """struct _fpstate_64: the FXSAVE area."""

    cwd: U16
    swd: U16
    twd: U16
    fop: U16
    rip: U64
    rdp: U64
    mxcsr: U32
    mxcsr_mask: U32
    st_space: Annotated[bytes, "128s"]
    xmm_space: Annotated[bytes, "256s48x"]
    sw_reserved: FpxSwBytes


class XsaveHeader(Struct):
    """The 64 bytes behind the FXSAVE area (SDM volume 1, 13.4.2)."""

    xfeatures: U64
    xcomp_bv: Annotated[int, "Q48x"]


class UserDesc(Struct):
    """struct user_desc of set_thread_area and modify_ldt (asm/ldt.h); `flags` holds its bit fields."""

    entry_number: U32
    base_addr: U32
    limit: U32
    flags: I32


def _same(flags: int) -> int:
    return flags


X86_64: Final = Architecture(
    name="x86_64",
    machine=b"x86_64",
    elf_machine=62,
    platform=b"x86_64",
    syscall_names=SYSCALLS,
    register_names=REGISTER_NAMES,
    syscall_registers=(RAX, RDI, RSI, RDX, R10, R8, R9),
    result_register=RAX,
    stack_pointer=RSP,
    program_counter=RIP,
    flags_register=RFLAGS,
    syscall_instruction=b"\x0f\x05",
    task_size=0x7FFF_FFFF_F000,
    stack_top=0x7FFF_FFFF_F000,
    pie_base=0x5555_5555_4000,
    stat_struct=Stat,
    epoll_event_struct=EpollEvent,
    sigaction_struct=Sigaction,
    minimum_signal_stack=2048,
    clone_tls_argument=4,
    clone_child_tid_argument=3,
    open_flags=_same,
    guest_open_flags=_same,
)
