"""Signal frames of x86_64 (arch/x86/kernel/signal_64.c, arch/x86/kernel/fpu/signal.c).

From the top of the stack down: the red zone, the XSAVE image aligned to 64 bytes with its magic number
behind it, and struct rt_sigframe, so placed that the handler starts as if it had been called.
"""

from collections.abc import Callable
from typing import Final

from aionoah.abi.errno import LinuxError
from aionoah.abi.siginfo import SIGINFO_SIZE
from aionoah.abi.signal import SA
from aionoah.abi.x86_64 import (
    EFLAGS,
    FP_XSTATE_MAGIC1,
    FP_XSTATE_MAGIC2,
    FP_XSTATE_MAGIC2_SIZE,
    FXSAVE_SIZE,
    RAX,
    RDI,
    RDX,
    RED_ZONE,
    REGISTER_NAMES,
    RFLAGS,
    RIP,
    RSI,
    RSP,
    SIGRETURN_EFLAGS,
    SW_RESERVED_OFFSET,
    UC,
    USER_CS,
    USER_SS,
    XSAVE_ALIGNMENT,
    FpxSwBytes,
    RtSigFrame,
    SigContext,
    UContext,
)
from aionoah.signals.delivery import Delivery
from aionoah.signals.frame import (
    WORD,
    BadFrame,
    Interrupted,
    SignalEntry,
    SignalReturn,
    check_room,
    choose_stack,
    remaining_stack,
)

_CONTEXT_OFFSET: Final = 8  # of `uc` in RtSigFrame
_INFO_OFFSET: Final = RtSigFrame.SIZE - SIGINFO_SIZE
_X87_AND_SSE: Final = 0b11
_XSAVE_MINIMUM: Final = FXSAVE_SIZE + 64  # the header follows the legacy area
_MAGIC2: Final = FP_XSTATE_MAGIC2.to_bytes(FP_XSTATE_MAGIC2_SIZE, "little")
_CONTEXT_REGISTERS: Final = tuple(
    (index, "eflags" if name == "rflags" else name) for index, name in enumerate(REGISTER_NAMES)
)


def enter_handler(thread: Interrupted, delivery: Delivery) -> SignalEntry:
    """Build the frame of a signal. BadFrame if there is no room, or no way back (SA_RESTORER)."""
    if SA.RESTORER not in delivery.disposition.flags:
        raise BadFrame("a handler without SA_RESTORER cannot return")
    stack_pointer = thread.registers[RSP]
    top = choose_stack(thread, delivery, RED_ZONE, stack_pointer)
    image = _fpu_image(thread)
    image_address = (top - len(image) & WORD) // XSAVE_ALIGNMENT * XSAVE_ALIGNMENT
    address = ((image_address - RtSigFrame.SIZE & WORD) // 16 * 16 - 8) & WORD
    check_room(thread, top, stack_pointer, address)

    frame = _frame(thread, delivery, image_address)
    registers = list(thread.registers)
    registers[RDI] = delivery.signal
    registers[RSI] = address + _INFO_OFFSET
    registers[RDX] = address + _CONTEXT_OFFSET
    registers[RAX] = 0  # for a handler without a prototype
    registers[RSP] = address
    registers[RIP] = delivery.disposition.handler
    registers[RFLAGS] &= ~(EFLAGS.DF | EFLAGS.RF | EFLAGS.TF)
    return SignalEntry([(image_address, image), (address, frame)], registers, remaining_stack(thread.stack))


def _fpu_image(thread: Interrupted) -> bytes:
    """The FPU state as a frame shows it: with a description in the bytes that the CPU leaves free."""
    image = bytearray(thread.fpu)
    if len(image) < _XSAVE_MINIMUM:
        return bytes(image[:FXSAVE_SIZE])
    size = len(image)
    about = FpxSwBytes(FP_XSTATE_MAGIC1, size + FP_XSTATE_MAGIC2_SIZE, thread.fpu_features, size)
    image[SW_RESERVED_OFFSET : SW_RESERVED_OFFSET + FpxSwBytes.SIZE] = about.pack()
    image[FXSAVE_SIZE] |= _X87_AND_SSE  # the legacy part counts even if it is in its initial state
    return bytes(image) + _MAGIC2


def _frame(thread: Interrupted, delivery: Delivery, image_address: int) -> bytes:
    fault = thread.fault
    context = SigContext(
        **{name: thread.registers[index] for index, name in _CONTEXT_REGISTERS},
        cs=USER_CS,
        gs=0,
        fs=0,
        ss=USER_SS,
        err=fault.code,
        trapno=fault.vector,
        oldmask=delivery.return_mask,
        cr2=fault.address,
        fpstate=image_address,
    )
    flags = UC.SIGCONTEXT_SS | UC.STRICT_RESTORE_SS
    if len(thread.fpu) >= _XSAVE_MINIMUM:
        flags |= UC.FP_XSTATE
    stack = thread.stack.to_abi(thread.registers[RSP])
    has_info = SA.SIGINFO in delivery.disposition.flags
    return RtSigFrame(
        delivery.disposition.restorer,
        UContext(flags, 0, stack, context, delivery.return_mask),
        delivery.info.pack() if has_info else bytes(SIGINFO_SIZE),
    ).pack()


def leave_handler(thread: Interrupted, read: Callable[[int, int], bytes]) -> SignalReturn:
    """rt_sigreturn: what the frame of a thread that has returned from its handler restores.

    `read(address, length)` reads guest memory and raises LinuxError. BadFrame for a frame that is not
    there or asks for what a program must not have.
    """
    address = thread.registers[RSP] - 8 & WORD  # the handler's `ret` has popped pretcode
    try:
        frame = RtSigFrame.unpack(read(address, RtSigFrame.SIZE))
        context = frame.uc.uc_mcontext
        fpu = _restored_fpu(thread, context.fpstate, read)
    except LinuxError:
        raise BadFrame("the frame cannot be read") from None
    if context.cs | 3 != USER_CS:
        raise BadFrame("the frame asks for another code segment")
    registers = [getattr(context, name) for _, name in _CONTEXT_REGISTERS]
    kept = thread.registers[RFLAGS] & ~SIGRETURN_EFLAGS
    registers[RFLAGS] = kept | context.eflags & SIGRETURN_EFLAGS
    if not _is_canonical(registers[RIP]):
        raise BadFrame("the frame asks for an impossible address")
    return SignalReturn(registers, fpu, frame.uc.uc_sigmask, frame.uc.uc_stack)


def _restored_fpu(thread: Interrupted, address: int, read: Callable[[int, int], bytes]) -> bytes | None:
    """The FPU state of a frame, as long as the thread's own; None where the frame has none.

    A frame that does not describe an XSAVE image, or not one that fits, holds x87 and SSE state only;
    everything else is then initialised.
    """
    if not address:
        return None
    legacy = read(address, FXSAVE_SIZE)
    size = len(thread.fpu)
    if size < _XSAVE_MINIMUM:
        return legacy[:size]
    about = FpxSwBytes.unpack(legacy, SW_RESERVED_OFFSET)
    if _is_extended(about, size) and read(address + about.xstate_size, len(_MAGIC2)) == _MAGIC2:
        image = bytearray(read(address, about.xstate_size).ljust(size, b"\0"))
        features = thread.fpu_features & about.xfeatures
    else:
        image = bytearray(legacy.ljust(size, b"\0"))
        image[FXSAVE_SIZE] = features = _X87_AND_SSE
    header = slice(FXSAVE_SIZE, FXSAVE_SIZE + 8)
    image[header] = (int.from_bytes(image[header], "little") & features).to_bytes(8, "little")
    image[SW_RESERVED_OFFSET:FXSAVE_SIZE] = bytes(FXSAVE_SIZE - SW_RESERVED_OFFSET)
    return bytes(image)


def _is_extended(about: FpxSwBytes, size: int) -> bool:
    return (
        about.magic1 == FP_XSTATE_MAGIC1
        and _XSAVE_MINIMUM <= about.xstate_size <= size
        and about.xstate_size <= about.extended_size
    )


def _is_canonical(address: int) -> bool:
    return address >> 47 in (0, 0x1FFFF)
