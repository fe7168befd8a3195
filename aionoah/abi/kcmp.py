"""What two processes may share (uapi linux/kcmp.h; kcmp(2))."""

from aionoah.abi.cstruct import U32, Struct
from aionoah.abi.flags import Choice


class KCMP(Choice):
    """What kcmp compares."""

    FILE = 0
    VM = 1
    FILES = 2
    FS = 3
    SIGHAND = 4
    IO = 5
    SYSVSEM = 6
    EPOLL_TFD = 7


class KcmpEpollSlot(Struct):
    """The entry of an epoll descriptor that KCMP_EPOLL_TFD compares with."""

    efd: U32
    tfd: U32
    toff: U32  # which of those with the number `tfd`
