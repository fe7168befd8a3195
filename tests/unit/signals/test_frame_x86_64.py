"""Frames of x86_64: rebuilt byte for byte from those of the real kernel, and taken back."""

import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.signal import SA, SIG, SS
from aionoah.abi.x86_64 import (
    FP_XSTATE_MAGIC2,
    FXSAVE_SIZE,
    RAX,
    RDI,
    RDX,
    REGISTER_NAMES,
    RFLAGS,
    RIP,
    RSI,
    RSP,
    SIGRETURN_EFLAGS,
    SW_RESERVED_OFFSET,
    FpxSwBytes,
    RtSigFrame,
)
from aionoah.signals.actions import Disposition, Effect, signal_set
from aionoah.signals.delivery import Delivery
from aionoah.signals.frame import BadFrame, FaultDetails, Interrupted, Returning, SignalReturn
from aionoah.signals.frame_x86_64 import enter_handler, leave_handler
from aionoah.signals.info import from_bytes, from_user
from aionoah.signals.state import NO_STACK, AlternateStack

FLAGS = SA.SIGINFO | SA.RESTORER
STACK = AlternateStack(0x10000, 0x4000)
WORD = (1 << 64) - 1
words = st.integers(0, WORD)


def image(size: int = 832, fill: int = 0) -> bytes:
    """An XSAVE image whose header names x87, SSE and AVX."""
    legacy = bytes([fill]) * SW_RESERVED_OFFSET + bytes(FXSAVE_SIZE - SW_RESERVED_OFFSET)
    return legacy + (7).to_bytes(64, "little") + bytes([fill]) * (size - FXSAVE_SIZE - 64)


def thread(
    stack_pointer: int = 0x9000_0008, stack: AlternateStack = NO_STACK, fpu: bytes | None = None
) -> Interrupted:
    registers = list(range(1, len(REGISTER_NAMES) + 1))
    registers[RSP] = stack_pointer
    return Interrupted(registers, image() if fpu is None else fpu, stack, FaultDetails(0xC2, 6, 14), 7)


def delivery(flags: int = FLAGS, handler: int = 0x4000) -> Delivery:
    disposition = Disposition(handler, SA(flags), 0x5000, 0)
    return Delivery(from_user(SIG.USR1, 7, 8), Effect.HANDLE, disposition, signal_set(SIG.HUP))


class Memory:
    """What has been written, and EFAULT for everything else."""

    def __init__(self, writes: list[tuple[int, bytes]]) -> None:
        self.writes = [(address, bytearray(data)) for address, data in writes]

    def read(self, address: int, length: int) -> bytes:
        for start, data in self.writes:
            if start <= address and address + length <= start + len(data):
                return bytes(data[address - start : address - start + length])
        raise LinuxError(Errno.EFAULT)


def entered(before: Interrupted, flags: int = FLAGS) -> tuple[Memory, Interrupted]:
    """The memory and the thread at the moment the handler has returned to its restorer."""
    entry = enter_handler(before, delivery(flags))
    registers = list(entry.registers)
    registers[RSP] += 8
    return Memory(entry.writes), before._replace(registers=registers, stack=entry.stack)


def returning(thread: Interrupted) -> Returning:
    return Returning(thread.registers, len(thread.fpu), thread.fpu_features)


# -- where things are -----------------------------------------------------------------------------------------


@given(stack_pointer=st.integers(0x10000, 0x7FFF_FFFF_FFFF), size=st.sampled_from([512, 576, 832, 2696]))
def test_alignment_and_room(stack_pointer: int, size: int) -> None:
    entry = enter_handler(thread(stack_pointer, fpu=image(size)[:size]), delivery())
    (fpu_address, fpu), (address, frame) = entry.writes
    assert fpu_address % 64 == 0
    assert (address + 8) % 16 == 0
    assert address + len(frame) <= fpu_address
    assert fpu_address + len(fpu) <= stack_pointer - 128
    assert entry.registers[RSP] == address


def test_registers_of_the_handler() -> None:
    before = thread()
    entry = enter_handler(before, delivery())
    address = entry.writes[1][0]
    changed = {RDI: SIG.USR1, RSI: address + 312, RDX: address + 8, RAX: 0, RIP: 0x4000, RSP: address}
    for index in range(len(REGISTER_NAMES)):
        if index != RFLAGS:
            assert entry.registers[index] == changed.get(index, before.registers[index])


def test_the_handler_starts_with_clear_direction_and_trap_flags() -> None:
    before = thread()
    registers = [*before.registers[:RFLAGS], 0xFFFF_FFFF]
    assert enter_handler(before._replace(registers=registers), delivery()).registers[RFLAGS] == 0xFFFE_FAFF


def test_the_frame_tells_everything() -> None:
    before = thread()
    frame = RtSigFrame.unpack(enter_handler(before, delivery()).writes[1][1])
    context = frame.uc.uc_mcontext
    for index, name in enumerate(REGISTER_NAMES):
        assert getattr(context, "eflags" if name == "rflags" else name) == before.registers[index]
    assert (context.cs, context.gs, context.fs, context.ss) == (0x33, 0, 0, 0x2B)
    assert (context.err, context.trapno, context.cr2) == (6, 14, 0xC2)
    assert (frame.pretcode, frame.uc.uc_flags, frame.uc.uc_link) == (0x5000, 7, 0)
    assert context.oldmask == frame.uc.uc_sigmask == signal_set(SIG.HUP)
    assert frame.info == from_user(SIG.USR1, 7, 8).pack()


def test_no_siginfo_where_none_is_asked_for() -> None:
    frame = RtSigFrame.unpack(enter_handler(thread(), delivery(SA.RESTORER)).writes[1][1])
    assert frame.info == bytes(128)


def test_a_cpu_without_xsave() -> None:
    entry = enter_handler(thread(fpu=bytes(range(256)) * 2), delivery())
    assert entry.writes[0][1] == bytes(range(256)) * 2
    assert RtSigFrame.unpack(entry.writes[1][1]).uc.uc_flags == 6


# -- alternate stacks -----------------------------------------------------------------------------------------


def test_the_alternate_stack_is_used_if_wanted() -> None:
    entry = enter_handler(thread(stack=STACK), delivery(FLAGS | SA.ONSTACK))
    assert STACK.contains(entry.registers[RSP])
    assert entry.stack == STACK
    assert not STACK.contains(enter_handler(thread(stack=STACK), delivery()).registers[RSP])


def test_a_thread_that_is_on_it_already_goes_on_there() -> None:
    entry = enter_handler(thread(0x12000, STACK), delivery(FLAGS | SA.ONSTACK))
    assert STACK.base < entry.registers[RSP] < 0x12000 - 128


@pytest.mark.parametrize(
    ("stack_pointer", "stack"), [(0x10400, STACK), (0x9000_0000, AlternateStack(0x10000, 1024))]
)
def test_an_alternate_stack_that_is_full(stack_pointer: int, stack: AlternateStack) -> None:
    with pytest.raises(BadFrame, match="full"):
        enter_handler(thread(stack_pointer, stack), delivery(FLAGS | SA.ONSTACK))


def test_a_stack_that_disarms_itself() -> None:
    stack = STACK._replace(flags=SS.AUTODISARM)
    entry = enter_handler(thread(stack=stack), delivery(FLAGS | SA.ONSTACK))
    assert entry.stack == NO_STACK
    saved = RtSigFrame.unpack(entry.writes[1][1]).uc.uc_stack
    assert (saved.ss_sp, saved.ss_flags, saved.ss_size) == (STACK.base, -(1 << 31), STACK.size)


def test_no_way_back() -> None:
    with pytest.raises(BadFrame, match="SA_RESTORER"):
        enter_handler(thread(), delivery(SA.SIGINFO))


# -- and back -------------------------------------------------------------------------------------------------


@given(
    registers=st.lists(words, min_size=17, max_size=17),
    rip=st.integers(0, (1 << 47) - 1),
    flags=words,
    size=st.sampled_from([512, 576, 832, 2696]),
    fill=st.integers(0, 255),
)
def test_everything_comes_back(registers: list[int], rip: int, flags: int, size: int, fill: int) -> None:
    registers = [*registers[:16], rip, flags]
    registers[RSP] = 0x7FFF_0000_0123
    before = thread(fpu=image(size, fill)[:size])._replace(registers=registers)
    memory, after = entered(before)
    restored = leave_handler(returning(after), memory.read)
    assert restored.registers[:RFLAGS] == registers[:RFLAGS]
    assert restored.registers[RFLAGS] & SIGRETURN_EFLAGS == flags & SIGRETURN_EFLAGS
    assert restored.mask == signal_set(SIG.HUP)
    assert (restored.stack.ss_flags, restored.stack.ss_size) == (SS.DISABLE, 0)
    assert restored.fpu is not None
    assert len(restored.fpu) == size
    assert restored.fpu[:SW_RESERVED_OFFSET] == before.fpu[:SW_RESERVED_OFFSET]
    assert restored.fpu[FXSAVE_SIZE:] == before.fpu[FXSAVE_SIZE:]


def patched(offset: int, data: bytes, piece: int = 1) -> Callable[[], SignalReturn]:
    """rt_sigreturn of a frame (piece 1) or FPU image (piece 0) in which bytes have been changed."""
    memory, after = entered(thread())
    memory.writes[piece][1][offset : offset + len(data)] = data
    return lambda: leave_handler(returning(after), memory.read)


CONTEXT = 8 + 40  # of the saved registers in the frame
RIP_OFFSET = CONTEXT + 16 * 8
CS_OFFSET = CONTEXT + 18 * 8
FPSTATE_OFFSET = CONTEXT + 184


@pytest.mark.parametrize(
    ("offset", "data", "fault"),
    [
        (CS_OFFSET, b"\x11", FaultDetails(0, 0x10, 13)),
        (CS_OFFSET + 6, b"\x00\x00", FaultDetails(0, 0, 13)),  # SS
        (CS_OFFSET + 6, b"\x2f\x00", FaultDetails(0, 0, 13)),  # of the local table
        (RIP_OFFSET, (1 << 47).to_bytes(8, "little"), FaultDetails(0, 0, 13)),
    ],
)
def test_what_a_program_must_not_ask_for(offset: int, data: bytes, fault: FaultDetails) -> None:
    """The CPU refuses it, with all else restored."""
    restored = patched(offset, data)()
    assert restored.failure is not None
    assert restored.failure.fault == fault
    assert restored.fpu is not None
    assert restored.mask == signal_set(SIG.HUP)


def test_an_fpu_state_that_is_not_there() -> None:
    """All else is restored."""
    restored = patched(FPSTATE_OFFSET, (0xBAD).to_bytes(8, "little"))()
    assert restored.failure is not None
    assert restored.failure.fault is None
    assert restored.fpu is None
    assert restored.mask == signal_set(SIG.HUP)


def test_a_frame_that_is_not_there() -> None:
    with pytest.raises(BadFrame, match="read"):
        leave_handler(returning(thread()), Memory([]).read)


def test_a_changed_register_counts() -> None:
    restored = patched(RIP_OFFSET, (0x1234).to_bytes(8, "little"))()
    assert restored.registers[RIP] == 0x1234


def test_no_fpu_state_at_all() -> None:
    restored = patched(FPSTATE_OFFSET, bytes(8))()
    assert restored.fpu is None


@pytest.mark.parametrize(
    ("offset", "data"),
    [
        (SW_RESERVED_OFFSET, bytes(4)),  # magic1
        (SW_RESERVED_OFFSET + 16, (8192).to_bytes(4, "little")),  # larger than the CPU's
        (SW_RESERVED_OFFSET + 16, (100).to_bytes(4, "little")),  # smaller than any
        (832, bytes(4)),  # magic2
    ],
)
def test_an_image_without_its_marks_is_legacy(offset: int, data: bytes) -> None:
    restored = patched(offset, data, piece=0)()
    fpu = restored.fpu
    assert fpu is not None
    assert len(fpu) == 832
    assert fpu[FXSAVE_SIZE] == 3
    assert fpu[FXSAVE_SIZE + 1 :] == bytes(832 - FXSAVE_SIZE - 1)


def test_features_that_the_frame_does_not_name_are_initialised() -> None:
    restored = patched(SW_RESERVED_OFFSET + 8, (3).to_bytes(8, "little"), piece=0)()
    assert restored.fpu is not None
    assert restored.fpu[FXSAVE_SIZE] == 3


@pytest.mark.parametrize("features", [0b111, 0b101])
def test_mxcsr_counts_where_sse_is_asked_for(features: int) -> None:
    """In use or not. The registers beside it are initialised."""
    memory, after = entered(thread(fpu=image(832, 0x11)))
    [(_, fpu), _] = memory.writes
    fpu[FXSAVE_SIZE] = 1
    fpu[SW_RESERVED_OFFSET + 8] = features
    restored = leave_handler(returning(after), memory.read).fpu
    assert restored is not None
    assert restored[FXSAVE_SIZE] == 3
    assert restored[24:28] == (fpu[24:28] if features & 2 else (0x1F80).to_bytes(4, "little"))
    assert restored[160:416] == bytes(256)
    assert restored[32:160] == fpu[32:160] != bytes(128)


# -- the real kernel --------------------------------------------------------------------------------------------


class Native(NamedTuple):
    """A frame that the kernel built."""

    signal: int
    address: int
    fpu_address: int
    frame: RtSigFrame
    raw: bytes
    fpu: bytes


@pytest.fixture(scope="module")
def natives(tmp_path_factory: pytest.TempPathFactory) -> list[Native]:
    if platform.machine() != "x86_64" or platform.system() != "Linux" or not shutil.which("gcc"):
        pytest.skip("needs Linux on x86_64, and gcc")
    program = tmp_path_factory.mktemp("frames") / "frame_dump"
    subprocess.run(["gcc", "-o", program, Path(__file__).with_name("frame_dump.c")], check=True)
    lines = subprocess.run([program], capture_output=True, check=True, text=True).stdout.splitlines()
    found = []
    for head, frame, fpu in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        signal, address, fpu_address, _ = head.split()
        raw = bytes.fromhex(frame)
        unpacked = RtSigFrame.unpack(raw)
        found.append(
            Native(int(signal), int(address, 16), int(fpu_address, 16), unpacked, raw, bytes.fromhex(fpu))
        )
    return found


@pytest.mark.parametrize("index", [0, 1], ids=["stack", "alternate stack"])
def test_the_frame_is_the_kernels(natives: list[Native], index: int) -> None:
    native = natives[index]
    context, saved = native.frame.uc.uc_mcontext, native.frame.uc.uc_stack
    registers = [getattr(context, "eflags" if name == "rflags" else name) for name in REGISTER_NAMES]
    about = FpxSwBytes.unpack(native.fpu, SW_RESERVED_OFFSET)
    fault = FaultDetails(context.cr2, context.err, context.trapno)
    stack = AlternateStack(saved.ss_sp, saved.ss_size)
    before = Interrupted(registers, native.fpu[: about.xstate_size], stack, fault, about.xfeatures)
    flags = FLAGS | (SA.ONSTACK if native.signal == SIG.USR2 else 0)
    disposition = Disposition(0x4000, SA(flags), native.frame.pretcode)
    info = from_bytes(native.frame.info, native.signal)
    entry = enter_handler(before, Delivery(info, Effect.HANDLE, disposition, native.frame.uc.uc_sigmask))
    (fpu_address, fpu), (address, frame) = entry.writes
    assert (address, fpu_address) == (native.address, native.fpu_address)
    assert RtSigFrame.unpack(frame) == native.frame
    assert frame == _without_padding(native.raw)
    assert len(fpu) == len(native.fpu)
    assert fpu[-4:] == native.fpu[-4:] == FP_XSTATE_MAGIC2.to_bytes(4, "little")
    assert fpu == native.fpu


def _without_padding(raw: bytes) -> bytes:
    """The kernel leaves padding and reserved words of the stack as they were."""
    return RtSigFrame.unpack(raw).pack()
