"""What UNIX sockets of all three types share (unix(7); Linux net/unix/af_unix.c)."""

from collections import deque
from time import time_ns
from typing import TYPE_CHECKING, ClassVar, Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ioctl import IOCTL
from aionoah.abi.poll import Poll
from aionoah.abi.socket import MSG, SCM, SO, SOL, Ucred
from aionoah.fs.stdio import Exchange
from aionoah.host.waiting import Source, WaitQueue
from aionoah.net.inet import interfaces
from aionoah.net.options import LocalOptions, as_int, from_int, get_common, set_common
from aionoah.net.socket import (
    OVERFLOW_ID,
    QUEUE_EXCHANGES,
    SHUT_BITS,
    SHUT_BOTH,
    SHUT_RECEIVE,
    Control,
    Identity,
    Outgoing,
    Received,
    Socket,
    caller_has,
    caller_identity,
    named,
)
from aionoah.net.timestamps import stamp
from aionoah.net.unix import address as addresses
from aionoah.net.unix.rights import collect, drop_files, receive_files, send_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aionoah.fs.context import FsContext
    from aionoah.fs.file import File
    from aionoah.fs.path import Dentry
    from aionoah.memory.buffer import Buffer
    from aionoah.net.network import Network, Place
    from aionoah.process.task import Process

CAN_READ: Final = Poll.IN | Poll.RDNORM
CAN_WRITE: Final = Poll.OUT | Poll.WRNORM | Poll.WRBAND
_READING: Final = CAN_READ | Poll.PRI | Poll.RDBAND  # the end of what comes wakes both queues
_UNKNOWN: Final = Ucred(0, 0xFFFF_FFFF, 0xFFFF_FFFF)
_NOBODY: Final = Identity(Ucred(0, OVERFLOW_ID, OVERFLOW_ID))


class Packet:
    """One sk_buff: bytes that wait in a queue, and what comes with them."""

    __slots__ = ("came_ns", "cost", "data", "files", "identity", "is_peeked", "sender", "start")

    def __init__(
        self,
        sender: "UnixSocket",
        data: bytes,
        cost: int,
        files: "tuple[File, ...]",
        identity: Identity | None,
    ) -> None:
        self.sender = sender
        self.data = data
        self.start = 0  # bytes of a stream's packet that have been read
        self.is_peeked = False  # an empty one, by a peek with an offset
        self.cost = cost  # of the sender's buffer, until the packet is gone
        self.files = files
        self.identity = identity or _NOBODY
        self.came_ns = 0  # if its receiver wants to be told

    @property
    def length(self) -> int:
        return len(self.data) - self.start

    @property
    def address(self) -> bytes:
        """Of the sender, who may have got it later."""
        return self.sender.address

    def free(self) -> None:
        """The packet is gone, its files are somebody's: give the sender its room back."""
        self.sender.give_room(self.cost)


class UnixSocket(Socket):
    """A UNIX socket. Subclasses say how it connects and how messages lie in its queue."""

    max_packets: ClassVar = 1 << 30

    def __init__(self, network: "Network", family: int, kind: int, protocol: int, flags: int = 0) -> None:
        super().__init__(network, family, kind, protocol, flags)
        self.path = b""  # sun_path of its name; b"" without one
        self.peer: UnixSocket | None = None
        self.shut = 0
        self.error: Errno | None = None  # reported once
        self.is_dead = False
        self.passes_credentials = False
        self.passes_pidfd = False
        self.peek_offset = -1  # where MSG_PEEK begins; from 0 on it goes forth and back with what is read
        self.options = LocalOptions()
        self.packets: deque[Packet] = deque()
        self.used = 0  # of the send buffer: what others have not received yet
        self.readable = WaitQueue()
        self.writable = WaitQueue()
        self._dentry: Dentry | None = None  # keeps the inode of a path
        self.place: Place | None = None
        self.listener: UnixSocket | None = None  # whose queue this one waits in to be accepted

    # -- lifetime ---------------------------------------------------------------------------------------

    @property
    def references(self) -> int:
        return self._references

    def drop(self) -> None:
        super().drop()
        if self._references:
            collect(self)

    def release(self) -> None:
        self.is_dead = True
        self._forget_name()
        self.disconnect()
        self.purge()

    def disconnect(self) -> None:
        """Leave the peer, at the end."""

    def purge(self) -> None:
        """Drop what waits to be received."""
        while self.packets:
            packet = self.packets.popleft()
            drop_files(packet.files, self)
            packet.free()

    # -- names ------------------------------------------------------------------------------------------

    @property
    def address(self) -> bytes:
        """What receivers see as the sender: nothing of a socket without a name."""
        return addresses.unparse(self.path) if self.path else b""

    def name(self) -> bytes:
        return addresses.unparse(self.path)

    def peer_name(self) -> bytes:
        if self.peer is None:
            raise LinuxError(Errno.ENOTCONN)
        return addresses.unparse(self.peer.path)

    def bind(self, address: bytes, fs: "FsContext") -> None:
        path = addresses.parse(address)
        if not path:
            self.bind_automatically()
        elif path.startswith(b"\0"):
            self._require_unbound()
            if (self.kind, path) in self.network.abstract:
                raise LinuxError(Errno.EADDRINUSE)
            self._take_abstract_name(path)
        else:
            if self.path:
                addresses.require_free(fs, path)
            self._require_unbound()
            dentry = addresses.make(fs, path)
            self._dentry, self.path = dentry, path
            self.place = dentry.inode.filesystem, dentry.inode.attributes().ino
            self.network.places[self.place] = self

    def bind_automatically(self) -> None:
        """Take an abstract name that nobody has, unless there is a name already."""
        if not self.path:
            self._take_abstract_name(self.network.automatic_name(self.kind))

    def _require_unbound(self) -> None:
        if self.path:
            raise LinuxError(Errno.EINVAL)

    def _take_abstract_name(self, path: bytes) -> None:
        self.path = path
        self.network.abstract[self.kind, path] = self

    def _forget_name(self) -> None:
        if self.place is not None:
            if self.network.places.get(self.place) is self:  # the number may be another's by now
                del self.network.places[self.place]
            self._dentry = self.place = None
        elif self.network.abstract.get((self.kind, self.path)) is self:
            del self.network.abstract[self.kind, self.path]

    # -- room and readiness -----------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether a sender goes on; `is_writable_now` is stricter, so that it is not woken for little."""
        return self.used < self.options.send_buffer

    @property
    def is_writable_now(self) -> bool:
        return self.used << 2 <= self.options.send_buffer

    def give_room(self, cost: int) -> None:
        self.used -= cost
        if self.is_writable_now:
            self.writable.wake()

    def fail(self, error: Errno) -> None:
        """What the next call reports."""
        self.error = error
        self.wake_all()

    def take_error(self) -> None:
        """Raise what happened since somebody looked."""
        if self.error is not None:
            error, self.error = self.error, None
            raise LinuxError(error)

    def wake_all(self) -> None:
        self.readable.wake()
        self.writable.wake()

    def source(self, events: Poll) -> Source:
        """Apart from each other, because edge-triggered writers do not want to hear of what comes."""
        if not events & CAN_WRITE:
            return Source(self.readable)
        return Source(self.readable, self.writable) if events & _READING else Source(self.writable)

    def shutdown(self, how: int) -> None:
        if how not in SHUT_BITS:
            raise LinuxError(Errno.EINVAL)
        self.shut_down(SHUT_BITS[how])

    def shut_down(self, bits: int) -> None:
        self.shut |= bits
        self.wake_all()

    def poll_queue(self) -> int:
        mask = Poll.ERR if self.error is not None else 0
        if self.shut == SHUT_BOTH:
            mask |= Poll.HUP
        if self.shut & SHUT_RECEIVE:
            mask |= Poll.RDHUP | CAN_READ
        if self.packets:
            mask |= CAN_READ
        return mask

    # -- messages ---------------------------------------------------------------------------------------

    def packet(self, message: Outgoing, data: bytes, cost: int, receiver: "UnixSocket") -> Packet:
        """A message for a receiver. Its files are held from now on."""
        files = message.files
        if files:
            files = send_files(files, receiver)
        identity = message.identity
        if identity is None and (self.passes_identity or receiver.passes_identity):
            identity = caller_identity()
        self.used += cost
        packet = Packet(self, data, cost, files, identity)
        if receiver.options.stamp:
            packet.came_ns = time_ns()
        return packet

    def deliver(self, packet: Packet) -> None:
        """Put a packet into this queue."""
        self.packets.append(packet)
        self.readable.wake()

    @property
    def passes_identity(self) -> bool:
        """Whether receivers are told who has sent something."""
        return self.passes_credentials or self.passes_pidfd

    def control_of(self, packet: Packet | None) -> tuple[Control, ...]:
        """What comes with a packet besides, or with the end of a stream, which nobody has sent."""
        if not self.passes_credentials:
            return ()
        identity = _NOBODY if packet is None else packet.identity
        return (Control(SOL.SOCKET, SCM.CREDENTIALS, named(identity.credentials).pack()),)

    def process_of(self, packet: Packet) -> "Process | None":
        """Who has sent it, if this is to be told by a descriptor."""
        return packet.identity.process if self.passes_pidfd else None

    def take_files(self, packet: Packet, *, peek: bool) -> "tuple[File, ...]":
        """The files of a packet for its receiver; for one who only peeks, references of his own."""
        if not packet.files:
            return ()
        if peek:
            return tuple(file.hold() for file in packet.files)
        files, packet.files = packet.files, ()
        receive_files(files, self)
        return files

    def find_packet(self, flags: MSG) -> tuple[Packet, int] | None:
        """The packet to be received, and from which byte on it is looked at; None if there is none."""
        if not self.packets:
            return None
        offset = self.peek_offset
        if offset < 0 or not flags & MSG.PEEK:
            return self.packets[0], 0
        for packet in self.packets:
            if offset < packet.length or not (offset or packet.is_peeked):
                packet.is_peeked = True
                return packet, offset
            offset -= packet.length
        return None

    def receive_packet(self, dst: "Buffer", flags: MSG, packet: Packet, skipped: int) -> Received:
        """What `find_packet` has found, whole: what does not fit is lost."""
        peek = bool(flags & MSG.PEEK)
        data = packet.data[skipped:]
        try:
            count = dst.fill(data) if data and dst.length else 0
        except LinuxError:  # the packet is lost all the same
            if not peek:
                drop_files(self._take_first().files, self)
            raise
        files = self.take_files(packet, peek=peek)
        if not peek:
            self._take_first()
        self.move_peek_offset(count if peek else -len(data))
        is_cut = count < len(data)
        return Received(
            len(data) if flags & MSG.TRUNC else count,
            packet.address,
            stamp(self.options.stamp, packet.came_ns) + self.control_of(packet),
            files,
            MSG.TRUNC if is_cut else 0,
            self.process_of(packet),
        )

    def move_peek_offset(self, count: int) -> None:
        """So many bytes have been looked at, or with a negative number have gone."""
        if self.peek_offset >= 0:
            self.peek_offset = max(self.peek_offset + count, 0)

    def _take_first(self) -> Packet:
        packet = self.packets.popleft()
        packet.free()
        self.has_received()
        return packet

    def has_received(self) -> None:
        """A packet has left the queue."""

    # -- options ----------------------------------------------------------------------------------------

    def require_level(self, level: int) -> None:
        if level != SOL.SOCKET:
            raise LinuxError(Errno.EOPNOTSUPP)

    def get_option(self, level: int, option: int, length: int) -> bytes:
        self.require_level(level)
        return (get_common(self, option) or self._option(option))[:length]

    def _option(self, option: int) -> bytes:
        match option:
            case SO.ERROR:
                error, self.error = self.error, None
                return from_int(error or 0)
            case SO.ACCEPTCONN:
                return from_int(int(self.is_listening))
            case SO.PASSCRED:
                return from_int(int(self.passes_credentials))
            case SO.PASSPIDFD:
                return from_int(int(self.passes_pidfd))
            case SO.PEERCRED:
                return named(
                    _UNKNOWN if self.peer_identity is None else self.peer_identity.credentials
                ).pack()
            case SO.PEEK_OFF:
                return from_int(self.peek_offset)
            case _:
                return self.options.get(option)

    def set_option(self, level: int, option: int, value: bytes) -> None:
        if level != SOL.SOCKET:
            raise LinuxError(Errno.EOPNOTSUPP)
        if option == SO.PASSCRED:
            self.passes_credentials = as_int(value) != 0
        elif option == SO.PASSPIDFD:
            self.passes_pidfd = as_int(value) != 0
        elif option == SO.PEEK_OFF:
            self.peek_offset = as_int(value)
        elif not set_common(self, option, value):
            self.options.set(option, value, is_admin=caller_has(CAP.NET_ADMIN))
            self.writable.wake()

    @property
    def is_listening(self) -> bool:
        return False

    @property
    def exchanges(self) -> "Mapping[int, Exchange]":
        return _EXCHANGES

    def ioctl(self, request: int, argument: bytes | int) -> bytes:
        if request in interfaces.DEVICE_EXCHANGES:
            return interfaces.ask(self.network, request, bytes(argument))
        if request == IOCTL.SIOCATMARK:
            raise LinuxError(Errno.EOPNOTSUPP)
        if request == IOCTL.TIOCOUTQ:
            return from_int(self.used)
        if self.is_listening:
            raise LinuxError(Errno.EINVAL)
        return from_int(self.available())

    def available(self) -> int:
        """Bytes that wait to be read: all of a connection, or the next datagram."""
        return sum(packet.length for packet in self.packets)


_EXCHANGES: Final = {**QUEUE_EXCHANGES, IOCTL.SIOCATMARK: Exchange(gives=4)}
