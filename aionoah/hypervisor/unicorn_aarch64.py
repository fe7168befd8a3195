"""aarch64 guests on Unicorn: a Cortex-A72 at EL0."""

import struct
from typing import Any, Final

from unicorn import arm64_const, unicorn_const
from unicorn.unicorn_py3.arch.arm64 import UcAArch64

from aionoah.hypervisor.errors import HypervisorError
from aionoah.hypervisor.protocols import PAGE_SIZE, ExceptionKind, GuestException
from aionoah.hypervisor.registers import AARCH64_REGISTERS
from aionoah.hypervisor.vectors import ARM_CLASSES

_PC: Final = AARCH64_REGISTERS.index("pc")
_PSTATE: Final = AARCH64_REGISTERS.index("pstate")

_UDEF, _SVC, _PREFETCH_ABORT, _DATA_ABORT, _BKPT = 1, 2, 3, 4, 7  # QEMU's EXCP_* numbers
_CLASSES: Final = {_UDEF: 0x00, _PREFETCH_ABORT: 0x22, _DATA_ABORT: 0x24, _BKPT: 0x3C}

# System registers as (op0, op1, CRn, CRm, op2).
_SCTLR_EL1: Final = (3, 0, 1, 0, 0)
_CPACR_EL1: Final = (3, 0, 1, 0, 2)
_CNTKCTL_EL1: Final = (3, 0, 14, 1, 0)
# As Linux sets them for EL0: DC ZVA, CTR_EL0, WFI, WFE and cache maintenance by address are allowed.
_SCTLR_USER: Final = 1 << 14 | 1 << 15 | 1 << 16 | 1 << 18 | 1 << 26
_SCTLR_MASKING: Final = 1 << 9  # UMA: MSR DAIF stays forbidden
_CPACR_FP: Final = 3 << 20
_CNTKCTL_VIRTUAL_COUNTER: Final = 2

_BRK_BACK_TO_BACK: Final = b"\x00\x00\x20\xd4" * 2

# What Linux lets a program read (arch/arm64/kernel/cpufeature.c): the CPU's own name and empty feature
# registers, for a Cortex-A72 has nothing beyond FP, SIMD, AES, SHA-1, SHA-2, PMULL and CRC32.
_MRS_MASK, _MRS_ID = 0xFFFF_F000, 0xD538_0000  # MRS Xt, S3_0_C0_<CRm>_<op2>: op0 = 3, op1 = 0, CRn = 0
_ID_REGISTERS: Final = {
    (0, 0): 0x410F_D083,  # MIDR_EL1
    (0, 5): 0x8000_0000,  # MPIDR_EL1
    (4, 0): 0x0000_0000_0000_0011,  # ID_AA64PFR0_EL1: EL0 and EL1 in AArch64, FP and SIMD
    (5, 0): 0x0000_0000_0000_0006,  # ID_AA64DFR0_EL1
    (6, 0): 0x0000_0000_0001_1120,  # ID_AA64ISAR0_EL1
}

_V: Final = range(arm64_const.UC_ARM64_REG_V0, arm64_const.UC_ARM64_REG_V31 + 1)
_FP_CONTROL: Final = (arm64_const.UC_ARM64_REG_FPSR, arm64_const.UC_ARM64_REG_FPCR)
_CONTROL_WORDS: Final = struct.Struct("<II8x")
_FPSIMD_SIZE: Final = 528  # struct user_fpsimd_state
_FPSR_MASK, _FPCR_MASK = 0xF800_009F, 0x07F7_9F00


class Aarch64Cpu:
    """The GuestCpu for aarch64."""

    architecture = "aarch64"
    registers: tuple[str, ...] = AARCH64_REGISTERS
    end = 1 << 48
    hwcap = 0x8FB  # FP ASIMD AES PMULL SHA1 SHA2 CRC32 CPUID, of Linux's asm/hwcap.h
    fpu_features = 0
    clean_fpu = bytes(_FPSIMD_SIZE)
    impossible_address = GuestException(ExceptionKind.OTHER, 0, 0)

    def is_impossible(self, address: int) -> bool:  # noqa: ARG002
        return False  # every wild address is a translation fault

    def describe(self, target: Any) -> None:  # noqa: ANN401 - cffi
        target.registers = len(self.registers)
        for index, name in enumerate(self.registers):
            target.ids[index] = getattr(arm64_const, f"UC_ARM64_REG_{name.upper()}")
        target.pc, target.flags = _PC, _PSTATE
        target.flags_mask, target.flags_set = 0xF000_0000, 0  # NZCV; mode bits of 0 are EL0
        target.address_mask = (1 << 56) - 1  # Linux sets TCR_EL1.TBI0
        target.end = self.end
        target.syscall_interrupt = _SVC
        target.illegal_instruction = _UDEF

    def open_engine(self) -> Any:  # noqa: ANN401
        engine = UcAArch64(
            unicorn_const.UC_ARCH_ARM64, unicorn_const.UC_MODE_ARM, arm64_const.UC_CPU_ARM64_A72
        )
        engine.ctl_set_page_size(PAGE_SIZE)  # it would take pages of 1 KiB
        return engine

    def user_mode_code(self) -> bytes:
        return _BRK_BACK_TO_BACK

    def enter_user_mode(self, engine: Any, run: Any) -> None:  # noqa: ANN401
        sctlr = engine.cpr_read(*_SCTLR_EL1) & ~_SCTLR_MASKING
        engine.reg_write(arm64_const.UC_ARM64_REG_PSTATE, 0)
        engine.cpr_write(*_CPACR_EL1, _CPACR_FP)
        engine.cpr_write(*_CNTKCTL_EL1, _CNTKCTL_VIRTUAL_COUNTER)
        engine.cpr_write(*_SCTLR_EL1, sctlr | _SCTLR_USER)
        run()
        self.set_fpu(engine, self.clean_fpu)

    def exception(self, vector: int, registers: memoryview, code: bytes) -> GuestException | None:
        if vector == _UDEF and _emulate_id_register(registers, int.from_bytes(code[4:], "little")):
            return None
        exception_class = _CLASSES.get(vector, 0)
        kind = ARM_CLASSES[exception_class] if vector in _CLASSES else ExceptionKind.OTHER
        return GuestException(kind, exception_class, 0)

    def get_tls(self, engine: Any) -> int:  # noqa: ANN401
        return int(engine.reg_read(arm64_const.UC_ARM64_REG_TPIDR_EL0))

    def set_tls(self, engine: Any, value: int) -> None:  # noqa: ANN401
        engine.reg_write(arm64_const.UC_ARM64_REG_TPIDR_EL0, value)

    def get_gs_base(self, engine: Any) -> int:  # noqa: ANN401, ARG002
        raise HypervisorError("aarch64 has no GS base")

    def set_gs_base(self, engine: Any, value: int) -> None:  # noqa: ANN401, ARG002
        raise HypervisorError("aarch64 has no GS base")

    def get_fpu(self, engine: Any) -> bytes:  # noqa: ANN401
        *vectors, fpsr, fpcr = engine.reg_read_batch((*_V, *_FP_CONTROL))
        return b"".join(v.to_bytes(16, "little") for v in vectors) + _CONTROL_WORDS.pack(fpsr, fpcr)

    def set_fpu(self, engine: Any, state: bytes) -> None:  # noqa: ANN401
        if len(state) != _FPSIMD_SIZE:
            raise ValueError(f"an FPSIMD state has {_FPSIMD_SIZE} bytes, not {len(state)}")
        fpsr, fpcr = _CONTROL_WORDS.unpack_from(state, 512)
        vectors = [int.from_bytes(state[at : at + 16], "little") for at in range(0, 512, 16)]
        control = zip(_FP_CONTROL, (fpsr & _FPSR_MASK, fpcr & _FPCR_MASK), strict=True)
        engine.reg_write_batch([*zip(_V, vectors, strict=True), *control])


def _emulate_id_register(registers: memoryview, instruction: int) -> bool:
    """Do an MRS of an identification register as Linux's emulate_mrs does; False if it is none."""
    if instruction & _MRS_MASK != _MRS_ID:
        return False
    crm, op2, target = instruction >> 8 & 15, instruction >> 5 & 7, instruction & 31
    if crm in {1, 2, 3} or crm > 7 or (crm == 0 and op2 not in {0, 5, 6}):
        return False
    if target != 31:  # XZR
        registers[target] = _ID_REGISTERS.get((crm, op2), 0)
    registers[_PC] += 4
    return True
