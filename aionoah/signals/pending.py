"""Signals that have been generated and not yet delivered."""

from collections import deque

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.siginfo import SI
from aionoah.abi.signal import SIG, signal_bit
from aionoah.signals.actions import SYNCHRONOUS, members
from aionoah.signals.info import SigInfo, from_user


class PendingSignals:
    """The pending signals of one thread, or those of a process that any thread may take.

    A standard signal is pending once, with the first siginfo; real-time signals queue in order of
    arrival. (kernel/signal.c: __send_signal_locked, collect_signal)
    """

    __slots__ = ("_queues", "bits")

    def __init__(self) -> None:
        self.bits = 0  # as a signal set
        self._queues: dict[int, deque[SigInfo]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def add(self, info: SigInfo, limit: int | None = None) -> bool:
        """Add a signal; False if it was pending already and does not queue.

        `limit` (RLIMIT_SIGPENDING): EAGAIN beyond it for a real-time signal that a program queued with a
        value of its own; one sent by kill becomes pending without its siginfo.
        """
        signal = info.si_signo
        if signal < SIG.RTMIN and self.bits & signal_bit(signal):
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
        if not queue:
            self.bits &= ~signal_bit(signal)
            return from_user(signal, 0, 0)
        info = queue.popleft()
        if not queue:
            self._drop(signal)
        return info

    def discard(self, unwanted: int) -> None:
        """Forget every pending signal of a set."""
        for signal in members(self.bits & unwanted):
            self._drop(signal)

    def _drop(self, signal: int) -> None:
        self.bits &= ~signal_bit(signal)
        self._queues.pop(signal, None)
