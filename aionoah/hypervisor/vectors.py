"""What the exception numbers of each architecture mean."""

from typing import Final

from aionoah.hypervisor.protocols import ExceptionKind

X86_VECTORS: Final = {
    0: ExceptionKind.DIVIDE,
    1: ExceptionKind.SINGLE_STEP,
    3: ExceptionKind.BREAKPOINT,
    4: ExceptionKind.OVERFLOW,
    6: ExceptionKind.ILLEGAL_INSTRUCTION,
    11: ExceptionKind.STACK,
    12: ExceptionKind.STACK,
    13: ExceptionKind.PROTECTION,
    16: ExceptionKind.FLOATING_POINT,
    17: ExceptionKind.ALIGNMENT,
    19: ExceptionKind.FLOATING_POINT,
}
"""Intel SDM volume 3, 6.3.1."""

ARM_CLASSES: Final = {
    0x00: ExceptionKind.ILLEGAL_INSTRUCTION,
    0x07: ExceptionKind.ILLEGAL_INSTRUCTION,  # SIMD where it is switched off
    0x0E: ExceptionKind.ILLEGAL_INSTRUCTION,  # illegal execution state
    0x18: ExceptionKind.ILLEGAL_INSTRUCTION,  # a trapped MSR, MRS or system instruction
    0x22: ExceptionKind.ALIGNMENT,  # of the program counter
    0x24: ExceptionKind.ALIGNMENT,  # a data abort that is no translation fault
    0x26: ExceptionKind.ALIGNMENT,  # of the stack pointer
    0x2C: ExceptionKind.FLOATING_POINT,
    0x32: ExceptionKind.SINGLE_STEP,
    0x3C: ExceptionKind.BREAKPOINT,  # BRK
}
"""Exception classes of ESR_EL1, Arm Architecture Reference Manual, D17.2.37."""
