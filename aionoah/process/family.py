"""Parents and children: who hears of the end of a process, who adopts, who waits.

Sources: wait(2), prctl(2) (PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG), sigaction(2) (SA_NOCLDWAIT); Linux
kernel/exit.c (exit_notify, forget_original_parent, do_wait).
"""

from typing import TYPE_CHECKING

from aionoah.abi.siginfo import CLD
from aionoah.abi.signal import SA, SIG, SIG_IGN
from aionoah.abi.wait import exit_code, term_signal
from aionoah.signals.generate import send_to_process
from aionoah.signals.info import SigInfo, from_child, from_user

if TYPE_CHECKING:
    from aionoah.process.task import Process

_TICK_NS = 10_000_000  # of USER_HZ, in which siginfo counts CPU time


def process_ended(process: "Process") -> None:
    """The last thread has gone and `wait_status` says how: children are adopted, the parent hears of it."""
    _give_children_away(process)
    parent = process.parent
    if parent is None or parent.is_init:
        process.reap()
        return
    ignores = _ignores_children(parent) and process.exit_signal == SIG.CHLD
    if process.exit_signal and not (ignores and _handler(parent) == SIG_IGN):
        send_to_process(parent, ending(process))
    if ignores:
        process.reap()
    parent.child_changed.wake()


def ending(process: "Process") -> SigInfo:
    """The siginfo of a process that has ended, for its parent."""
    status = process.wait_status or 0
    signal = term_signal(status)
    code = (CLD.DUMPED if status & 0x80 else CLD.KILLED) if signal else CLD.EXITED
    ticks = process.all_cpu_time_ns // _TICK_NS
    return from_child(
        process.exit_signal or SIG.CHLD, code, process.pid, process.uid, signal or exit_code(status), ticks
    )


def _handler(parent: "Process") -> int:
    return parent.signals.dispositions[SIG.CHLD].handler


def _ignores_children(parent: "Process") -> bool:
    """Whether children leave no zombies (sigaction(2))."""
    disposition = parent.signals.dispositions[SIG.CHLD]
    return disposition.handler == SIG_IGN or SA.NOCLDWAIT in disposition.flags


def _give_children_away(process: "Process") -> None:
    if not process.children:
        return
    heir = _heir(process)
    for child in list(process.children.values()):
        child.set_parent(heir)
        for task in child.tasks.values():
            if task.parent_death_signal:
                send_to_process(child, from_user(task.parent_death_signal, 0, 0))
                break
        if child.wait_status is not None:
            if heir.is_init:
                child.reap()
            else:
                child.exit_signal = SIG.CHLD
                process_ended(child)


def _heir(process: "Process") -> "Process":
    """The nearest living ancestor that adopts orphans."""
    ancestor = process.parent
    while ancestor is not None and not ancestor.is_init:
        if ancestor.is_child_subreaper and ancestor.wait_status is None:
            return ancestor
        ancestor = ancestor.parent
    return process.kernel.init
