"""Sockets of any family: socket(2), socketpair(2); Linux net/socket.c (__sock_create)."""

from typing import TYPE_CHECKING

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.inet import IPPROTO
from aionoah.abi.socket import AF, SOCK
from aionoah.net.inet.isolated import IsolatedSocket
from aionoah.net.inet.socket import InetSocket
from aionoah.net.netlink.socket import new_netlink_socket
from aionoah.net.unix.creation import new_unix_pair, new_unix_socket

if TYPE_CHECKING:
    from aionoah.net.network import Network
    from aionoah.net.socket import Socket
    from aionoah.process.credentials import Credentials


def new_socket(
    network: "Network", credentials: "Credentials", family: int, kind: int, protocol: int, flags: int
) -> "Socket":
    """EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT, EPERM, and what the host refuses."""
    if family == AF.INET and kind == SOCK.PACKET:
        family = AF.PACKET  # as it was asked for once
    match family:
        case AF.UNIX:
            return new_unix_socket(network, kind, protocol, flags)
        case AF.INET | AF.INET6:
            return _new_inet_socket(network, credentials, family, kind, protocol, flags)
        case AF.NETLINK:
            return new_netlink_socket(network, kind, protocol, flags)
        case AF.PACKET:
            raise LinuxError(Errno.EPERM)  # as in a container without CAP_NET_RAW
        case _:
            raise LinuxError(Errno.EAFNOSUPPORT)


def _new_inet_socket(
    network: "Network", credentials: "Credentials", family: int, kind: int, protocol: int, flags: int
) -> "Socket":
    if protocol < 0 or protocol > IPPROTO.MPTCP:
        raise LinuxError(Errno.EINVAL)
    if kind not in (SOCK.STREAM, SOCK.DGRAM, SOCK.RAW):
        raise LinuxError(Errno.ESOCKTNOSUPPORT)
    if kind == SOCK.RAW:
        credentials.require(CAP.NET_RAW)
    if network.private is not None:
        return _new_private_socket(network, family, kind, protocol, flags)
    made = InetSocket if network.policy.has_host_network else IsolatedSocket
    return made(network, family, kind, protocol, flags)


def _new_private_socket(network: "Network", family: int, kind: int, protocol: int, flags: int) -> "Socket":
    """TCP and UDP: EPROTONOSUPPORT for others, as where no module has them."""
    from aionoah.net.private.datagram import PrivateDatagram  # noqa: PLC0415 - most instances have none
    from aionoah.net.private.stream import PrivateStream  # noqa: PLC0415

    if kind == SOCK.STREAM and protocol in (0, IPPROTO.TCP):
        return PrivateStream(network, family, kind, protocol, flags)
    if kind == SOCK.DGRAM and protocol in (0, IPPROTO.UDP):
        return PrivateDatagram(network, family, kind, protocol, flags)
    raise LinuxError(Errno.EPROTONOSUPPORT)


def new_socket_pair(
    network: "Network", credentials: "Credentials", family: int, kind: int, protocol: int, flags: int
) -> "tuple[Socket, Socket]":
    """Only UNIX sockets come in pairs. Others can be made, but that is all: EOPNOTSUPP."""
    if family == AF.UNIX:
        return new_unix_pair(network, kind, protocol, flags)
    new_socket(network, credentials, family, kind, protocol, flags).drop()
    raise LinuxError(Errno.EOPNOTSUPP)
