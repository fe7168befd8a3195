"""Signals that have been generated and not yet delivered."""

from collections import deque
from collections.abc import Callable

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.siginfo import SI
from aionoah.abi.signal import SIG, signal_bit
from aionoah.signals.actions import SYNCHRONOUS, members
from aionoah.signals.info import SigInfo, TimerSignal, from_user


class PendingSignals:
    """The pending signals of one thread, or those of a process that any thread may take.

    A standard signal is pending once, with the first siginfo; real-time signals queue in order of
    arrival. (kernel/signal.c: __send_signal_locked, collect_signal)
    """

    __slots__ = ("_queues", "bits", "on_leave")

    def __init__(self) -> None:
        self.bits = 0  # as a signal set
        self.on_leave: Callable[[SigInfo], None] | None = None  # called with what is taken or discarded
        self._queues: dict[int, deque[SigInfo]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def add(self, info: SigInfo, limit: int | None = None) -> bool:
        """Add a signal; False if it was pending already and does not queue.

        `limit` (RLIMIT_SIGPENDING): EAGAIN beyond it for a real-time signal that a program queued with a
        value of its own; one sent by kill becomes pending without its siginfo.
        """
        signal = info.si_signo
        if signal < SIG.RTMIN and self.bits & signal_bit(signal) and info.__class__ is not TimerSignal:
            return False
        is_full = limit is not None and signal >= SIG.RTMIN and len(self) >= limit
        if is_full and info.si_code != SI.USER:
            raise LinuxError(Errno.EAGAIN)
        self.bits |= signal_bit(signal)
        if not is_full:
            self._queues.setdefault(signal, deque()).append(info)
        return True

    def take(self, wanted: int) -> SigInfo | None:
        """Remove and return the next signal of the set `wanted`: synchronous ones first, then the
        lowest number, then the oldest.
        """
        found = self.bits & wanted
        if not found:
            return None
        urgent = found & SYNCHRONOUS or found
        signal = (urgent & -urgent).bit_length()
        queue = self._queues.get(signal)
        info = queue.popleft() if queue else from_user(signal, 0, 0)
        if not queue:
            self._drop(signal)
        self._has_left(info)
        return info

    def waiting(self) -> list[SigInfo]:
        """All of them, by number and then by age."""
        return [info for signal in sorted(self._queues) for info in self._queues[signal]]

    def remove(self, info: SigInfo) -> None:
        """Take back a certain signal, if it is still pending."""
        queue = self._queues.get(info.si_signo, deque())
        if info in queue:
            queue.remove(info)
            if not queue:
                self._drop(info.si_signo)

    def discard(self, unwanted: int) -> None:
        """Forget every pending signal of a set."""
        for signal in members(self.bits & unwanted):
            forgotten = self._queues.get(signal, ())
            self._drop(signal)
            for info in forgotten:
                self._has_left(info)

    def _has_left(self, info: SigInfo) -> None:
        if isinstance(info, TimerSignal) and info.on_leave is not None:
            info.on_leave()
        if self.on_leave is not None:
            self.on_leave(info)

    def _drop(self, signal: int) -> None:
        self.bits &= ~signal_bit(signal)
        self._queues.pop(signal, None)
