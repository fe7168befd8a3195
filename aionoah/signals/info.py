"""Why a signal was sent: making the siginfo that comes with it (sigaction(2))."""

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Final, Protocol

from aionoah.abi.siginfo import (
    SI,
    SIGINFO_SIZE,
    SigInfoChild,
    SigInfoFault,
    SigInfoHeader,
    SigInfoKill,
    SigInfoTimer,
)

if TYPE_CHECKING:
    from aionoah.process.user_namespaces import IdMap


class SigInfo(Protocol):
    """Any of the structures of abi.siginfo."""

    si_signo: int
    si_errno: int
    si_code: int

    def pack(self) -> bytes:
        """All 128 bytes."""
        ...


class TimerSignal:
    """The signal of a POSIX timer: there is one object for each timer, and it is pending once at most.

    Unlike others it queues even where its number is pending already (send_sigqueue in kernel/signal.c).
    """

    si_errno: int = 0
    si_code: int = SI.TIMER

    def __init__(self, signal: int, timer_id: int, value: int) -> None:
        self.si_signo = signal
        self.overruns = 0
        self.on_leave: Callable[[], None] | None = None  # called when it is taken or forgotten
        self._id: Final = timer_id
        self._value: Final = value

    def pack(self) -> bytes:
        info = SigInfoTimer(self.si_signo, self.si_errno, self.si_code, self._id, self.overruns, self._value)
        return info.pack()


def from_user(signal: int, pid: int, uid: int, code: int = SI.USER) -> SigInfo:
    """Sent by kill (SI_USER) or tkill and tgkill (SI_TKILL) of process `pid` with real user `uid`."""
    return SigInfoKill(signal, 0, code, pid, uid)


def named(info: SigInfo, users: "IdMap") -> SigInfo:
    """The same for a receiver in whose user name space the sender is called otherwise."""
    if not isinstance(info, SigInfoKill | SigInfoChild) or info.si_code == SI.KERNEL:
        return info
    told = copy(info)
    told.si_uid = users.shown(info.si_uid)
    return told


def from_kernel(signal: int) -> SigInfo:
    """Sent by the kernel with nothing more to say."""
    return SigInfoKill(signal, 0, SI.KERNEL, 0, 0)


def from_fault(signal: int, code: int, address: int) -> SigInfo:
    """Caused by the program's own instruction; `address` is what si_addr shows."""
    return SigInfoFault(signal, 0, code, address, 0, 0, 0)


def from_child(
    signal: int, code: int, pid: int, uid: int, status: int, utime_ticks: int = 0, stime_ticks: int = 0
) -> SigInfo:
    """A child has changed its state: `code` is CLD_*, `status` its exit status or signal."""
    return SigInfoChild(signal, 0, code, pid, uid, status, utime_ticks, stime_ticks)


def from_bytes(data: bytes, signal: int) -> SigInfo:
    """A siginfo that a program made itself, for `signal` whatever it says."""
    info = SigInfoHeader.unpack(data.ljust(SIGINFO_SIZE, b"\0"))
    info.si_signo = signal
    return info
