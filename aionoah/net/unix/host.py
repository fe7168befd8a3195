"""UNIX sockets of the host that the application has given to guests: a guest's stream that connects to such a
name goes to the host's server.

Files do not pass there: a descriptor of ours means nothing to a program of the host.
"""

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ioctl import IOCTL
from aionoah.abi.poll import Poll
from aionoah.abi.socket import MSG, SHUT
from aionoah.fs.file import BrokenPipe, WouldBlock
from aionoah.host import sockets, terminal
from aionoah.host.errors import errno_of, host_errors
from aionoah.host.readiness import Readiness
from aionoah.host.waiting import Source
from aionoah.net.socket import Outgoing, Received

if TYPE_CHECKING:
    from collections.abc import Callable

    from aionoah.memory.buffer import Buffer

_MOST_AT_ONCE: Final = 1 << 16  # bytes that are looked through in one go


class Filter(Protocol):
    """Changes what a client says, byte for byte, and what it is told."""

    def changed(self, data: bytes) -> bytes:
        """What to send in place of `data`; as long as that."""
        ...

    def went(self, data: bytes) -> None:
        """So much of it has been sent."""
        ...

    def heard(self, data: bytes) -> bytes:
        """What may be told of what the server has said so far; the rest comes with later bytes."""
        ...


class HostSocket(NamedTuple):
    """A server of the host, and what keeps its clients within bounds."""

    path: bytes
    new_filter: "Callable[[], Filter] | None" = None


class HostEnd:
    """The host's socket of one connection."""

    def __init__(self, server: HostSocket) -> None:
        """What connect(2) of the host says."""
        with host_errors():
            self._host = sockets.new_client(server.path)
        self._fd = self._host.fileno()
        self._readiness = Readiness(self._fd)
        self._filter = server.new_filter() if server.new_filter is not None else None
        self._told = b""  # by the filter, and not read yet

    def close(self) -> None:
        self._host.close()

    def shut_down(self, how: int) -> None:
        with host_errors():
            sockets.shut_down(self._host, SHUT(how))

    def send(self, message: Outgoing) -> int:
        """EOPNOTSUPP for files. WouldBlock, BrokenPipe."""
        if message.files or MSG.OOB in message.flags:
            raise LinuxError(Errno.EOPNOTSUPP)
        if not message.src.length:
            return 0
        try:
            if self._filter is None:
                segments = message.src.segments()
                return sockets.send(self._host, segments, message.flags, None)
            data = message.src.take(_MOST_AT_ONCE)
            changed = self._filter.changed(data)
            sent = sockets.send(self._host, [memoryview(changed)], message.flags, None)
            self._filter.went(data[:sent])
        except BlockingIOError:
            raise WouldBlock from None
        except BrokenPipeError:
            raise BrokenPipe from None
        except OSError as error:
            raise LinuxError(errno_of(error)) from None
        return sent

    def receive(self, dst: "Buffer", flags: MSG) -> Received:
        if MSG.OOB in flags:
            raise LinuxError(Errno.EOPNOTSUPP)
        if self._filter is not None:
            return self._receive_filtered(self._filter, dst, flags)
        segments = dst.segments() if dst.length else []
        try:
            count, _, reported, _ = sockets.receive(self._host, segments, flags, 0)
        except BlockingIOError:
            raise WouldBlock from None
        except OSError as error:
            raise LinuxError(errno_of(error)) from None
        return Received(count, b"", (), (), reported)

    def _receive_filtered(self, filtering: Filter, dst: "Buffer", flags: MSG) -> Received:
        while not self._told and dst.length:
            try:
                data = self._host.recv(_MOST_AT_ONCE)
            except BlockingIOError:
                raise WouldBlock from None
            except OSError as error:
                raise LinuxError(errno_of(error)) from None
            if not data:
                break
            self._told = filtering.heard(data)
        count = dst.fill(self._told[: dst.length]) if self._told and dst.length else 0
        if not flags & MSG.PEEK:
            self._told = self._told[count:]
        return Received(count)

    def waiting_bytes(self, request: int = IOCTL.FIONREAD) -> int:
        with host_errors():
            waiting = int.from_bytes(terminal.exchange(self._fd, request, bytes(4)), "little")
        return waiting + (len(self._told) if request == IOCTL.FIONREAD else 0)

    def poll(self) -> Poll:
        return Poll(self._readiness.now() | (Poll.IN | Poll.RDNORM if self._told else 0))

    def source(self, events: Poll) -> Source:
        reads = events & (Poll.IN | Poll.RDNORM | Poll.PRI | Poll.RDHUP)
        return Source(
            readable=(self._fd,) if reads else (),
            writable=(self._fd,) if events & (Poll.OUT | Poll.WRNORM) else (),
        )
