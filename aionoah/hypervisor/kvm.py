"""Linux's KVM, for x86_64 guests on x86_64 hosts. The work is done in native/kvm_*.c."""

import errno
import grp
import logging
import os
import time
from collections import deque
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Final

from aionoah.hypervisor._native import ffi, lib
from aionoah.hypervisor.errors import HypervisorError
from aionoah.hypervisor.frames import HostFrames
from aionoah.hypervisor.kvm_mailboxes import KvmMailboxes
from aionoah.hypervisor.protocols import (
    NO_CALL,
    ExceptionKind,
    ExitKind,
    Fault,
    GuestException,
    Mailboxes,
    Prot,
)
from aionoah.hypervisor.registers import X86_64_REGISTERS
from aionoah.hypervisor.space import NativeSpace
from aionoah.hypervisor.vectors import X86_VECTORS

_EXIT_KINDS: Final = {int(kind): kind for kind in ExitKind}
_SYSCALL: Final = ExitKind.SYSCALL  # finding a member by its name takes longer than all else here
_SPARES: Final = 2  # what a fork and the execve after it take
_MOST_REMAINS: Final = 32  # that wait to be freed
_EXHAUSTED: Final = {errno.ENOMEM, errno.EMFILE, errno.ENFILE}
_log: Final = logging.getLogger("aionoah")
# One for all virtual CPUs: it is used under the kernel lock.
_image: Any = ffi.new("uint8_t[]", lib.XSAVE_SIZE) if hasattr(lib, "kvm_machine_open") else None
_FAULT_WRITE, _FAULT_EXECUTE = 2, 16  # error code of #PF, Intel SDM volume 3, 4.7


def why_unavailable() -> str | None:
    """One sentence that says why KVM cannot be used here and what to do, or None if /dev/kvm opens."""
    if not hasattr(lib, "kvm_machine_open"):
        return "KVM runs x86_64 programs on x86_64 Linux hosts only."
    if not os.path.exists("/dev/kvm"):  # noqa: PTH110 - a plain question
        return "/dev/kvm does not exist: load the kvm module, or turn on virtualisation in the firmware."
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return f"/dev/kvm may not be opened: run {_permission(os.stat('/dev/kvm'))}."  # noqa: PTH116 - beside the others
    return None


def _permission(device: os.stat_result) -> str:
    """How an ordinary user gets to open /dev/kvm."""
    if device.st_gid and device.st_mode & 0o060 == 0o060:
        try:
            return f"`sudo usermod -aG {grp.getgrgid(device.st_gid).gr_name} $USER` and log in again"
        except KeyError:  # of a container, which has other groups than its host
            pass
    return "`sudo chown $USER /dev/kvm`, after each start of the machine"


def _refusal(what: str, number: int) -> Exception:
    """MemoryError if the host has run out of something, which guests are told of as if it were memory."""
    sentence = f"KVM refuses another {what}: {os.strerror(number)}."
    if number not in _EXHAUSTED:
        return HypervisorError(sentence)
    _log.warning("%s", sentence)
    return MemoryError(sentence)


class KvmSpace(NativeSpace):
    """One VM. Its vCPUs stay with it until it is closed, and are used again by later threads."""

    def __init__(self, machine: "KvmMachine") -> None:
        self.native = machine.workshop.take()
        if self.native == ffi.NULL:
            raise _refusal("virtual machine", ffi.errno)
        if lib.kvm_space_open(self.native):
            error = ffi.errno
            machine.workshop.bury(self.native)
            raise _refusal("virtual machine", error)
        self.fpu_size = machine.fpu_size
        self._workshop = machine.workshop
        self._made_vcpus = 0  # that have all they need
        super().__init__(machine.frames, lib.kvm_space_tables(self.native), lib.KERNEL_BASE)

    def reserve_vcpus(self, count: int) -> None:
        if self.open_vcpus + count <= self._made_vcpus:
            return
        if lib.kvm_space_reserve(self.native, count):
            raise MemoryError("KVM has no more virtual CPUs")
        self._made_vcpus = self.open_vcpus + count

    def has_opened(self) -> None:
        """A virtual CPU."""
        self.open_vcpus += 1
        self._made_vcpus = max(self._made_vcpus, self.open_vcpus)

    def close(self) -> None:
        lib.kvm_space_retire(self.native)
        self._workshop.bury(self.native)


class Workshop:
    """Makes virtual machines before they are wanted, and frees used ones, on a thread of its own: KVM takes a millisecond
    for each, which nobody should wait for under the kernel lock.

    Who wants a second one wants more: so an instance with one process makes no spare ones. And who wants them faster
    than they can be freed waits for that, or a loop of forks would use up the host's descriptors.
    """

    def __init__(self, machine: Any) -> None:  # noqa: ANN401 - cffi
        self._machine = machine
        self._spares: deque[Any] = deque()
        self._orders: deque[None] = deque()
        self._remains: deque[Any] = deque()
        # True for each order and each of the remains; False is the end.
        self._jobs: SimpleQueue[bool] = SimpleQueue()
        self._is_first = True
        self._thread: Thread | None = None

    def take(self) -> Any:  # noqa: ANN401
        """A virtual machine that nobody uses; NULL, with errno, if KVM refuses."""
        while len(self._remains) > _MOST_REMAINS:
            self._free_one()
        found = self._spares.popleft() if self._spares else None
        if not self._is_first and len(self._spares) + len(self._orders) < _SPARES:
            self._orders.append(None)
            self._begin()
        self._is_first = False
        return lib.kvm_space_prepare(self._machine) if found is None else found

    def bury(self, space: Any) -> None:  # noqa: ANN401
        self._remains.append(space)
        self._begin()

    def _begin(self) -> None:
        self._jobs.put(True)
        if self._thread is None:
            thread = Thread(target=self._work, name="aionoah-kvm", daemon=True)
            with suppress(RuntimeError):  # no thread is left for us: the next job tries again, or close()
                thread.start()
                self._thread = thread

    def _work(self) -> None:
        while self._jobs.get():
            if not self._orders:
                self._free_one()
                continue
            made = lib.kvm_space_prepare(self._machine)
            if made != ffi.NULL:  # else whoever wants one tries again, and is told
                self._spares.append(made)
            self._orders.popleft()

    def _free_one(self) -> None:
        with suppress(IndexError):  # another thread was quicker
            lib.kvm_space_free(self._remains.popleft())

    def close(self) -> None:
        """Wait until everything has been freed."""
        self._jobs.put(False)
        if self._thread is not None:
            self._thread.join()
        else:
            self._work()
        while self._spares:
            lib.kvm_space_free(self._spares.popleft())


class KvmVcpu:
    """A virtual CPU of one VM, run by the thread that made it."""

    fault: Fault
    exception: GuestException

    def __init__(self, space: KvmSpace) -> None:
        self.native: Any = lib.kvm_vcpu_open(space.native)
        if self.native == ffi.NULL:
            raise _refusal("virtual CPU", ffi.errno)
        words = ffi.buffer(lib.kvm_vcpu_registers(self.native), 8 * len(X86_64_REGISTERS))
        self.registers = memoryview(words).cast("B").cast("Q")
        stay = ffi.buffer(lib.kvm_vcpu_stay(self.native), 24)
        # Read in place: each call of C lets go of the interpreter.
        self._stay = memoryview(stay).cast("B").cast("Q")
        self._space = space
        space.has_opened()
        self._is_open = True
        self._cpu_number = -1  # not known
        self._closing = Lock()  # between kick and close

    def run(self, yield_call: int = NO_CALL) -> ExitKind:
        kind = _EXIT_KINDS[lib.kvm_vcpu_run(self.native, yield_call)]
        if kind is _SYSCALL:
            return kind
        if kind is ExitKind.PAGE_FAULT:
            self.fault = self._page_fault()
        elif kind is ExitKind.EXCEPTION:
            vector = lib.kvm_vcpu_vector(self.native)
            what = X86_VECTORS.get(vector, ExceptionKind.OTHER)
            self.exception = GuestException(what, vector, lib.kvm_vcpu_error_code(self.native))
        return kind

    def _page_fault(self) -> Fault:
        code = lib.kvm_vcpu_error_code(self.native)
        access = Prot.WRITE if code & _FAULT_WRITE else Prot.EXECUTE if code & _FAULT_EXECUTE else Prot.READ
        return Fault(lib.kvm_vcpu_fault_address(self.native), access)

    def rest(self) -> None:
        lib.kvm_vcpu_rest(self.native)

    def kick(self) -> None:
        with self._closing:
            if self._is_open:
                lib.kvm_vcpu_kick(self.native)

    def get_tls(self) -> int:
        return self._get_base(0)

    def set_tls(self, value: int) -> None:
        self._set_base(0, value)

    def get_gs_base(self) -> int:
        return self._get_base(1)

    def set_gs_base(self, value: int) -> None:
        self._set_base(1, value)

    def _get_base(self, segment: int) -> int:
        value = ffi.new("uint64_t *")
        if lib.kvm_vcpu_get_tls(self.native, segment, value):
            raise HypervisorError(f"KVM refuses to read a segment base: {os.strerror(ffi.errno)}.")
        return int(value[0])

    def _set_base(self, segment: int, value: int) -> None:
        if lib.kvm_vcpu_set_tls(self.native, segment, value):
            raise ValueError(f"{value:#x} is not a canonical address")

    def get_fpu(self) -> bytes:
        if lib.kvm_vcpu_get_fpu(self.native, _image):
            raise HypervisorError(f"KVM refuses to read the FPU state: {os.strerror(ffi.errno)}.")
        return bytes(ffi.buffer(_image, self._space.fpu_size))

    def reset_fpu(self) -> None:
        lib.kvm_vcpu_reset_fpu(self.native)

    def set_fpu(self, state: bytes) -> None:
        if len(state) > lib.XSAVE_SIZE:
            raise ValueError("this XSAVE image is too long")
        image = state.ljust(lib.XSAVE_SIZE, b"\0")
        if lib.kvm_vcpu_set_fpu(self.native, ffi.from_buffer(image)):
            raise ValueError("the CPU refuses this XSAVE image")

    def set_cpu_number(self, number: int) -> None:
        if number != self._cpu_number:
            self._cpu_number = number
            lib.kvm_vcpu_set_cpu_number(self.native, number)  # refused: then no vDSO asks for it

    def user_time_ns(self) -> int:
        before_ns, entered_ns, served_ns = self._stay
        return before_ns + (time.monotonic_ns() - entered_ns - served_ns if entered_ns else 0)

    def describe(self) -> str:
        error, suberror = ffi.new("int *"), ffi.new("unsigned *")
        reason = lib.kvm_vcpu_reason(self.native, error, suberror)
        pairs = zip(X86_64_REGISTERS, self.registers, strict=True)
        registers = " ".join(f"{name}={value:#x}" for name, value in pairs)
        return f"KVM exit {reason}, error {error[0]}, suberror {suberror[0]}: {registers}"

    def close(self) -> None:
        with self._closing:
            self._is_open = False
            self._space.open_vcpus -= 1
            lib.kvm_vcpu_close(self.native)


class KvmMachine:
    """Guest-physical memory of `memory` bytes that KVM runs x86_64 programs in."""

    name = "kvm"
    architecture = "x86_64"

    def __init__(self, memory: int) -> None:
        if reason := why_unavailable():
            raise HypervisorError(reason)
        self.frames = HostFrames(memory)
        self.native = lib.kvm_machine_open(self.frames.native)
        if self.native == ffi.NULL:
            error = ffi.errno
            self.frames.close()
            raise HypervisorError(
                f"KVM does not work here ({os.strerror(error)}): the hypervisor unicorn works anywhere, slowly."
            )
        self.workshop = Workshop(self.native)
        self.max_vcpus: int = lib.kvm_machine_max_vcpus(self.native)
        self.hwcap: int = lib.kvm_machine_features(self.native)
        self.fpu_features: int = lib.kvm_machine_xcr0(self.native)
        self.fpu_size: int = lib.kvm_machine_xsave_size(self.native)
        self.syscall_ring: int = lib.kvm_machine_syscall_ring(self.native)

    def keep_clocks(self, frame: int) -> bool:
        return not lib.kvm_machine_keep_clocks(self.native, frame)

    def barrier(self) -> None:
        if lib.kvm_machine_barrier():
            raise HypervisorError(f"the host has no barriers for guests: {os.strerror(ffi.errno)}.")

    @property
    def spinners(self) -> memoryview:
        return memoryview(ffi.buffer(lib.kvm_doorway_spinners(), 4)).cast("i")

    def open_mailboxes(self) -> Mailboxes | None:
        return (
            KvmMailboxes(self.native, self.fpu_size) if lib.kvm_machine_open_mailboxes(self.native) else None
        )

    def new_space(self) -> KvmSpace:
        return KvmSpace(self)

    def new_vcpu(self, space: KvmSpace) -> KvmVcpu:
        return KvmVcpu(space)

    def close(self) -> None:
        self.workshop.close()
        lib.kvm_machine_close(self.native)
        self.frames.close()
