"""What a signal does: dispositions, and what happens where a program has set none (signal(7))."""

from enum import Enum
from typing import Final, NamedTuple

from aionoah.abi.signal import SA, SIG, SIG_DFL, SIG_IGN, signal_bit

LAST_SIGNAL: Final = SIG.RTMAX
EVERY_SIGNAL: Final = (1 << LAST_SIGNAL) - 1


def signal_set(*signals: int) -> int:
    """The signal set (bit N - 1 for signal N) of these signals."""
    bits = 0
    for signal in signals:
        bits |= signal_bit(signal)
    return bits


def members(bits: int) -> list[int]:
    """The signals of a set, lowest first."""
    found, rest = [], bits & EVERY_SIGNAL
    while rest:
        found.append((rest & -rest).bit_length())
        rest &= rest - 1
    return found


UNBLOCKABLE: Final = signal_set(SIG.KILL, SIG.STOP)
STOPPING: Final = signal_set(SIG.STOP, SIG.TSTP, SIG.TTIN, SIG.TTOU)
CONTINUING: Final = signal_set(SIG.CONT)
IGNORED_BY_DEFAULT: Final = signal_set(SIG.CONT, SIG.CHLD, SIG.WINCH, SIG.URG)
DUMPING: Final = signal_set(
    SIG.QUIT, SIG.ILL, SIG.TRAP, SIG.ABRT, SIG.FPE, SIG.SEGV, SIG.BUS, SIG.SYS, SIG.XCPU, SIG.XFSZ
)
SYNCHRONOUS: Final = signal_set(SIG.SEGV, SIG.BUS, SIG.ILL, SIG.TRAP, SIG.FPE, SIG.SYS)
"""Delivered before others: the instruction that caused one must not be passed first."""


class Effect(Enum):
    """What delivering a signal means for the program."""

    TERMINATE = "terminate"
    CORE = "terminate, core dumped"
    STOP = "stop"
    IGNORE = "ignore"
    HANDLE = "run the program's handler"


class Disposition(NamedTuple):
    """What a process has asked to be done with a signal (sigaction(2))."""

    handler: int = SIG_DFL  # guest address, SIG_DFL or SIG_IGN
    flags: SA = SA(0)
    restorer: int = 0
    mask: int = 0

    @classmethod
    def from_abi(cls, handler: int, flags: int, restorer: int, mask: int) -> "Disposition":
        """The fields of a Sigaction that the guest gave; KILL and STOP cannot be masked, and only known flags
        are kept.
        """
        return cls(handler, SA(flags & _KEPT_FLAGS), restorer, mask & ~UNBLOCKABLE)

    def effect(self, signal: int) -> Effect:
        """What it means for this signal."""
        if self.handler > SIG_IGN:
            return Effect.HANDLE
        return Effect.IGNORE if self.handler == SIG_IGN else default_effect(signal)


_KEPT_FLAGS: Final = (
    SA.NOCLDSTOP
    | SA.NOCLDWAIT
    | SA.SIGINFO
    | SA.ONSTACK
    | SA.RESTART
    | SA.NODEFER
    | SA.RESETHAND
    | SA.EXPOSE_TAGBITS
    | SA.RESTORER
)

DEFAULT: Final = Disposition()


def default_effect(signal: int) -> Effect:
    """The default action; real-time signals terminate."""
    bit = signal_bit(signal)
    if bit & IGNORED_BY_DEFAULT:
        return Effect.IGNORE
    if bit & STOPPING:
        return Effect.STOP
    return Effect.CORE if bit & DUMPING else Effect.TERMINATE
