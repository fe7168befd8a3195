"""What a signalfd tells of a signal: siginfo in another shape (signalfd_copyinfo in fs/signalfd.c)."""

from typing import Any, Final

from aionoah.abi.cstruct import Struct
from aionoah.abi.siginfo import (
    BUS,
    CLD,
    FPE,
    ILL,
    POLL_CODE,
    SEGV,
    SI,
    SYS,
    TRAP,
    SigInfoChild,
    SigInfoFault,
    SigInfoKill,
    SigInfoPoll,
    SigInfoQueue,
    SigInfoSyscall,
    SigInfoTimer,
    SignalfdSiginfo,
)
from aionoah.abi.signal import SIG
from aionoah.signals.info import SigInfo

_INT: Final = 0xFFFF_FFFF

# The shape that a positive code means, and the highest code, by signal (sig_sicodes in kernel/signal.c).
_BY_SIGNAL: Final[dict[int, tuple[int, type[Struct]]]] = {
    SIG.ILL: (ILL.BADIADDR + 2, SigInfoFault),
    SIG.FPE: (FPE.CONDTRAP, SigInfoFault),
    SIG.SEGV: (SEGV.PKUERR + 6, SigInfoFault),
    SIG.BUS: (BUS.MCEERR_AO, SigInfoFault),
    SIG.TRAP: (TRAP.PERF, SigInfoFault),
    SIG.CHLD: (CLD.CONTINUED, SigInfoChild),
    SIG.POLL: (POLL_CODE.HUP, SigInfoPoll),
    SIG.SYS: (SYS.USER_DISPATCH, SigInfoSyscall),
}


def shape_of(signal: int, code: int) -> type[Struct]:
    """Which branch of the union a siginfo is (siginfo_layout in kernel/signal.c)."""
    if SI.USER < code < SI.KERNEL:
        most, shape = _BY_SIGNAL.get(signal, (0, SigInfoKill))
        if code <= most:
            return shape
        return SigInfoPoll if code <= POLL_CODE.HUP else SigInfoKill
    if code == SI.TIMER:
        return SigInfoTimer
    if code == SI.SIGIO:
        return SigInfoPoll
    return SigInfoQueue if code < 0 else SigInfoKill


def record_of(info: SigInfo) -> SignalfdSiginfo:
    """The structure to be read."""
    given: Any = shape_of(info.si_signo, info.si_code).unpack(info.pack())
    record = SignalfdSiginfo.unpack(bytes(SignalfdSiginfo.SIZE))
    record.ssi_signo, record.ssi_errno, record.ssi_code = given.si_signo, given.si_errno, given.si_code
    for name in _COPIED:
        value = getattr(given, f"si_{name}", None)
        if value is not None:
            setattr(record, f"ssi_{name}", value & _INT if name in _UNSIGNED else value)
    value = getattr(given, "si_value", None)
    if value is not None:
        record.ssi_ptr = value
        record.ssi_int = (value & _INT ^ 1 << 31) - (1 << 31)
    return record


_COPIED: Final = (
    *("pid", "uid", "tid", "overrun", "band", "fd", "status", "utime", "stime"),
    *("addr", "addr_lsb", "call_addr", "syscall", "arch"),
)
_UNSIGNED: Final = frozenset({"pid", "uid", "tid", "overrun", "band"})
