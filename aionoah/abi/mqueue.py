"""POSIX message queues (uapi linux/mqueue.h; mq_overview(7))."""

from typing import Annotated

from aionoah.abi.cstruct import I64, Struct
from aionoah.abi.flags import Choice

MQ_PRIO_MAX = 32768
NOTIFY_COOKIE_LEN = 32


class NOTIFY(Choice):
    """The last byte of a cookie that comes back (SIGEV_THREAD)."""

    NONE = 0
    WOKENUP = 1
    REMOVED = 2


class MqAttr(Struct):
    mq_flags: I64
    mq_maxmsg: I64
    mq_msgsize: I64
    mq_curmsgs: Annotated[int, "q32x"]
