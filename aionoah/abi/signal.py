"""Signals (uapi asm-generic/signal.h, signal-defs.h; signal(7), sigaction(2)). siginfo is in siginfo.py.

A signal set is a 64-bit word in which signal N has the bit 1 << (N - 1).
"""

from aionoah.abi.cstruct import I32, U64, Struct
from aionoah.abi.flags import Choice, Flags


class SIG(Choice):
    """Signal numbers, the same on both architectures."""

    HUP = 1
    INT = 2
    QUIT = 3
    ILL = 4
    TRAP = 5
    ABRT = 6
    BUS = 7
    FPE = 8
    KILL = 9
    USR1 = 10
    SEGV = 11
    USR2 = 12
    PIPE = 13
    ALRM = 14
    TERM = 15
    STKFLT = 16
    CHLD = 17
    CONT = 18
    STOP = 19
    TSTP = 20
    TTIN = 21
    TTOU = 22
    URG = 23
    XCPU = 24
    XFSZ = 25
    VTALRM = 26
    PROF = 27
    WINCH = 28
    IO = 29
    POLL = 29
    PWR = 30
    SYS = 31
    RTMIN = 32  # the kernel's; libraries keep the first two or three for themselves
    RTMAX = 64


SIGSET_SIZE = 8  # bytes of the kernel's sigset_t
SIG_DFL = 0
SIG_IGN = 1


def signal_name(number: int) -> str:
    """The name that strace prints: SIGINT, SIGRT_3 (counted from 32), or the number."""
    if SIG.RTMIN <= number <= SIG.RTMAX:
        return f"SIGRT_{number - SIG.RTMIN}"
    name = SIG.members().get(number)
    return f"SIG{name}" if name else str(number)


def signal_bit(number: int) -> int:
    """The bit of a signal in a signal set."""
    return 1 << (number - 1)


class SIG_HOW(Choice):  # noqa: N801 - like the names around it
    """How rt_sigprocmask changes the mask: SIG_BLOCK and so on."""

    BLOCK = 0
    UNBLOCK = 1
    SETMASK = 2


class SA(Flags):
    """sa_flags."""

    NOCLDSTOP = 0x1
    NOCLDWAIT = 0x2
    SIGINFO = 0x4
    UNSUPPORTED = 0x400
    EXPOSE_TAGBITS = 0x800
    RESTORER = 0x04000000
    ONSTACK = 0x08000000
    RESTART = 0x10000000
    NODEFER = 0x40000000
    RESETHAND = 0x80000000


class SS(Flags):
    """ss_flags of an alternate stack."""

    ONSTACK = 1
    DISABLE = 2
    AUTODISARM = 1 << 31


class Sigaction(Struct):
    """The kernel's struct sigaction; both architectures have the restorer."""

    sa_handler: U64
    sa_flags: U64
    sa_restorer: U64
    sa_mask: U64


class StackT(Struct):
    """An alternate signal stack."""

    ss_sp: U64
    ss_flags: I32
    ss_size: U64


class SigsetArgument(Struct):
    """The sixth argument of pselect6 and the mask argument of io_pgetevents."""

    ss: U64
    ss_len: U64


class SIGEV(Choice):
    """How a timer tells that it has expired."""

    SIGNAL = 0
    NONE = 1
    THREAD = 2
    THREAD_ID = 4


class SFD(Flags):
    """Flags of signalfd4 (linux/signalfd.h)."""

    NONBLOCK = 0o4000
    CLOEXEC = 0o2000000
