"""The end of a thread whose process dumps its core, on the thread itself: it shows its registers, and stays until the dump
is written.
"""
# ruff: noqa: SLF001 - a part of VcpuThread

from typing import TYPE_CHECKING

from aionoah.abi.wait import CORE_FLAG
from aionoah.process.coredump.dump import CoreDump
from aionoah.process.current import set_current
from aionoah.process.ending import end_process
from aionoah.syscalls.traced_registers import REGISTER_SETS
from aionoah.vcpu_tracing import VcpuTracing

if TYPE_CHECKING:
    from aionoah.signals.info import SigInfo
    from aionoah.vcpu_thread import VcpuThread


def end_with_core(thread: "VcpuThread", info: "SigInfo") -> None:
    """The process dies of a signal that this thread has taken, or dumps its core already."""
    task = thread._task
    dump = task.process.core_dump
    if dump is None:
        dump = CoreDump(task, info)
        dump.begin()
    state = VcpuTracing(thread).view()
    sets = REGISTER_SETS[task.architecture.name]
    dump.add(task, {kind: found.get(state, task) for kind, found in sets.items()})
    set_current(task)
    thread.park(dump.write() if dump.task is task else dump.stay())
    if thread._is_exiting:
        return
    if dump.task is task or task.process.exit_status is None:  # else all is under way
        end_process(task.process, dump.wait_status)
    elif task.tracing is not None and task.tracing.ends_with is not None:
        task.tracing.ends_with &= ~CORE_FLAG  # its end was decided before there was a core
