"""What the frame builders of the architectures have in common.

A frame is what the kernel leaves on a program's stack for a signal handler: why it came, and every
register, mask and stack setting that is to come back. Programs, C libraries and unwinders read it, so
that it is Linux's byte for byte. Builders are pure: registers in, bytes and registers out.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from aionoah.abi.signal import SA, SS, StackT
from aionoah.signals.delivery import Delivery
from aionoah.signals.state import NO_STACK, AlternateStack

WORD: Final = 0xFFFF_FFFF_FFFF_FFFF


class FaultDetails(NamedTuple):
    """What the CPU said of the thread's latest exception; a frame shows it to every handler."""

    address: int = 0  # cr2, or FAR_EL1
    code: int = 0  # x86's error code, or ESR_EL1
    vector: int = 0  # x86's trap number


class Interrupted(NamedTuple):
    """A thread at the moment a signal is delivered to it."""

    registers: Sequence[int]  # unsigned words in the order of Architecture.register_names
    fpu: bytes  # x86_64: an XSAVE image, as long as CPUID says (leaf 13, EBX), or 512 bytes of FXSAVE
    stack: AlternateStack
    fault: FaultDetails = FaultDetails()
    fpu_features: int = 0b11  # x86_64: XCR0, what the XSAVE image can hold
    signal_return: int = (
        0  # aarch64: the vDSO's way back from handlers without SA_RESTORER; 0 = there is none
    )


class Returning(NamedTuple):
    """A thread that has returned from its handler and made rt_sigreturn."""

    registers: Sequence[int]
    fpu_size: int  # of an image of its FPU, as for Interrupted
    fpu_features: int = 0b11


class BadFrame(Exception):  # noqa: N818 - the kernel's own words
    """There is no room for a frame, or none that rt_sigreturn can take back: SIGSEGV.

    `fault` is what the CPU has said, if it was the CPU that refused.
    """

    def __init__(self, why: str, fault: FaultDetails | None = None) -> None:
        super().__init__(why)
        self.fault = fault


class SignalEntry(NamedTuple):
    """How a thread enters its handler: write each piece of memory, then set the registers."""

    writes: list[tuple[int, bytes]]  # (address, bytes); an EFAULT means SIGSEGV
    registers: list[int]
    stack: AlternateStack  # the thread's from now on: SS_AUTODISARM takes it away


class SignalReturn(NamedTuple):
    """What rt_sigreturn restores; much of it even from a bad frame."""

    registers: list[int]
    fpu: bytes | None  # None: the state of a fresh thread
    mask: int
    stack: StackT  # as sigaltstack would get it, an error of that being ignored
    stack_pointer: int  # and with this one: who is on the present stack keeps it
    failure: BadFrame | None = None


def choose_stack(thread: Interrupted, delivery: Delivery, red_zone: int, stack_pointer: int) -> int:
    """Where a frame grows down from: the alternate stack if the handler wants it and the thread is not
    on it already, else below what the interrupted function may use.
    """
    below = stack_pointer - red_zone & WORD
    stack = thread.stack
    wants_alternate = delivery.disposition.flags & SA.ONSTACK and stack.size
    return stack.base + stack.size if wants_alternate and not stack.contains(below) else below


def check_room(thread: Interrupted, top: int, stack_pointer: int, frame: int) -> None:
    """BadFrame if a frame that belongs on the alternate stack does not fit there: `top` is where it
    started, `stack_pointer` the thread's.
    """
    stack = thread.stack
    is_alternate = stack.size and (top == stack.base + stack.size or stack.contains(stack_pointer))
    if is_alternate and not stack.base < frame <= stack.base + stack.size:
        raise BadFrame("the alternate stack is full")


def remaining_stack(stack: AlternateStack) -> AlternateStack:
    """The alternate stack while the handler runs."""
    return NO_STACK if stack.flags & SS.AUTODISARM else stack
