"""Order among threads without their help: rseq(2), membarrier(2)."""

from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mman import MEMBARRIER, MEMBARRIER_FLAG_CPU
from aionoah.abi.sched import RSEQ_FLAG_UNREGISTER
from aionoah.host.waiting import Source, sleep_on
from aionoah.process.rseq import register, unregister
from aionoah.process.task import Task
from aionoah.syscalls.arguments import Addr, Int, UInt
from aionoah.syscalls.registry import syscall


@syscall
def rseq(task: Task, area: Addr, length: UInt, flags: Int, signature: UInt) -> None:
    if flags == RSEQ_FLAG_UNREGISTER:
        unregister(task, area, length, signature)
        task.control.leave_cpu()
    elif flags:
        raise LinuxError(Errno.EINVAL)
    else:
        register(task, area, length, signature)
        task.control.leave_cpu()


_COMMANDS: Final = (1 << 10) - 1
# Commands that need a registration, and what that is.
_REGISTRATION: Final[dict[int, int]] = {
    MEMBARRIER.PRIVATE_EXPEDITED: MEMBARRIER.REGISTER_PRIVATE_EXPEDITED,
    MEMBARRIER.PRIVATE_EXPEDITED_SYNC_CORE: MEMBARRIER.REGISTER_PRIVATE_EXPEDITED_SYNC_CORE,
    MEMBARRIER.PRIVATE_EXPEDITED_RSEQ: MEMBARRIER.REGISTER_PRIVATE_EXPEDITED_RSEQ,
}
_REGISTRATIONS: Final = (MEMBARRIER.REGISTER_GLOBAL_EXPEDITED, *_REGISTRATION.values())
_BARRIERS: Final = (MEMBARRIER.GLOBAL, MEMBARRIER.GLOBAL_EXPEDITED, *_REGISTRATION)


@syscall
async def membarrier(task: Task, command: Int, flags: UInt, cpu: Int) -> int:
    """One barrier serves all: it is the machine's, for whatever of its guests runs."""
    if flags and (command != MEMBARRIER.PRIVATE_EXPEDITED_RSEQ or flags != MEMBARRIER_FLAG_CPU):
        raise LinuxError(Errno.EINVAL)
    if command == MEMBARRIER.QUERY:
        return _COMMANDS
    if command == MEMBARRIER.GET_REGISTRATIONS:
        return task.memory.barrier_registrations
    if command in _REGISTRATIONS:
        task.memory.barrier_registrations |= command
        return 0
    if command not in _BARRIERS:
        raise LinuxError(Errno.EINVAL)
    needed = _REGISTRATION.get(command, 0)
    if needed & ~task.memory.barrier_registrations:
        raise LinuxError(Errno.EPERM)
    task.kernel.machine.barrier()
    if command == MEMBARRIER.PRIVATE_EXPEDITED_RSEQ:
        await _restart_sequences(task, cpu if flags else None)
    return 0


async def _restart_sequences(task: Task, cpu: int | None) -> None:
    """Every other thread, or that on a CPU, leaves the sequence that it is in before this returns."""
    waiting = []
    for other in task.process.tasks.values():
        if (
            other is not task
            and other.rseq is not None
            and other.control.is_in_guest
            and cpu in {None, other.cpu}
        ):
            other.rseq.is_disturbed = True
            other.control.leave_cpu()
            waiting.append(other)
    while waiting := [other for other in waiting if other.control.is_in_guest and _is_disturbed(other)]:
        await sleep_on(Source(task.process.left_guest))


def _is_disturbed(task: Task) -> bool:
    return task.rseq is not None and task.rseq.is_disturbed
