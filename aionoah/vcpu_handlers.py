"""The signal handlers of a guest thread: frames go to its stack, and come back from there into its virtual CPU."""

from array import array
from contextlib import suppress
from typing import TYPE_CHECKING

from aionoah.abi.errno import LinuxError
from aionoah.signals.delivery import Delivery, enter_handler
from aionoah.signals.frames import FaultDetails, Interrupted, Returning, frames_for

if TYPE_CHECKING:
    from aionoah.abi.architecture import Architecture
    from aionoah.hypervisor.protocols import Machine, Vcpu
    from aionoah.process.task import Task


class VcpuHandlers:
    """Of one thread, on the thread itself and under the kernel lock."""

    def __init__(self, machine: "Machine", architecture: "Architecture") -> None:
        self._machine = machine
        self._architecture = architecture
        self._frames = frames_for(architecture)

    def enter(self, task: "Task", vcpu: "Vcpu", delivery: Delivery, details: FaultDetails) -> None:
        """Leave a frame on the stack and go to the handler. `details` of the latest exception. BadFrame, EFAULT."""
        interrupted = Interrupted(
            vcpu.registers.tolist(),
            vcpu.get_fpu(),
            task.signals.stack,
            details,
            self._machine.fpu_features,
            task.memory.signal_return,
        )
        entry = self._frames.enter_handler(interrupted, delivery)
        for address, data in entry.writes:
            task.memory.write(address, data)
        vcpu.registers[:] = array("Q", entry.registers)
        if self._frames.resets_fpu:
            vcpu.reset_fpu()
        task.signals.stack = entry.stack
        enter_handler(task, delivery)

    def leave(self, task: "Task", vcpu: "Vcpu") -> None:
        """Everything as the frame on the stack says. BadFrame, EFAULT; ValueError for what the CPU refuses."""
        thread = Returning(vcpu.registers.tolist(), self._machine.fpu_size, self._machine.fpu_features)
        state = self._frames.leave_handler(thread, task.memory.read)
        if state.fpu is None:
            vcpu.reset_fpu()
        else:
            vcpu.set_fpu(state.fpu)
        vcpu.registers[:] = array("Q", state.registers)
        task.signals.set_mask(state.mask)
        with suppress(LinuxError):  # as Linux ignores it
            stack_pointer = vcpu.registers[self._architecture.stack_pointer]
            task.signals.set_stack(state.stack, stack_pointer, self._architecture.minimum_signal_stack)
