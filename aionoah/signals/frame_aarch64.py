"""Signal frames of aarch64 (arch/arm64/kernel/signal.c).

From the top of the stack down: a frame record for unwinders, and struct rt_sigframe, at whose end a list
of records holds the vector registers and, after a fault, its cause.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Final

from aionoah.abi.aarch64 import (
    ESR_MAGIC,
    EXTRA_MAGIC,
    FP,
    FPSIMD_MAGIC,
    LR,
    PC,
    PSTATE,
    RESERVED_SIZE,
    SP,
    USER_PSTATE,
    X0,
    X1,
    X2,
    ContextHeader,
    EsrContext,
    FpsimdContext,
    FrameRecord,
    RtSigFrame,
    SigContext,
    UContext,
)
from aionoah.abi.errno import LinuxError
from aionoah.abi.siginfo import SIGINFO_SIZE
from aionoah.abi.signal import SA
from aionoah.signals.delivery import Delivery
from aionoah.signals.frame import (
    WORD,
    BadFrame,
    Interrupted,
    Returning,
    SignalEntry,
    SignalReturn,
    check_room,
    choose_stack,
    remaining_stack,
)

# What Vcpu.get_fpu gives: struct user_fpsimd_state, v0 to v31, FPSR, FPCR.
_FPU: Final = struct.Struct("<512sII8x")
_GENERAL: Final = struct.Struct("<31Q")  # x0 to x30
_BTYPE: Final = 0xC00  # PSTATE: the branch type, for landing pads
_SINGLE_STEP: Final = 1 << 21


def enter_handler(thread: Interrupted, delivery: Delivery) -> SignalEntry:
    """Build the frame of a signal. BadFrame if there is no room, or no way back: neither the program's own
    nor the vDSO's.
    """
    disposition = delivery.disposition
    way_back = disposition.restorer if SA.RESTORER in disposition.flags else thread.signal_return
    if SA.RESTORER not in disposition.flags and not way_back:
        raise BadFrame("a handler without SA_RESTORER cannot return")
    stack_pointer = thread.registers[SP]
    top = choose_stack(thread, delivery, 0, stack_pointer)
    record_address = (top - FrameRecord.SIZE & WORD) & ~15
    address = record_address - RtSigFrame.SIZE & WORD
    check_room(thread, top, stack_pointer, address)

    record = FrameRecord(thread.registers[FP], thread.registers[LR])
    registers = list(thread.registers)
    registers[X0] = delivery.signal
    if SA.SIGINFO in disposition.flags:
        registers[X1] = address
        registers[X2] = address + SIGINFO_SIZE
    registers[SP] = address
    registers[FP] = record_address
    registers[LR] = way_back
    registers[PC] = disposition.handler
    registers[PSTATE] &= ~(_BTYPE | _SINGLE_STEP)
    writes = [(address, _frame(thread, delivery)), (record_address, record.pack())]
    return SignalEntry(writes, registers, remaining_stack(thread.stack))


def _frame(thread: Interrupted, delivery: Delivery) -> bytes:
    registers = thread.registers
    context = SigContext(
        thread.fault.address,
        _GENERAL.pack(*registers[:31]),
        registers[SP],
        registers[PC],
        registers[PSTATE],
        _records(thread),
    )
    stack = thread.stack.kept()
    has_info = SA.SIGINFO in delivery.disposition.flags
    info = delivery.info.pack() if has_info else bytes(SIGINFO_SIZE)
    return RtSigFrame(info, UContext(0, 0, stack, delivery.return_mask, context)).pack()


def _records(thread: Interrupted) -> bytes:
    vregs, fpsr, fpcr = _FPU.unpack(thread.fpu)
    records = FpsimdContext(ContextHeader(FPSIMD_MAGIC, FpsimdContext.SIZE), fpsr, fpcr, vregs).pack()
    if thread.fault.code:
        records += EsrContext(ContextHeader(ESR_MAGIC, EsrContext.SIZE), thread.fault.code).pack()
    return records.ljust(RESERVED_SIZE, b"\0")


def leave_handler(thread: Returning, read: Callable[[int, int], bytes]) -> SignalReturn:
    """rt_sigreturn: what the frame of a thread that has returned from its handler restores.

    `read(address, length)` reads guest memory and raises LinuxError. BadFrame for a frame that is not
    there or asks for what a program must not have.
    """
    address = thread.registers[SP]
    if address & 15:
        raise BadFrame("the frame is not aligned")
    try:
        frame = RtSigFrame.unpack(read(address, RtSigFrame.SIZE))
    except LinuxError:
        raise BadFrame("the frame cannot be read") from None
    context = frame.uc.uc_mcontext
    if context.pstate & ~(USER_PSTATE | _BTYPE | _SINGLE_STEP):
        raise BadFrame("the frame asks for more than user mode")
    registers = [*_GENERAL.unpack(context.regs), context.sp, context.pc, context.pstate & ~_SINGLE_STEP]
    fpu = _restored_fpu(context.reserved)
    return SignalReturn(registers, fpu, frame.uc.uc_sigmask, frame.uc.uc_stack, context.sp)


def _restored_fpu(reserved: bytes) -> bytes:
    """The vector registers, of which there has to be one record."""
    found = None
    for magic, record in _walk(reserved):
        if magic == FPSIMD_MAGIC:
            if found is not None or len(record) != FpsimdContext.SIZE:
                raise BadFrame("the frame has wrong vector registers")
            context = FpsimdContext.unpack(record)
            found = _FPU.pack(context.vregs, context.fpsr, context.fpcr)
        elif magic not in (ESR_MAGIC, EXTRA_MAGIC):
            raise BadFrame(f"the frame has an unknown record {magic:#x}")
    if found is None:
        raise BadFrame("the frame has no vector registers")
    return found


def _walk(reserved: bytes) -> Iterator[tuple[int, bytes]]:
    """The records up to the terminator: magic number and all bytes."""
    offset = 0
    while offset + ContextHeader.SIZE <= len(reserved):
        head = ContextHeader.unpack(reserved, offset)
        if head.magic == 0 and head.size == 0:
            return
        is_whole = ContextHeader.SIZE <= head.size <= len(reserved) - offset
        if not is_whole or head.size % 16:
            break
        yield head.magic, reserved[offset : offset + head.size]
        offset += head.size
    raise BadFrame("the records of the frame do not end")
