"""x86_64 guests on Unicorn: long mode at CPL 3, and the FPU state as XSAVE would store it."""

import struct
from typing import Any, Final

from unicorn import unicorn_const, x86_const
from unicorn.unicorn_py3.arch.intel import UcIntel

from aionoah.hypervisor.protocols import ExceptionKind, GuestException
from aionoah.hypervisor.registers import X86_64_REGISTERS
from aionoah.hypervisor.vectors import X86_VECTORS

_RIP: Final = X86_64_REGISTERS.index("rip")
_RFLAGS: Final = X86_64_REGISTERS.index("rflags")
_USER_FLAGS: Final = 0x254DD5  # CF PF AF ZF SF TF DF OF NT RF AC ID: what a program may choose
_ALWAYS_SET: Final = 0x202  # bit 1, and IF

_EFER, _EFER_SCE = 0xC0000080, 1
_STAR: Final = 0xC0000081
_SYSRET_BASE: Final = 0x23  # SYSRET makes CS 0x33 and SS 0x2b of it, Linux's own selectors
_CR0: Final = 0x10033  # PE MP ET NE WP
_CR4: Final = 0x600  # OSFXSR OSXMMEXCPT: SSE, with exceptions of its own

_SYSRETQ, _UD2 = b"\x48\x0f\x07", b"\x0f\x0b"
_GENERAL_PROTECTION: Final = 13

_FXSAVE: Final = struct.Struct("<HHBxHQQII")  # SDM volume 1, table 10-2
_FPR: Final = struct.Struct("<QH6x")
_XSAVE_SIZE: Final = 576  # the legacy area and the header
_XSAVE_HEADER: Final = struct.Struct("<QQ48s")
_XSTATE_X87, _XSTATE_SSE = 1, 2
_MXCSR_MASK: Final = 0xFFFF
_CLEAN_FPU: Final = _FXSAVE.pack(0x37F, 0, 0, 0, 0, 0, 0x1F80, _MXCSR_MASK)

_CONTROL: Final = tuple(
    getattr(x86_const, f"UC_X86_REG_{name}")
    for name in ("FPCW", "FPSW", "FPTAG", "FOP", "FIP", "FDP", "MXCSR")
)
_FP: Final = range(x86_const.UC_X86_REG_FP0, x86_const.UC_X86_REG_FP7 + 1)
_XMM: Final = range(x86_const.UC_X86_REG_XMM0, x86_const.UC_X86_REG_XMM15 + 1)


class X86Cpu:
    """The GuestCpu for x86_64. Westmere is x86-64-v2 with AES; Unicorn has no AVX."""

    architecture = "x86_64"
    registers: tuple[str, ...] = X86_64_REGISTERS
    end = 0x7FFF_FFFF_F000
    hwcap = 0x078B_FBFD  # EDX of CPUID(1)
    fpu_features = _XSTATE_X87 | _XSTATE_SSE
    clean_fpu = _CLEAN_FPU.ljust(_XSAVE_SIZE, b"\0")
    impossible_address = GuestException(ExceptionKind.PROTECTION, _GENERAL_PROTECTION, 0)

    def is_impossible(self, address: int) -> bool:
        return not _is_canonical(address)

    def describe(self, target: Any) -> None:  # noqa: ANN401 - cffi
        target.registers = len(self.registers)
        for index, name in enumerate(self.registers):
            target.ids[index] = getattr(x86_const, f"UC_X86_REG_{name.upper()}")
        target.pc, target.flags = _RIP, _RFLAGS
        target.flags_mask, target.flags_set = _USER_FLAGS, _ALWAYS_SET
        target.address_mask = (1 << 64) - 1
        target.end = self.end
        target.syscall_instruction = x86_const.UC_X86_INS_SYSCALL
        target.illegal_instruction, target.protection = 6, _GENERAL_PROTECTION
        target.forbidden = [
            x86_const.UC_X86_INS_IN,
            x86_const.UC_X86_INS_OUT,
            x86_const.UC_X86_INS_SYSENTER,
        ]
        target.saved_pc, target.saved_flags = X86_64_REGISTERS.index("rcx"), X86_64_REGISTERS.index("r11")

    def open_engine(self) -> Any:  # noqa: ANN401
        return UcIntel(unicorn_const.UC_ARCH_X86, unicorn_const.UC_MODE_64, x86_const.UC_CPU_X86_WESTMERE)

    def user_mode_code(self) -> bytes:
        return _SYSRETQ + _UD2

    def enter_user_mode(self, engine: Any, run: Any) -> None:  # noqa: ANN401
        # SYSRET needs no descriptor tables, and so the guest never has any.
        engine.msr_write(_EFER, engine.msr_read(_EFER) | _EFER_SCE)
        engine.msr_write(_STAR, _SYSRET_BASE << 48)
        engine.reg_write(x86_const.UC_X86_REG_CR0, _CR0)
        engine.reg_write(x86_const.UC_X86_REG_CR4, _CR4)
        engine.reg_write(x86_const.UC_X86_REG_R11, _ALWAYS_SET)
        engine.reg_write(x86_const.UC_X86_REG_RCX, len(_SYSRETQ))
        run()
        if engine.reg_read(x86_const.UC_X86_REG_CS) & 3 != 3:  # the ring
            raise RuntimeError("Unicorn did not go to user mode")
        self.set_fpu(engine, self.clean_fpu)

    def exception(self, vector: int, registers: memoryview, code: bytes) -> GuestException | None:
        before = code[2:4]
        if before == bytes((0xCD, vector)) and vector not in {3, 4}:
            # INT n: Unicorn does not ask whether a program may; Linux lets it use 3 and 4 only.
            registers[_RIP] -= 2
            return GuestException(ExceptionKind.PROTECTION, _GENERAL_PROTECTION, vector * 8 + 2)
        return GuestException(X86_VECTORS.get(vector, ExceptionKind.OTHER), vector, 0)

    def get_tls(self, engine: Any) -> int:  # noqa: ANN401
        return int(engine.reg_read(x86_const.UC_X86_REG_FS_BASE))

    def set_tls(self, engine: Any, value: int) -> None:  # noqa: ANN401
        engine.reg_write(x86_const.UC_X86_REG_FS_BASE, _canonical(value))

    def get_gs_base(self, engine: Any) -> int:  # noqa: ANN401
        return int(engine.reg_read(x86_const.UC_X86_REG_GS_BASE))

    def set_gs_base(self, engine: Any, value: int) -> None:  # noqa: ANN401
        engine.reg_write(x86_const.UC_X86_REG_GS_BASE, _canonical(value))

    def get_fpu(self, engine: Any) -> bytes:  # noqa: ANN401
        values = engine.reg_read_batch((*_CONTROL, *_FP, *_XMM))
        fcw, fsw, tags, fop, fip, fdp, mxcsr = values[:7]
        physical, xmm = values[7:15], values[15:]
        top = fsw >> 11 & 7
        valid = sum(1 << i for i in range(8) if tags >> 2 * i & 3 != 3)  # 3 is empty
        image = bytearray(_XSAVE_SIZE)
        _FXSAVE.pack_into(image, 0, fcw, fsw, valid, fop, fip, fdp, mxcsr, _MXCSR_MASK)
        for i in range(8):
            _FPR.pack_into(image, 32 + 16 * i, *physical[top + i & 7])
        for i, value in enumerate(xmm):
            image[160 + 16 * i : 176 + 16 * i] = value.to_bytes(16, "little")
        _XSAVE_HEADER.pack_into(image, 512, _XSTATE_X87 | _XSTATE_SSE, 0, bytes(48))
        return bytes(image)

    def set_fpu(self, engine: Any, state: bytes) -> None:  # noqa: ANN401
        if len(state) != _XSAVE_SIZE:
            raise ValueError(f"an XSAVE image of this CPU has {_XSAVE_SIZE} bytes, not {len(state)}")
        present, compacted, reserved = _XSAVE_HEADER.unpack_from(state, 512)
        x87, sse = bool(present & _XSTATE_X87), bool(present & _XSTATE_SSE)
        if present & ~3 or compacted or any(reserved):
            raise ValueError("the XSAVE header names state that this CPU does not have")
        # XRSTOR initialises what the header leaves out; MXCSR is loaded whenever SSE or AVX is asked for.
        fcw, fsw, valid, fop, fip, fdp, _, _ = _FXSAVE.unpack_from(state if x87 else _CLEAN_FPU)
        mxcsr = _FXSAVE.unpack_from(state)[6]
        if mxcsr & ~_MXCSR_MASK:
            raise ValueError(f"MXCSR {mxcsr:#x} has reserved bits")
        tags = sum(3 << 2 * i for i in range(8) if not valid >> i & 1)
        engine.reg_write_batch(list(zip(_CONTROL, (fcw, fsw, tags, fop, fip, fdp, mxcsr), strict=True)))
        top = fsw >> 11 & 7
        engine.reg_write_batch(
            [(_FP[top + i & 7], _FPR.unpack_from(state, 32 + 16 * i) if x87 else (0, 0)) for i in range(8)]
            + [
                (number, int.from_bytes(state[160 + 16 * i : 176 + 16 * i], "little") if sse else 0)
                for i, number in enumerate(_XMM)
            ]
        )


def _is_canonical(address: int) -> bool:
    return address >> 47 in {0, (1 << 17) - 1}


def _canonical(value: int) -> int:
    if not _is_canonical(value):
        raise ValueError(f"{value:#x} is not a canonical address")
    return value
