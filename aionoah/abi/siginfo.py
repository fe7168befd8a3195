"""Why a signal came (uapi asm-generic/siginfo.h; sigaction(2)).

A siginfo is 128 bytes: number, errno, code, and a union that starts at byte 16. Each branch of the
union is a Struct here; all are padded to the full size.
"""

from typing import Annotated

from aionoah.abi.cstruct import I16, I32, I64, U32, U64, Struct
from aionoah.abi.flags import Choice

SIGINFO_SIZE = 128


class SI(Choice):
    """Codes that any signal can have."""

    USER = 0
    KERNEL = 0x80
    QUEUE = -1
    TIMER = -2
    MESGQ = -3
    ASYNCIO = -4
    SIGIO = -5
    TKILL = -6
    DETHREAD = -7
    ASYNCNL = -60


class ILL(Choice):
    ILLOPC = 1
    ILLOPN = 2
    ILLADR = 3
    ILLTRP = 4
    PRVOPC = 5
    PRVREG = 6
    COPROC = 7
    BADSTK = 8
    BADIADDR = 9


class FPE(Choice):
    INTDIV = 1
    INTOVF = 2
    FLTDIV = 3
    FLTOVF = 4
    FLTUND = 5
    FLTRES = 6
    FLTINV = 7
    FLTSUB = 8
    FLTUNK = 14
    CONDTRAP = 15


class SEGV(Choice):
    MAPERR = 1
    ACCERR = 2
    BNDERR = 3
    PKUERR = 4


class BUS(Choice):
    ADRALN = 1
    ADRERR = 2
    OBJERR = 3
    MCEERR_AR = 4
    MCEERR_AO = 5


class TRAP(Choice):
    BRKPT = 1
    TRACE = 2
    BRANCH = 3
    HWBKPT = 4
    UNK = 5
    PERF = 6


class CLD(Choice):
    EXITED = 1
    KILLED = 2
    DUMPED = 3
    TRAPPED = 4
    STOPPED = 5
    CONTINUED = 6


class POLL_CODE(Choice):  # noqa: N801 - POLL_IN and so on, codes of SIGIO
    IN = 1
    OUT = 2
    MSG = 3
    ERR = 4
    PRI = 5
    HUP = 6


class SYS(Choice):
    SECCOMP = 1
    USER_DISPATCH = 2


class SigInfoHeader(Struct):
    """What all have."""

    si_signo: I32
    si_errno: I32
    si_code: I32
    rest: Annotated[bytes, "116s"]


class SigInfoKill(Struct):
    """SI_USER, SI_TKILL."""

    si_signo: I32
    si_errno: I32
    si_code: Annotated[int, "i4x"]
    si_pid: I32
    si_uid: Annotated[int, "I104x"]


class SigInfoQueue(Struct):
    """SI_QUEUE, SI_MESGQ: the value is a union of int and pointer."""

    si_signo: I32
    si_errno: I32
    si_code: Annotated[int, "i4x"]
    si_pid: I32
    si_uid: U32
    si_value: Annotated[int, "Q96x"]


class SigInfoTimer(Struct):
    """SI_TIMER."""

    si_signo: I32
    si_errno: I32
    si_code: Annotated[int, "i4x"]
    si_tid: I32
    si_overrun: I32
    si_value: Annotated[int, "Q96x"]


class SigInfoChild(Struct):
    """SIGCHLD; times are in clock ticks."""

    si_signo: I32
    si_errno: I32
    si_code: Annotated[int, "i4x"]
    si_pid: I32
    si_uid: U32
    si_status: I32
    si_utime: I64
    si_stime: Annotated[int, "q80x"]


class SigInfoFault(Struct):
    """SIGILL, SIGFPE, SIGSEGV, SIGBUS, SIGTRAP."""

    si_signo: I32
    si_errno: I32
    si_code: Annotated[int, "i4x"]
    si_addr: U64
    si_addr_lsb: I16
    si_lower: U64
    si_upper: Annotated[int, "Q80x"]


class SigInfoPoll(Struct):
    """SIGIO."""

    si_signo: I32
    si_errno: I32
    si_code: Annotated[int, "i4x"]
    si_band: I64
    si_fd: Annotated[int, "i100x"]


class SigInfoSyscall(Struct):
    """SIGSYS."""

    si_signo: I32
    si_errno: I32
    si_code: Annotated[int, "i4x"]
    si_call_addr: U64
    si_syscall: I32
    si_arch: Annotated[int, "I96x"]


class Sigevent(Struct):
    """How a timer or message queue notifies: 64 bytes, of which the thread id is the only union member
    that the kernel reads.
    """

    sigev_value: U64
    sigev_signo: I32
    sigev_notify: I32
    sigev_notify_thread_id: Annotated[int, "i44x"]


class SignalfdSiginfo(Struct):
    """What a signalfd reads: 128 bytes (linux/signalfd.h)."""

    ssi_signo: U32
    ssi_errno: I32
    ssi_code: I32
    ssi_pid: U32
    ssi_uid: U32
    ssi_fd: I32
    ssi_tid: U32
    ssi_band: U32
    ssi_overrun: U32
    ssi_trapno: U32
    ssi_status: I32
    ssi_int: I32
    ssi_ptr: U64
    ssi_utime: U64
    ssi_stime: U64
    ssi_addr: U64
    ssi_addr_lsb: Annotated[int, "H2x"]
    ssi_syscall: I32
    ssi_call_addr: U64
    ssi_arch: Annotated[int, "I28x"]
