"""UNIX datagram sockets (unix(7); Linux net/unix/af_unix.c: unix_dgram_sendmsg, unix_dgram_connect)."""

from typing import TYPE_CHECKING, ClassVar

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.poll import Poll
from aionoah.abi.socket import AF, MSG
from aionoah.fs.file import WouldBlock
from aionoah.host.waiting import Source
from aionoah.net.socket import SHUT_RECEIVE, SHUT_SEND, Outgoing, Received, family_of
from aionoah.net.unix import address as addresses
from aionoah.net.unix.accounting import packet_cost
from aionoah.net.unix.socket import CAN_WRITE, UnixSocket

if TYPE_CHECKING:
    from aionoah.fs.context import FsContext
    from aionoah.memory.buffer import Buffer


class DatagramSocket(UnixSocket):
    """Packets to anybody who has a name."""

    max_packets: ClassVar = 10  # net.unix.max_dgram_qlen: more than that wait for the receiver

    # -- peers ------------------------------------------------------------------------------------------

    async def connect(self, address: bytes, fs: "FsContext") -> None:
        if family_of(address) == AF.UNSPEC:
            self._change_peer(None)
            return
        path = addresses.parse_target(address)
        if self.passes_identity:
            self.bind_automatically()
        other = addresses.find(self.network, path, self.kind, fs)
        self._require_may_send(other)
        self._change_peer(other)

    def _require_may_send(self, other: UnixSocket) -> None:
        """One that is connected takes packets from its peer only."""
        if other.peer is not None and other.peer is not self:
            raise LinuxError(Errno.EPERM)

    def _change_peer(self, other: UnixSocket | None) -> None:
        old = self.peer
        if old is other:
            return
        with self.changing_source():  # whoever waits for room waits for the peer, too
            self.peer = other
        if old is None:
            return
        if self.packets:
            self.purge()
            self.has_received()
        if not old.is_dead and old.peer is self:
            old.fail(Errno.ECONNRESET)

    def pair_with(self, other: "DatagramSocket") -> None:
        self.peer, other.peer = other, self

    def disconnect(self) -> None:
        """Nobody can send here any more, and whoever waits to is told."""
        self.readable.wake()
        self.writable.wake()

    # -- messages ---------------------------------------------------------------------------------------

    def send_nowait(self, message: Outgoing) -> int:
        if MSG.OOB in message.flags:
            raise LinuxError(Errno.EOPNOTSUPP)
        self.take_error()
        if self.passes_identity:
            self.bind_automatically()
        path = addresses.parse_target(message.address) if message.address else None
        length = message.src.length
        if length > self.options.send_buffer - 32:
            raise LinuxError(Errno.EMSGSIZE)
        if self.shut & SHUT_SEND:
            raise LinuxError(Errno.EPIPE)
        if not self.has_room:  # where it goes is looked at with the packet in hand
            raise WouldBlock
        other = self._receiver(path, message)
        if self._is_full(other):
            raise WouldBlock
        data = message.src.take() if length else b""
        if len(data) < length:
            raise LinuxError(Errno.EFAULT)
        if (passed := other.filtered(data)) is not None:
            other.deliver(self.packet(message, passed, packet_cost(length), other))
        return length

    def _receiver(self, path: bytes | None, message: Outgoing) -> UnixSocket:
        if path is not None:
            other = addresses.find(self.network, path, self.kind, message.fs)
        elif self.peer is None:
            raise LinuxError(Errno.ENOTCONN)
        elif self.peer.is_dead:
            self._change_peer(None)
            raise LinuxError(Errno.ECONNREFUSED)
        else:
            other = self.peer
        self._require_may_send(other)
        if other.shut & SHUT_RECEIVE:
            raise LinuxError(Errno.EPIPE)
        return other

    def _is_full(self, other: UnixSocket) -> bool:
        """Two that are connected to each other have no limit but their buffers."""
        return other is not self and other.peer is not self and len(other.packets) > other.max_packets

    def send_source(self, message: Outgoing) -> Source:
        other = self.peer
        if message.address:
            other = addresses.find(
                self.network, addresses.parse_target(message.address), self.kind, message.fs
            )
        return Source(self.writable, *([other.writable] if other is not None else []))

    def has_received(self) -> None:
        """Those who wait for room here sleep on our `writable`."""
        if len(self.packets) <= self.max_packets:
            self.writable.wake()

    def receive_nowait(self, dst: "Buffer", flags: MSG) -> Received:
        if MSG.OOB in flags:
            raise LinuxError(Errno.EOPNOTSUPP)
        self.take_error()
        if (found := self.find_packet(flags)) is not None:
            return self.receive_packet(dst, flags, *found)
        if self.shut & SHUT_RECEIVE and not (self.is_nonblocking or MSG.DONTWAIT in flags):
            return Received(0)
        raise WouldBlock

    def available(self) -> int:
        return self.packets[0].length if self.packets else 0

    # -- readiness --------------------------------------------------------------------------------------

    def poll(self) -> Poll:
        mask = self.poll_queue()
        if self.is_writable_now and not (self.peer is not None and self._is_full(self.peer)):
            mask |= CAN_WRITE
        return Poll(mask)

    def source(self, events: Poll) -> Source:
        source = super().source(events)
        if events & Poll.OUT and self.peer is not None:
            return source | Source(self.peer.writable)
        return source
