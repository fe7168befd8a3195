"""What TCP and UDP sockets of the instance's own network have in common: names, ports, and errors of ours."""

import socket as host_socket
from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.inet import IPV6
from aionoah.abi.socket import AF, SO, SOL
from aionoah.host.sockets import Address
from aionoah.host.waiting import WaitQueue
from aionoah.net.inet.socket import InetSocket
from aionoah.net.options import from_int
from aionoah.net.private.network import HOST, OWN, Endpoint
from aionoah.net.private.rules import Ip, canonical

if TYPE_CHECKING:
    from aionoah.fs.context import FsContext
    from aionoah.net.network import Network
    from aionoah.net.private.network import PrivateNetwork


class PrivateSocket(InetSocket):
    """A socket of the host with a name in a network of ours."""

    is_of_host_network = False

    def __init__(
        self,
        network: "Network",
        family: int,
        kind: int,
        protocol: int,
        flags: int = 0,
        host: host_socket.socket | None = None,
    ) -> None:
        super().__init__(network, family, kind, protocol, flags, host)
        assert network.private is not None  # noqa: S101 - or it would be another class
        self.net: PrivateNetwork = network.private
        self.bound: Endpoint | None = None
        self.peer: Endpoint | None = None  # in this network
        self.changed = WaitQueue()  # woken by what the host's socket does not tell
        self.error: Errno | None = None  # reported once
        self._allowed: set[Endpoint] = set()  # outside, as the policy has said
        self._ways_out: set[Endpoint] = set()  # the same on the host's network

    def take_error(self) -> None:
        """Raise what happened since somebody looked."""
        if self.error is not None:
            error, self.error = self.error, None
            raise LinuxError(error)

    def get_option(self, level: int, option: int, length: int) -> bytes:
        if level == SOL.SOCKET and option == SO.ERROR and self.error is not None:
            error, self.error = self.error, None
            return from_int(error)[:length]
        return super().get_option(level, option, length)

    def release(self) -> None:
        self._leave_port()
        super().release()

    # -- names ------------------------------------------------------------------------------------------

    @property
    def own(self) -> Endpoint:
        assert self.bound is not None  # noqa: S101 - of sockets that have a name
        return self.bound

    def bind(self, address: bytes, fs: "FsContext") -> None:  # noqa: ARG002 - not a path
        wanted = self.parse_to_bind(address)
        ip = self.net.require_own(wanted[0])
        if self.bound is not None or self.peer is not None:
            raise LinuxError(Errno.EINVAL)
        self.bound = self.net.take(self, ip, wanted[1])

    def bind_automatically(self, ip: Ip | None = None) -> None:
        if self.bound is None:
            self.bound = self.net.take(self, ip or canonical(self._wildcard), 0)

    def _leave_port(self) -> None:
        if self.bound is not None:
            self.net.give_back(self)
            self.bound = None

    @property
    def _wildcard(self) -> str:
        return "0.0.0.0" if self.family == AF.INET else "::"  # noqa: S104 - bound in a network of our own

    def target(self, address: bytes) -> Endpoint:
        """Where something is to go: the wildcard stands for the loopback. EINVAL, EAFNOSUPPORT, ENETUNREACH."""
        host, port = self.parse(address)[:2]
        if "." in host and ":" in host and self._is_v6_only:
            raise LinuxError(Errno.ENETUNREACH)
        ip = canonical(host)
        if ip.is_unspecified:
            ip = canonical("127.0.0.1" if ip.version == 4 else "::1")
        return Endpoint(ip, port)

    def source_for(self, to: Endpoint) -> Ip:
        """The address that we have for those we send to."""
        if self.bound is not None and not self.bound.ip.is_unspecified:
            return self.bound.ip
        return to.ip if self.net.is_own(to.ip) else OWN

    # -- the way out ------------------------------------------------------------------------------------

    async def permit(self, to: Endpoint) -> None:
        """Ask the policy, once for each endpoint. ENETUNREACH."""
        if to not in self._allowed:
            await self.net.permit(self, to)
            self._allowed.add(to)
            self._ways_out.add(self._way_out(to))

    def _way_out(self, to: Endpoint) -> Endpoint:
        return Endpoint(canonical(self.net.host_address(to)), to.port)

    def outside_address(self, to: Endpoint) -> bytes:
        """Where something for `to` goes on the host's network."""
        return self.unparse_endpoint(self._way_out(to))

    def require_reachable(self, target: Address) -> None:
        """The host's socket goes nowhere but where `permit` has been asked about."""
        if Endpoint(canonical(target[0]), target[1]) not in self._ways_out:
            raise LinuxError(Errno.ENETUNREACH)

    def unparse_sender(self, address: Address | None) -> bytes:
        """What the host's loopback has sent comes from where guests see it."""
        if address and canonical(address[0]).is_loopback:
            return self.unparse_endpoint(Endpoint(HOST, address[1]))
        return super().unparse_sender(address)

    def unparse_endpoint(self, endpoint: Endpoint) -> bytes:
        """A sockaddr of our family."""
        if self.family == AF.INET:
            return self.unparse((str(endpoint.ip), endpoint.port))
        mapped = f"::ffff:{endpoint.ip}" if endpoint.ip.version == 4 else str(endpoint.ip)
        return self.unparse((mapped, endpoint.port, 0, 0))

    def name(self) -> bytes:
        if self.bound is not None:
            return self.unparse_endpoint(self.bound)
        return self.unparse_endpoint(Endpoint(canonical(self._wildcard), 0))

    def peer_name(self) -> bytes:
        if self.peer is None:
            return super().peer_name()
        return self.unparse_endpoint(self.peer)

    # -- what the table of ports asks -------------------------------------------------------------------

    @property
    def takes_both_families(self) -> bool:
        return self.family == AF.INET6 and not self._is_v6_only

    @property
    def _is_v6_only(self) -> bool:
        return self.family == AF.INET6 and self._setting(SOL.IPV6, IPV6.V6ONLY)

    @property
    def shares_port(self) -> bool:
        return self._setting(SOL.SOCKET, SO.REUSEPORT)

    def _setting(self, level: int, option: int) -> bool:
        return any(InetSocket.get_option(self, level, option, 4))
