"""The Unicorn emulator: x86_64 and aarch64 programs on any host, correctly but slowly.

An engine of Unicorn is one vCPU. All of them see the frames at the same guest-physical addresses, and
their TLBs are filled from the page tables of their AddressSpace; native/unicorn_hook.c does that, and
says how vCPUs take turns. Here is what is done once or seldom: opening, the FPU, words about errors.
"""

import ctypes
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from typing import Any, Final

from unicorn import unicorn_const
from unicorn.unicorn_py3.unicorn import UcError, uclib

from aionoah.hypervisor._native import ffi, lib
from aionoah.hypervisor.errors import HypervisorError
from aionoah.hypervisor.frames import HostFrames
from aionoah.hypervisor.protocols import (
    NO_CALL,
    AddressSpace,
    ExitKind,
    Extent,
    Fault,
    GuestException,
    Prot,
)
from aionoah.hypervisor.space import NativeSpace
from aionoah.hypervisor.unicorn_aarch64 import Aarch64Cpu
from aionoah.hypervisor.unicorn_cpu import GuestCpu
from aionoah.hypervisor.unicorn_x86_64 import X86Cpu

_CPUS: Final[dict[str, Callable[[], GuestCpu]]] = {"x86_64": X86Cpu, "aarch64": Aarch64Cpu}
_EXIT_KINDS: Final = {int(kind): kind for kind in ExitKind}
_TRANSLATION_BUFFER: Final = 128 << 20  # bytes of host address space for an engine; Unicorn would take 1 GiB
_API: Final = ("emu_start", "emu_stop", "hook_add", "ctl", "reg_read_batch", "reg_write_batch")


class UnicornSpace(NativeSpace):
    """Page tables. Every change of them happens while no guest of the machine runs."""

    def __init__(self, machine: "UnicornMachine") -> None:
        self.native = lib.unicorn_space_open(machine.native)
        if self.native == ffi.NULL:
            raise MemoryError("no memory for another address space is left")
        self._machine = machine
        super().__init__(machine.frames, lib.unicorn_space_tables(self.native), machine.cpu.end)

    def reserve_vcpus(self, count: int) -> None:
        """An engine needs nothing but memory."""

    def map(self, address: int, first_frame: int, count: int, prot: Prot, *, is_file: bool = False) -> None:
        with self._machine.seized():
            super().map(address, first_frame, count, prot, is_file=is_file)
            lib.unicorn_space_changed(self.native, False, prot)

    def unmap(self, address: int, length: int) -> None:
        with self._machine.seized():
            super().unmap(address, length)
            lib.unicorn_space_changed(self.native, True, Prot.NONE)

    def protect(self, address: int, length: int, prot: Prot, *, exclusive: bool = False) -> None:
        with self._machine.seized():
            super().protect(address, length, prot, exclusive=exclusive)
            lib.unicorn_space_changed(self.native, True, prot)

    def fork(self, child: NativeSpace, address: int, length: int, *, share: bool) -> None:
        if not isinstance(child, UnicornSpace):
            raise TypeError("the address space belongs to another backend")
        with self._machine.seized():
            # What has been done before an error counts too.
            lib.unicorn_space_changed(self.native, True, Prot.NONE)
            lib.unicorn_space_changed(child.native, False, Prot.EXECUTE)
            super().fork(child, address, length, share=share)

    def unshare(self, address: int, length: int, prot: Prot) -> None:
        with self._machine.seized():
            lib.unicorn_space_changed(self.native, True, prot)
            super().unshare(address, length, prot)

    def move(self, old: int, new: int, length: int) -> None:
        with self._machine.seized():
            super().move(old, new, length)
            lib.unicorn_space_changed(self.native, True, Prot.NONE)

    def extent(self, address: int) -> Extent | None:
        found = super().extent(address)
        if found is not None and Prot.WRITE | Prot.EXECUTE in found.prot:
            # Whoever asks may be about to write code that has been translated already.
            with self._machine.seized():
                lib.unicorn_space_changed(self.native, False, Prot.EXECUTE)
        return found

    def close(self) -> None:
        lib.unicorn_space_close(self.native)


class UnicornFrames(HostFrames):
    """An engine's own exchanges are several steps: they must not be in the middle of one."""

    def __init__(self, limit: int, seized: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__(limit)
        self._seized = seized

    def compare_exchange(self, word: memoryview, expected: int, new: int, *, is_file: bool) -> int:
        with self._seized():
            return super().compare_exchange(word, expected, new, is_file=is_file)


class UnicornVcpu:
    """One engine."""

    fault: Fault
    exception: GuestException

    def __init__(self, machine: "UnicornMachine", space: UnicornSpace) -> None:
        self._machine = machine
        self._cpu = machine.cpu
        with machine.seized(), _unicorn_errors():
            self._engine: Any = machine.open_engine()
            # Unicorn's bindings have no public name for the handle.
            handle = ffi.cast("void *", self._engine._uch.value)  # noqa: SLF001
            self.native: Any = lib.unicorn_vcpu_open(space.native, handle)
            if self.native == ffi.NULL:
                raise HypervisorError("Unicorn refuses a hook: this version of it does not fit.")
            machine.enter_user_mode(self._engine, self.native)
        self._space = space
        space.open_vcpus += 1
        words = ffi.buffer(self.native.registers, 8 * len(self._cpu.registers))
        self.registers = memoryview(words).cast("B").cast("Q")
        self._user_ns = 0
        self._entered_ns: int | None = None
        self._is_open = True
        self._closing = Lock()  # between kick and close

    def run(self, yield_call: int = NO_CALL) -> ExitKind:  # noqa: ARG002 - engines take turns at every call
        self._entered_ns = time.monotonic_ns()
        try:
            return self._run()
        finally:
            self._user_ns, self._entered_ns = self.user_time_ns(), None

    def _run(self) -> ExitKind:
        while True:
            kind = _EXIT_KINDS[lib.unicorn_vcpu_run(self.native)]
            if kind in {ExitKind.PAGE_FAULT, ExitKind.HOST_FAULT}:
                self.fault = Fault(self.native.fault_address, Prot(self.native.fault_access))
                if self._cpu.is_impossible(self.fault.address):
                    self.exception = self._cpu.impossible_address
                    return ExitKind.EXCEPTION
            elif kind is ExitKind.EXCEPTION and not self._is_exception():
                continue
            return kind

    def _is_exception(self) -> bool:
        """Whether the guest's exception is one for the kernel, or has been dealt with."""
        code = bytes(self.native.code)
        found = self._cpu.exception(self.native.vector, self.registers, code)
        if found is None:
            return False
        self.exception = found
        return True

    def rest(self) -> None:
        """Nobody waits: one guest runs at a time."""

    def kick(self) -> None:
        with self._closing:
            if self._is_open:
                lib.unicorn_vcpu_kick(self.native)

    def get_tls(self) -> int:
        return self._cpu.get_tls(self._engine)

    def set_tls(self, value: int) -> None:
        self._cpu.set_tls(self._engine, value)

    def get_gs_base(self) -> int:
        return self._cpu.get_gs_base(self._engine)

    def set_gs_base(self, value: int) -> None:
        self._cpu.set_gs_base(self._engine, value)

    def get_fpu(self) -> bytes:
        return self._cpu.get_fpu(self._engine)

    def set_fpu(self, state: bytes) -> None:
        self._cpu.set_fpu(self._engine, state)

    def reset_fpu(self) -> None:
        self._cpu.set_fpu(self._engine, self._cpu.clean_fpu)

    def set_cpu_number(self, number: int) -> None:
        """Unicorn's RDTSCP tells 0, and its guests' vDSO knows not to ask."""

    def user_time_ns(self) -> int:
        entered_ns = self._entered_ns
        return self._user_ns + (time.monotonic_ns() - entered_ns if entered_ns is not None else 0)

    def describe(self) -> str:
        pairs = zip(self._cpu.registers, self.registers, strict=True)
        registers = " ".join(f"{name}={value:#x}" for name, value in pairs)
        words: bytes = uclib.uc_strerror(self.native.error)
        return f"Unicorn: {words.decode()}: {registers}"

    def close(self) -> None:
        with self._closing:
            self._is_open = False
        self._space.open_vcpus -= 1
        with self._machine.seized():
            lib.unicorn_vcpu_close(self.native)
            self._engine = None


class UnicornMachine:
    """Guest-physical memory of `memory` bytes for programs of one architecture."""

    name = "unicorn"
    max_vcpus = 256  # an engine takes 3 MB

    def __init__(self, architecture: str, memory: int) -> None:
        self.architecture = architecture
        self.cpu: GuestCpu = _CPUS[architecture]()
        self.hwcap = self.cpu.hwcap
        self.fpu_features = self.cpu.fpu_features
        self.fpu_size = len(self.cpu.clean_fpu)
        self.frames = UnicornFrames(memory, self.seized)
        description = ffi.new("struct unicorn_architecture *")
        self.cpu.describe(description)
        functions = [ffi.cast("void *", _address_of(f"uc_{name}")) for name in _API]
        api = ffi.new("struct unicorn_api *", functions)
        self.native = lib.unicorn_machine_open(self.frames.native, api, description)
        if self.native == ffi.NULL:
            self.frames.close()
            raise MemoryError("no memory for a machine is left")

    @contextmanager
    def seized(self) -> Iterator[None]:
        """No guest of this machine runs in here."""
        lib.unicorn_seize(self.native)
        try:
            yield
        finally:
            lib.unicorn_release(self.native)

    def open_engine(self) -> Any:  # noqa: ANN401 - Unicorn's types differ between its versions
        """An engine that sees all frames."""
        engine = self.cpu.open_engine()
        engine.ctl_set_tcg_buffer_size(_TRANSLATION_BUFFER)
        engine.ctl_set_tlb_mode(unicorn_const.UC_TLB_VIRTUAL)
        engine.ctl_exits_enabled(True)  # and there are none: no address ends a run
        base = int(ffi.cast("uintptr_t", self.frames.native.base))
        engine.mem_map_ptr(0, len(self.frames.memory), unicorn_const.UC_PROT_ALL, base)
        return engine

    def enter_user_mode(self, engine: Any, native: Any) -> None:  # noqa: ANN401 - see above
        """Let the engine run the few instructions that take it to user mode, in a frame lent for that."""
        frame = self.frames.allocate(1)
        try:
            code = self.cpu.user_mode_code()
            self.frames.view(frame, 1)[: len(code)] = code
            self.cpu.enter_user_mode(engine, lambda: lib.unicorn_vcpu_set_up(native, 0, frame))
        finally:
            self.frames.drop(frame, 1)
        if not self.native.address_offset:
            lib.unicorn_vcpu_calibrate(native)

    def keep_clocks(self, _frame: int) -> bool:
        """Unicorn counts instructions, not time."""
        return False

    def barrier(self) -> None:
        """Engines take turns, which is one."""

    spinners = None

    def open_mailboxes(self) -> None:
        """There is nothing to be gained."""

    def new_space(self) -> UnicornSpace:
        return UnicornSpace(self)

    def new_vcpu(self, space: AddressSpace) -> UnicornVcpu:
        if not isinstance(space, UnicornSpace):
            raise TypeError("the address space belongs to another backend")
        return UnicornVcpu(self, space)

    def close(self) -> None:
        lib.unicorn_machine_close(self.native)
        self.frames.close()


@contextmanager
def _unicorn_errors() -> Iterator[None]:
    try:
        yield
    except UcError as error:
        if error.errno == unicorn_const.UC_ERR_NOMEM:
            raise MemoryError("no memory for another virtual CPU is left") from error
        raise HypervisorError(f"Unicorn refuses another virtual CPU: {error}.") from error


def _address_of(function: str) -> int:
    return ctypes.cast(getattr(uclib, function), ctypes.c_void_p).value or 0
