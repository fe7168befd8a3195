"""What a signalfd tells of each kind of signal."""

import pytest

from aionoah.abi.cstruct import Struct
from aionoah.abi.siginfo import (
    BUS,
    CLD,
    SEGV,
    SI,
    SigInfoChild,
    SigInfoFault,
    SigInfoKill,
    SigInfoPoll,
    SigInfoQueue,
    SigInfoSyscall,
    SigInfoTimer,
)
from aionoah.abi.signal import SIG
from aionoah.signals.info import TimerSignal, from_bytes, from_child, from_fault, from_user
from aionoah.signals.record import record_of, shape_of


@pytest.mark.parametrize(
    ("signal", "code", "shape"),
    [
        (SIG.USR1, SI.USER, SigInfoKill),
        (SIG.ALRM, SI.KERNEL, SigInfoKill),
        (SIG.USR1, SI.QUEUE, SigInfoQueue),
        (SIG.USR1, SI.TKILL, SigInfoQueue),
        (SIG.USR1, SI.TIMER, SigInfoTimer),
        (SIG.USR1, SI.SIGIO, SigInfoPoll),
        (SIG.USR1, 1, SigInfoPoll),
        (SIG.USR1, 9, SigInfoKill),
        (SIG.CHLD, CLD.EXITED, SigInfoChild),
        (SIG.CHLD, 77, SigInfoKill),
        (SIG.SEGV, SEGV.MAPERR, SigInfoFault),
        (SIG.BUS, BUS.ADRERR, SigInfoFault),
        (SIG.SYS, 1, SigInfoSyscall),
        (SIG.IO, 1, SigInfoPoll),
    ],
)
def test_shapes(signal: int, code: int, shape: type[Struct]) -> None:
    assert shape_of(signal, code) is shape


def test_kill() -> None:
    record = record_of(from_user(SIG.USR1, 12, 34))
    assert (record.ssi_signo, record.ssi_code, record.ssi_pid, record.ssi_uid) == (SIG.USR1, 0, 12, 34)
    assert record.SIZE == 128


def test_a_value() -> None:
    info = SigInfoQueue(SIG.RTMIN, 0, SI.QUEUE, 12, 34, 0x1_FFFF_FFF9)
    record = record_of(from_bytes(info.pack(), SIG.RTMIN))
    assert (record.ssi_ptr, record.ssi_int, record.ssi_pid) == (0x1_FFFF_FFF9, -7, 12)


def test_a_timer() -> None:
    signal = TimerSignal(SIG.USR2, 5, 6)
    signal.overruns = 7
    record = record_of(signal)
    assert (record.ssi_tid, record.ssi_overrun, record.ssi_int, record.ssi_code) == (5, 7, 6, SI.TIMER)


def test_a_child() -> None:
    record = record_of(from_child(SIG.CHLD, CLD.EXITED, 12, 34, 3, 50, 60))
    assert (record.ssi_pid, record.ssi_status, record.ssi_utime, record.ssi_stime) == (12, 3, 50, 60)


def test_a_fault() -> None:
    record = record_of(from_fault(SIG.SEGV, SEGV.MAPERR, 0xFFFF_8000_0000_0000))
    assert record.ssi_addr == 0xFFFF_8000_0000_0000


def test_negative_numbers_fit() -> None:
    record = record_of(from_user(SIG.USR1, -1, 34))
    assert record.ssi_pid == 0xFFFF_FFFF
    assert len(record.pack()) == 128
