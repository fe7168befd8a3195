"""SO_TIMESTAMP and its kind: messages say when they came (socket(7); Linux net/core/sock.c: sock_set_timestamp, net/socket.c: __sock_recv_timestamp)."""

import struct
from time import time_ns
from typing import Final

from aionoah.abi.socket import SO, SOL
from aionoah.abi.time import NSEC_PER_SEC, NSEC_PER_USEC
from aionoah.net.socket import Control

_STAMP: Final = struct.Struct("<qq")
# Who has set the third reads the last as set.
STAMPS: Final = (SO.TIMESTAMP, SO.TIMESTAMPNS, SO.TIMESTAMPNS_NEW, SO.TIMESTAMP_NEW)
_IN_MICROSECONDS: Final = (SO.TIMESTAMP, SO.TIMESTAMP_NEW)


def stamp(option: int, came_ns: int) -> tuple[Control, ...]:
    """What the option in force, if any, has to say of a message; 0 for one that came before somebody had asked: that came now."""
    if not option:
        return ()
    seconds, rest_ns = divmod(came_ns or time_ns(), NSEC_PER_SEC)
    rest = rest_ns // NSEC_PER_USEC if option in _IN_MICROSECONDS else rest_ns
    return (Control(SOL.SOCKET, option, _STAMP.pack(seconds, rest)),)
