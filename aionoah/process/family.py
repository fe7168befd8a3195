"""Parents and children: who hears what has become of a process, and who adopts those that are left.

Sources: wait(2), prctl(2) (PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG), sigaction(2) (SA_NOCLDWAIT, SA_NOCLDSTOP),
setpgid(2) (orphaned groups); Linux kernel/exit.c (exit_notify, forget_original_parent), kernel/signal.c
(do_notify_parent).
"""

from typing import TYPE_CHECKING

from aionoah.abi.siginfo import CLD
from aionoah.abi.signal import SA, SIG, SIG_IGN
from aionoah.abi.time import USER_TICK_NS
from aionoah.abi.wait import CORE_FLAG, exit_code, term_signal
from aionoah.process.groups import has_stopped_member, is_orphaned, members
from aionoah.process.usage import usage_of_process, usage_of_thread
from aionoah.signals.actions import LAST_SIGNAL
from aionoah.signals.generate import send_to_process
from aionoah.signals.info import SigInfo, from_child, from_kernel, from_user
from aionoah.terminal import job_control

if TYPE_CHECKING:
    from aionoah.process.task import Process, Task
    from aionoah.process.tracees import Tracing


# -- ends -----------------------------------------------------------------------------------------------


def thread_ended(task: "Task") -> None:
    """A thread has gone while others live: its children are still the process's, and now another thread's."""
    survivor = next(iter(task.process.tasks.values()))
    for child in list(task.process.children.values()):
        if child.parent_task is task:
            child.parent_task = survivor
            _send_death_signals(child, task)


def process_ended(process: "Process", last: "Task") -> None:
    """The last thread has gone and `wait_status` says how: children are adopted, the parent hears of it."""
    job_control.process_ended(process)
    _give_children_away(process, last)
    parent = process.parent
    if parent is not None and _is_other_group_of_session(process, parent):
        _wake_orphaned_group(process, process)
    tell_of_end(process)


def tell_of_end(process: "Process") -> None:
    """SIGCHLD or what it is, and the end of the zombie if nobody wants to know (do_notify_parent). Tracers come first:
    they let go of what they hold, and then it is told again.
    """
    if process.held_threads:
        return
    if process.tracing is not None:
        process.tracing.end = process.wait_status
        tell_tracer_of_end(process.tracing, process.wait_status or 0)
        return
    parent = process.parent
    if parent is None or parent.is_init:
        process.reap()
        return
    signal = process.exit_signal if parent.exec_count == process.parent_exec_count else SIG.CHLD
    disposition = parent.signals.dispositions[SIG.CHLD]
    is_ignored = signal == SIG.CHLD and disposition.handler == SIG_IGN
    is_unwanted = is_ignored or (signal == SIG.CHLD and SA.NOCLDWAIT in disposition.flags)
    if 0 < signal <= LAST_SIGNAL and not is_ignored:
        send_to_process(parent, ending(process, signal))
    if is_unwanted:
        process.reap()
    parent.child_changed.wake()


def ending(process: "Process", signal: int = SIG.CHLD) -> SigInfo:
    """The siginfo of a process that has ended, for its parent."""
    code, status = _how_it_ended(process.wait_status or 0)
    return _news(process, signal, code, status)


def _how_it_ended(wait_status: int) -> tuple[int, int]:
    """The CLD code, and the exit code or signal."""
    killer = term_signal(wait_status)
    if not killer:
        return CLD.EXITED, exit_code(wait_status)
    return CLD.DUMPED if wait_status & CORE_FLAG else CLD.KILLED, killer


# -- stops ----------------------------------------------------------------------------------------------


def tell_tracer(tracing: "Tracing", code: int, status: int) -> None:
    """A thread is in a stop for its tracer (do_notify_parent_cldstop)."""
    process = tracing.tracer.process
    disposition = process.signals.dispositions[SIG.CHLD]
    if disposition.handler != SIG_IGN and SA.NOCLDSTOP not in disposition.flags:
        signal = tracing.task.process.stop.signal if code == CLD.STOPPED else status & 0x7F
        send_to_process(process, news_of_tracee(tracing, code, signal))
    process.child_changed.wake()


def tell_tracer_of_end(tracing: "Tracing", wait_status: int) -> None:
    """A thread that is traced has ended."""
    process = tracing.tracer.process
    if process.signals.dispositions[SIG.CHLD].handler != SIG_IGN:
        send_to_process(process, ending_of_tracee(tracing, wait_status))
    process.child_changed.wake()


def ending_of_tracee(tracing: "Tracing", wait_status: int) -> SigInfo:
    code, status = _how_it_ended(wait_status)
    return news_of_tracee(tracing, code, status)


def news_of_tracee(tracing: "Tracing", code: int, status: int) -> SigInfo:
    """The siginfo of what a thread that is traced does, for its tracer."""
    usage = usage_of_thread(tracing.task)
    user, system = usage.user_time_ns // USER_TICK_NS, usage.system_time_ns // USER_TICK_NS
    return from_child(SIG.CHLD, code, tracing.pid, tracing.task.credentials.uid, status, user, system)


def state_changed(process: "Process", code: int, signal: int) -> None:
    """A process has stopped or goes on, because of `signal`: tell the parent (do_notify_parent_cldstop)."""
    parent = process.parent
    if parent is None or parent.is_init:
        return
    disposition = parent.signals.dispositions[SIG.CHLD]
    if disposition.handler != SIG_IGN and SA.NOCLDSTOP not in disposition.flags:
        send_to_process(parent, stopping(process, code, signal))
    parent.child_changed.wake()


def stopping(process: "Process", code: int, signal: int) -> SigInfo:
    """The siginfo of a process that has stopped (CLD_STOPPED) or goes on (CLD_CONTINUED)."""
    return _news(process, SIG.CHLD, code, signal)


def _news(process: "Process", signal: int, code: int, status: int) -> SigInfo:
    leader = process.tasks.get(process.pid)
    uid = leader.credentials.uid if leader is not None else process.uid
    usage = usage_of_process(process)
    user, system = usage.user_time_ns // USER_TICK_NS, usage.system_time_ns // USER_TICK_NS
    return from_child(signal, code, process.pid, uid, status, user, system)


# -- orphans --------------------------------------------------------------------------------------------


def _give_children_away(process: "Process", last: "Task") -> None:
    if not process.children:
        return
    heir = _heir(process)
    for child in list(process.children.values()):
        was_looked_after = _is_other_group_of_session(child, process)
        child.set_parent(heir)
        _send_death_signals(child, last)
        child.exit_signal = SIG.CHLD
        if child.wait_status is not None:
            tell_of_end(child)
        if was_looked_after:
            _wake_orphaned_group(child)


def _heir(process: "Process") -> "Process":
    """The nearest living ancestor that adopts orphans."""
    ancestor = process.parent
    while ancestor is not None and not ancestor.is_init:
        if ancestor.is_child_subreaper and ancestor.tasks:
            return ancestor
        ancestor = ancestor.parent
    return process.kernel.init


def _send_death_signals(child: "Process", parent: "Task") -> None:
    """The thread that made the child has gone (PR_SET_PDEATHSIG)."""
    for task in list(child.tasks.values()):
        if task.parent_death_signal:
            info = from_user(task.parent_death_signal, parent.process.pid, parent.credentials.uid)
            send_to_process(child, info)


def _is_other_group_of_session(process: "Process", parent: "Process") -> bool:
    """Whether the parent is one that keeps the group of `process` from being an orphan."""
    return parent.process_group != process.process_group and parent.session == process.session


def _wake_orphaned_group(process: "Process", leaving: "Process | None" = None) -> None:
    """Nobody could let the stopped members of an orphaned group go on: they are hung up (kill_orphaned_pgrp)."""
    kernel, group = process.kernel, process.process_group
    if is_orphaned(kernel, group, leaving) and has_stopped_member(kernel, group):
        for member in members(kernel, group):
            send_to_process(member, from_kernel(SIG.HUP))
            send_to_process(member, from_kernel(SIG.CONT))
