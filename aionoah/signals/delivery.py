"""Choosing the signal that a thread takes next, just before it goes back to its program.

Source: kernel/signal.c (get_signal, signal_delivered).

The virtual CPU's side does:

    while (delivery := next_signal(task)) is not None:
        HANDLE: build the frame with delivery.return_mask, then enter_handler(task, delivery)
        TERMINATE, CORE: end the process
        STOP: process.begin_stop, and then process.stopping.stay_stopped on every thread
    task.signals.restore_mask()
"""

from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.signal import SA, SIG, signal_bit
from aionoah.process.groups import is_orphaned
from aionoah.process.user_namespaces import FIRST
from aionoah.signals.actions import DEFAULT, Disposition, Effect
from aionoah.signals.info import SigInfo, named

if TYPE_CHECKING:
    from aionoah.process.task import Task

_KILL: Final = signal_bit(SIG.KILL)


class Delivery(NamedTuple):
    """A signal on its way to the program; `effect` is never IGNORE."""

    info: SigInfo
    effect: Effect
    disposition: Disposition  # as it was when the signal was taken
    return_mask: int  # the mask that comes back when the handler returns

    @property
    def signal(self) -> int:
        return self.info.si_signo

    @property
    def restarts(self) -> bool:
        """Whether an interrupted call goes on after the handler."""
        return self.disposition.flags & SA.RESTART != 0


def take_signal(task: "Task", wanted: int) -> SigInfo | None:
    """Remove the next pending signal of a set, the thread's own before the process's."""
    taken = task.signals.pending.take(wanted) or task.process.signals.pending.take(wanted)
    names = task.credentials.user_namespace
    return taken if taken is None or names is FIRST else named(taken, names.uids)


def next_signal(task: "Task") -> Delivery | None:
    """The next signal to deliver; those that are ignored are dropped here. None if there is none."""
    while (info := take_deliverable(task)) is not None:
        delivery = delivery_of(task, info)
        if delivery is not None:
            return delivery
    return None


def take_deliverable(task: "Task") -> SigInfo | None:
    """Take what comes next, ignored or not. SIGKILL comes before all others: a stop of the thread's own, taken
    first, would hold who is to die for ever.
    """
    pending = task.signals.all_pending
    wanted = pending & _KILL or pending & ~task.signals.mask
    return take_signal(task, wanted) if wanted else None


def delivery_of(task: "Task", info: SigInfo) -> Delivery | None:
    """What becomes of a signal that has been taken; None if nothing does."""
    signals, signal = task.signals, info.si_signo
    disposition = signals.shared.dispositions[signal]
    effect = disposition.effect(signal)
    if effect is Effect.IGNORE or (effect is Effect.STOP and _may_not_stop(task, signal)):
        return None
    if effect is Effect.HANDLE and disposition.flags & SA.RESETHAND:
        signals.shared.dispositions[signal] = DEFAULT
    mask = signals.mask if signals.saved_mask is None else signals.saved_mask
    return Delivery(info, effect, disposition, mask)


def _may_not_stop(task: "Task", signal: int) -> bool:
    """Whether nobody is there who could let the process go on (POSIX 2.4.3); SIGSTOP stops nevertheless."""
    return signal != SIG.STOP and is_orphaned(task.kernel, task.process.process_group)


def enter_handler(task: "Task", delivery: Delivery) -> None:
    """The frame is in place: block what the handler wants blocked while it runs."""
    signals = task.signals
    blocked = delivery.disposition.mask
    if not delivery.disposition.flags & SA.NODEFER:
        blocked |= signal_bit(delivery.signal)
    signals.saved_mask = None
    signals.block(signals.mask | blocked)
