"""The ends that programs bring about. Who is traced may stop once more before his (PTRACE_EVENT_EXIT), and lives on until
his tracer lets him go (ptrace(2); Linux kernel/exit.c: do_group_exit, kernel/signal.c: zap_other_threads).

Process.exit_group and Task.exit are the ends themselves, which nobody puts off.
"""

from typing import TYPE_CHECKING, Final

from aionoah.abi.ptrace import PTRACE_O
from aionoah.abi.signal import SIG, signal_bit
from aionoah.signals.info import from_kernel

if TYPE_CHECKING:
    from aionoah.process.task import Process, Task
    from aionoah.process.tracees import Tracing

_KILL: Final = signal_bit(SIG.KILL)


def end_process(process: "Process", wait_status: int) -> None:
    """End every thread, and with the last one the process. `wait_status`: as Process.exit_group has it."""
    if process.exit_status is None:
        process.exit_status = wait_status
    process.release()
    process.signals.pending.discard(_KILL)  # from now on it is each thread's own
    for task in list(process.tasks.values()):
        end_thread(task, process.exit_status)


def end_thread(task: "Task", wait_status: int) -> None:
    """End one thread, now or as soon as its tracer has seen that it does."""
    tracing = task.tracing
    if tracing is None or task.has_exited or not _is_put_off(tracing, wait_status):
        task.exit(wait_status)


def _is_put_off(tracing: "Tracing", wait_status: int) -> bool:
    """Whether the thread is on its way to the stop: from the stop itself only its end leads on."""
    if tracing.ends_with is not None:
        return not tracing.shows_end
    if PTRACE_O.TRACEEXIT not in tracing.options:
        return False
    tracing.ends_with = wait_status
    tracing.task.signals.pending.add(from_kernel(SIG.KILL))  # ends what it sleeps for, stops among them
    tracing.task.signals.interrupt()
    return True
