"""Signal frames of x86_64 (arch/x86/kernel/signal_64.c, arch/x86/kernel/fpu/signal.c).

From the top of the stack down: the red zone, the XSAVE image aligned to 64 bytes with its magic number
behind it, and struct rt_sigframe, so placed that the handler starts as if it had been called.
"""

from collections.abc import Callable
from functools import cache
from operator import itemgetter
from typing import Final

from aionoah.abi.errno import LinuxError
from aionoah.abi.siginfo import SIGINFO_SIZE
from aionoah.abi.signal import SA, StackT
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
)
from aionoah.signals.delivery import Delivery
from aionoah.signals.frame import (
    WORD,
    BadFrame,
    FaultDetails,
    Interrupted,
    Returning,
    SignalEntry,
    SignalReturn,
    check_room,
    choose_stack,
    remaining_stack,
)

_CONTEXT_OFFSET: Final = 8  # of `uc` in RtSigFrame
_INFO_OFFSET: Final = RtSigFrame.SIZE - SIGINFO_SIZE
_X87_AND_SSE: Final = 0b11
_SSE: Final = 0b10
_MXCSR, _XMM = slice(24, 28), slice(160, 416)
_FRESH_XMM: Final = bytes(256)
_FRESH_MXCSR: Final = (0x1F80).to_bytes(4, "little")
_XSAVE_MINIMUM: Final = FXSAVE_SIZE + 64  # the header follows the legacy area
_MAGIC2: Final = FP_XSTATE_MAGIC2.to_bytes(FP_XSTATE_MAGIC2_SIZE, "little")
_NO_INFO: Final = bytes(SIGINFO_SIZE)
_NO_DESCRIPTION: Final = bytes(FpxSwBytes.SIZE)
_FXSAVE_ALIGNMENT: Final = 16
_GENERAL_PROTECTION: Final = 13
_IS_LOCAL: Final = 4  # of a selector: the segment is one of the local descriptor table
_COMPONENTS: Final = slice(FXSAVE_SIZE, FXSAVE_SIZE + 8)  # of the header
_HEADER_ZEROS: Final = slice(
    FXSAVE_SIZE + 8, FXSAVE_SIZE + 24
)  # must be zero for XRSTOR, which ignores the rest
_HEADER_REST: Final = bytes(40)

# A frame as plain values, the registers among them in an order of its own.
_FRAME: Final = RtSigFrame.flat()
_FLAGS: Final = 1
_STACK: Final = slice(3, 6)
_REGISTERS: Final = slice(6, 6 + len(REGISTER_NAMES))
_CS: Final = _REGISTERS.stop
_SS: Final = _CS + 3
_FPSTATE: Final = _CS + 8
_MASK: Final = _FPSTATE + 1
_NAMES: Final = tuple("eflags" if name == "rflags" else name for name in REGISTER_NAMES)
_ORDER: Final = SigContext.FIELDS[: len(REGISTER_NAMES)]
_to_frame: Final = itemgetter(*(_NAMES.index(name) for name in _ORDER))
_from_frame: Final = itemgetter(*(_ORDER.index(name) for name in _NAMES))


def enter_handler(thread: Interrupted, delivery: Delivery) -> SignalEntry:
    """Build the frame of a signal. BadFrame if there is no room, or no way back (SA_RESTORER)."""
    if not delivery.disposition.flags & SA.RESTORER:
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


@cache
def _description(size: int, features: int) -> bytes:
    """What a frame says of an XSAVE image."""
    return FpxSwBytes(FP_XSTATE_MAGIC1, size + FP_XSTATE_MAGIC2_SIZE, features, size).pack()


def _fpu_image(thread: Interrupted) -> bytes:
    """The FPU state as a frame shows it: with a description in the bytes that the CPU leaves free."""
    state = thread.fpu
    size = len(state)
    if size < _XSAVE_MINIMUM:
        return state[:FXSAVE_SIZE]
    components = bytes(
        (state[FXSAVE_SIZE] | _X87_AND_SSE,)
    )  # the legacy part counts even in its initial state
    description = _description(size, thread.fpu_features)
    return b"".join((state[:SW_RESERVED_OFFSET], description, components, state[FXSAVE_SIZE + 1 :], _MAGIC2))


def _frame(thread: Interrupted, delivery: Delivery, image_address: int) -> bytes:
    fault, disposition = thread.fault, delivery.disposition
    flags = UC.SIGCONTEXT_SS | UC.STRICT_RESTORE_SS
    if len(thread.fpu) >= _XSAVE_MINIMUM:
        flags |= UC.FP_XSTATE
    stack = thread.stack.kept()
    return _FRAME.pack(
        disposition.restorer,
        *(flags, 0),
        *(stack.ss_sp, stack.ss_flags, stack.ss_size),
        *_to_frame(thread.registers),
        *(USER_CS, 0, 0, USER_SS),
        *(fault.code, fault.vector, delivery.return_mask, fault.address),
        image_address,
        delivery.return_mask,
        delivery.info.pack() if disposition.flags & SA.SIGINFO else _NO_INFO,
    )


def leave_handler(thread: Returning, read: Callable[[int, int], bytes]) -> SignalReturn:
    """rt_sigreturn: what the frame of a thread that has returned from its handler restores; the alternate stack first, as of
    Linux 6.12.

    `read(address, length)` reads guest memory and raises LinuxError. BadFrame for a frame that is not there.
    """
    address = thread.registers[RSP] - 8 & WORD  # the handler's `ret` has popped pretcode
    try:
        frame = _FRAME.unpack(read(address, RtSigFrame.SIZE))
    except LinuxError:
        raise BadFrame("the frame cannot be read") from None
    mask, stack = frame[_MASK], StackT(*frame[_STACK])
    registers = list(_from_frame(frame[_REGISTERS]))
    kept = thread.registers[RFLAGS] & ~SIGRETURN_EFLAGS
    registers[RFLAGS] = kept | registers[RFLAGS] & SIGRETURN_EFLAGS
    failure: BadFrame | None
    try:
        fpu = _restored_fpu(thread, frame[_FPSTATE], read)
    except LinuxError:
        fpu, failure = None, BadFrame("the FPU state cannot be read")
    except BadFrame as bad:
        fpu, failure = None, bad
    else:
        ss = frame[_SS] if frame[_FLAGS] & UC.STRICT_RESTORE_SS else USER_SS
        failure = _refusal(frame[_CS], ss, registers[RIP])
    return SignalReturn(registers, fpu, mask, stack, thread.registers[RSP], failure)


def _refusal(cs: int, ss: int, address: int) -> BadFrame | None:
    """What the CPU says to the IRET that would go there: selectors of user mode are taken, whatever their rights. Linux
    forgets what it says where the stack segment would be a local one (exc_double_fault).
    """
    for selector, expected in ((cs, USER_CS), (ss, USER_SS)):
        if selector | 3 != expected:
            fault = FaultDetails(0, 0 if ss & _IS_LOCAL else selector & ~3, _GENERAL_PROTECTION)
            return BadFrame(f"the frame asks for segment {selector:#x}", fault)
    if address >> 47 in (0, 0x1FFFF):
        return None
    return BadFrame("the frame asks for an impossible address", FaultDetails(0, 0, _GENERAL_PROTECTION))


def _restored_fpu(thread: Returning, address: int, read: Callable[[int, int], bytes]) -> bytes | None:
    """The FPU state of a frame, as long as the thread's own; None where the frame has none.

    A frame that does not describe an XSAVE image, or not one that fits, holds x87 and SSE state only;
    everything else is then initialised.
    """
    if not address:
        return None
    legacy = read(address, FXSAVE_SIZE)
    size = thread.fpu_size
    if size < _XSAVE_MINIMUM:
        return legacy[:size]
    if legacy[SW_RESERVED_OFFSET:] == _description(size, thread.fpu_features):
        whole = read(address, size + len(_MAGIC2))
        if whole[size:] == _MAGIC2:
            _require_alignment(address, XSAVE_ALIGNMENT)
            _require_known(whole, thread.fpu_features)
            return _cleaned(whole[:size], thread.fpu_features)
        _require_alignment(address, _FXSAVE_ALIGNMENT)
        return _cleaned(legacy.ljust(size, b"\0"), _X87_AND_SSE, is_legacy=True)
    return _foreign_fpu(thread, address, legacy, read)


def _foreign_fpu(thread: Returning, address: int, legacy: bytes, read: Callable[[int, int], bytes]) -> bytes:
    """The same, of a frame that somebody else has built."""
    size = thread.fpu_size
    about = FpxSwBytes.unpack(legacy, SW_RESERVED_OFFSET)
    if _is_extended(about, size) and read(address + about.xstate_size, len(_MAGIC2)) == _MAGIC2:
        _require_alignment(address, XSAVE_ALIGNMENT)
        image = read(address, about.xstate_size).ljust(size, b"\0")
        _require_known(image, thread.fpu_features)
        return _cleaned(image, thread.fpu_features & about.xfeatures)
    _require_alignment(address, _FXSAVE_ALIGNMENT)
    return _cleaned(legacy.ljust(size, b"\0"), _X87_AND_SSE, is_legacy=True)


def _cleaned(image: bytes, features: int, *, is_legacy: bool = False) -> bytes:
    """Without the description, and with no other components than these."""
    components = features if is_legacy else int.from_bytes(image[_COMPONENTS], "little") & features
    legacy = image[:SW_RESERVED_OFFSET]
    if not components & _SSE and legacy[_MXCSR] != _FRESH_MXCSR:
        components |= _SSE  # to XRSTOR, MXCSR counts even so, but not to every hypervisor
        legacy = _without_sse(legacy, keeps_mxcsr=bool(features & _SSE))
    return b"".join(
        (
            legacy,
            _NO_DESCRIPTION,
            components.to_bytes(8, "little"),
            image[_HEADER_ZEROS],
            _HEADER_REST,
            image[_XSAVE_MINIMUM:],
        )
    )


def _without_sse(legacy: bytes, *, keeps_mxcsr: bool) -> bytes:
    """With SSE registers as they are at first."""
    mxcsr = legacy[_MXCSR] if keeps_mxcsr else _FRESH_MXCSR
    parts = legacy[: _MXCSR.start], mxcsr, legacy[_MXCSR.stop : _XMM.start], _FRESH_XMM, legacy[_XMM.stop :]
    return b"".join(parts)


def _require_alignment(address: int, alignment: int) -> None:
    """As XRSTOR and FXRSTOR do."""
    if address % alignment:
        raise BadFrame("the FPU state of the frame is not aligned")


def _require_known(image: bytes, features: int) -> None:
    """As XRSTOR does: no component that the CPU does not have, and no compacted form."""
    if int.from_bytes(image[_COMPONENTS], "little") & ~features or any(image[_HEADER_ZEROS]):
        raise BadFrame("the frame has another form of XSAVE image")


def _is_extended(about: FpxSwBytes, size: int) -> bool:
    return (
        about.magic1 == FP_XSTATE_MAGIC1
        and _XSAVE_MINIMUM <= about.xstate_size <= size
        and about.xstate_size <= about.extended_size
    )
