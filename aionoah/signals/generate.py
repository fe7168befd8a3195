"""Sending signals: who gets one, who is woken, and which are dropped at once.

Source: kernel/signal.c (prepare_signal, complete_signal, force_sig_info_to_task).
"""

from typing import TYPE_CHECKING

from aionoah.abi.signal import SIG, SIG_DFL, SIG_IGN, signal_bit
from aionoah.signals.actions import CONTINUING, DEFAULT, IGNORED_BY_DEFAULT, STOPPING, Effect, members
from aionoah.signals.info import SigInfo

if TYPE_CHECKING:
    from aionoah.process.task import Process, Task
    from aionoah.signals.state import TaskSignals


def send_to_process(process: "Process", info: SigInfo, limit: int | None = None) -> bool:
    """Generate a signal that any thread of the process may take; False if it is ignored.

    Raises EAGAIN if a queued real-time signal exceeds `limit` (RLIMIT_SIGPENDING).
    """
    if process.exit_status is not None:
        return False  # it ends anyway (prepare_signal)
    tasks = list(process.tasks.values())
    _cancel_opposite(process, info.si_signo)
    leader = process.tasks.get(process.pid) or (tasks[0] if tasks else None)
    if leader is None or _is_dropped(leader.signals, info.si_signo):
        return False
    process.signals.pending.add(info, limit)
    process.signals.queue.wake()
    _interrupt_first(tasks, info.si_signo)
    return True


def send_to_task(task: "Task", info: SigInfo, limit: int | None = None) -> bool:
    """Generate a signal for one thread; False if it is ignored. Raises EAGAIN as send_to_process does."""
    if task.process.exit_status is not None:
        return False
    _cancel_opposite(task.process, info.si_signo)
    if _is_dropped(task.signals, info.si_signo):
        return False
    task.signals.pending.add(info, limit)
    task.process.signals.queue.wake()
    _interrupt_first([task], info.si_signo)
    return True


def force(task: "Task", info: SigInfo) -> None:
    """Generate a signal that the thread's own instruction caused: it cannot be blocked or ignored,
    so if it is, the default action is taken.
    """
    signals = task.signals
    signal, bit = info.si_signo, signal_bit(info.si_signo)
    if signals.mask & bit or signals.shared.dispositions[signal].handler == SIG_IGN:
        signals.shared.dispositions[signal] = DEFAULT
        signals.mask &= ~bit
    signals.pending.add(info)
    task.process.signals.queue.wake()
    signals.interrupt()


def offer_to_others(task: "Task", refused: int) -> None:
    """A thread that may have been told of its process's signals takes this set no more (retarget_shared_pending)."""
    others = [other for other in task.process.tasks.values() if other is not task]
    for signal in members(task.process.signals.pending.bits & refused):
        _interrupt_first(others, signal)


def discard_ignored(process: "Process", signal: int) -> None:
    """A signal has just been set to be ignored: pending ones vanish (POSIX 3.3.1.3)."""
    handler = process.signals.dispositions[signal].handler
    if handler == SIG_IGN or (handler == SIG_DFL and signal_bit(signal) & IGNORED_BY_DEFAULT):
        _discard(process, signal_bit(signal))


def _cancel_opposite(process: "Process", signal: int) -> None:
    """A stop cancels a pending SIGCONT, and SIGCONT every pending stop and the stop that has happened, blocked
    or ignored or not. Nothing stops who is to die.
    """
    if signal_bit(signal) & STOPPING:
        _discard(process, CONTINUING)
    elif signal == SIG.CONT:
        _discard(process, STOPPING)
        process.resume()
    elif signal == SIG.KILL:
        process.release()


def _discard(process: "Process", unwanted: int) -> None:
    process.signals.pending.discard(unwanted)
    for task in process.tasks.values():
        task.signals.pending.discard(unwanted)


def _is_dropped(signals: "TaskSignals", signal: int) -> bool:
    """An ignored signal is dropped at once unless it is blocked: the program may change its mind before
    it unblocks it, and sigtimedwait and signalfd see it. So who waits for signals should have blocked them.
    """
    if signals.mask & signal_bit(signal) or (signals.is_traced and signal != SIG.KILL):
        return False
    effect = signals.effect(signal)
    return effect is Effect.IGNORE or (signals.shared.is_unkillable and effect is not Effect.HANDLE)


def _interrupt_first(tasks: "list[Task]", signal: int) -> None:
    """Interrupt the first thread that takes the signal; one in sigtimedwait has been woken already, but dies of
    one that is fatal and not blocked (complete_signal).

    SIGKILL ends all threads, so that all are interrupted.
    """
    bit = signal_bit(signal)
    for task in tasks:
        if task.signals.waited & bit and (task.signals.mask & bit or not task.signals.is_fatal(signal)):
            return
        if not task.signals.mask & bit and (signal == SIG.KILL or not task.signals.is_held):
            task.signals.interrupt()
            if signal != SIG.KILL:
                return
