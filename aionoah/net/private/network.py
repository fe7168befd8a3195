"""The instance's own network: addresses, ports, and the ways out of it."""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, IPv6Address, ip_address
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.socket import SOCK
from aionoah.host.waiting import Source, sleep_on
from aionoah.net.private.rules import Attempt, Ip, Rules, canonical
from aionoah.process.current import current_task

if TYPE_CHECKING:
    import socket as host_socket

    from aionoah.host.application import Answer
    from aionoah.net.inet.socket import InetSocket

OWN: Final = ip_address("10.0.2.15")
"""Of the guests' interface to the outside."""
HOST: Final = ip_address("10.0.2.2")
"""Stands for the host's loopback; its name is HOST_NAME."""
NAME_SERVER: Final = ip_address("10.0.2.3")
HOST_NAME: Final = "host.internal"
DNS_PORT: Final = 53
_SERVED: Final = IPv4Network("198.18.0.0/15")  # of RFC 2544, which nobody routes
_MOST_NAMES: Final = 10_000  # of one address, and addresses with names
_EPHEMERAL: Final = range(32768, 61000)  # net.ipv4.ip_local_port_range
_PROTOCOLS: Final = {SOCK.STREAM: "tcp", SOCK.DGRAM: "udp"}


class Endpoint(NamedTuple):
    """An address and a port."""

    ip: Ip
    port: int


class Outside(Protocol):
    """The application, as the network sees it. Called under the kernel lock, on any thread; none of it waits."""

    @property
    def decides(self) -> bool:
        """Whether there is somebody to ask."""
        ...

    def ask(self, attempt: Attempt) -> "Answer":
        """Whether the application lets it pass."""
        ...

    def denied(self, attempt: Attempt) -> None:
        """For the record."""
        ...

    def serve_guest(self, endpoint: Endpoint, connection: "host_socket.socket") -> None:
        """A guest has connected to what the application serves there. The connection is the receiver's."""
        ...

    def resolve(self, query: bytes, socket: "Receiver", asked: Endpoint) -> None:
        """A query of DNS; the answer goes to the socket, from where it was asked."""
        ...


class Receiver(Protocol):
    """A socket that datagrams can be put into."""

    def deliver(self, data: bytes, sender: Endpoint) -> None: ...


class BoundSocket(Protocol):
    """What the table of ports knows of a socket."""

    kind: int

    @property
    def own(self) -> Endpoint: ...

    @property
    def takes_both_families(self) -> bool:
        """Whether the IPv6 wildcard stands for IPv4 too."""
        ...

    @property
    def shares_port(self) -> bool:
        """SO_REUSEPORT, or SO_REUSEADDR while it does not listen."""
        ...


class PrivateNetwork:
    """What sockets share. Without an outside there are just the guests and the application."""

    def __init__(self, outside: Outside, rules: Rules | None = None) -> None:
        self.outside = outside
        self.rules = rules
        self.served: dict[Endpoint, str] = {}  # what the application answers, and its name
        self.addresses: dict[str, Ip] = {}  # of names that the application has given
        self.names: dict[Ip, dict[str, None]] = {HOST: {HOST_NAME: None}}  # that guests have looked up
        self.correspondents: dict[tuple[int, Endpoint], Callable[[bytes], None]] = {}
        """Who has sent to a UDP port of ours from outside, and how he is answered."""
        self._bound: dict[tuple[int, int], list[BoundSocket]] = {}  # by SOCK and port
        self._last_port = _EPHEMERAL[0]
        self._next_address = iter(_SERVED.hosts())

    @property
    def has_outside(self) -> bool:
        return self.rules is not None

    # -- names ------------------------------------------------------------------------------------------

    def serve(self, name: str, port: int) -> Endpoint:
        """An endpoint for a name of the application. ValueError if it is taken."""
        if name not in self.addresses:
            self.addresses[name] = next(self._next_address)
        endpoint = Endpoint(self.addresses[name], port)
        if endpoint in self.served:
            raise ValueError(f"{name}:{port} is served already")
        self.served[endpoint] = name
        return endpoint

    def remember(self, name: str, ip: Ip) -> None:
        """A guest has been told that the name has this address. Of too many, the oldest are forgotten."""
        names = self.names.setdefault(ip, {})
        names[name] = None
        if len(names) > _MOST_NAMES:
            del names[next(iter(names))]
        if len(self.names) > _MOST_NAMES:
            del self.names[next(known for known in self.names if known != HOST)]

    # -- ports ------------------------------------------------------------------------------------------

    @staticmethod
    def is_own(ip: Ip) -> bool:
        return ip.is_loopback or ip == OWN

    def require_own(self, host: str) -> Ip:
        """An address that a socket may be bound to; EADDRNOTAVAIL."""
        ip = canonical(host)
        if not (ip.is_unspecified or self.is_own(ip)) or (ip == OWN and not self.has_outside):
            raise LinuxError(Errno.EADDRNOTAVAIL)
        return ip

    def take(self, socket: BoundSocket, ip: Ip, port: int) -> Endpoint:
        """Give a socket a name, any free port for 0. EADDRINUSE."""
        port = port or self.free_port(socket.kind)
        others = self._bound.get((socket.kind, port), [])
        for other in others:
            if _overlap(ip, socket, other) and not (socket.shares_port and other.shares_port):
                raise LinuxError(Errno.EADDRINUSE)
        self._bound[socket.kind, port] = [*others, socket]
        return Endpoint(ip, port)

    def free_port(self, kind: int) -> int:
        """EADDRINUSE if none is left."""
        start = self._last_port - _EPHEMERAL[0] + 1
        for port in chain(_EPHEMERAL[start:], _EPHEMERAL[:start]):
            if (kind, port) not in self._bound:
                self._last_port = port
                return port
        raise LinuxError(Errno.EADDRINUSE)

    def give_back(self, socket: BoundSocket) -> None:
        key = socket.kind, socket.own.port
        others = [other for other in self._bound.get(key, []) if other is not socket]
        if others:
            self._bound[key] = others
        else:
            self._bound.pop(key, None)

    def find(self, kind: int, to: Endpoint) -> "Iterator[BoundSocket]":
        """Sockets bound to an endpoint: those with the address itself before those with the wildcard."""
        bound = self._bound.get((kind, to.port), [])
        yield from (socket for socket in bound if socket.own.ip == to.ip)
        yield from (socket for socket in bound if _wildcard_covers(socket, to.ip))

    # -- the way out ------------------------------------------------------------------------------------

    async def permit(self, socket: "InetSocket", to: Endpoint) -> None:
        """ENETUNREACH unless the policy allows it, for which the application may have to be asked."""
        attempt = self._attempt(socket, to)
        verdict = self.rules.verdict(attempt) if self.rules is not None else False
        if verdict is None and self.outside.decides:
            answer = self.outside.ask(attempt)
            try:
                while not answer.is_there:
                    await sleep_on(Source(answer.queue))
            finally:
                answer.cancel()
            verdict = answer.error is None and bool(answer.value)
        if not verdict:
            if self.has_outside:
                self.outside.denied(attempt)
            raise LinuxError(Errno.ENETUNREACH)

    def _attempt(self, socket: "InetSocket", to: Endpoint) -> Attempt:
        process = current_task().process
        names = tuple(self.names.get(to.ip, ()))
        protocol = _PROTOCOLS.get(socket.kind, "raw")
        return Attempt(
            protocol,
            self.host_address(to),
            to.port,
            names,
            process.pid,
            process.name.decode("utf-8", "replace"),
        )

    @staticmethod
    def host_address(to: Endpoint) -> str:
        """Where on the host's network an address of ours leads."""
        return "127.0.0.1" if to.ip == HOST else str(to.ip)


def _overlap(ip: Ip, socket: BoundSocket, other: BoundSocket) -> bool:
    return (
        ip == other.own.ip
        or (ip.is_unspecified and _covers(ip, other.own.ip, both=socket.takes_both_families))
        or _wildcard_covers(other, ip)
    )


def _wildcard_covers(socket: BoundSocket, ip: Ip) -> bool:
    return socket.own.ip.is_unspecified and _covers(socket.own.ip, ip, both=socket.takes_both_families)


def _covers(wildcard: Ip, ip: Ip, *, both: bool) -> bool:
    return wildcard.version == ip.version or (isinstance(wildcard, IPv6Address) and both)
