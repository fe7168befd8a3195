"""The aarch64 guest: arch/arm64/include/uapi/asm/*.h, AAPCS64, syscall(2)."""

from typing import Annotated, Final

from aionoah.abi.architecture import Architecture
from aionoah.abi.cstruct import I32, I64, U32, U64, Struct
from aionoah.abi.numbers_aarch64 import SYSCALLS
from aionoah.abi.signal import Sigaction, StackT

# Indices into Vcpu.registers: x0 to x30 are 0 to 30.
X0: Final = 0
X1: Final = 1
X2: Final = 2
X8: Final = 8
FP: Final = 29
LR: Final = 30
SP: Final = 31
PC: Final = 32
PSTATE: Final = 33

REGISTER_NAMES: Final = (*(f"x{number}" for number in range(31)), "sp", "pc", "pstate")

# The bits of PSTATE that a program may set: N, Z, C, V (arch/arm64/include/asm/ptrace.h); a frame may
# also hold SS and BTYPE, which signals/ clears.
USER_PSTATE: Final = 0xF000_0000


class Stat(Struct):
    """struct stat (asm-generic/stat.h), 128 bytes."""

    st_dev: U64
    st_ino: U64
    st_mode: U32
    st_nlink: U32
    st_uid: U32
    st_gid: U32
    st_rdev: Annotated[int, "Q8x"]
    st_size: I64
    st_blksize: I32
    st_blocks: I64
    st_atime: I64
    st_atime_nsec: U64
    st_mtime: I64
    st_mtime_nsec: U64
    st_ctime: I64
    st_ctime_nsec: Annotated[int, "Q8x"]


class EpollEvent(Struct):
    """struct epoll_event, with C's padding."""

    events: U32
    data: U64


# -- signal frames ------------------------------------------------------------------------------------

RESERVED_SIZE: Final = 4096  # SigContext.reserved: records, each a ContextHeader and its contents

FPSIMD_MAGIC: Final = 0x46508001
ESR_MAGIC: Final = 0x45535201
EXTRA_MAGIC: Final = 0x45585401
SVE_MAGIC: Final = 0x53564501
ZA_MAGIC: Final = 0x54366345


class ContextHeader(Struct):
    """struct _aarch64_ctx: of a record; zeros end the list. `size` includes the header."""

    magic: U32
    size: U32


class FpsimdContext(Struct):
    """The record that every frame has: v0 to v31, 16 bytes each."""

    head: ContextHeader
    fpsr: U32
    fpcr: U32
    vregs: Annotated[bytes, "512s"]


class EsrContext(Struct):
    """The record after a fault: why it happened."""

    head: ContextHeader
    esr: U64


class ExtraContext(Struct):
    """The record that says where records are that did not fit."""

    head: ContextHeader
    datap: U64
    size: Annotated[int, "I12x"]


class SigContext(Struct):
    """struct sigcontext (asm/sigcontext.h); its reserved bytes are aligned to 16."""

    fault_address: U64
    regs: Annotated[bytes, "248s"]  # x0 to x30
    sp: U64
    pc: U64
    pstate: Annotated[int, "Q8x"]
    reserved: Annotated[bytes, "4096s"]


class UContext(Struct):
    """struct ucontext (asm/ucontext.h): room for a set of 1024 signals, and 8 bytes to align what follows."""

    uc_flags: U64
    uc_link: U64
    uc_stack: StackT
    uc_sigmask: Annotated[int, "Q128x"]
    uc_mcontext: SigContext


class RtSigFrame(Struct):
    """struct rt_sigframe (arch/arm64/kernel/signal.c). On entry of the handler sp is its address."""

    info: Annotated[bytes, "128s"]
    uc: UContext


class FrameRecord(Struct):
    """struct frame_record, above the frame: what x29 points to in the handler, for unwinders."""

    fp: U64
    lr: U64


_LOW: Final = 0o140000  # DIRECTORY and NOFOLLOW here, DIRECT and LARGEFILE in O
_HIGH: Final = 0o600000  # the other way round


def _swap_open_flags(flags: int) -> int:
    """The two pairs have changed places, so this is its own inverse (asm/fcntl.h)."""
    return flags & ~(_LOW | _HIGH) | (flags & _LOW) << 2 | (flags & _HIGH) >> 2


AARCH64: Final = Architecture(
    name="aarch64",
    machine=b"aarch64",
    elf_machine=183,
    platform=b"aarch64",
    syscall_names=SYSCALLS,
    register_names=REGISTER_NAMES,
    syscall_registers=(X8, 0, 1, 2, 3, 4, 5),
    result_register=X0,
    stack_pointer=SP,
    program_counter=PC,
    flags_register=PSTATE,
    syscall_instruction=b"\x01\x00\x00\xd4",
    task_size=0x1_0000_0000_0000,
    stack_top=0x1_0000_0000_0000,
    pie_base=0xAAAA_AAAA_A000,
    stat_struct=Stat,
    epoll_event_struct=EpollEvent,
    sigaction_struct=Sigaction,
    minimum_signal_stack=5120,
    clone_tls_argument=3,
    clone_child_tid_argument=4,
    open_flags=_swap_open_flags,
    guest_open_flags=_swap_open_flags,
)
