"""What a guest's own instruction has caused: page faults that can be mended, and signals for all else."""

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import LinuxError
from aionoah.abi.signal import SIG
from aionoah.hypervisor.protocols import ExceptionKind, Machine, Vcpu
from aionoah.memory.faults import FaultResult
from aionoah.signals import faults
from aionoah.signals.frames import FaultDetails
from aionoah.signals.generate import force

if TYPE_CHECKING:
    from aionoah.abi.architecture import Architecture
    from aionoah.process.task import Task


_INT: Final = 0xCD
_GENERAL_PROTECTION: Final = 13
_FROM_IDT: Final = 2  # in an error code: the selector is that of an interrupt gate


class VcpuFaults:
    """The faults of one thread. Under the kernel lock."""

    def __init__(self, machine: Machine, architecture: "Architecture") -> None:
        self._machine = machine
        self._program_counter = architecture.program_counter
        self._is_aarch64 = architecture.name == "aarch64"
        self._host_fault: tuple[int, int] | None = None  # the last one's program counter, and what was then
        self.details = FaultDetails()  # of the latest exception, for signal frames

    def page_fault(self, task: "Task", vcpu: Vcpu) -> None:
        fault = vcpu.fault
        result = task.memory.fault(fault.address, fault.access)
        if result is FaultResult.RESOLVED:
            task.counts.minor_faults += 1
            return
        is_mapped = result in {FaultResult.ACCERR, FaultResult.BUS}
        is_kernels = not self._is_aarch64 and fault.address >= task.architecture.task_size
        self.details = faults.page_fault_details(
            fault.address, fault.access, is_mapped=is_mapped or is_kernels, is_aarch64=self._is_aarch64
        )
        if result is FaultResult.BUS:
            force(task, faults.lost_page(fault.address))
        elif result is FaultResult.EXHAUSTED:
            task.process.exit_group(SIG.KILL)
        else:
            force(task, faults.page_fault(fault.address, is_mapped=is_mapped))

    def exception(self, task: "Task", vcpu: Vcpu) -> None:
        address = vcpu.registers[self._program_counter]
        kind, vector, code = vcpu.exception
        number = self._interrupt_number(task, address) if kind is ExceptionKind.ILLEGAL_INSTRUCTION else None
        if number is not None:
            kind, vector, code = ExceptionKind.PROTECTION, _GENERAL_PROTECTION, number << 3 | _FROM_IDT
        self.details = FaultDetails(0, code, vector)
        if kind is ExceptionKind.FLOATING_POINT and not self._is_aarch64:
            info = faults.floating_point_fault(vcpu.get_fpu(), vector, address)
        else:
            info = faults.exception(kind.name, address, is_aarch64=self._is_aarch64)
        force(task, info)

    def _interrupt_number(self, task: "Task", address: int) -> int | None:
        """What an INT asks for, which a KVM in software takes for no instruction at all."""
        if self._is_aarch64:
            return None
        with suppress(LinuxError):
            opcode, number = task.memory.read(address, 2)
            return number if opcode == _INT else None
        return None

    def host_fault(self, task: "Task", vcpu: Vcpu) -> None:
        """The host has no page behind a frame. If its file was cut short, the page tables learn it now, and
        the guest faults properly. If rights were being changed at this moment, it tries again. Otherwise
        the host cannot read the file.
        """
        if task.memory.forget_lost_pages():
            return
        place = vcpu.registers[self._program_counter], self._machine.frames.invalidations
        if place == self._host_fault:
            force(task, faults.lost_page(0))
        self._host_fault = place
