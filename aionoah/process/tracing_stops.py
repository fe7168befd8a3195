"""The stops of who is traced, on its own thread (ptrace(2), "Stopped states"; Linux kernel/signal.c, ptrace_stop)."""

from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ptrace import PTRACE_EVENT, PTRACE_O
from aionoah.abi.sched import CLONE
from aionoah.abi.siginfo import CLD
from aionoah.abi.signal import SIG, signal_bit
from aionoah.host.waiting import Source, sleep_on
from aionoah.process.family import tell_tracer
from aionoah.process.stopping import look_for_completion
from aionoah.process.tracees import Stop, Tracing, clone_event
from aionoah.signals.info import from_user

if TYPE_CHECKING:
    from aionoah.process.task import Task


async def stay(tracing: Tracing, stop: Stop) -> int:
    """Be in a stop until the tracer lets the thread go on; returns the signal that he gives. SIGKILL ends it, or
    keeps it from beginning, and gives none. `tracing.state` is there for him.
    """
    task = tracing.task
    if is_killed(task):
        return 0
    tracing.stop, tracing.signal = stop, 0
    task.signals.is_held = True
    tracing.must_stop = False
    if stop.status >> 8 == PTRACE_EVENT.STOP:
        tracing.has_news = False
    task.is_stopped = stop.is_group and bool(task.process.stop.signal)
    tell_tracer(tracing, CLD.STOPPED if stop.is_group else CLD.TRAPPED, stop.status)
    look_for_completion(task.process)
    try:
        while tracing.stop is stop:
            await _news(tracing)
    finally:
        task.is_stopped = task.signals.is_held = False
        if tracing.stop is stop:
            tracing.stop = None
    return tracing.signal


async def _news(tracing: Tracing) -> None:
    try:
        await sleep_on(Source(tracing.resumed))
    except LinuxError as error:
        if error.errno is not Errno.ERESTARTSYS:
            raise
        if is_killed(tracing.task):
            tracing.stop = None


def is_killed(task: "Task") -> bool:
    """Whether SIGKILL is pending."""
    return bool(task.signals.all_pending & signal_bit(SIG.KILL))


def trap(task: "Task", code: int, message: int = 0) -> Stop:
    """A stop that no signal has caused: `code` is SIGTRAP, or what stops the group, and more above (ptrace_notify)."""
    signal = code & 0x7F
    return Stop(code, from_user(signal, task.tid, task.credentials.uid, code), message)


async def stop_in_clone(task: "Task", flags: CLONE, exit_signal: int, tid: int) -> None:
    """In the middle of a call: there is a child."""
    if CLONE.UNTRACED not in flags:
        await _stop_in_call(task, clone_event(flags, exit_signal), tid)


async def stop_after_vfork(task: "Task", tid: int) -> None:
    await _stop_in_call(task, PTRACE_EVENT.VFORK_DONE, tid)


async def _stop_in_call(task: "Task", event: int, message: int) -> None:
    tracing = task.tracing
    if tracing is None or tracing.view is None or not tracing.options & 1 << event:
        return
    tracing.state = tracing.view()
    await stay(tracing, trap(task, SIG.TRAP | event << 8, message))


def group_stop(task: "Task", tracing: Tracing) -> Stop | None:
    """What the thread is to stop for besides signals; None if that is over."""
    signal = task.process.stop.signal
    if not tracing.is_seized:
        return Stop(signal, None, is_group=True) if signal else None
    stop = trap(task, (signal or SIG.TRAP) | PTRACE_EVENT.STOP << 8)
    stop.is_group = True
    return stop


def system_call_code(tracing: Tracing) -> int:
    return SIG.TRAP | (0x80 if PTRACE_O.TRACESYSGOOD in tracing.options else 0)
