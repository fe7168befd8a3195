"""What the Unicorn backend knows of x86_64, on a bare engine."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unicorn import x86_const

from aionoah.hypervisor.protocols import ExceptionKind, GuestException
from aionoah.hypervisor.registers import X86_64_REGISTERS
from aionoah.hypervisor.unicorn_x86_64 import X86Cpu

CPU = X86Cpu()
ENGINE = CPU.open_engine()
RIP = X86_64_REGISTERS.index("rip")
NO_CODE = bytes(8)


@pytest.fixture
def engine() -> Any:
    CPU.set_fpu(ENGINE, CPU.clean_fpu)
    return ENGINE


def image(**fields: bytes) -> bytes:
    """A clean state with some bytes replaced: `at_512=b"..."`."""
    state = bytearray(CPU.clean_fpu)
    state[512] = 3
    for name, content in fields.items():
        offset = int(name.removeprefix("at_"))
        state[offset : offset + len(content)] = content
    return bytes(state)


def test_a_clean_fpu(engine: Any) -> None:
    state = CPU.get_fpu(engine)
    assert len(state) == 576
    fcw, fsw, tags = struct.unpack_from("<HHB", state)
    assert (fcw, fsw, tags) == (0x37F, 0, 0)
    assert struct.unpack_from("<II", state, 24) == (0x1F80, 0xFFFF)
    assert state[32:512] == bytes(480)
    assert state[512:] == (3).to_bytes(8, "little") + bytes(56)


ST_REGISTERS = st.lists(st.binary(min_size=10, max_size=10), min_size=8, max_size=8)
XMM_REGISTERS = st.lists(st.binary(min_size=16, max_size=16), min_size=16, max_size=16)


@given(ST_REGISTERS, XMM_REGISTERS, st.integers(0, 7), st.integers(0, 255))
def test_any_state_comes_back(fp: list[bytes], xmm: list[bytes], top: int, tags: int) -> None:
    stack = b"".join(value.ljust(16, b"\0") for value in fp)
    state = image(
        at_0=struct.pack("<HHB", 0x27F, top << 11, tags),
        at_6=struct.pack("<HQQ", 0x1D9, 0x40_1234, 0x60_5678),
        at_24=struct.pack("<I", 0x1FA5),
        at_32=stack,
        at_160=b"".join(xmm),
    )
    CPU.set_fpu(ENGINE, state)
    assert CPU.get_fpu(ENGINE) == state


def test_state_that_the_header_leaves_out_is_initialised(engine: Any) -> None:
    full = image(at_0=struct.pack("<H", 0x27F), at_32=b"\1" * 10, at_160=b"\2" * 16)
    CPU.set_fpu(engine, full)
    without_sse = image(at_160=b"\2" * 16, at_0=struct.pack("<H", 0x27F), at_512=b"\1")
    CPU.set_fpu(engine, without_sse)
    state = CPU.get_fpu(engine)
    assert state[0:2] == b"\x7f\x02"
    assert state[160:176] == bytes(16)
    without_x87 = image(at_160=b"\2" * 16, at_0=struct.pack("<H", 0x27F), at_32=b"\1" * 10, at_512=b"\2")
    CPU.set_fpu(engine, without_x87)
    state = CPU.get_fpu(engine)
    assert state[0:2] == b"\x7f\x03"
    assert state[32:42] == bytes(10)
    assert state[160:176] == b"\2" * 16


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (b"", "576 bytes"),
        (bytes(577), "576 bytes"),
        (image(at_512=b"\4"), "header"),  # AVX
        (image(at_519=b"\x80"), "header"),
        (image(at_520=b"\1"), "header"),  # compacted
        (image(at_528=b"\1"), "header"),  # reserved
        (image(at_575=b"\1"), "header"),
        (image(at_24=b"\0\0\1\0"), "MXCSR"),
    ],
)
def test_states_that_are_refused(engine: Any, state: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CPU.set_fpu(engine, state)
    assert CPU.get_fpu(engine)[:512] == CPU.clean_fpu[:512]


@pytest.mark.parametrize("base", [0, 0x7F00_1234_5678, 0xFFFF_8000_0000_0000, (1 << 64) - 1])
def test_segment_bases(engine: Any, base: int) -> None:
    CPU.set_tls(engine, base)
    CPU.set_gs_base(engine, base ^ 8)
    assert CPU.get_tls(engine) == base
    assert CPU.get_gs_base(engine) == base ^ 8


@pytest.mark.parametrize("base", [1 << 47, 0x8000_0000_0000_0000, 0xFFFF_7FFF_FFFF_FFFF])
def test_bases_that_are_no_addresses(engine: Any, base: int) -> None:
    for set_base in (CPU.set_tls, CPU.set_gs_base):
        with pytest.raises(ValueError, match="canonical"):
            set_base(engine, base)
    assert CPU.is_impossible(base)


def registers(rip: int) -> memoryview:
    words = memoryview(bytearray(8 * len(X86_64_REGISTERS))).cast("Q")
    words[RIP] = rip
    return words


@pytest.mark.parametrize(
    ("vector", "kind"),
    [
        (0, ExceptionKind.DIVIDE),
        (1, ExceptionKind.SINGLE_STEP),
        (3, ExceptionKind.BREAKPOINT),
        (6, ExceptionKind.ILLEGAL_INSTRUCTION),
        (13, ExceptionKind.PROTECTION),
        (18, ExceptionKind.OTHER),
    ],
)
def test_exceptions_of_the_cpu(vector: int, kind: ExceptionKind) -> None:
    words = registers(0x1000)
    assert CPU.exception(vector, words, NO_CODE) == GuestException(kind, vector, 0)
    assert words[RIP] == 0x1000


@pytest.mark.parametrize("vector", [0, 1, 6, 13, 0x80, 255])
def test_software_interrupts_are_general_protection_at_the_instruction(vector: int) -> None:
    words = registers(0x1002)
    found = CPU.exception(vector, words, bytes((0x90, 0x90, 0xCD, vector, 0x90, 0x90, 0x90, 0x90)))
    assert found == GuestException(
        ExceptionKind.PROTECTION, 13, vector * 8 + 2
    )  # Linux: IDT bit and selector
    assert words[RIP] == 0x1000


@pytest.mark.parametrize(("vector", "kind"), [(3, ExceptionKind.BREAKPOINT), (4, ExceptionKind.OVERFLOW)])
def test_the_two_that_linux_allows(vector: int, kind: ExceptionKind) -> None:
    words = registers(0x1002)
    assert CPU.exception(vector, words, bytes((0, 0, 0xCD, vector, 0, 0, 0, 0))) == GuestException(
        kind, vector, 0
    )
    assert words[RIP] == 0x1002


def test_every_register_has_a_name_in_unicorn() -> None:
    for name in X86_64_REGISTERS:
        assert ENGINE.reg_read(getattr(x86_const, f"UC_X86_REG_{name.upper()}")) is not None
