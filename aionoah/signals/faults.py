"""CPU exceptions as the signals that a program sees (arch/x86/kernel/traps.c, arch/arm64/kernel/traps.c).

What the hypervisor reports arrives as plain values: addresses, and the name of an exception's kind.
"""

import struct
from typing import Final, NamedTuple

from aionoah.abi.siginfo import BUS, FPE, ILL, SEGV, SI, TRAP
from aionoah.abi.signal import SIG
from aionoah.signals.frame import FaultDetails
from aionoah.signals.info import SigInfo, from_fault, from_kernel

_WRITE: Final = 2  # hypervisor.protocols.Prot
_EXECUTE: Final = 4
_PAGE_FAULT_VECTOR: Final = 14
_X87_VECTOR: Final = 16
_MXCSR_OFFSET: Final = 24


class _Cause(NamedTuple):
    """A signal and its code; with SI_KERNEL there is no address."""

    signal: int
    code: int


_CAUSES: Final = {
    "DIVIDE": _Cause(SIG.FPE, FPE.INTDIV),
    "SINGLE_STEP": _Cause(SIG.TRAP, TRAP.TRACE),
    "BREAKPOINT": _Cause(SIG.TRAP, SI.KERNEL),
    "ILLEGAL_INSTRUCTION": _Cause(SIG.ILL, ILL.ILLOPN),
    "PROTECTION": _Cause(SIG.SEGV, SI.KERNEL),
    "ALIGNMENT": _Cause(SIG.BUS, BUS.ADRALN),
    "FLOATING_POINT": _Cause(SIG.FPE, FPE.FLTUNK),
    "OVERFLOW": _Cause(SIG.SEGV, SI.KERNEL),
    "OTHER": _Cause(SIG.SEGV, SI.KERNEL),
    "STACK": _Cause(SIG.BUS, SI.KERNEL),
}

# Where arm64 differs: BRK and undefined instructions have codes of their own.
_CAUSES_AARCH64: Final = _CAUSES | {
    "BREAKPOINT": _Cause(SIG.TRAP, TRAP.BRKPT),
    "ILLEGAL_INSTRUCTION": _Cause(SIG.ILL, ILL.ILLOPC),
    "PROTECTION": _Cause(SIG.ILL, ILL.ILLOPC),
}


def page_fault(address: int, *, is_mapped: bool) -> SigInfo:
    """SIGSEGV for an access that the memory map refuses; `is_mapped`: there is a mapping without the right."""
    return from_fault(SIG.SEGV, SEGV.ACCERR if is_mapped else SEGV.MAPERR, address)


def lost_page(address: int) -> SigInfo:
    """SIGBUS for a page of a mapping that lies behind the end of its file."""
    return from_fault(SIG.BUS, BUS.ADRERR, address)


def exception(kind: str, address: int, *, is_aarch64: bool = False) -> SigInfo:
    """The signal of a CPU exception.

    `kind` is the name of an ExceptionKind, `address` that of the instruction. For FLOATING_POINT of
    x86_64 floating_point_fault knows more.
    """
    cause = (_CAUSES_AARCH64 if is_aarch64 else _CAUSES)[kind]
    if cause.code == SI.KERNEL:
        return from_kernel(cause.signal)
    return from_fault(cause.signal, cause.code, address)


def floating_point_fault(fpu: bytes, vector: int, address: int) -> SigInfo:
    """SIGFPE of an x86_64 floating-point exception, its code found in the state that it left.

    `fpu` is an FXSAVE or XSAVE image, `vector` 16 for the x87 and 19 for SSE, `address` the instruction's.
    """
    control, status = struct.unpack_from("<HH", fpu)
    (mxcsr,) = struct.unpack_from("<I", fpu, _MXCSR_OFFSET)
    raised = status & ~control if vector == _X87_VECTOR else mxcsr & ~(mxcsr >> 7)
    return from_fault(SIG.FPE, _floating_point_code(raised), address)


def _floating_point_code(raised: int) -> int:
    """The FPE_* code of exceptions that are raised and not masked (fpu__exception_code)."""
    for bits, code in (
        (0x01, FPE.FLTINV),
        (0x04, FPE.FLTDIV),
        (0x08, FPE.FLTOVF),
        (0x12, FPE.FLTUND),  # denormal operand, underflow
        (0x20, FPE.FLTRES),
    ):
        if raised & bits:
            return code
    return FPE.FLTUNK


def page_fault_details(address: int, access: int, *, is_mapped: bool, is_aarch64: bool) -> FaultDetails:
    """What the CPU would have said of a refused access; `access` is one of hypervisor.protocols.Prot.

    `is_mapped` also for addresses that no program may have: Linux does not tell on x86 whether anything is there.
    """
    is_write, is_fetch = access == _WRITE, access == _EXECUTE
    if is_aarch64:  # ESR_EL1: exception class, IL, WnR, and a permission or translation fault at level 3
        exception_class = 0x20 if is_fetch else 0x24
        syndrome = exception_class << 26 | 1 << 25 | is_write << 6 | (0xF if is_mapped else 0x7)
        return FaultDetails(address, syndrome)
    return FaultDetails(address, 4 | is_write << 1 | is_fetch << 4 | is_mapped, _PAGE_FAULT_VECTOR)
