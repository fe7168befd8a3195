"""Sockets of any family: socket(2), socketpair(2); Linux net/socket.c (__sock_create)."""

from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.socket import AF, SOCK
from aionoah.net.unix.creation import new_unix_pair, new_unix_socket

if TYPE_CHECKING:
    from aionoah.net.network import Network
    from aionoah.net.socket import Socket
    from aionoah.process.credentials import Credentials


def new_socket(
    network: "Network", credentials: "Credentials", family: int, kind: int, protocol: int, flags: int
) -> "Socket":
    """EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT, EPERM, and what the host refuses."""
    match family:
        case AF.UNIX:
            return new_unix_socket(network, kind, protocol, flags)
        case _:
            raise LinuxError(Errno.EAFNOSUPPORT)


def new_socket_pair(
    network: "Network", family: int, kind: int, protocol: int, flags: int
) -> "tuple[Socket, Socket]":
    """Only UNIX sockets come in pairs: EOPNOTSUPP for other families."""
    if family == AF.UNIX:
        return new_unix_pair(network, kind, protocol, flags)
    if family in (AF.INET, AF.INET6, AF.NETLINK) and kind in (SOCK.STREAM, SOCK.DGRAM, SOCK.RAW):
        raise LinuxError(Errno.EOPNOTSUPP)
    raise LinuxError(Errno.EAFNOSUPPORT)
