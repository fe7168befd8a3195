"""Registers of who is traced, in the structures that debuggers know: struct user of x86_64, and the sets of both
architectures (Linux arch/x86/kernel/ptrace.c, arch/x86/kernel/fpu/regset.c, arch/arm64/kernel/ptrace.c).
"""

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ptrace import (
    DEBUG_REGISTERS,
    NT,
    USER_DEBUGREG,
    USER_SIZE,
    UserRegs,
)
from aionoah.abi.words import WORD_MASK, WORD_SIZE, signed
from aionoah.abi.x86_64 import (
    EFLAGS,
    FXSAVE_SIZE,
    REGISTER_NAMES,
    RFLAGS,
    SW_RESERVED_OFFSET,
    USER_CS,
    USER_SS,
)

if TYPE_CHECKING:
    from aionoah.process.task import Task
    from aionoah.process.tracees import TracedState

_USER_FLAGS: Final = (
    *(EFLAGS.CF, EFLAGS.PF, EFLAGS.AF, EFLAGS.ZF, EFLAGS.SF, EFLAGS.TF, EFLAGS.DF, EFLAGS.OF),
    *(EFLAGS.NT, EFLAGS.RF, EFLAGS.AC),
)
_FLAG_MASK: Final = sum(_USER_FLAGS)
_NAMES: Final = tuple("eflags" if name == "rflags" else name for name in REGISTER_NAMES)
_FIXED: Final = {"cs": USER_CS, "ss": USER_SS, "ds": 0, "es": 0, "fs": 0, "gs": 0}
_BASES: Final = {"fs_base": "tls", "gs_base": "gs_base"}
_MXCSR_OFFSET: Final = 24
_MXCSR_MASK: Final = 0xFFFF
_HEADER: Final = struct.Struct("<QQ48s")  # of an XSAVE image: components, compaction, zeros
_AARCH64_WORDS: Final = struct.Struct("<34Q")  # x0 to x30, sp, pc, pstate
_AARCH64_FPU_SIZE: Final = 528
_PSTATE_FLAGS: Final = 0xF000_0000


class RegisterSet(NamedTuple):
    """How GETREGSET and SETREGSET do one set. `unit`: what lengths have to be multiples of."""

    unit: int
    get: "Callable[[TracedState, Task], bytes]"
    put: "Callable[[TracedState, bytes, Task], None]"  # of as many bytes as are given


# -- x86_64 ---------------------------------------------------------------------------------------------


def get_user_registers(state: "TracedState", _task: "Task | None" = None) -> bytes:
    """As struct user_regs_struct."""
    values = dict(zip(_NAMES, state.registers, strict=True)) | _FIXED
    values["orig_rax"] = state.number & WORD_MASK
    values["eflags"] |= EFLAGS.IF
    for name, source in _BASES.items():
        values[name] = getattr(state, source)
    return UserRegs.pack_values(*(values[name] for name in UserRegs.FIELDS))


def put_user_registers(state: "TracedState", data: bytes, task: "Task") -> None:
    """As many whole words of it as there are; EIO for what no program may have, after those before it."""
    values = struct.unpack(f"<{len(data) // WORD_SIZE}Q", data[: len(data) // WORD_SIZE * WORD_SIZE])
    for name, value in zip(UserRegs.FIELDS, values, strict=False):
        _put_user_register(state, name, value, task)


def _put_user_register(state: "TracedState", name: str, value: int, task: "Task") -> None:
    if name in _FIXED:
        if value != _FIXED[name]:  # other segments are of other modes, or of tables that are not there
            raise LinuxError(Errno.EIO)
    elif name in _BASES:
        if value >= task.architecture.task_size:
            raise LinuxError(Errno.EIO)
        setattr(state, _BASES[name], value)
    elif name == "orig_rax":
        state.number = signed(value, 64)
    elif name == "eflags":
        state.registers[RFLAGS] = state.registers[RFLAGS] & ~_FLAG_MASK | value & _FLAG_MASK
    else:
        state.registers[_NAMES.index(name)] = value


def peek_user(state: "TracedState", address: int) -> int:
    """A word of struct user; EIO. What is neither registers nor anything that we have is 0."""
    _require_place(address)
    if address < UserRegs.SIZE:
        return int.from_bytes(get_user_registers(state)[address : address + WORD_SIZE], "little")
    return 0


def poke_user(state: "TracedState", address: int, value: int, task: "Task") -> None:
    """EIO."""
    _require_place(address)
    if address >= UserRegs.SIZE:
        raise LinuxError(Errno.EIO)
    _put_user_register(state, UserRegs.FIELDS[address // WORD_SIZE], value, task)


def debug_register(address: int) -> int | None:
    """The number of the one that is there in struct user."""
    number, rest = divmod(address - USER_DEBUGREG, WORD_SIZE)
    return number if 0 <= number < DEBUG_REGISTERS and not rest else None


def _require_place(address: int) -> None:
    if address % WORD_SIZE or address >= USER_SIZE:
        raise LinuxError(Errno.EIO)


def _get_fxsave(state: "TracedState", _task: "Task") -> bytes:
    return state.fpu[:FXSAVE_SIZE]


def _put_fxsave(state: "TracedState", data: bytes, _task: "Task") -> None:
    """All of it (EINVAL); bits that MXCSR does not have are dropped."""
    if len(data) != FXSAVE_SIZE:
        raise LinuxError(Errno.EINVAL)
    image = bytearray(state.fpu)
    image[: len(data)] = data
    (mxcsr,) = struct.unpack_from("<I", image, _MXCSR_OFFSET)
    struct.pack_into("<I", image, _MXCSR_OFFSET, mxcsr & _MXCSR_MASK)
    if len(image) > FXSAVE_SIZE:
        image[FXSAVE_SIZE] |= 3  # x87 and SSE are in use
    state.fpu = bytes(image)


def _get_xsave(state: "TracedState", task: "Task") -> bytes:
    """The XSAVE image. Where the CPU saves nothing it says what components there can be."""
    image = bytearray(state.fpu)
    features = task.kernel.machine.fpu_features
    image[SW_RESERVED_OFFSET : SW_RESERVED_OFFSET + 48] = struct.pack("<Q40x", features)
    return bytes(image)


def _put_xsave(state: "TracedState", data: bytes, task: "Task") -> None:
    """The whole image (EFAULT) with nothing in it that the CPU would refuse (EINVAL)."""
    if len(data) != len(state.fpu):
        raise LinuxError(Errno.EFAULT)
    components, compaction, zeros = _HEADER.unpack_from(data, FXSAVE_SIZE)
    (mxcsr,) = struct.unpack_from("<I", data, _MXCSR_OFFSET)
    if components & ~task.kernel.machine.fpu_features or compaction or any(zeros) or mxcsr & ~_MXCSR_MASK:
        raise LinuxError(Errno.EINVAL)
    image = bytearray(data)
    image[SW_RESERVED_OFFSET : SW_RESERVED_OFFSET + 48] = bytes(48)
    state.fpu = bytes(image)


_X86_64: Final[dict[int, RegisterSet]] = {
    NT.PRSTATUS: RegisterSet(WORD_SIZE, get_user_registers, put_user_registers),
    NT.PRFPREG: RegisterSet(4, _get_fxsave, _put_fxsave),
    NT.X86_XSTATE: RegisterSet(8, _get_xsave, _put_xsave),
}


# -- aarch64 --------------------------------------------------------------------------------------------


def _get_words(state: "TracedState", _task: "Task") -> bytes:
    return _AARCH64_WORDS.pack(*state.registers)


def _put_words(state: "TracedState", data: bytes, _task: "Task") -> None:
    """EINVAL for a state that is not a program's."""
    words = struct.unpack(f"<{len(data) // WORD_SIZE}Q", data)
    values = [*words, *state.registers[len(words) :]]
    if values[-1] & ~_PSTATE_FLAGS:
        raise LinuxError(Errno.EINVAL)
    state.registers[:] = values


def _get_fpsimd(state: "TracedState", _task: "Task") -> bytes:
    return state.fpu.ljust(_AARCH64_FPU_SIZE, b"\0")


def _put_fpsimd(state: "TracedState", data: bytes, _task: "Task") -> None:
    state.fpu = data + state.fpu[len(data) :]


def _get_tls(state: "TracedState", _task: "Task") -> bytes:
    return state.tls.to_bytes(WORD_SIZE, "little")


def _put_tls(state: "TracedState", data: bytes, _task: "Task") -> None:
    if len(data) == WORD_SIZE:
        state.tls = int.from_bytes(data, "little")


def _get_number(state: "TracedState", _task: "Task") -> bytes:
    return state.number.to_bytes(4, "little", signed=True)


def _put_number(state: "TracedState", data: bytes, _task: "Task") -> None:
    if len(data) == 4:  # an int
        state.number = int.from_bytes(data, "little", signed=True)


_AARCH64: Final[dict[int, RegisterSet]] = {
    NT.PRSTATUS: RegisterSet(WORD_SIZE, _get_words, _put_words),
    NT.PRFPREG: RegisterSet(4, _get_fpsimd, _put_fpsimd),
    NT.ARM_TLS: RegisterSet(WORD_SIZE, _get_tls, _put_tls),
    NT.ARM_SYSTEM_CALL: RegisterSet(4, _get_number, _put_number),
}

REGISTER_SETS: Final = {"x86_64": _X86_64, "aarch64": _AARCH64}
