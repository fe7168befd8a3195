"""Stopping a process and letting it go on (signal(7); Linux kernel/signal.c, do_signal_stop, prepare_signal).

    runs ──begin_stop──▶ stopping ──the last thread has parked──▶ stopped
      ▲                     │                                        │
      └──────────────── resume (SIGCONT), release (SIGKILL) ◀────────┘

Every thread parks in `stay_stopped` when it is about to go back to its program, wherever it was.
"""

from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.siginfo import CLD
from aionoah.abi.signal import SIG
from aionoah.host.waiting import Source, WaitQueue, sleep_on
from aionoah.process.family import state_changed

if TYPE_CHECKING:
    from aionoah.process.task import Process, Task


class StopState:
    """What a process's threads, and whoever waits for it, have to know about its being stopped."""

    __slots__ = ("has_continued", "is_complete", "resumed", "signal", "unreported")

    def __init__(self) -> None:
        self.signal = 0  # what stops it; 0 while it runs
        self.is_complete = False  # every thread has stopped
        self.unreported = 0  # `signal`, until somebody has waited for it (WUNTRACED)
        self.has_continued = False  # until somebody has waited for it (WCONTINUED)
        self.resumed = WaitQueue()


def begin_stop(process: "Process", signal: int) -> None:
    """One of the threads has taken a signal that stops: all are to park."""
    process.stop.signal = signal
    for task in process.tasks.values():
        if task.tracing is None:
            task.signals.interrupt()
        else:
            task.tracing.group_changed(is_stopping=True)


async def stay_stopped(task: "Task") -> None:
    """Sleep until the process goes on. Other signals wait meanwhile."""
    stop = task.process.stop
    try:
        while stop.signal and task.tracing is None:
            task.is_stopped = True
            look_for_completion(task.process)
            try:
                await sleep_on(Source(stop.resumed))
            except LinuxError as error:
                if error.errno is not Errno.ERESTARTSYS:
                    raise
    finally:
        task.is_stopped = False


def look_for_completion(process: "Process") -> None:
    """A thread has parked or ended: if it was the last one to run, the process has stopped."""
    stop = process.stop
    if not stop.signal or stop.is_complete or not process.tasks:
        return
    if all(task.is_stopped for task in process.tasks.values()):
        stop.is_complete, stop.has_continued = True, False
        if not _is_traced_by_parent(process):  # who hears of it as that
            stop.unreported = stop.signal
            state_changed(process, CLD.STOPPED, stop.signal)


def _is_traced_by_parent(process: "Process") -> bool:
    leader = process.tasks.get(process.pid)
    return leader is not None and leader.tracing is not None and not leader.tracing.is_reparented


def resume(process: "Process") -> None:
    """SIGCONT has been generated, whatever becomes of it then. A stop that was under way counts as one."""
    stop = process.stop
    for task in process.tasks.values():
        if task.tracing is not None:
            task.tracing.group_changed(is_stopping=False)
    if not stop.signal:
        return
    was_complete, signal = stop.is_complete, stop.signal
    release(process)
    stop.has_continued = True
    if was_complete:
        state_changed(process, CLD.CONTINUED, SIG.CONT)
    else:
        state_changed(process, CLD.STOPPED, signal)


def release(process: "Process") -> None:
    """Let the threads run, to die of SIGKILL for one."""
    stop = process.stop
    stop.signal = stop.unreported = 0
    stop.is_complete = False
    for task in process.tasks.values():
        task.is_stopped = False
    stop.resumed.wake()
