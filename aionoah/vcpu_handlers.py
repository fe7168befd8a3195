"""The signal handlers of a guest thread: frames go to its stack, and come back from there into its registers."""

from array import array
from contextlib import suppress
from typing import TYPE_CHECKING

from aionoah.abi.errno import LinuxError
from aionoah.abi.signal import SIG
from aionoah.process.rseq import Registration, restart_at
from aionoah.signals.actions import DEFAULT
from aionoah.signals.delivery import Delivery, enter_handler
from aionoah.signals.frames import BadFrame, FaultDetails, Interrupted, Returning, frames_for
from aionoah.signals.generate import force
from aionoah.signals.info import from_kernel

if TYPE_CHECKING:
    from aionoah.abi.architecture import Architecture
    from aionoah.hypervisor.protocols import CpuState, Machine
    from aionoah.process.task import Task


class VcpuHandlers:
    """Of one thread, under the kernel lock: on the thread itself, or by whoever answers its calls without exits."""

    def __init__(self, machine: "Machine", architecture: "Architecture") -> None:
        self._machine = machine
        self._architecture = architecture
        self._frames = frames_for(architecture)

    def run(self, task: "Task", cpu: "CpuState", delivery: Delivery, details: FaultDetails) -> None:
        """Leave a frame on the guest's stack and go to its handler. `details` are those of its latest exception."""
        try:
            if task.rseq is not None:
                self.restart_sequence(task, task.rseq, cpu)
            self._enter(task, cpu, delivery, details)
        except (BadFrame, LinuxError):  # no stack to run it on
            if delivery.signal == SIG.SEGV:
                task.signals.shared.dispositions[SIG.SEGV] = DEFAULT
            force(task, from_kernel(SIG.SEGV))

    def restart_sequence(self, task: "Task", area: Registration, cpu: "CpuState") -> None:
        """The program was interrupted: let it go on where its sequence says. EFAULT, EINVAL."""
        program_counter = self._architecture.program_counter
        place = restart_at(task, area, cpu.registers[program_counter])
        if place is not None:
            cpu.registers[program_counter] = place

    def _enter(self, task: "Task", cpu: "CpuState", delivery: Delivery, details: FaultDetails) -> None:
        """BadFrame, EFAULT."""
        interrupted = Interrupted(
            cpu.registers.tolist(),
            cpu.get_fpu(),
            task.signals.stack,
            details,
            self._machine.fpu_features,
            task.memory.signal_return,
        )
        entry = self._frames.enter_handler(interrupted, delivery)
        for address, data in entry.writes:
            task.memory.write(address, data)
        cpu.registers[:] = array("Q", entry.registers)
        if self._frames.resets_fpu:
            cpu.reset_fpu()
        task.signals.stack = entry.stack
        enter_handler(task, delivery)

    def leave(self, task: "Task", cpu: "CpuState") -> None:
        """rt_sigreturn: everything as the frame on the guest's stack says. BadFrame for one that cannot be, of which much
        is restored nevertheless (restore_sigcontext).
        """
        thread = Returning(cpu.registers.tolist(), self._machine.fpu_size, self._machine.fpu_features)
        state = self._frames.leave_handler(thread, task.memory.read)
        task.signals.set_mask(state.mask)
        with suppress(LinuxError):  # as Linux ignores it
            task.signals.set_stack(state.stack, state.stack_pointer, self._architecture.minimum_signal_stack)
        cpu.registers[:] = array("Q", state.registers)
        _restore_fpu(cpu, state.fpu)
        if state.failure is not None:
            raise state.failure


def _restore_fpu(cpu: "CpuState", state: bytes | None) -> None:
    if state is None:
        cpu.reset_fpu()
        return
    try:
        cpu.set_fpu(state)
    except ValueError:
        cpu.reset_fpu()
        raise BadFrame("the CPU refuses the FPU state") from None
