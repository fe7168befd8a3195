"""AF_INET and AF_INET6 without a network: everything can be asked for, and nothing is reached."""

import socket as host_socket
from itertools import count
from typing import TYPE_CHECKING, ClassVar

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.inet import IPPROTO
from aionoah.abi.poll import Poll
from aionoah.abi.socket import SO, SOCK, SOL
from aionoah.fs.file import WouldBlock
from aionoah.host import sockets
from aionoah.host.errors import host_errors
from aionoah.host.sockets import Address
from aionoah.host.waiting import Source, WaitQueue
from aionoah.net.inet.socket import InetSocket
from aionoah.net.options import from_int

if TYPE_CHECKING:
    from aionoah.fs.context import FsContext
    from aionoah.net.network import Network


class IsolatedSocket(InetSocket):
    """Has a host socket that is never bound nor connected: it keeps options, and knows the errors of a socket
    that has no peer.
    """

    is_of_host_network = False
    _ports: ClassVar = count()

    def __init__(self, network: "Network", family: int, kind: int, protocol: int, flags: int = 0) -> None:
        super().__init__(network, family, kind, protocol, flags, _option_keeper(family, kind, protocol))
        self._port = 0
        self._name: Address | None = None
        self._is_listening = False
        self._never = WaitQueue()

    def bind(self, address: bytes, fs: "FsContext") -> None:  # noqa: ARG002
        wanted = self.parse_to_bind(address)
        self.network.policy.require_bind(wanted[0], wanted[1])
        if self._port:
            raise LinuxError(Errno.EINVAL)
        self._take_port(wanted[1])
        self._name = wanted

    def _take_port(self, port: int) -> None:
        self._port = port or 32768 + next(self._ports) % 28232  # ip_local_port_range

    def name(self) -> bytes:
        name = super().name() if self._name is None else self.unparse(self._name)
        return name[:2] + self._port.to_bytes(2, "big") + name[4:]

    def listen(self, backlog: int) -> None:  # noqa: ARG002 - nobody comes
        if not self.is_stream:
            raise LinuxError(Errno.EOPNOTSUPP)
        if not self._port:
            self._take_port(0)
        self._is_listening = True

    def accept_nowait(self) -> "tuple[InetSocket, bytes]":
        if self._is_listening:
            raise WouldBlock
        raise LinuxError(Errno.EINVAL if self.is_stream else Errno.EOPNOTSUPP)

    def get_option(self, level: int, option: int, length: int) -> bytes:
        if level == SOL.SOCKET and option == SO.ACCEPTCONN:
            return from_int(int(self._is_listening))[:length]
        return super().get_option(level, option, length)

    def poll(self) -> Poll:
        return Poll(0) if self._is_listening else super().poll()

    def source(self, events: Poll) -> Source:
        return Source(self._never) if self._is_listening else super().source(events)


def _option_keeper(family: int, kind: int, protocol: int) -> host_socket.socket | None:
    """A raw socket of the host would hear all that comes to the host, but for those that can only send."""
    if kind != SOCK.RAW or not protocol:
        return None
    with host_errors():
        return sockets.new_socket(family, kind, IPPROTO.RAW)
