"""What sockets of every family have in common: a file that sends and receives messages.

A family subclasses Socket. System calls see nothing else of it; addresses come and go as the bytes of a
guest's sockaddr. Sources: socket(2), socket(7), recv(2), send(2); Linux net/socket.c, net/core/sock.c.
"""

# ruff: noqa: ARG002 - defaults refuse, whatever they are asked

from itertools import count
from time import time_ns
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.ioctl import IOCTL
from aionoah.abi.socket import AF, MSG, SHUT, SOCK, Ucred
from aionoah.abi.stat import S
from aionoah.abi.statfs import MAGIC
from aionoah.fs.device_numbers import anonymous_device
from aionoah.fs.file import TO_READ, TO_WRITE, File, WouldBlock, deadline_after, has_passed
from aionoah.fs.inode import Attributes, Change, FileSystem, FileSystemStatus, Inode, changed
from aionoah.fs.stdio import Exchange
from aionoah.host.waiting import Source, sleep_on
from aionoah.memory.buffer import Buffer
from aionoah.net.inet import interfaces
from aionoah.process.current import find_current_task
from aionoah.process.user_namespaces import FIRST, NO_ID, callers_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aionoah.fs.context import FsContext
    from aionoah.net.filters import Filter
    from aionoah.net.network import Network
    from aionoah.process.task import Process

SHUT_RECEIVE: Final = 1
SHUT_SEND: Final = 2
SHUT_BOTH: Final = 3
SHUT_BITS: Final = {SHUT.RD: SHUT_RECEIVE, SHUT.WR: SHUT_SEND, SHUT.RDWR: SHUT_BOTH}
NO_FLAGS: Final = MSG(0)
_END_OF_RECORD: Final = MSG(MSG.EOR)
OVERFLOW_ID: Final = 65534  # the user and group that stand for unknown ones


class Control(NamedTuple):
    """One control message (cmsg(3)), its data without padding."""

    level: int
    kind: int
    data: bytes


class Identity(NamedTuple):
    """Who has made a connection, or sent a message."""

    credentials: Ucred
    groups: tuple[int, ...] = ()
    process: "Process | None" = None  # None for the kernel itself


class Outgoing:
    """A message to be sent."""

    __slots__ = ("address", "control", "files", "flags", "fs", "identity", "src")

    def __init__(
        self,
        src: Buffer,
        flags: MSG = NO_FLAGS,
        address: bytes | None = None,
        control: "tuple[Control, ...]" = (),
        files: "tuple[File, ...]" = (),
        identity: Identity | None = None,
        fs: "FsContext | None" = None,
    ) -> None:
        """`files` are those of SCM_RIGHTS, which stay the caller's; `identity` is that of SCM_CREDENTIALS,
        which has been checked; `control` is the rest. `fs` is what a path in `address` is looked up in.
        """
        self.src = src
        self.flags = flags
        self.address = address
        self.control = control
        self.files = files
        self.identity = identity
        self.fs = fs


class Received(NamedTuple):
    """A message that has come. The files of SCM_RIGHTS are held for the receiver, who must drop them."""

    length: int  # bytes put into the buffer, or with MSG_TRUNC what the message had
    address: bytes = b""
    control: tuple[Control, ...] = ()
    files: tuple[File, ...] = ()
    flags: int = 0  # MSG_TRUNC, MSG_EOR, MSG_OOB
    process: "Process | None" = None  # who has sent it, to be told by a descriptor (SCM_PIDFD)


class Socket(File):
    """An open file description of a socket. Defaults refuse as Linux's sock_no_… functions do."""

    signals_cut_writes = False
    asks_before_sending: ClassVar = False  # whether `prepare_send` is for more than MSG_FASTOPEN
    filter: "Filter | None" = None  # what comes in goes through it, if this is no stream
    filter_program = b""
    is_filter_locked = False
    least = 1  # bytes that are worth waking up for (SO_RCVLOWAT), where that is ours to know
    peer_identity: Identity | None = None
    _numbers: ClassVar = count(10_000)

    def __init__(self, network: "Network", family: int, kind: int, protocol: int, flags: int = 0) -> None:
        """`kind` is one of SOCK; of `flags`, O_NONBLOCK counts."""
        super().__init__(O(O.RDWR | flags & O.NONBLOCK))
        self.network = network
        self.family = family
        self.kind = kind
        self.protocol = protocol
        self.is_stream = kind == SOCK.STREAM
        self._inode: SocketInode | None = None

    def set_nonblocking(self) -> None:
        """As accept4 can have it."""
        self.flags = O(self.flags | O.NONBLOCK)

    # -- what families do -------------------------------------------------------------------------------

    def bind(self, address: bytes, fs: "FsContext") -> None:
        raise LinuxError(Errno.EOPNOTSUPP)

    def listen(self, backlog: int) -> None:
        raise LinuxError(Errno.EOPNOTSUPP)

    async def connect(self, address: bytes, fs: "FsContext") -> None:
        """Sleeps unless the socket is non-blocking, at most for `write_timeout_ns`."""
        raise LinuxError(Errno.EOPNOTSUPP)

    def accept_nowait(self) -> "tuple[Socket, bytes]":
        """A socket for the next connection, and its peer's address. WouldBlock, EINVAL if not listening."""
        raise LinuxError(Errno.EOPNOTSUPP)

    def name(self) -> bytes:
        """The sockaddr of getsockname."""
        raise LinuxError(Errno.EOPNOTSUPP)

    def peer_name(self) -> bytes:
        """The sockaddr of getpeername; ENOTCONN."""
        raise LinuxError(Errno.EOPNOTSUPP)

    def shutdown(self, how: int) -> None:
        """`how` is one of SHUT."""
        raise LinuxError(Errno.EOPNOTSUPP)

    async def prepare_send(self, message: Outgoing) -> None:
        """Find out whether a message may go where it is to go, however long that takes. LinuxError."""

    def send_nowait(self, message: Outgoing) -> int:
        """How many bytes have gone: all but of a stream. WouldBlock, BrokenPipe, LinuxError."""
        raise LinuxError(Errno.EOPNOTSUPP)

    def receive_nowait(self, dst: Buffer, flags: MSG) -> Received:
        """WouldBlock, LinuxError. A count of 0 is the end of a stream."""
        raise LinuxError(Errno.EOPNOTSUPP)

    def send_source(self, message: Outgoing) -> Source:
        """What to wait for when `send_nowait` would block."""
        return self.source(TO_WRITE)

    def require_level(self, level: int) -> None:
        """EOPNOTSUPP or ENOPROTOOPT for a level of which nothing can be asked."""

    def get_option(self, level: int, option: int, length: int) -> bytes:
        """At most `length` bytes; ENOPROTOOPT for what is not there."""
        raise LinuxError(Errno.EOPNOTSUPP)

    def set_option(self, level: int, option: int, value: bytes) -> None:
        """EINVAL for too short a value, ENOPROTOOPT."""
        raise LinuxError(Errno.EOPNOTSUPP)

    def attach_filter(self, program: bytes) -> None:
        """EINVAL; ENOPROTOOPT where there can be none. It replaces another."""
        from aionoah.net.filters import Filter  # noqa: PLC0415 - few programs have one

        self.filter = Filter(program)
        self.filter_program = program

    def detach_filter(self) -> None:
        self.filter = None
        self.filter_program = b""

    def filtered(self, packet: bytes) -> bytes | None:
        """What is left of a packet that has come; None for nothing."""
        return packet if self.filter is None else self.filter.passed(packet)

    # -- as a file --------------------------------------------------------------------------------------

    def read_nowait(self, dst: Buffer) -> int:
        if not dst.length:
            return 0
        received = self.receive_nowait(dst, NO_FLAGS)
        for file in received.files:  # nobody to give them to
            file.drop()
        return received.length

    def write_nowait(self, src: Buffer) -> int:
        return self.send_nowait(Outgoing(src, _END_OF_RECORD if self.kind == SOCK.SEQPACKET else NO_FLAGS))

    @property
    def exchanges(self) -> "Mapping[int, Exchange]":
        return {}

    def ioctl(self, request: int, argument: bytes | int) -> bytes:
        raise LinuxError(Errno.ENOTTY)

    @property
    def inode(self) -> "SocketInode":
        if self._inode is None:
            self._inode = SocketInode(next(self._numbers))
        return self._inode

    def describe(self) -> bytes:
        return b"socket:[%d]" % self.inode.attributes().ino


QUEUE_EXCHANGES: Final = {
    IOCTL.FIONREAD: Exchange(gives=4),  # SIOCINQ too
    IOCTL.TIOCOUTQ: Exchange(gives=4),  # SIOCOUTQ too
    **interfaces.DEVICE_EXCHANGES,
}


def caller_credentials() -> Ucred:
    """Who makes the present call: what a message says of its sender, and a connection of its ends.

    Linux takes it from `current`, also for a plain write. The kernel itself is root.
    """
    task = find_current_task()
    if task is None:
        return Ucred(0, 0, 0)
    return Ucred(task.process.pid, task.credentials.euid, task.credentials.egid)


def named(credentials: Ucred) -> Ucred:
    """The same as who makes the present call calls them in his user name space."""
    names = callers_names()
    if names is FIRST or credentials.uid == NO_ID:  # of nobody at all
        return credentials
    return Ucred(credentials.pid, names.uids.shown(credentials.uid), names.gids.shown(credentials.gid))


def caller_has(capability: int) -> bool:
    """Whether who makes the present call has a CAP. The kernel itself has all."""
    task = find_current_task()
    return task is None or task.credentials.has_capability(capability)


def caller_identity() -> Identity:
    """The same, and what else the other end of a connection may ask for."""
    task = find_current_task()
    if task is None:
        return Identity(caller_credentials())
    return Identity(caller_credentials(), task.credentials.groups, task.process)


# -- blocking -----------------------------------------------------------------------------------------------


async def accept(socket: Socket) -> tuple[Socket, bytes]:
    """The next connection, sleeping until there is one."""
    deadline_ns = deadline_after(socket.read_timeout_ns)
    while True:
        try:
            accepted = socket.accept_nowait()
        except WouldBlock:
            _require_patience(socket, deadline_ns, NO_FLAGS)
            await _pause(socket, socket.source(TO_READ), deadline_ns)
            continue
        if socket.crowd is not None:
            socket.crowd.pass_on()
        return accepted


async def send(socket: Socket, message: Outgoing) -> int:
    """Send, sleeping until there is room: all of it, if this is a stream.

    What has gone when an error or a signal comes is what the call returns.
    """
    sent = 0
    deadline_ns = deadline_after(socket.write_timeout_ns)
    goes_on = socket.is_stream and not _is_hasty(socket, message.flags)
    if socket.asks_before_sending or MSG.FASTOPEN in message.flags:
        await socket.prepare_send(message)
    try:
        while True:
            try:
                done = socket.send_nowait(message)
            except WouldBlock:
                if socket.space_watcher is not None:
                    socket.space_watcher.lacks_room()
                _require_patience(socket, deadline_ns, message.flags)
                await _pause(socket, socket.send_source(message), deadline_ns)
                continue
            sent += done
            if not goes_on or done >= message.src.length:
                return sent
            message.src.advance(done)
            message.files = ()  # they have gone with the first part
    except LinuxError:
        if not sent:
            raise
        return sent


async def receive(socket: Socket, dst: Buffer, flags: MSG) -> Received:
    """Receive, sleeping until there is something: of a stream as much as SO_RCVLOWAT wants, with MSG_WAITALL until the
    buffer is full.
    """
    deadline_ns = deadline_after(socket.read_timeout_ns)
    wanted = dst.length if flags & MSG.WAITALL else min(socket.least, dst.length)
    goes_on = (
        wanted > 1
        and socket.is_stream
        and not flags & (MSG.PEEK | MSG.OOB | MSG.ERRQUEUE)
        and not _is_hasty(socket, flags)
    )
    so_far: Received | None = None
    try:
        while True:
            try:
                received = socket.receive_nowait(dst, flags)
            except WouldBlock:
                _require_patience(socket, deadline_ns, flags)
                await _pause(socket, socket.source(TO_READ), deadline_ns)
                continue
            count = received.length
            if so_far is not None:
                control = so_far.control or received.control
                received = so_far._replace(
                    length=count + so_far.length, control=control, files=received.files
                )
            if not goes_on or not count or received.length >= wanted or received.files:
                return received
            so_far = received
            dst.advance(count)
    except LinuxError:
        if so_far is None:
            raise
        return so_far


def _is_hasty(socket: Socket, flags: MSG) -> bool:
    return socket.is_nonblocking or bool(flags & MSG.DONTWAIT)


def _require_patience(socket: Socket, deadline_ns: int | None, flags: MSG) -> None:
    """EAGAIN if there is to be no waiting, or no more."""
    if _is_hasty(socket, flags) or has_passed(deadline_ns):
        raise LinuxError(Errno.EAGAIN) from None


async def _pause(socket: Socket, source: Source, deadline_ns: int | None) -> None:
    """Sleep until it may be worth trying again.

    A call with a timeout is not restarted after a signal: EINTR (sock_intr_errno).
    """
    socket.hold()
    try:
        await sleep_on(source, deadline_ns)
    except LinuxError as error:
        if deadline_ns is not None and error.errno is Errno.ERESTARTSYS:
            raise LinuxError(Errno.EINTR) from None
        raise
    finally:
        socket.drop()


# -- the inode ----------------------------------------------------------------------------------------------


class _SocketFileSystem(FileSystem):
    type_name = b"sockfs"
    device = anonymous_device()

    def status(self) -> FileSystemStatus:
        return FileSystemStatus(MAGIC.SOCKFS)


_sockfs: Final = _SocketFileSystem()


class SocketInode(Inode):
    """What fstat of a socket shows. It cannot be opened again: ENXIO, Inode's default."""

    filesystem = _sockfs

    def __init__(self, number: int) -> None:
        owner = caller_credentials()
        now = time_ns()
        self._attributes = Attributes(
            S.IFSOCK | S.IRWXUGO,
            number,
            _sockfs.device,
            uid=owner.uid,
            gid=owner.gid,
            atime_ns=now,
            mtime_ns=now,
            ctime_ns=now,
        )

    def attributes(self) -> Attributes:
        return self._attributes

    def change(self, change: Change) -> None:
        self._attributes = changed(self._attributes, change)


def family_of(address: bytes) -> int:
    """The family of a sockaddr; EINVAL if it is too short to have one."""
    if len(address) < 2:
        raise LinuxError(Errno.EINVAL)
    return int.from_bytes(address[:2], "little")


def unspecified(family: int = AF.UNSPEC) -> bytes:
    """A sockaddr that has nothing but its family."""
    return family.to_bytes(2, "little")
