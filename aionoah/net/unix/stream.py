"""UNIX streams: bytes in order, and an urgent one among them.

Sources: unix(7); Linux net/unix/af_unix.c (unix_stream_sendmsg, unix_stream_read_generic, queue_oob, manage_oob,
unix_stream_recv_urg).
"""

from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ioctl import IOCTL
from aionoah.abi.poll import Poll
from aionoah.abi.socket import MSG, SO
from aionoah.fs.file import BrokenPipe, WouldBlock
from aionoah.net.options import as_int, from_int
from aionoah.net.socket import NO_FLAGS, SHUT_RECEIVE, SHUT_SEND, Outgoing, Received, receive
from aionoah.net.unix.accounting import segment_cost, segment_limit
from aionoah.net.unix.connection import ConnectionSocket, State
from aionoah.net.unix.rights import drop_files
from aionoah.net.unix.socket import Packet, UnixSocket

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterable

    from aionoah.fs.file import File
    from aionoah.memory.buffer import Buffer
    from aionoah.net.network import Network


class StreamSocket(ConnectionSocket):
    """Bytes in order. Packets are segments here: they keep apart what came with different files."""

    host_servers = True

    def __init__(self, network: "Network", family: int, kind: int, protocol: int, flags: int = 0) -> None:
        super().__init__(network, family, kind, protocol, flags)
        self.urgent: Packet | None = None  # among those that wait

    def send_nowait(self, message: Outgoing) -> int:
        if self.host_end is not None:
            return self.host_end.send(message)
        is_urgent = MSG.OOB in message.flags
        if is_urgent and not message.src.length:
            raise LinuxError(Errno.EOPNOTSUPP)
        if message.address:
            raise LinuxError(Errno.EISCONN if self.state is State.CONNECTED else Errno.EOPNOTSUPP)
        peer = self.require_peer()
        assert isinstance(peer, StreamSocket)  # noqa: S101 - both ends are of one kind
        self._require_reader(peer)
        if not message.src.length:
            return 0
        if not self.has_room:
            raise WouldBlock
        room = self.options.send_buffer
        limit = segment_limit(room)
        data = message.src.take(room - self.used + limit)  # no more can fit
        end = len(data) - (is_urgent and len(data) == message.src.length)  # the last byte is the urgent one
        sent, files = 0, message.files
        while sent < end and self.has_room:
            part = data[sent : min(sent + limit, end)] if len(data) > limit or is_urgent else data
            peer.deliver(self.packet(message, part, segment_cost(len(part)), peer))
            message.files = ()
            sent += len(part)
        if sent == end < len(data) and self.has_room:
            packet = self.packet(message, data[end:], segment_cost(1), peer)
            peer.urgent = packet  # one before becomes a byte like others
            peer.deliver(packet)
            sent += 1
        message.files = files
        return sent

    def _require_reader(self, peer: UnixSocket) -> None:
        """EPIPE, with SIGPIPE."""
        if self.shut & SHUT_SEND or peer.is_dead or peer.shut & SHUT_RECEIVE:
            raise BrokenPipe

    def receive_nowait(self, dst: "Buffer", flags: MSG) -> Received:
        if self.host_end is not None:
            return self.host_end.receive(dst, flags)
        if self.state is not State.CONNECTED:
            raise LinuxError(Errno.EINVAL)
        if MSG.OOB in flags:
            return self._receive_urgent(dst, flags)
        peek = bool(flags & MSG.PEEK)
        packets, skipped = self._after_mark(peek=peek), 0
        if peek and self.peek_offset > 0:
            packets, skipped = _after(packets, self.peek_offset)
        if not packets:
            self.take_error()
            if self.shut & SHUT_RECEIVE:
                return Received(0, control=self.control_of(None))
            raise WouldBlock
        first, parts = packets[0], self._parts(packets, skipped + dst.length)
        count = dst.fill(_joined(parts)[skipped:]) if dst.length else 0
        files = self._consume(parts, skipped + count, peek=peek)
        self.move_peek_offset(count if peek else -count)
        return Received(count, first.address, self.control_of(first), files, process=self.process_of(first))

    async def read(self, dst: "Buffer") -> int:
        """Where SO_RCVLOWAT has been set."""
        if not dst.length:
            return 0
        received = await receive(self, dst, NO_FLAGS)
        for file in received.files:  # nobody to give them to
            file.drop()
        return received.length

    def set_option(self, level: int, option: int, value: bytes) -> None:
        super().set_option(level, option, value)
        if option == SO.RCVLOWAT:
            self.least = as_int(self.options.get(option))
            self.reads_itself = self.least > 1

    def _receive_urgent(self, dst: "Buffer", flags: MSG) -> Received:
        """The urgent byte out of its order. What is left of it marks its place (SIOCATMARK)."""
        packet = self.urgent
        if packet is None or self.options.is_set(SO.OOBINLINE):
            raise LinuxError(Errno.EINVAL)
        count = dst.fill(packet.data[:1]) if dst.length else 0
        if MSG.PEEK not in flags:
            self.urgent = None
            packet.start = len(packet.data)
        return Received(count, packet.address, self.control_of(packet), (), MSG.OOB, self.process_of(packet))

    def _after_mark(self, *, peek: bool) -> "list[Packet] | deque[Packet]":
        """What can be read: the mark in front goes, and an urgent byte there that nobody wanted (manage_oob)."""
        packets = self.packets
        while packets and (packets[0] is self.urgent or not packets[0].length):
            first = packets[0]
            is_inline = first is self.urgent and self.options.is_set(SO.OOBINLINE)
            if peek:
                return packets if is_inline else list(packets)[1:]
            self.urgent = None if first is self.urgent else self.urgent
            if is_inline:
                break
            packets.popleft()
            drop_files(first.files, self)
            first.free()
        return packets

    @property
    def is_at_mark(self) -> bool:
        """Whether the next byte to be read is the urgent one, or would be."""
        if not self.packets:
            return False
        first = self.packets[0]
        is_next = len(self.packets) > 1 and self.packets[1] is self.urgent
        return first is self.urgent or (not first.length and (self.urgent is None or is_next))

    def _parts(self, packets: "list[Packet] | deque[Packet]", limit: int) -> "list[tuple[Packet, int]]":
        """What one call reads: up to the end of the first packet with files, or before an urgent byte or its mark,
        or one of another sender.
        """
        first = packets[0]
        if len(packets) == 1 or first.length >= limit or first.files:
            return [(first, min(first.length, limit))]
        parts: list[tuple[Packet, int]] = []
        for packet in packets:
            if not limit or (parts and (packet is self.urgent or not packet.length)):
                break
            if parts and self.passes_identity and packet.identity.credentials != first.identity.credentials:
                break
            length = min(packet.length, limit)
            parts.append((packet, length))
            limit -= length
            if packet.files:
                break
        return parts

    def _consume(self, parts: "list[tuple[Packet, int]]", count: int, *, peek: bool) -> "tuple[File, ...]":
        """Take bytes from the front; the files that come with them."""
        files: tuple[File, ...] = ()
        for packet, length in parts:
            if not count or files:
                break
            taken = min(length, count)
            count -= taken
            files = self.take_files(packet, peek=peek)
            if peek:
                continue
            packet.start += taken
            if not packet.length:
                self.packets.popleft()
                packet.free()
        return files

    def poll(self) -> Poll:
        mask = super().poll()
        return mask if self.urgent is None else Poll(mask | Poll.PRI)

    def ioctl(self, request: int, argument: bytes | int) -> bytes:
        if request == IOCTL.SIOCATMARK:
            return from_int(int(self.is_at_mark))
        return super().ioctl(request, argument)


def _after(packets: "Iterable[Packet]", offset: int) -> "tuple[list[Packet], int]":
    """The packets without so many bytes at their front, and how many of these the first one has."""
    rest = list(packets)
    while rest and offset >= rest[0].length:
        offset -= rest.pop(0).length
    return rest, offset


def _joined(parts: "list[tuple[Packet, int]]") -> bytes | memoryview:
    if len(parts) == 1:
        packet, length = parts[0]
        return memoryview(packet.data)[packet.start : packet.start + length]
    return b"".join(packet.data[packet.start : packet.start + length] for packet, length in parts)
