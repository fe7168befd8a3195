"""CPU exceptions as the signals that a program sees (arch/x86/kernel/traps.c, arch/arm64/kernel/traps.c).

What the hypervisor reports arrives as plain values: addresses, and the name of an exception's kind.
"""

from typing import Final, NamedTuple

from aionoah.abi.siginfo import BUS, FPE, ILL, SEGV, SI, TRAP
from aionoah.abi.signal import SIG
from aionoah.signals.info import SigInfo, from_fault, from_kernel


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

    `kind` is the name of an ExceptionKind, `address` that of the instruction.
    """
    cause = (_CAUSES_AARCH64 if is_aarch64 else _CAUSES)[kind]
    if cause.code == SI.KERNEL:
        return from_kernel(cause.signal)
    return from_fault(cause.signal, cause.code, address)


def floating_point_code(status: int) -> int:
    """The FPE_* code of a SIGFPE, from the unmasked exception flags in x87 or SSE order (fpu__exception_code)."""
    for bits, code in (
        (0x01, FPE.FLTINV),
        (0x04, FPE.FLTDIV),
        (0x08, FPE.FLTOVF),
        (0x12, FPE.FLTUND),  # denormal operand, underflow
        (0x20, FPE.FLTRES),
    ):
        if status & bits:
            return code
    return FPE.FLTUNK
