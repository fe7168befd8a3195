"""Events of poll and epoll (uapi asm-generic/poll.h; poll(2)). The same on both architectures."""

from aionoah.abi.cstruct import I16, I32, Struct
from aionoah.abi.flags import Flags


class Poll(Flags):
    """POLL* bits; EPOLL* ones below 0x10000 are the same."""

    IN = 0x001
    PRI = 0x002
    OUT = 0x004
    ERR = 0x008  # always reported
    HUP = 0x010  # always reported
    NVAL = 0x020  # poll(2) only: not an open descriptor
    RDNORM = 0x040
    RDBAND = 0x080
    WRNORM = 0x100
    WRBAND = 0x200
    MSG = 0x400
    REMOVE = 0x1000
    RDHUP = 0x2000


class PollFd(Struct):
    fd: I32
    events: I16
    revents: I16
