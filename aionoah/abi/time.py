"""Clocks and time (uapi linux/time.h, linux/timex.h, linux/timerfd.h; clock_gettime(2), adjtimex(2))."""

from typing import Annotated

from aionoah.abi.cstruct import I32, I64, U32, Struct
from aionoah.abi.flags import Choice, Flags

NSEC_PER_SEC = 1_000_000_000
NSEC_PER_MSEC = 1_000_000
NSEC_PER_USEC = 1_000
USEC_PER_SEC = 1_000_000
USER_HZ = 100  # what times(2), siginfo and /proc count in (AT_CLKTCK)
USER_TICK_NS = NSEC_PER_SEC // USER_HZ


class CLOCK(Choice):
    """Clock ids. Negative ones are CPU-time clocks of processes and clocks of descriptors."""

    REALTIME = 0
    MONOTONIC = 1
    PROCESS_CPUTIME_ID = 2
    THREAD_CPUTIME_ID = 3
    MONOTONIC_RAW = 4
    REALTIME_COARSE = 5
    MONOTONIC_COARSE = 6
    BOOTTIME = 7
    REALTIME_ALARM = 8
    BOOTTIME_ALARM = 9
    TAI = 11


class TIMER(Flags):
    """Flags of clock_nanosleep and timer_settime."""

    ABSTIME = 0x01


class TFD(Flags):
    """Flags of timerfd_create and timerfd_settime."""

    TIMER_ABSTIME = 1 << 0
    TIMER_CANCEL_ON_SET = 1 << 1
    NONBLOCK = 0o4000
    CLOEXEC = 0o2000000


class ITIMER(Choice):
    REAL = 0
    VIRTUAL = 1
    PROF = 2


class Timespec(Struct):
    tv_sec: I64
    tv_nsec: I64


class Timeval(Struct):
    tv_sec: I64
    tv_usec: I64


class Itimerspec(Struct):
    it_interval: Timespec
    it_value: Timespec


class Itimerval(Struct):
    it_interval: Timeval
    it_value: Timeval


class Timezone(Struct):
    tz_minuteswest: I32
    tz_dsttime: I32


class Utimbuf(Struct):
    """Argument of utime (linux/utime.h)."""

    actime: I64
    modtime: I64


class Tms(Struct):
    """CPU times in clock ticks (linux/times.h)."""

    tms_utime: I64
    tms_stime: I64
    tms_cutime: I64
    tms_cstime: I64


class ADJ(Flags):
    """Timex.modes."""

    OFFSET = 0x0001
    FREQUENCY = 0x0002
    MAXERROR = 0x0004
    ESTERROR = 0x0008
    STATUS = 0x0010
    TIMECONST = 0x0020
    TAI = 0x0080
    SETOFFSET = 0x0100
    MICRO = 0x1000
    NANO = 0x2000
    TICK = 0x4000
    OFFSET_SINGLESHOT = 0x8001
    OFFSET_SS_READ = 0xA001


class STA(Flags):
    """Timex.status, as far as anybody looks at it."""

    PLL = 0x0001
    PPSFREQ = 0x0002
    PPSTIME = 0x0004
    FLL = 0x0008
    INS = 0x0010
    DEL = 0x0020
    UNSYNC = 0x0040
    FREQHOLD = 0x0080
    NANO = 0x2000
    MODE = 0x4000
    CLK = 0x8000


class TIME(Choice):
    """What adjtimex returns."""

    OK = 0
    INS = 1
    DEL = 2
    OOP = 3
    WAIT = 4
    ERROR = 5


class Timex(Struct):
    modes: U32
    offset: I64
    freq: I64
    maxerror: I64
    esterror: I64
    status: I32
    constant: I64
    precision: I64
    tolerance: I64
    time: Timeval
    tick: I64
    ppsfreq: I64
    jitter: I64
    shift: I32
    stabil: I64
    jitcnt: I64
    calcnt: I64
    errcnt: I64
    stbcnt: I64
    tai: Annotated[int, "i44x"]
