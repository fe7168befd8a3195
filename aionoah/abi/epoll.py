"""epoll (uapi linux/eventpoll.h; epoll_ctl(2)). The event itself is laid out per architecture."""

from aionoah.abi.flags import Choice
from aionoah.abi.poll import Poll


class Epoll(Poll):
    """EPOLL* bits: those of poll, and how to report them."""

    EXCLUSIVE = 1 << 28
    WAKEUP = 1 << 29
    ONESHOT = 1 << 30
    ET = 1 << 31


class EPOLL_CTL(Choice):  # noqa: N801 - the name of the header
    """Operations of epoll_ctl."""

    ADD = 1
    DEL = 2
    MOD = 3


EPOLL_CLOEXEC = 0o2000000
