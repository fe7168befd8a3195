"""AF_INET and AF_INET6: sockets of the host, never blocking, waited for by the event loop.

Sources: ip(7), ipv6(7), tcp(7), udp(7), raw(7). What the host's sockets do is Linux's own behaviour on Linux, and
close to it elsewhere; this file is about what must not get through: addresses that the policy refuses,
blocking, and options that reach into the host.
"""

import socket as host_socket
from typing import TYPE_CHECKING, ClassVar, Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.inet import IP, IPPROTO, IPV6, TCP
from aionoah.abi.ioctl import IOCTL
from aionoah.abi.poll import Poll
from aionoah.abi.socket import AF, MSG, SHUT, SO, SOCK, SOL, Linger, Ucred
from aionoah.fs.file import BrokenPipe, WouldBlock, deadline_after, has_passed, sleep_until
from aionoah.fs.stdio import Exchange
from aionoah.host import sockets, terminal
from aionoah.host.errors import errno_of, host_errors
from aionoah.host.readiness import Readiness
from aionoah.host.waiting import Source
from aionoah.net.inet import interfaces
from aionoah.net.options import NOT_EVERYWHERE, as_int, get_common, require_may_set, set_common
from aionoah.net.socket import QUEUE_EXCHANGES, Control, Outgoing, Received, Socket, caller_has, family_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aionoah.fs.context import FsContext
    from aionoah.memory.buffer import Buffer
    from aionoah.net.network import Network

_CONTROL_ROOM: Final = 1024  # for control messages of the host, once a program has asked for any
_OURS: Final = MSG.DONTWAIT | MSG.WAITALL | MSG.NOSIGNAL  # flags that the host need not know
_FIRST_FREE_PORT: Final = 1024  # ip_unprivileged_port_start of the host's network
_MAX_MESSAGE: Final = 0xFFFF  # bytes, of IP
_MAX_OPTION: Final = 1024  # bytes; Python's limit
_NOBODY: Final = Ucred(0, 0xFFFF_FFFF, 0xFFFF_FFFF)
_ABOUT_INTERFACES: Final = ((SOL.IP, IP.PKTINFO), (SOL.IP, IP.RETOPTS), (SOL.IPV6, IPV6.PKTINFO))
_CONTROL_LEVELS: Final = (SOL.IP, SOL.IPV6, SOL.UDP)
_CONTROL_OPTIONS: Final = (
    *((SOL.SOCKET, option) for option in (SO.TIMESTAMP, SO.TIMESTAMPNS, SO.TIMESTAMPING, SO.RXQ_OVFL)),
    *((SOL.SOCKET, option) for option in (SO.TIMESTAMP_NEW, SO.TIMESTAMPNS_NEW, SO.TIMESTAMPING_NEW)),
    (SOL.TCP, TCP.INQ),
)
_OUTWARD: Final = {
    (SOL.IP, IP.OPTIONS): Errno.EPERM,  # with a route of the sender's choice
    (SOL.IP, IP.ROUTER_ALERT): Errno.EPERM,
    (SOL.IPV6, IPV6.ROUTER_ALERT): Errno.EPERM,
    **dict.fromkeys(((SOL.IP, IP.ADD_MEMBERSHIP), (SOL.IP, IP.ADD_SOURCE_MEMBERSHIP)), Errno.ENODEV),
    **dict.fromkeys(((SOL.IPV6, IPV6.ADD_MEMBERSHIP), (SOL.IPV6, IPV6.JOIN_ANYCAST)), Errno.ENODEV),
}
"""Options by which a socket reaches into the network of the host without a word to the policy, and their errors
where it must not."""


class InetSocket(Socket):
    """A socket of the host."""

    is_of_host_network: ClassVar = True  # or it is there to keep options, and for what a policy lets through
    _EXCHANGES: ClassVar = {
        **QUEUE_EXCHANGES,
        IOCTL.SIOCATMARK: Exchange(gives=4),
        **interfaces.ADDRESS_EXCHANGES,
    }

    def __init__(
        self,
        network: "Network",
        family: int,
        kind: int,
        protocol: int,
        flags: int = 0,
        host: host_socket.socket | None = None,
    ) -> None:
        """A new socket, or the one that `host` is. Errors of the host."""
        if host is None:
            with host_errors():
                host = sockets.new_socket(family, kind, protocol)
        super().__init__(network, family, kind, protocol or _DEFAULT_PROTOCOLS.get(kind, 0), flags)
        self.host = host
        self.fd = host.fileno()
        self._readiness = Readiness(self.fd)
        self._is_connecting = False
        self.linger: Linger | None = None  # what the guest has set and the host has not
        self.control_room = 0

    def release(self) -> None:
        self.host.close()

    # -- addresses --------------------------------------------------------------------------------------

    def parse(self, address: bytes) -> sockets.Address:
        """EINVAL for a short address, EAFNOSUPPORT for one of another family."""
        if len(address) < sockets.address_size(self.family):
            raise LinuxError(Errno.EINVAL)
        if family_of(address) != self.family:
            raise LinuxError(Errno.EAFNOSUPPORT)
        return sockets.parse_address(self.family, address)

    def unparse(self, address: sockets.Address | None) -> bytes:
        return sockets.unparse_address(self.family, address)

    def bind(self, address: bytes, fs: "FsContext") -> None:
        """EACCES for a port that is not for everybody: the host asks only what we may."""
        wanted = self.parse_to_bind(address)
        if 0 < wanted[1] < _FIRST_FREE_PORT and not fs.identity.has(CAP.NET_BIND_SERVICE):
            raise LinuxError(Errno.EACCES)
        self.network.policy.require_bind(wanted[0], wanted[1])
        with host_errors():
            self.host.bind(wanted)

    def parse_to_bind(self, address: bytes) -> sockets.Address:
        """AF_UNSPEC stands for AF_INET where the address is the wildcard (ip(7))."""
        is_wildcard = family_of(address) == AF.UNSPEC and address[4:8] == bytes(4)
        if self.family == AF.INET and is_wildcard:
            address = AF.INET.to_bytes(2, "little") + address[2:]
        return self.parse(address)

    def name(self) -> bytes:
        with host_errors():
            return self.unparse(self.host.getsockname())

    def peer_name(self) -> bytes:
        with host_errors():
            return self.unparse(self.host.getpeername())

    # -- connections ------------------------------------------------------------------------------------

    def listen(self, backlog: int) -> None:
        with host_errors():
            self.host.listen(backlog)

    async def connect(self, address: bytes, fs: "FsContext") -> None:  # noqa: ARG002 - not a path
        """A blocking one that a signal has interrupted finds the attempt under way when it comes again."""
        if family_of(address) == AF.UNSPEC:
            with host_errors():
                sockets.disconnect(self.host)
            self._is_connecting = False
            return
        target = self._parse_to_connect(address)
        self.require_reachable(target)
        deadline_ns = deadline_after(self.write_timeout_ns)
        was_connecting = self._is_connecting
        while not self._connect_further(target):
            if self.is_nonblocking or has_passed(deadline_ns):
                raise LinuxError(Errno.EALREADY if was_connecting else Errno.EINPROGRESS)
            await sleep_until(self, Poll(Poll.OUT), deadline_ns)

    def _parse_to_connect(self, address: bytes) -> sockets.Address:
        """Whether a stream can connect at all comes before where to: EISCONN."""
        try:
            return self.parse(address)
        except LinuxError:
            if self.is_stream and sockets.is_connected_or_listens(self.host):
                raise LinuxError(Errno.EISCONN) from None
            raise

    def _connect_further(self, target: sockets.Address) -> bool:
        goes_on, self._is_connecting = self._is_connecting, False
        with host_errors():
            is_done = sockets.connect(self.host, target, goes_on=goes_on)
        self._is_connecting = not is_done
        return is_done

    def accept_nowait(self) -> "tuple[InetSocket, bytes]":
        with host_errors():
            try:
                made, address = sockets.accept(self.host)
            except BlockingIOError:
                raise WouldBlock from None
        accepted = InetSocket(self.network, self.family, self.kind, self.protocol, host=made)
        accepted.inherit(self)
        return accepted, self.unparse(address)

    def inherit(self, listener: "InetSocket") -> None:
        """What a connection has from the socket that has accepted it, besides what the host sees to."""
        self.linger = listener.linger
        self.filter_program, self.is_filter_locked = listener.filter_program, listener.is_filter_locked
        self.read_timeout_ns, self.write_timeout_ns = listener.read_timeout_ns, listener.write_timeout_ns
        self.control_room = listener.control_room

    def shutdown(self, how: int) -> None:
        with host_errors():
            sockets.shut_down(self.host, SHUT(how))

    # -- messages ---------------------------------------------------------------------------------------

    async def prepare_send(self, message: Outgoing) -> None:
        """Who connects by sending (MSG_FASTOPEN) connects as others do: the host's socket would not wait for it."""
        if self.is_stream and message.address and message.fs is not None:
            address, message.address = message.address, None
            message.flags = MSG(message.flags & ~MSG.FASTOPEN)
            await self.connect(address, message.fs)

    def send_nowait(self, message: Outgoing) -> int:
        address = self._destination(message)
        control = self._control_to_host(message.control)
        segments = message.src.segments() if message.src.length else ()
        if not self.is_stream and sum(map(len, segments)) < message.src.length:  # a message goes whole
            raise LinuxError(Errno.EMSGSIZE if message.src.length > _MAX_MESSAGE else Errno.EFAULT)
        try:
            return sockets.send(self.host, segments, message.flags, address, control)
        except BlockingIOError as error:
            if self._is_connecting or errno_of(error) is not Errno.EAGAIN:
                raise LinuxError(errno_of(error)) from None
            raise WouldBlock from None
        except BrokenPipeError:
            raise BrokenPipe from None
        except OSError as error:
            raise LinuxError(errno_of(error)) from None

    @property
    def _sent_levels(self) -> tuple[int, ...]:
        """Of control messages that are looked at; others are passed over (ip_cmsg_send, ip6_datagram_send_ctl)."""
        if self.is_stream:
            return (SOL.SOCKET,)
        return SOL.SOCKET, SOL.UDP, SOL.IP if self.family == AF.INET else SOL.IPV6

    def _control_to_host(self, control: "tuple[Control, ...]") -> list[tuple[int, int, bytes]]:
        """In the host's numbers. EINVAL, EPERM."""
        found: list[tuple[int, int, bytes]] = []
        for item in control:
            if item.level not in self._sent_levels:
                continue
            host = sockets.control_to_host(item.level, item.kind)
            if host is None:
                raise LinuxError(Errno.EINVAL)
            if self.is_of_host_network or (item.level, item.kind) not in _ABOUT_INTERFACES:
                found.append((*host, item.data))
            elif item.kind == IP.RETOPTS:
                raise LinuxError(Errno.EPERM)
        return found

    def _destination(self, message: Outgoing) -> sockets.Address | None:
        """A connected stream knows where it goes, whatever address is given."""
        address = message.address
        if address is None or self.is_stream:
            return None
        family = AF(family_of(address))
        if self.kind != SOCK.DGRAM or family == self.family:
            target = self.parse(address)
        elif self.family == AF.INET6 and family == AF.UNSPEC:
            return None
        else:
            target = self._parse_of_other_family(family, address)
        self.require_reachable(target)
        return target

    def require_reachable(self, target: sockets.Address) -> None:
        """Every address that is given to the host's socket comes through here first. ENETUNREACH, ECONNREFUSED."""
        self.network.policy.require_connect(target[0], target[1])

    def _parse_of_other_family(self, family: int, address: bytes) -> sockets.Address:
        """What UDP takes besides: AF_UNSPEC for AF_INET, and AF_INET in AF_INET6."""
        if len(address) < sockets.address_size(AF.INET) or (self.family == AF.INET6 and family != AF.INET):
            raise LinuxError(Errno.EINVAL)
        if self.family == AF.INET and family != AF.UNSPEC:
            raise LinuxError(Errno.EAFNOSUPPORT)
        host, port = sockets.parse_address(AF.INET, address)
        return (host, port) if self.family == AF.INET else (f"::ffff:{host}", port, 0, 0)

    def receive_nowait(self, dst: "Buffer", flags: MSG) -> Received:
        segments = dst.segments() if dst.length else ()
        room = _CONTROL_ROOM if MSG.ERRQUEUE in flags else self.control_room
        try:
            if self.is_stream and not flags & ~_OURS and not room and len(segments) == 1:
                return Received(self.host.recv_into(segments[0]))  # a third of the price, for most
            count, found, reported, address = sockets.receive(self.host, segments, flags, room)
        except BlockingIOError:
            if MSG.ERRQUEUE in flags:
                raise LinuxError(Errno.EAGAIN) from None
            raise WouldBlock from None
        except OSError as error:
            raise LinuxError(errno_of(error)) from None
        control = tuple(
            Control(*linux, data)
            for level, kind, data in found
            if (linux := sockets.control_from_host(level, kind)) is not None
        )
        return Received(count, self.unparse_sender(address), control, (), reported)

    def unparse_sender(self, address: sockets.Address | None) -> bytes:
        """The sockaddr of whoever has sent something."""
        return self.unparse(address)

    # -- options ----------------------------------------------------------------------------------------

    def require_level(self, level: int) -> None:
        """The error depends on the family."""
        if level in (SOL.SOCKET, SOL.IP) or level in _OWN_LEVELS.get(self.kind, ()):
            return
        if self.family == AF.INET:
            raise LinuxError(Errno.EOPNOTSUPP)
        if level not in (SOL.IPV6, SOL.ICMPV6):
            raise LinuxError(Errno.ENOPROTOOPT)

    def get_option(self, level: int, option: int, length: int) -> bytes:
        if level == SOL.SOCKET:
            own = get_common(self, option) or self._own_option(option)
            if own is not None:
                return own[:length]
        numbers = sockets.host_option(level, option)
        is_error = level == SOL.SOCKET and option == SO.ERROR
        room = max(1, min(length, _MAX_OPTION))  # 0 means something else to Python
        with host_errors():
            return (self.host if is_error else self.settings).getsockopt(*numbers, room)[:length]

    def attach_filter(self, program: bytes) -> None:
        """The host checks it and runs it."""
        with host_errors():
            sockets.attach_filter(self.host, program)
        self.filter_program = program

    def detach_filter(self) -> None:
        with host_errors():
            sockets.detach_filter(self.host)
        super().detach_filter()

    @property
    def settings(self) -> host_socket.socket:
        """The socket of the host that keeps the options."""
        return self.host

    def _own_option(self, option: int) -> bytes | None:
        if option in NOT_EVERYWHERE:
            raise LinuxError(Errno.EOPNOTSUPP)
        if option == SO.PEERCRED:
            return _NOBODY.pack()
        if option == SO.LINGER and self.linger is not None:
            return self.linger.pack()
        if option == SO.BINDTODEVICE:
            return b""  # to none
        return None

    def set_option(self, level: int, option: int, value: bytes) -> None:
        if level == SOL.SOCKET and set_common(self, option, value):
            return
        self._require_may_set(level, option, value)
        numbers = sockets.host_option(level, option)
        if level == SOL.SOCKET and option == SO.LINGER:
            value = self._set_linger(value)
        with host_errors():
            self.settings.setsockopt(*numbers, value)
        if level in _CONTROL_LEVELS or (level, option) in _CONTROL_OPTIONS:
            self.control_room = _CONTROL_ROOM

    def _require_may_set(self, level: int, option: int, value: bytes) -> None:
        """What the host would let us do, but not a guest. EPERM, EACCES, ENODEV."""
        is_admin = caller_has(CAP.NET_ADMIN)
        if level == SOL.SOCKET:
            if option == SO.BINDTODEVICE:
                raise LinuxError(Errno.EPERM)
            if option in NOT_EVERYWHERE:
                raise LinuxError(Errno.EOPNOTSUPP)
            require_may_set(option, as_int(value), is_admin=is_admin and option != SO.MARK)
        elif not self.is_of_host_network and (level, option) in _OUTWARD and value:
            raise LinuxError(_OUTWARD[level, option])
        elif (level, option) == (SOL.IPV6, IPV6.JOIN_ANYCAST) and not is_admin:
            raise LinuxError(Errno.EPERM)

    def _set_linger(self, value: bytes) -> bytes:
        """A close that waits would hold the kernel up: only "reset at once" gets through to the host."""
        if len(value) < Linger.SIZE:
            raise LinuxError(Errno.EINVAL)
        self.linger = linger = Linger.unpack(value)
        return linger.pack() if linger.l_onoff and not linger.l_linger else Linger(0, 0).pack()

    @property
    def exchanges(self) -> "Mapping[int, Exchange]":
        return self._EXCHANGES

    def ioctl(self, request: int, argument: bytes | int) -> bytes:
        if request in interfaces.ADDRESS_EXCHANGES or request in interfaces.DEVICE_EXCHANGES:
            return interfaces.ask(self.network, request, bytes(argument))
        with host_errors():
            return terminal.exchange(self.fd, request, bytes(4))

    # -- readiness --------------------------------------------------------------------------------------

    def poll(self) -> Poll:
        return Poll(self._readiness.now())

    def source(self, events: Poll) -> Source:
        reads = events & (Poll.IN | Poll.RDNORM | Poll.PRI | Poll.RDHUP)
        return Source(
            readable=(self.fd,) if reads else (),
            writable=(self.fd,) if events & (Poll.OUT | Poll.WRNORM) else (),
        )


_OWN_LEVELS: Final[dict[int, tuple[int, ...]]] = {
    SOCK.STREAM: (SOL.TCP,),
    SOCK.DGRAM: (SOL.UDP, IPPROTO.UDPLITE),
    SOCK.RAW: (SOL.RAW,),
}
_DEFAULT_PROTOCOLS: Final = {SOCK.STREAM: IPPROTO.TCP, SOCK.DGRAM: IPPROTO.UDP}
