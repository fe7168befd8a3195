"""UDP in the instance's own network: datagrams between guests lie in queues of ours, others are the host's."""

import struct
from collections import deque
from time import time_ns
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.inet import IP
from aionoah.abi.ioctl import IOCTL
from aionoah.abi.poll import Poll
from aionoah.abi.socket import AF, MSG, SHUT, SO, SOL
from aionoah.fs.file import BrokenPipe
from aionoah.host.errors import host_errors
from aionoah.host.sockets import Address
from aionoah.host.waiting import Source
from aionoah.net.filters import Filter
from aionoah.net.inet.socket import InetSocket
from aionoah.net.links import LOOPBACK, OUTWARD
from aionoah.net.options import DEFAULT_BUFFER, from_int
from aionoah.net.private.network import DNS_PORT, NAME_SERVER, Endpoint
from aionoah.net.private.socket import PrivateSocket
from aionoah.net.socket import SHUT_BITS, SHUT_RECEIVE, SHUT_SEND, Control, Outgoing, Received, family_of
from aionoah.net.timestamps import STAMPS, stamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from aionoah.fs.context import FsContext
    from aionoah.memory.buffer import Buffer

_OVERHEAD: Final = 768  # bytes of a queue that a small datagram takes besides its own (skb_truesize)
_MAX_DATAGRAM: Final = 65507
_HEADER: Final = struct.Struct(">HHHH")  # of UDP: ports, length, checksum
_TTL: Final = 64  # net.ipv4.ip_default_ttl


class _Datagram(NamedTuple):
    data: bytes
    sender: Endpoint
    to: Endpoint
    came_ns: int


class PrivateDatagram(PrivateSocket):
    """A UDP socket. The host's socket behind it is never bound to more than the host chooses."""

    asks_before_sending = True

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type] # those of the base
        self._queue: deque[_Datagram] = deque()
        self._used = 0  # bytes of the queue
        self._host_peer: Endpoint | None = None  # outside, that the host's socket is connected to
        self._shut = 0

    # -- names ------------------------------------------------------------------------------------------

    async def connect(self, address: bytes, fs: "FsContext") -> None:
        if family_of(address) == AF.UNSPEC:
            self.peer = None
            if self._host_peer is not None:
                self._host_peer = None
                await super().connect(address, fs)
            return
        to = self.target(address)
        if not self._is_within(to):
            await self.permit(to)
            await super().connect(self.outside_address(to), fs)
            self._host_peer = to
        self.bind_automatically(self.source_for(to))
        self.peer = to

    def _is_within(self, to: Endpoint) -> bool:
        if self._correspondent(to) is not None:
            return True
        return self.net.is_own(to.ip) or to == Endpoint(NAME_SERVER, DNS_PORT)

    def _correspondent(self, to: Endpoint) -> "Callable[[bytes], None] | None":
        return None if self.bound is None else self.net.correspondents.get((self.bound.port, to))

    # -- messages ---------------------------------------------------------------------------------------

    async def prepare_send(self, message: Outgoing) -> None:
        if message.address and not self._is_within(to := self.target(message.address)):
            await self.permit(to)

    def send_nowait(self, message: Outgoing) -> int:
        self.take_error()
        if self._shut & SHUT_SEND:
            raise BrokenPipe
        to = self.target(message.address) if message.address else self.peer
        if to is None:
            raise LinuxError(Errno.EDESTADDRREQ)
        self.bind_automatically()
        if not self._is_within(to):
            return InetSocket.send_nowait(self, message)
        if message.src.length > _MAX_DATAGRAM:
            raise LinuxError(Errno.EMSGSIZE)
        data = message.src.take() if message.src.length else b""
        self._send_within(data, to)
        return len(data)

    def _destination(self, message: Outgoing) -> Address | None:
        if not message.address:
            return None
        target = self.parse(self.outside_address(self.target(message.address)))
        self.require_reachable(target)
        return target

    def _send_within(self, data: bytes, to: Endpoint) -> None:
        if (answer := self._correspondent(to)) is not None:
            answer(data)
            return
        sender = Endpoint(self.source_for(to), self.own.port)
        receiver = self._receiver(sender, to)
        if receiver is not None:
            receiver.deliver(data, sender, to)
        elif to.port == DNS_PORT:
            self.net.outside.resolve(data, self, to)
        elif self.peer == to:
            self.error = Errno.ECONNREFUSED  # as ICMP would tell
            self.changed.wake()

    def _receiver(self, sender: Endpoint, to: Endpoint) -> "PrivateDatagram | None":
        """One that is connected to the sender before one that takes from everybody."""
        found = [each for each in self.net.find(self.kind, to) if isinstance(each, PrivateDatagram)]
        connected = (each for each in found if each.peer == sender)
        anybody = (each for each in found if each.peer is None)
        return next(connected, None) or next(anybody, None)

    def deliver(self, data: bytes, sender: Endpoint, to: Endpoint | None = None) -> None:
        """Into the queue, or nowhere if it is full or a filter has it so. Filters see the header of UDP, too."""
        if self.filter is not None:
            header = _HEADER.pack(sender.port, self.own.port, _HEADER.size + len(data), 0)
            passed = self.filter.passed(header + data)
            if passed is None:
                return
            data = passed[_HEADER.size :]
        cost = len(data) + _OVERHEAD
        if self._used + cost <= DEFAULT_BUFFER:
            self._used += cost
            self._queue.append(_Datagram(data, sender, to or self.own, time_ns()))
            self.changed.wake()

    def receive_nowait(self, dst: "Buffer", flags: MSG) -> Received:
        if MSG.ERRQUEUE not in flags:
            self.take_error()
        if not self._queue and self._shut & SHUT_RECEIVE:
            return Received(0)
        if not self._queue or flags & (MSG.ERRQUEUE | MSG.OOB):
            return super().receive_nowait(dst, flags)
        data, sender, to, came_ns = self._queue[0]
        count = dst.fill(data) if data and dst.length else 0
        if MSG.PEEK not in flags:
            self._queue.popleft()
            self._used -= len(data) + _OVERHEAD
        return Received(
            len(data) if MSG.TRUNC in flags else count,
            self.unparse_endpoint(sender),
            self._control(to, came_ns) if self.control_room else (),
            flags=MSG.TRUNC if count < len(data) else 0,
        )

    def _control(self, to: Endpoint, came_ns: int) -> tuple[Control, ...]:
        """What the program wants to know of a datagram besides: when it came, of IPv4, where it went and how far."""
        stamping = next((option for option in STAMPS if self._setting(SOL.SOCKET, option)), 0)
        found: list[Control] = list(stamp(stamping, came_ns))
        if self.family == AF.INET and self._setting(SOL.IP, IP.PKTINFO):
            interface = LOOPBACK.number if to.ip.is_loopback else OUTWARD.number
            found.append(
                Control(SOL.IP, IP.PKTINFO, interface.to_bytes(4, "little") + to.ip.packed + to.ip.packed)
            )
        if self.family == AF.INET and self._setting(SOL.IP, IP.RECVTTL):
            found.append(Control(SOL.IP, IP.TTL, from_int(_TTL)))
        return tuple(found)

    def shutdown(self, how: int) -> None:
        """ENOTCONN, as of the host's socket, unless there is a peer here."""
        if self.peer is None or self._host_peer is not None:
            super().shutdown(how)
            return
        if how not in SHUT_BITS:
            raise LinuxError(Errno.EINVAL)
        self._shut |= SHUT_BITS[SHUT(how)]
        self.changed.wake()

    def attach_filter(self, program: bytes) -> None:
        """What comes from outside goes through the host's, the rest through ours."""
        found = Filter(program)
        super().attach_filter(program)
        self.filter = found

    # -- options and readiness --------------------------------------------------------------------------

    def ioctl(self, request: int, argument: bytes | int) -> bytes:
        if request == IOCTL.FIONREAD and self._queue:
            return from_int(len(self._queue[0].data))
        return super().ioctl(request, argument)

    @property
    def shares_port(self) -> bool:
        """UDP sockets share with SO_REUSEADDR too."""
        return super().shares_port or self._setting(SOL.SOCKET, SO.REUSEADDR)

    def poll(self) -> Poll:
        with host_errors():
            mask = int(super().poll())
        if self._queue or self._shut & SHUT_RECEIVE:
            mask |= Poll.IN | Poll.RDNORM
        if self.error is not None:
            mask |= Poll.ERR
        return Poll(mask)

    def source(self, events: Poll) -> Source:
        return super().source(events) | Source(self.changed)
