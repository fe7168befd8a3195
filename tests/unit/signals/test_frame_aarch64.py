"""Frames of aarch64: offsets as the C compiler has them, and everything comes back."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.aarch64 import FP, LR, PC, PSTATE, REGISTER_NAMES, SP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.signal import SA, SIG, SS
from aionoah.signals.actions import Disposition, Effect, signal_set
from aionoah.signals.delivery import Delivery
from aionoah.signals.frame import BadFrame, FaultDetails, Interrupted, Returning, SignalReturn
from aionoah.signals.frame_aarch64 import enter_handler, leave_handler
from aionoah.signals.info import from_user
from aionoah.signals.state import NO_STACK, AlternateStack

# offsetof in struct rt_sigframe, by aarch64-linux-gnu-gcc from the kernel's own headers.
UC = 128
UC_STACK = UC + 16
UC_SIGMASK = UC + 40
FAULT_ADDRESS = UC + 176
REGS = UC + 184
SAVED_SP = UC + 432
SAVED_PC = UC + 440
SAVED_PSTATE = UC + 448
RESERVED = UC + 464
FRAME_SIZE = 4688

FLAGS = SA.SIGINFO | SA.RESTORER
STACK = AlternateStack(0x10000, 0x8000)
FPU = bytes(range(256)) * 2 + struct.pack("<II8x", 0x1000_0000, 0x0100_0000)


def thread(stack_pointer: int = 0x9000_0010, stack: AlternateStack = NO_STACK, code: int = 0) -> Interrupted:
    registers = list(range(1, len(REGISTER_NAMES) + 1))
    registers[SP] = stack_pointer
    registers[PSTATE] = 0x6000_0000
    return Interrupted(registers, FPU, stack, FaultDetails(0xFA, code))


def delivery(flags: int = FLAGS) -> Delivery:
    disposition = Disposition(0x4000, SA(flags), 0x5000, 0)
    return Delivery(from_user(SIG.USR1, 7, 8), Effect.HANDLE, disposition, signal_set(SIG.HUP))


def word(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 8], "little")


def reader(writes: list[tuple[int, bytes]]) -> Callable[[int, int], bytes]:
    def read(address: int, length: int) -> bytes:
        for start, data in writes:
            if start <= address and address + length <= start + len(data):
                return bytes(data[address - start : address - start + length])
        raise LinuxError(Errno.EFAULT)

    return read


# -- building -------------------------------------------------------------------------------------------------


@given(stack_pointer=st.integers(0x10000, 0xFFFF_FFFF_FFFF))
def test_alignment_and_room(stack_pointer: int) -> None:
    (address, frame), (record_address, record) = enter_handler(thread(stack_pointer), delivery()).writes
    assert address % 16 == record_address % 16 == 0
    assert len(frame) == FRAME_SIZE
    assert address + FRAME_SIZE == record_address
    assert stack_pointer - 16 < record_address + len(record) <= stack_pointer


def test_registers_of_the_handler() -> None:
    before = thread()
    entry = enter_handler(before, delivery())
    (address, _), (record_address, _) = entry.writes
    changed = {
        0: SIG.USR1,
        1: address,
        2: address + UC,
        SP: address,
        FP: record_address,
        LR: 0x5000,
        PC: 0x4000,
    }
    for index in range(len(REGISTER_NAMES)):
        assert entry.registers[index] == changed.get(index, before.registers[index])


def test_a_handler_without_siginfo_has_one_argument() -> None:
    before = thread()
    entry = enter_handler(before, delivery(SA.RESTORER))
    assert entry.registers[1:3] == before.registers[1:3]
    assert entry.writes[0][1][:128] == bytes(128)


def test_the_handler_starts_without_branch_type_and_step() -> None:
    before = thread()
    registers = [*before.registers[:PSTATE], 0x6020_0C00]
    assert enter_handler(before._replace(registers=registers), delivery()).registers[PSTATE] == 0x6000_0000


def test_the_frame_tells_everything() -> None:
    before = thread(stack=STACK)
    (_, frame), (_, record) = enter_handler(before, delivery()).writes
    assert frame[:128] == from_user(SIG.USR1, 7, 8).pack()
    assert struct.unpack_from("<QiiQ", frame, UC_STACK) == (STACK.base, 0, 0, STACK.size)
    assert word(frame, UC_SIGMASK) == signal_set(SIG.HUP)
    assert word(frame, FAULT_ADDRESS) == 0xFA
    assert [word(frame, REGS + 8 * index) for index in range(31)] == before.registers[:31]
    assert word(frame, SAVED_SP) == before.registers[SP]
    assert word(frame, SAVED_PC) == before.registers[PC]
    assert word(frame, SAVED_PSTATE) == before.registers[PSTATE]
    assert record == struct.pack("<QQ", before.registers[FP], before.registers[LR])


def test_the_records() -> None:
    frame = enter_handler(thread(), delivery()).writes[0][1]
    head = struct.unpack_from("<IIII", frame, RESERVED)
    assert head == (0x46508001, 528, 0x1000_0000, 0x0100_0000)
    assert frame[RESERVED + 16 : RESERVED + 528] == FPU[:512]
    assert frame[RESERVED + 528 :] == bytes(4096 - 528)


def test_a_fault_adds_its_syndrome() -> None:
    frame = enter_handler(thread(code=0x9200_0046), delivery()).writes[0][1]
    assert struct.unpack_from("<IIQII", frame, RESERVED + 528) == (0x45535201, 16, 0x9200_0046, 0, 0)


def test_alternate_stacks() -> None:
    entry = enter_handler(thread(stack=STACK), delivery(FLAGS | SA.ONSTACK))
    assert STACK.contains(entry.registers[SP])
    nested = enter_handler(thread(entry.registers[SP] + 0x1000, STACK), delivery(FLAGS | SA.ONSTACK))
    assert STACK.contains(nested.registers[SP])
    with pytest.raises(BadFrame, match="full"):
        enter_handler(thread(0x10800, STACK), delivery(FLAGS | SA.ONSTACK))
    with pytest.raises(BadFrame, match="full"):
        enter_handler(thread(stack=AlternateStack(0x10000, 4096)), delivery(FLAGS | SA.ONSTACK))


def test_a_stack_that_disarms_itself() -> None:
    entry = enter_handler(thread(stack=STACK._replace(flags=SS.AUTODISARM)), delivery(FLAGS | SA.ONSTACK))
    assert entry.stack == NO_STACK


def test_the_vdso_is_the_way_back_of_handlers_without_their_own() -> None:
    before = thread()._replace(signal_return=0x7000_076C)
    assert enter_handler(before, delivery(SA.SIGINFO)).registers[30] == 0x7000_076C
    assert enter_handler(before, delivery()).registers[30] == delivery().disposition.restorer


def test_no_way_back() -> None:
    with pytest.raises(BadFrame, match="SA_RESTORER"):
        enter_handler(thread(), delivery(SA.SIGINFO))


# -- and back -------------------------------------------------------------------------------------------------


@given(
    registers=st.lists(st.integers(0, (1 << 64) - 1), min_size=33, max_size=33),
    flags=st.integers(0, 15),
    fpu=st.binary(min_size=520, max_size=520),
    code=st.integers(0, 1 << 32),
)
def test_everything_comes_back(registers: list[int], flags: int, fpu: bytes, code: int) -> None:
    registers = [*registers[:SP], 0x7FFF_0123, registers[PC], flags << 28]
    before = Interrupted(registers, fpu + bytes(8), NO_STACK, FaultDetails(0, code))
    entry = enter_handler(before, delivery())
    after = before._replace(registers=entry.registers)
    restored = leave_handler(Returning(after.registers, len(FPU)), reader(entry.writes))
    assert restored.registers == registers
    assert restored.fpu == before.fpu
    assert restored.mask == signal_set(SIG.HUP)
    assert restored.stack.ss_flags == SS.DISABLE


def leave_patched(offset: int, data: bytes) -> SignalReturn:
    """rt_sigreturn of a frame in which bytes have been changed."""
    before = thread()
    entry = enter_handler(before, delivery())
    (address, frame), record = entry.writes
    changed = frame[:offset] + data + frame[offset + len(data) :]
    return leave_handler(Returning(entry.registers, len(FPU)), reader([(address, changed), record]))


@pytest.mark.parametrize(
    ("offset", "data"),
    [
        (SAVED_PSTATE, struct.pack("<Q", 0x6000_0005)),  # EL1
        (SAVED_PSTATE, struct.pack("<Q", 0x6000_0010)),  # 32-bit
        (SAVED_PSTATE, struct.pack("<Q", 0x6000_03C0)),  # interrupts off
        (RESERVED, bytes(8)),  # no vector registers
        (RESERVED + 4, struct.pack("<I", 512)),
        (RESERVED + 4, struct.pack("<I", 8192)),
        (RESERVED + 4, struct.pack("<I", 0)),
        (RESERVED, struct.pack("<I", 0x1234_5678)),
        (RESERVED + 528, struct.pack("<II", 0x4650_8001, 528)),  # twice
    ],
)
def test_what_a_program_must_not_ask_for(offset: int, data: bytes) -> None:
    with pytest.raises(BadFrame):
        leave_patched(offset, data)


def test_records_without_an_end() -> None:
    endless = struct.pack("<IIQ", 0x45535201, 16, 0) * ((4096 - 528) // 16)
    with pytest.raises(BadFrame, match="end"):
        leave_patched(RESERVED + 528, endless)


def test_a_changed_register_counts() -> None:
    assert leave_patched(SAVED_PC, struct.pack("<Q", 0x1234)).registers[PC] == 0x1234


def test_an_unaligned_or_missing_frame() -> None:
    with pytest.raises(BadFrame, match="aligned"):
        leave_handler(Returning(thread(0x9000_0008).registers, len(FPU)), reader([]))
    with pytest.raises(BadFrame, match="read"):
        leave_handler(Returning(thread(0x9000_0010).registers, len(FPU)), reader([]))
