"""CPU exceptions as signals. What x86_64 shows was read back from Linux by programs that cause each."""

import struct

import pytest

from aionoah.abi.siginfo import FPE, SigInfoFault
from aionoah.abi.signal import SIG
from aionoah.hypervisor.protocols import ExceptionKind, Prot
from aionoah.signals import faults

X86 = {
    ExceptionKind.DIVIDE: (SIG.FPE, 1, 0x4000),
    ExceptionKind.SINGLE_STEP: (SIG.TRAP, 2, 0x4000),
    ExceptionKind.BREAKPOINT: (SIG.TRAP, 128, 0),
    ExceptionKind.ILLEGAL_INSTRUCTION: (SIG.ILL, 2, 0x4000),
    ExceptionKind.PROTECTION: (SIG.SEGV, 128, 0),
    ExceptionKind.ALIGNMENT: (SIG.BUS, 1, 0x4000),
    ExceptionKind.FLOATING_POINT: (SIG.FPE, 14, 0x4000),
    ExceptionKind.OVERFLOW: (SIG.SEGV, 128, 0),
    ExceptionKind.OTHER: (SIG.SEGV, 128, 0),
    ExceptionKind.STACK: (SIG.BUS, 128, 0),
}
AARCH64 = X86 | {
    ExceptionKind.BREAKPOINT: (SIG.TRAP, 1, 0x4000),
    ExceptionKind.ILLEGAL_INSTRUCTION: (SIG.ILL, 1, 0x4000),
    ExceptionKind.PROTECTION: (SIG.ILL, 1, 0x4000),
}


@pytest.mark.parametrize("kind", ExceptionKind)
@pytest.mark.parametrize(("table", "is_aarch64"), [(X86, False), (AARCH64, True)], ids=["x86_64", "aarch64"])
def test_every_kind_of_exception(
    kind: ExceptionKind, table: dict[ExceptionKind, tuple[int, ...]], *, is_aarch64: bool
) -> None:
    info = faults.exception(kind.name, 0x4000, is_aarch64=is_aarch64)
    shown = SigInfoFault.unpack(info.pack())
    assert (shown.si_signo, shown.si_code, shown.si_addr) == table[kind]


@pytest.mark.parametrize(("code", "is_mapped"), [(1, False), (2, True)])
def test_page_faults(code: int, *, is_mapped: bool) -> None:
    shown = SigInfoFault.unpack(faults.page_fault(0xFFFF_FFFF_FFFF_F000, is_mapped=is_mapped).pack())
    assert (shown.si_signo, shown.si_code, shown.si_addr) == (SIG.SEGV, code, 0xFFFF_FFFF_FFFF_F000)


def test_a_page_behind_the_end_of_a_file() -> None:
    shown = SigInfoFault.unpack(faults.lost_page(0x7000).pack())
    assert (shown.si_signo, shown.si_code, shown.si_addr) == (SIG.BUS, 2, 0x7000)


FLOATING_POINT = [
    (0x01, FPE.FLTINV),
    (0x02, FPE.FLTUND),
    (0x04, FPE.FLTDIV),
    (0x08, FPE.FLTOVF),
    (0x10, FPE.FLTUND),
    (0x20, FPE.FLTRES),
    (0x3F, FPE.FLTINV),
    (0, FPE.FLTUNK),
]


def fpu_image(control: int = 0, status: int = 0, mxcsr: int = 0) -> bytes:
    return struct.pack("<HH20xI", control, status, mxcsr).ljust(512, b"\0")


@pytest.mark.parametrize(("raised", "code"), FLOATING_POINT)
def test_floating_point_codes_of_the_x87(raised: int, code: int) -> None:
    masked = ~raised & 0x3F
    info = faults.floating_point_fault(fpu_image(masked, raised | masked), 16, 0x4000)
    shown = SigInfoFault.unpack(info.pack())
    assert (shown.si_signo, shown.si_code, shown.si_addr) == (SIG.FPE, code, 0x4000)


@pytest.mark.parametrize(("raised", "code"), FLOATING_POINT)
def test_floating_point_codes_of_sse(raised: int, code: int) -> None:
    masked = ~raised & 0x3F
    info = faults.floating_point_fault(fpu_image(mxcsr=masked << 7 | raised | masked), 19, 0x4000)
    assert info.si_code == code


# The error code that x86 pushes: present, write, user, fetch.
@pytest.mark.parametrize(
    ("access", "is_mapped", "code"),
    [(Prot.READ, False, 4), (Prot.WRITE, False, 6), (Prot.WRITE, True, 7), (Prot.EXECUTE, True, 0x15)],
)
def test_error_codes_of_x86_64(access: Prot, code: int, *, is_mapped: bool) -> None:
    details = faults.page_fault_details(0x1234, access, is_mapped=is_mapped, is_aarch64=False)
    assert (details.address, details.code, details.vector) == (0x1234, code, 14)


# ESR_EL1: exception class, instruction length, write, and the fault status of level 3.
@pytest.mark.parametrize(
    ("access", "is_mapped", "code"),
    [
        (Prot.READ, False, 0x9200_0007),
        (Prot.WRITE, True, 0x9200_004F),
        (Prot.EXECUTE, False, 0x8200_0007),
    ],
)
def test_syndromes_of_aarch64(access: Prot, code: int, *, is_mapped: bool) -> None:
    details = faults.page_fault_details(0x1234, access, is_mapped=is_mapped, is_aarch64=True)
    assert (details.address, details.code) == (0x1234, code)
