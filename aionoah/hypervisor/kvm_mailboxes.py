"""Calls without exits, where KVM works in software. The work is done in native/kvm_mailbox.c and kvm_loans.c."""

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from aionoah.hypervisor._native import ffi, lib
from aionoah.hypervisor.protocols import PAGE_SIZE, CpuState, Lender, Mailbox
from aionoah.hypervisor.registers import X86_64_REGISTERS

if TYPE_CHECKING:
    from aionoah.hypervisor.kvm import KvmVcpu

_FXSAVE_SIZE: Final = 512  # all that there is of an FPU without XSAVE
_MXCSR_RESERVED: Final = slice(26, 28)
_FRESH_FPU: Final = struct.pack("<H22xI", 0x37F, 0x1F80)  # FCW and MXCSR, and no component in use


class KvmShownState:
    """What a program has in its CPU while it waits at its mailbox. It may write to that."""

    def __init__(self, page: memoryview, fpu_size: int) -> None:
        words = page.cast("Q")
        self.registers = words[Mailbox.REGISTERS : Mailbox.REGISTERS + len(X86_64_REGISTERS)]
        self._fpu = page[8 * Mailbox.FPU : 8 * Mailbox.FPU + fpu_size]
        self._fresh_fpu = _FRESH_FPU.ljust(fpu_size, b"\0")

    def get_fpu(self) -> bytes:
        return bytes(self._fpu)

    def set_fpu(self, state: bytes) -> None:
        if state[_MXCSR_RESERVED] != b"\0\0":
            raise ValueError("MXCSR has reserved bits")
        self._fpu[: len(state)] = state

    def reset_fpu(self) -> None:
        self._fpu[:] = self._fresh_fpu


class KvmLender:
    """See native/kvm_loans.c."""

    def begin(self, fd: int, *, may_read: bool, may_write: bool, position: int) -> object | None:
        loan: object = lib.kvm_loan_begin(fd, may_read, may_write, position)
        return None if loan == ffi.NULL else loan

    def end(self, loan: object) -> int:
        return int(lib.kvm_loan_end(loan))

    def forget(self) -> None:
        lib.kvm_loans_forget()


class KvmMailboxes:
    """See native/kvm_mailbox.c."""

    lender: Lender = KvmLender()

    def __init__(self, machine: Any, fpu_size: int) -> None:  # noqa: ANN401 - cffi
        self._machine = machine
        self._fpu_size = fpu_size

    def join(self, vcpu: "KvmVcpu") -> tuple[int, memoryview, CpuState | None] | None:
        number = lib.kvm_vcpu_join(vcpu.native)
        if number < 0:
            return None
        page = memoryview(ffi.buffer(lib.kvm_vcpu_mailbox(vcpu.native), PAGE_SIZE)).cast("B")
        has_room = _FXSAVE_SIZE < self._fpu_size <= PAGE_SIZE - 8 * Mailbox.FPU
        state = KvmShownState(page, self._fpu_size) if has_room else None
        return int(number), page.cast("Q"), state

    def leave(self, vcpu: "KvmVcpu") -> None:
        lib.kvm_vcpu_leave(vcpu.native)

    def answer_alone(self, calls: Sequence[int]) -> None:
        lib.kvm_machine_set_lent_calls(self._machine, list(calls))

    def lend(self, vcpu: "KvmVcpu", number: int, loan: object) -> None:
        lib.kvm_vcpu_lend(vcpu.native, number, loan)

    def take_moved(self, vcpu: "KvmVcpu") -> tuple[int, int, int, int]:
        moved = ffi.new("uint64_t[4]")
        lib.kvm_vcpu_take_moved(vcpu.native, moved)
        reads, read, writes, written = moved
        return reads, read, writes, written

    def next_call(self, last: int) -> int:
        number: int = lib.kvm_machine_next_call(self._machine, last)
        return number

    def end_calls(self) -> None:
        lib.kvm_machine_end_calls(self._machine)
