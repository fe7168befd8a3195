"""Who is at the other end of a UNIX socket."""

import socket
import struct
from typing import Final

_SOL_LOCAL: Final = 0  # Darwin's sys/un.h
_XUCRED_BYTES: Final = 76  # Darwin's sys/ucred.h: version, user, number of groups, 16 groups


def peer_uid(connection: socket.socket) -> int:
    """The user that has connected. OSError."""
    if hasattr(socket, "SO_PEERCRED"):
        pid_uid_gid = struct.Struct("3i")
        data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, pid_uid_gid.size)
        return int(pid_uid_gid.unpack(data)[1])
    data = connection.getsockopt(_SOL_LOCAL, getattr(socket, "LOCAL_PEERCRED", 1), _XUCRED_BYTES)
    return int(struct.unpack_from("=I", data, 4)[0])
