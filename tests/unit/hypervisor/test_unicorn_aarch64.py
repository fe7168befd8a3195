"""What the Unicorn backend knows of aarch64, on a bare engine."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.hypervisor.errors import HypervisorError
from aionoah.hypervisor.protocols import ExceptionKind, GuestException
from aionoah.hypervisor.registers import AARCH64_REGISTERS
from aionoah.hypervisor.unicorn_aarch64 import Aarch64Cpu

CPU = Aarch64Cpu()
ENGINE = CPU.open_engine()
PC = AARCH64_REGISTERS.index("pc")
UDEF, PREFETCH_ABORT, DATA_ABORT, BKPT = 1, 3, 4, 7


@pytest.fixture
def engine() -> Any:
    CPU.set_fpu(ENGINE, CPU.clean_fpu)
    return ENGINE


def registers(pc: int = 0x1000) -> memoryview:
    words = memoryview(bytearray(8 * len(AARCH64_REGISTERS))).cast("Q")
    words[PC] = pc
    return words


def code(instruction: int) -> bytes:
    return bytes(4) + instruction.to_bytes(4, "little")


def mrs(register: int, crm: int, op2: int, *, op1: int = 0, crn: int = 0) -> bytes:
    return code(0xD538_0000 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5 | register)


@given(st.binary(min_size=512, max_size=512))
def test_vectors_come_back(vectors: bytes) -> None:
    state = vectors + bytes(16)
    CPU.set_fpu(ENGINE, state)
    assert CPU.get_fpu(ENGINE) == state


def test_control_words_come_back_without_their_reserved_bits(engine: Any) -> None:
    fpsr, fpcr = 0x0800_001F, 0x0340_0000  # QC and the cumulative flags; DN FZ RMode
    CPU.set_fpu(engine, bytes(512) + fpsr.to_bytes(4, "little") + fpcr.to_bytes(4, "little") + bytes(8))
    assert CPU.get_fpu(engine)[512:520] == fpsr.to_bytes(4, "little") + fpcr.to_bytes(4, "little")
    CPU.set_fpu(engine, bytes(512) + b"\xff" * 8 + bytes(8))
    assert CPU.get_fpu(engine)[512] & 0x60 == 0


def test_a_state_of_another_size(engine: Any) -> None:
    for size in (0, 527, 529):
        with pytest.raises(ValueError, match="528"):
            CPU.set_fpu(engine, bytes(size))


@pytest.mark.parametrize("value", [0, 1, 0x7F00_0000_1234, (1 << 64) - 1])
def test_the_thread_pointer_is_any_word(engine: Any, value: int) -> None:
    CPU.set_tls(engine, value)
    assert CPU.get_tls(engine) == value


def test_there_is_no_gs(engine: Any) -> None:
    with pytest.raises(HypervisorError):
        CPU.get_gs_base(engine)
    with pytest.raises(HypervisorError):
        CPU.set_gs_base(engine, 0)


@pytest.mark.parametrize(
    ("vector", "expected"),
    [
        (UDEF, GuestException(ExceptionKind.ILLEGAL_INSTRUCTION, 0x00, 0)),
        (PREFETCH_ABORT, GuestException(ExceptionKind.ALIGNMENT, 0x22, 0)),
        (DATA_ABORT, GuestException(ExceptionKind.ALIGNMENT, 0x24, 0)),
        (BKPT, GuestException(ExceptionKind.BREAKPOINT, 0x3C, 0)),
        (99, GuestException(ExceptionKind.OTHER, 0, 0)),
    ],
)
def test_exceptions(vector: int, expected: GuestException) -> None:
    words = registers()
    assert CPU.exception(vector, words, code(0)) == expected
    assert words[PC] == 0x1000


@pytest.mark.parametrize(
    ("crm", "op2", "value"),
    [
        (0, 0, 0x410F_D083),  # MIDR_EL1
        (0, 5, 0x8000_0000),  # MPIDR_EL1
        (0, 6, 0),  # REVIDR_EL1
        (4, 0, 0x11),  # ID_AA64PFR0_EL1
        (6, 0, 0x1_1120),  # ID_AA64ISAR0_EL1
        (6, 1, 0),  # ID_AA64ISAR1_EL1
        (7, 7, 0),  # not assigned yet
    ],
)
def test_reading_an_identification_register_is_emulated(crm: int, op2: int, value: int) -> None:
    words = registers()
    words[9] = 0x5555
    assert CPU.exception(UDEF, words, mrs(9, crm, op2)) is None
    assert words[9] == value
    assert words[PC] == 0x1004


def test_reading_into_the_zero_register() -> None:
    words = registers()
    words[31] = 0x7777  # sp, which is no register 31 here
    assert CPU.exception(UDEF, words, mrs(31, 0, 0)) is None
    assert words[31] == 0x7777


@pytest.mark.parametrize(
    "instruction",
    [
        mrs(0, 0, 1),  # not assigned
        mrs(0, 1, 0),  # ID_PFR0_EL1, of AArch32
        mrs(0, 8, 0),
        mrs(0, 0, 0, crn=1),  # SCTLR_EL1
        mrs(0, 0, 0, op1=3),  # op1 3: CTR_EL0's neighbourhood
        code(0xD518_0000),  # msr midr_el1,x0
    ],
)
def test_other_system_registers_are_not(instruction: bytes) -> None:
    words = registers()
    found = CPU.exception(UDEF, words, instruction)
    assert found == GuestException(ExceptionKind.ILLEGAL_INSTRUCTION, 0, 0)
    assert words[PC] == 0x1000


def test_what_is_promised_to_programs_fits_the_emulated_cpu(engine: Any) -> None:
    """HWCAP and the emulated feature registers say the same as the CPU's own."""
    isar0 = engine.cpr_read(3, 0, 0, 6, 0)
    has = {4: isar0 >> 4 & 15 >= 1, 16: isar0 >> 4 & 15 >= 2, 32: bool(isar0 >> 8 & 15)}
    has |= {64: bool(isar0 >> 12 & 15), 128: bool(isar0 >> 16 & 15), 256: bool(isar0 >> 20 & 15)}
    has[8] = has.pop(4)  # HWCAP_AES
    assert {bit: bool(CPU.hwcap & bit) for bit in has} == has
    words = registers()
    CPU.exception(UDEF, words, mrs(0, 6, 0))
    assert words[0] == isar0
    CPU.exception(UDEF, words, mrs(0, 0, 0))
    assert words[0] == engine.cpr_read(3, 0, 0, 0, 0)


def test_no_address_is_impossible() -> None:
    assert not CPU.is_impossible((1 << 64) - 1)
