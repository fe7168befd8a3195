"""What system calls ask of the virtual CPU that runs their task.

Calls know no registers. The few that concern the CPU itself, such as execve, go through this protocol;
whoever runs the thread's virtual CPU implements it and sets `task.control`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from aionoah.process.exec import Loaded
    from aionoah.process.task import Task


class PresentCall(NamedTuple):
    """A system call by its number, -1 for none, with the six arguments of one."""

    number: int
    arguments: Sequence[int]
    stack_pointer: int
    program_counter: int


class TaskControl(Protocol):
    """The CPU side of a guest thread. All methods are called under the kernel lock."""

    def start_program(self, program: "Loaded") -> None:
        """Registers, FPU and thread pointer as at the first instruction of a program, which runs next in
        `program.memory`. Called by the task's own execve, as the last thing it does.

        No virtual CPU is in the old memory any more when this returns.
        """
        ...

    def exit_thread(self) -> None:
        """The task has ended: never enter the guest again, close a system call that sleeps, and then
        call `task.release`. May be called for a task that is running, from another thread; again is
        the same as once.
        """
        ...

    def clone(self, child: "Task", stack_pointer: int, tls: int | None) -> None:
        """Start a new task where this one's system call returns, with 0 as its result.

        `stack_pointer`: 0 for the same value as here. `tls`: None for the same thread pointer.
        """
        ...

    def leave_handler(self) -> None:
        """rt_sigreturn: take registers, FPU, mask and stack back from the frame on the guest's stack."""
        ...

    def get_tls(self) -> int:
        """The thread pointer, as Vcpu.get_tls."""
        ...

    def set_tls(self, value: int) -> None: ...

    def get_gs_base(self) -> int:
        """The base of GS; x86_64 only."""
        ...

    def set_gs_base(self, value: int) -> None: ...

    @property
    def is_in_guest(self) -> bool:
        """Whether the virtual CPU may be executing the program's instructions right now."""
        ...

    def leave_cpu(self) -> None:
        """Leave the guest if it is there, and look anew which CPU the thread is on."""
        ...

    def present_call(self) -> "PresentCall":
        """What the thread sleeps in."""
        ...

    def cpu_time_ns(self) -> int:
        """How long the thread has used a CPU, in the guest and in its calls."""
        ...

    def user_time_ns(self) -> int:
        """How much of it in the guest."""
        ...

    def count_moved(self) -> None:
        """Add to the task's counts what has been read and written without us (fs/lending.py)."""
        ...


class NoControl:
    """Stands where no virtual CPU has been attached yet, or any more."""

    is_in_guest = False

    def leave_cpu(self) -> None:
        """It is on none."""

    def start_program(self, program: "Loaded") -> None:
        raise NotImplementedError("no virtual CPU runs this task")

    def leave_handler(self) -> None:
        raise NotImplementedError("no virtual CPU runs this task")

    def exit_thread(self) -> None:
        """Nothing runs."""

    def clone(self, child: "Task", stack_pointer: int, tls: int | None) -> None:
        raise NotImplementedError("no virtual CPU runs this task")

    def get_tls(self) -> int:
        return 0

    def set_tls(self, value: int) -> None:
        raise NotImplementedError("no virtual CPU runs this task")

    def get_gs_base(self) -> int:
        return 0

    def set_gs_base(self, value: int) -> None:
        raise NotImplementedError("no virtual CPU runs this task")

    def present_call(self) -> PresentCall:
        return PresentCall(-1, (), 0, 0)

    def cpu_time_ns(self) -> int:
        return 0

    def user_time_ns(self) -> int:
        return 0

    def count_moved(self) -> None:
        """Nothing has."""
