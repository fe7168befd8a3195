"""UNIX sockets that connect: what they have in common, and sequences of packets; streams are in stream.py.

Sources: unix(7); Linux net/unix/af_unix.c (unix_stream_connect, unix_stream_sendmsg, unix_stream_read_generic,
unix_release_sock).
"""

from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING, ClassVar

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.poll import Poll
from aionoah.abi.socket import MSG, SOMAXCONN
from aionoah.fs.file import WouldBlock, deadline_after, has_passed
from aionoah.host.waiting import Source, sleep_on
from aionoah.net.socket import SHUT_BOTH, SHUT_RECEIVE, SHUT_SEND, Outgoing, Received, caller_identity
from aionoah.net.unix import address as addresses
from aionoah.net.unix.accounting import packet_cost
from aionoah.net.unix.host import HostEnd
from aionoah.net.unix.socket import CAN_READ, CAN_WRITE, UnixSocket

if TYPE_CHECKING:
    from aionoah.fs.context import FsContext
    from aionoah.memory.buffer import Buffer
    from aionoah.net.network import Network
    from aionoah.net.unix.host import HostSocket


class State(Enum):
    """Of a socket that connects. CLOSED → LISTENING, or CLOSED → CONNECTED, which it stays."""

    CLOSED = auto()
    LISTENING = auto()
    CONNECTED = auto()


class ConnectionSocket(UnixSocket):
    """What both types do alike: connect, listen, accept, and end."""

    host_servers: ClassVar = False  # whether there are servers of the host for this type

    def __init__(self, network: "Network", family: int, kind: int, protocol: int, flags: int = 0) -> None:
        super().__init__(network, family, kind, protocol, flags)
        self.state = State.CLOSED
        self.backlog = 0
        self.embryos: deque[ConnectionSocket] = deque()  # connections that nobody has accepted yet
        self.accepted = self.writable  # woken when there is room for another one
        self.host_end: HostEnd | None = None  # in place of a peer
        self.host_path = b""  # where it was found

    # -- making connections -----------------------------------------------------------------------------

    @property
    def is_listening(self) -> bool:
        return self.state is State.LISTENING

    def listen(self, backlog: int) -> None:
        if not self.path or self.state is State.CONNECTED:
            raise LinuxError(Errno.EINVAL)
        self.backlog = min(backlog & 0xFFFF_FFFF, SOMAXCONN)
        self.state = State.LISTENING
        self.peer_identity = caller_identity()  # what those who connect are told
        self.accepted.wake()

    async def connect(self, address: bytes, fs: "FsContext") -> None:
        path = addresses.parse_target(address)
        if self.passes_identity:
            self.bind_automatically()
        if self.host_servers and (server := addresses.find_host(self.network, path, fs)) is not None:
            self._join_host(server, path)
            return
        deadline_ns = deadline_after(self.write_timeout_ns)
        while True:
            listener = addresses.find(self.network, path, self.kind, fs)
            if (
                not isinstance(listener, ConnectionSocket)
                or not listener.is_listening
                or listener.shut & SHUT_RECEIVE
            ):
                raise LinuxError(Errno.ECONNREFUSED)
            if len(listener.embryos) <= listener.backlog:
                break
            if self.is_nonblocking or has_passed(deadline_ns):
                raise LinuxError(Errno.EAGAIN)
            await self._wait_for(listener, deadline_ns)
        self._require_closed()
        self._join(listener)

    def _join_host(self, server: "HostSocket", path: bytes) -> None:
        """From now on, what waits for this socket waits for the host's."""
        self._require_closed()
        end = HostEnd(server)
        with self.changing_source():
            self.host_end, self.host_path = end, path
            self.state = State.CONNECTED
        self.wake_all()

    def _require_closed(self) -> None:
        if self.state is not State.CLOSED:
            raise LinuxError(Errno.EISCONN if self.state is State.CONNECTED else Errno.EINVAL)

    async def _wait_for(self, listener: "ConnectionSocket", deadline_ns: int | None) -> None:
        self.hold()
        try:
            await sleep_on(Source(listener.accepted), deadline_ns)
        except LinuxError as error:
            if deadline_ns is not None and error.errno is Errno.ERESTARTSYS:
                raise LinuxError(Errno.EINTR) from None
            raise
        finally:
            self.drop()

    def _join(self, listener: "ConnectionSocket") -> None:
        """Make the other end, which waits to be accepted."""
        embryo = type(self)(self.network, self.family, self.kind, self.protocol)
        embryo.path = listener.path
        embryo.passes_credentials, embryo.passes_pidfd = listener.passes_credentials, listener.passes_pidfd
        embryo.peer_identity = caller_identity()
        self.peer_identity = listener.peer_identity
        self.pair_with(embryo)
        embryo.listener = listener
        listener.embryos.append(embryo)
        listener.readable.wake()

    def pair_with(self, other: "ConnectionSocket") -> None:
        self.peer, other.peer = other, self
        self.state = other.state = State.CONNECTED

    def accept_nowait(self) -> "tuple[UnixSocket, bytes]":
        if not self.is_listening:
            raise LinuxError(Errno.EINVAL)
        if not self.embryos:
            if self.shut & SHUT_RECEIVE and not self.is_nonblocking:
                raise LinuxError(Errno.EINVAL)
            raise WouldBlock
        embryo = self.embryos.popleft()
        embryo.listener = None
        self.accepted.wake()
        return embryo, embryo.peer_name() if embryo.peer is not None else addresses.UNNAMED

    def purge(self) -> None:
        super().purge()
        while self.embryos:
            embryo = self.embryos.popleft()
            embryo.listener = None
            if embryo.peer is not None:
                embryo.peer.fail(Errno.ECONNRESET)
            embryo.drop()
        self.accepted.wake()

    # -- the end ----------------------------------------------------------------------------------------

    def disconnect(self) -> None:
        """The peer reads what is there, then the end; an error if something sent to us is lost."""
        if self.host_end is not None:
            self.host_end.close()
        peer = self.peer
        if peer is None or peer.is_dead:
            return
        if len(self.packets) > 1 or self.available():  # an empty one does not count
            peer.error = Errno.ECONNRESET
        peer.shut_down(SHUT_BOTH)

    def shutdown(self, how: int) -> None:
        if self.host_end is not None:
            self.host_end.shut_down(how)
        else:
            super().shutdown(how)

    def peer_name(self) -> bytes:
        return super().peer_name() if self.host_end is None else addresses.unparse(self.host_path)

    def available(self) -> int:
        return super().available() if self.host_end is None else self.host_end.waiting_bytes()

    def source(self, events: Poll) -> Source:
        return super().source(events) if self.host_end is None else self.host_end.source(events)

    def shut_down(self, bits: int) -> None:
        super().shut_down(bits)
        if self.peer is not None and not self.is_dead:
            theirs = (SHUT_SEND if bits & SHUT_RECEIVE else 0) | (SHUT_RECEIVE if bits & SHUT_SEND else 0)
            self.peer.shut |= theirs
            self.peer.wake_all()

    def poll(self) -> Poll:
        if self.host_end is not None:
            return self.host_end.poll()
        mask = self.poll_queue()
        if self.embryos:
            mask |= CAN_READ
        if self.state is State.CLOSED:
            mask |= Poll.HUP
        if not self.is_listening and self.is_writable_now:
            mask |= CAN_WRITE
        return Poll(mask)

    def require_peer(self) -> UnixSocket:
        """ENOTCONN."""
        if self.peer is None:
            raise LinuxError(Errno.ENOTCONN)
        return self.peer


class SequencedPacketSocket(ConnectionSocket):
    """Packets in order, whole ones."""

    def send_nowait(self, message: Outgoing) -> int:
        self.take_error()
        if self.state is not State.CONNECTED:
            raise LinuxError(Errno.ENOTCONN)
        if MSG.OOB in message.flags:
            raise LinuxError(Errno.EOPNOTSUPP)
        if self.passes_identity:
            self.bind_automatically()
        peer = self.require_peer()
        length = message.src.length
        if length > self.options.send_buffer - 32:
            raise LinuxError(Errno.EMSGSIZE)
        if self.shut & SHUT_SEND or peer.is_dead or peer.shut & SHUT_RECEIVE:
            raise LinuxError(Errno.EPIPE)  # without a signal
        if not self.has_room:
            raise WouldBlock
        data = message.src.take() if length else b""
        if len(data) < length:
            raise LinuxError(Errno.EFAULT)
        if (passed := peer.filtered(data)) is not None:
            peer.deliver(self.packet(message, passed, packet_cost(length), peer))
        return length

    def receive_nowait(self, dst: "Buffer", flags: MSG) -> Received:
        if self.state is not State.CONNECTED:
            raise LinuxError(Errno.ENOTCONN)
        if MSG.OOB in flags:
            raise LinuxError(Errno.EOPNOTSUPP)
        self.take_error()
        if (found := self.find_packet(flags)) is not None:
            return self.receive_packet(dst, flags, *found)
        if self.shut & SHUT_RECEIVE:
            return Received(0)
        raise WouldBlock
