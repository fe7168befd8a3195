"""TCP in the instance's own network.

A connection between two guests, or between a guest and the application, is a pair of the host's sockets: bytes
flow as they do in any other, and nobody else can get at them. One to the outside is a connection of the host.
The host's TCP socket that every socket begins with keeps the options meanwhile.
"""

import socket as host_socket
from collections import deque
from typing import TYPE_CHECKING, Final
from weakref import ReferenceType, ref

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.inet import TCP
from aionoah.abi.poll import Poll
from aionoah.abi.socket import AF, MSG, SHUT, SO, SOL, SOMAXCONN, Linger
from aionoah.fs.file import WouldBlock, deadline_after, has_passed, sleep_until
from aionoah.host import sockets
from aionoah.host.errors import host_errors
from aionoah.host.readiness import Readiness
from aionoah.host.waiting import Source
from aionoah.net.inet.socket import InetSocket
from aionoah.net.options import from_int
from aionoah.net.private.network import Endpoint
from aionoah.net.private.socket import PrivateSocket
from aionoah.net.socket import Received, family_of

if TYPE_CHECKING:
    from aionoah.fs.context import FsContext
    from aionoah.memory.buffer import Buffer
    from aionoah.net.network import Network
    from aionoah.net.socket import Outgoing

_ESTABLISHED: Final = 1  # tcp_states.h
_FIN_WAIT2: Final = 5
_CLOSE: Final = 7
_CLOSE_WAIT: Final = 8
_LISTEN: Final = 10
_END: Final = Poll.IN | Poll.RDNORM | Poll.RDHUP  # nothing more to be read


class PrivateStream(PrivateSocket):
    """A TCP socket. It begins as nothing, and becomes a listener or one end of a connection."""

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
        is_pair = host is not None and not sockets.is_internet(host)
        self._settings = None if is_pair else self.host  # keeps the options; made when somebody asks
        self._is_news = False  # that the connection is there, to the next connect
        self._outer_peer: Endpoint | None = None  # outside, where the host's socket goes
        self._backlog = -1  # of a listener
        self._embryos: deque[PrivateStream] = deque()  # connections that nobody has accepted yet
        self._applicants: deque[PrivateStream] = deque()  # who wait for room among those
        self._awaited: tuple[PrivateStream, Endpoint] | None = None  # the listener whose applicant this is
        self.other_end: ReferenceType[PrivateStream] | None = None  # the other end, if it is a guest's
        self._is_reset = False
        self.has_finished = False  # sending: it is shut down, or closed
        self._is_deaf = False  # shut down for receiving

    def attach_filter(self, program: bytes) -> None:  # noqa: ARG002
        """Bytes flow as of a stream, not in packets."""
        raise LinuxError(Errno.ENOPROTOOPT)

    def release(self) -> None:
        self._stop_listening()
        self._give_up()
        self.has_finished = True
        other = self.other_end() if self.other_end is not None else None
        if other is not None and self._aborts:
            other.reset()
        if self._settings is not None and self._settings is not self.host:
            self._settings.close()
        super().release()

    @property
    def _aborts(self) -> bool:
        """Whether to close it is to break it off (SO_LINGER in socket(7), without time)."""
        if self._settings is None:  # nobody has said so
            return False
        return self.get_option(SOL.SOCKET, SO.LINGER, Linger.SIZE) == Linger(1, 0).pack()

    def reset(self) -> None:
        """The other end has broken off."""
        self.error, self._is_reset = Errno.ECONNRESET, True
        self.changed.wake()

    # -- listening --------------------------------------------------------------------------------------

    @property
    def is_listening(self) -> bool:
        return self._backlog >= 0

    def listen(self, backlog: int) -> None:
        if self.peer is not None or self._is_connecting:
            raise LinuxError(Errno.EINVAL)
        self.bind_automatically()
        self._backlog = min(backlog & 0xFFFF_FFFF, SOMAXCONN)
        self._let_applicants_in()
        self.changed.wake()

    def _stop_listening(self) -> None:
        self._backlog = -1
        while self._embryos:
            self._embryos.popleft().drop()
        while self._applicants:
            self._applicants.popleft().turn_away(Errno.ECONNREFUSED)

    @property
    def has_room(self) -> bool:
        return len(self._embryos) <= self._backlog

    def offer(self, embryo: "PrivateStream") -> None:
        """Somebody has connected. There must be room."""
        self._embryos.append(embryo)
        self.changed.wake()

    def accept_nowait(self) -> "tuple[InetSocket, bytes]":
        if not self.is_listening:
            raise LinuxError(Errno.EINVAL)
        if not self._embryos:
            raise WouldBlock
        embryo = self._embryos.popleft()
        embryo.inherit(self)
        self._let_applicants_in()
        return embryo, embryo.peer_address()

    def _let_applicants_in(self) -> None:
        while self._applicants and self.has_room:
            self._applicants.popleft().come_in()

    def accepted(self, host: host_socket.socket, peer: Endpoint, own: Endpoint) -> "PrivateStream":
        """The listener's end of a new connection."""
        host.setblocking(False)
        made = PrivateStream(self.network, self.family, self.kind, self.protocol, host=host)
        made.peer, made._local = peer, own
        return made

    _local: Endpoint | None = None  # of an accepted connection: it shares the listener's port

    def name(self) -> bytes:
        return super().name() if self._local is None else self.unparse_endpoint(self._local)

    # -- connecting -------------------------------------------------------------------------------------

    async def connect(self, address: bytes, fs: "FsContext") -> None:
        if family_of(address) == AF.UNSPEC:
            await self._disconnect(address, fs)
            return
        if self._is_connecting and self._outer_peer is not None:
            await super().connect(self.outside_address(self._outer_peer), fs)
            return
        if self._awaited is not None:
            await self._wait_to_come_in(Errno.EALREADY)
            return
        self.take_error()
        if self.peer is not None and self._is_news:
            self._is_news = False
            return
        if self.peer is not None or self.is_listening:
            raise LinuxError(Errno.EISCONN)
        to = self.target(address)
        if self.net.is_own(to.ip) or to in self.net.served:
            self._connect_within(to)
            await self._wait_to_come_in(Errno.EINPROGRESS)
        else:
            await self.permit(to)
            self._take_name(to)
            self._outer_peer = to
            await super().connect(self.outside_address(to), fs)

    async def _disconnect(self, address: bytes, fs: "FsContext") -> None:
        """What AF_UNSPEC means: the socket can be used anew."""
        self._outer_peer = None
        self._stop_listening()
        self._give_up()
        self.changed.wake()
        if self.peer is None:
            await super().connect(address, fs)
            return
        old, self.peer, self._is_news = self.host, None, False
        self.other_end, self._is_reset, self.has_finished, self._is_deaf = None, False, False, False
        self._become(self.settings)
        old.close()

    def _connect_within(self, to: Endpoint) -> None:
        """It is done at once, but whoever does not want to wait is told later."""
        try:
            if to in self.net.served:
                self.net.outside.serve_guest(to, self._new_pair(to))
            else:
                self._join(to)
        except LinuxError as refusal:
            if not self.is_nonblocking or refusal.errno is not Errno.ECONNREFUSED:
                raise
            self.error = refusal.errno
            self.changed.wake()
        if self.is_nonblocking:
            self._is_news = True
            raise LinuxError(Errno.EINPROGRESS)

    def _join(self, to: Endpoint) -> None:
        """Make the other end, which waits to be accepted; without room for it, wait for that. ECONNREFUSED."""
        listeners = (found for found in self.net.find(self.kind, to) if isinstance(found, PrivateStream))
        listener = next((found for found in listeners if found.is_listening), None)
        if listener is None:
            raise LinuxError(Errno.ECONNREFUSED)
        if listener.has_room:
            self._meet(listener, to)
        else:
            self._take_name(to)
            self._awaited = listener, to
            listener.apply(self)

    def apply(self, applicant: "PrivateStream") -> None:
        """A full listener drops what begins a connection, and whoever connects repeats it (tcp_conn_request). So it
        waits here, though without the end that Linux sees in it after two minutes.
        """
        self._applicants.append(applicant)

    def come_in(self) -> None:
        """The listener that was waited for has room now."""
        assert self._awaited is not None  # noqa: S101 - or it would be no applicant
        try:
            self._meet(*self._awaited)
        except LinuxError as error:
            self.turn_away(error.errno)
        else:
            self._awaited = None

    def _meet(self, listener: "PrivateStream", to: Endpoint) -> None:
        other = listener.accepted(self._new_pair(to), self.own, to)
        self.other_end, other.other_end = ref(other), ref(self)
        listener.offer(other)

    def turn_away(self, error: Errno) -> None:
        self._awaited, self.error = None, error
        self.changed.wake()

    def _give_up(self) -> None:
        if self._awaited is not None:
            self._awaited[0].forget(self)
            self._awaited = None

    def forget(self, applicant: "PrivateStream") -> None:
        self._applicants.remove(applicant)

    async def _wait_to_come_in(self, errno_if_not: Errno) -> None:
        """Until the connection is there: its own error, or `errno_if_not` where nobody waits (any longer)."""
        deadline_ns = deadline_after(self.write_timeout_ns)
        while self._awaited is not None:
            if self.is_nonblocking or has_passed(deadline_ns):
                raise LinuxError(errno_if_not)
            await sleep_until(self, Poll(Poll.OUT), deadline_ns)
        self._is_news = False
        self.take_error()

    def _new_pair(self, to: Endpoint) -> host_socket.socket:
        """Connect; the other end is the caller's."""
        with host_errors():
            mine, other = sockets.new_pair()
        self._take_name(to)
        self.peer = to
        self._become(mine)
        return other

    def _take_name(self, to: Endpoint) -> None:
        """The one that those we connect to see."""
        self.bind_automatically(self.source_for(to))
        if self.own.ip.is_unspecified:
            self.bound = self.own._replace(ip=self.source_for(to))

    def peer_name(self) -> bytes:
        if self.peer is not None and self._state == _CLOSE:
            raise LinuxError(Errno.ENOTCONN)
        return self.peer_address()

    def peer_address(self) -> bytes:
        """Also of a connection that is over."""
        name = super().peer_name()
        return name if self._outer_peer is None else self.unparse_endpoint(self._outer_peer)

    def _become(self, host: host_socket.socket) -> None:
        """Go on with another socket of the host, and tell those who watch the one so far."""
        with self.changing_source():
            self.host, self.fd = host, host.fileno()
            self._readiness = Readiness(self.fd)
        self.changed.wake()

    def shutdown(self, how: int) -> None:
        if self.is_listening and how in (SHUT.RD, SHUT.RDWR):
            self._stop_listening()
            self.changed.wake()
            return
        finished, deaf = self.has_finished or how != SHUT.RD, self._is_deaf or how != SHUT.WR
        if self.peer is None or not deaf:
            super().shutdown(how)
        elif finished:  # what comes now breaks the connection off
            super().shutdown(SHUT.RDWR)
        self.has_finished, self._is_deaf = finished, deaf
        self.changed.wake()

    @property
    def _state(self) -> int:
        """Of a listener or a connection. What goes from one end to the other is there at once, and none of them lingers."""
        if self.is_listening:
            return _LISTEN
        if self._is_reset:
            return _CLOSE
        if self._peer_has_finished:
            return _CLOSE if self.has_finished else _CLOSE_WAIT
        return _FIN_WAIT2 if self.has_finished else _ESTABLISHED

    @property
    def _peer_has_finished(self) -> bool:
        """Of an end that is the application's the host tells, as long as anything could be received."""
        if self.other_end is not None:
            other = self.other_end()
            return other is None or other.has_finished
        return not self._is_deaf and Poll.RDHUP in super().poll()

    # -- options and readiness --------------------------------------------------------------------------

    def get_option(self, level: int, option: int, length: int) -> bytes:
        if level == SOL.SOCKET and option == SO.ACCEPTCONN:
            return from_int(int(self.is_listening))[:length]
        value = super().get_option(level, option, length)
        if level == SOL.TCP and option == TCP.INFO and (self.is_listening or self.peer is not None):
            value = bytes([self._state])[:length] + value[1:]  # not that of the one that keeps the options
        return value

    @property
    def settings(self) -> host_socket.socket:
        if self._settings is None:
            with host_errors():
                self._settings = sockets.new_socket(self.family, self.kind, 0)
        return self._settings

    def poll(self) -> Poll:
        if self.is_listening:
            return Poll(Poll.IN | Poll.RDNORM if self._embryos else 0)
        if self._awaited is not None:
            return Poll(0)
        if self.error is not None:
            return Poll(Poll.IN | Poll.OUT | Poll.RDNORM | Poll.WRNORM | Poll.ERR | Poll.HUP | Poll.RDHUP)
        mask = super().poll()
        return Poll(mask | _END) if self._is_deaf else mask

    def send_nowait(self, message: "Outgoing") -> int:
        self._require_in()
        return super().send_nowait(message)

    def receive_nowait(self, dst: "Buffer", flags: MSG) -> "Received":
        if self._is_reset and self.error is not None and (early := self._receive_early(dst, flags)).length:
            return early
        self._require_in()
        if not self._is_deaf:
            return super().receive_nowait(dst, flags)
        try:  # what comes all the same can be read
            return super().receive_nowait(dst, flags)
        except WouldBlock:
            return Received(0)

    def _receive_early(self, dst: "Buffer", flags: MSG) -> "Received":
        """What came before the other end has broken off. The host says so itself if that one had not read all."""
        try:
            return super().receive_nowait(dst, flags)
        except LinuxError:
            self.error = None
            raise

    def _require_in(self) -> None:
        if self._awaited is not None:
            raise WouldBlock
        self.take_error()

    def source(self, events: Poll) -> Source:
        if self.is_listening or self._awaited is not None:
            return Source(self.changed)
        return super().source(events) | Source(self.changed)
