"""Descriptors of the host that the application gives to a guest: its standard streams.

They belong to others too, a shell or another program at the end of a pipe. So O_NONBLOCK, which is a
property of what is shared, is never set on them; and nobody may block while the kernel lock is held.
Each kind of host file has its way out:

* a pipe or terminal is opened anew, without blocking, by `platform.open_nonblocking`;
* where that cannot be had, poll(2) is asked before each transfer, and a pipe gets no more than it takes
  undivided;
* a socket has MSG_DONTWAIT;
* a regular file is used as it is, at the position that it shares with the shell's other programs.
"""

import fcntl
import os
import select
import socket
import stat
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import SEEK, O
from aionoah.abi.ioctl import IOCTL
from aionoah.abi.poll import Poll
from aionoah.abi.stat import S
from aionoah.abi.statfs import MAGIC
from aionoah.fs.file import BrokenPipe, File, HostMapping, WouldBlock
from aionoah.fs.host_attributes import attributes_of, status_of
from aionoah.fs.inode import Attributes, FileSystem, FileSystemStatus, Inode
from aionoah.host import platform, terminal
from aionoah.host.errors import host_errors
from aionoah.host.readiness import poll_now
from aionoah.host.waiting import Source
from aionoah.memory.buffer import Buffer

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry

_MAX_SEGMENTS: Final = 1024  # IOV_MAX of both hosts
_PIPE_BUF: Final = select.PIPE_BUF
_NO_SIGNAL: Final = getattr(socket, "MSG_NOSIGNAL", 0)  # Darwin: Python ignores SIGPIPE anyway


class Exchange(NamedTuple):
    """How an ioctl's argument is used: bytes the kernel reads at its address, and bytes it writes there.

    Neither means that the argument is a number.
    """

    takes: int = 0
    gives: int = 0


TERMINAL_EXCHANGES: Final[dict[int, Exchange]] = {
    IOCTL.TCGETS: Exchange(gives=36),
    IOCTL.TCSETS: Exchange(takes=36),
    IOCTL.TCSETSW: Exchange(takes=36),
    IOCTL.TCSETSF: Exchange(takes=36),
    IOCTL.TCGETS2: Exchange(gives=44),
    IOCTL.TCSETS2: Exchange(takes=44),
    IOCTL.TCSETSW2: Exchange(takes=44),
    IOCTL.TCSETSF2: Exchange(takes=44),
    IOCTL.TCGETA: Exchange(gives=18),
    IOCTL.TCSETA: Exchange(takes=18),
    IOCTL.TCSETAW: Exchange(takes=18),
    IOCTL.TCSETAF: Exchange(takes=18),
    IOCTL.TIOCGWINSZ: Exchange(gives=8),
    IOCTL.TIOCSWINSZ: Exchange(takes=8),
    IOCTL.TIOCOUTQ: Exchange(gives=4),
    IOCTL.FIONREAD: Exchange(gives=4),
    IOCTL.TCSBRK: Exchange(),
    IOCTL.TCSBRKP: Exchange(),
    IOCTL.TCXONC: Exchange(),
    IOCTL.TCFLSH: Exchange(),
}
"""Job control (TIOCGPGRP, TIOCSPGRP, TIOCGSID, TIOCSCTTY) is about processes of ours, not of the host's."""

_STREAM_EXCHANGES: Final[dict[int, Exchange]] = {IOCTL.FIONREAD: Exchange(gives=4)}


class HostStreamFile(File):
    """An open file description over a host descriptor, which stays the application's: we use one of our own."""

    waits_for_disk = True

    def __init__(self, fd: int, dentry: "Dentry | None" = None) -> None:
        """OSError if `fd` is not open."""
        kind = stat.S_IFMT(os.fstat(fd).st_mode)
        self.is_terminal = os.isatty(fd)
        self.is_seekable = stat.S_ISREG(kind) or stat.S_ISBLK(kind)
        self.takes_direct = self.is_seekable or stat.S_ISFIFO(kind)
        self.is_stream = self.is_terminal or stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)
        self.fd = platform.open_nonblocking(fd)
        self._transfer = _transfer_for(self.fd, kind, is_terminal=self.is_terminal)
        super().__init__(_flags_of(fd), dentry)
        self._inode = HostStreamInode(self)

    def release(self) -> None:
        self._transfer.close()
        os.close(self.fd)

    # -- data -------------------------------------------------------------------------------------------

    def read_nowait(self, dst: Buffer) -> int:
        if not dst.length:
            return 0
        with host_errors():
            try:
                return self._transfer.read(dst.segments()[:_MAX_SEGMENTS])
            except BlockingIOError:
                raise WouldBlock from None

    def write_nowait(self, src: Buffer) -> int:
        if not src.length:
            return 0
        with host_errors():
            if self.is_seekable and O.APPEND in self.flags:
                os.lseek(self.fd, 0, os.SEEK_END)
            try:
                return self._transfer.write(src.segments(self._transfer.limit)[:_MAX_SEGMENTS])
            except BlockingIOError:
                raise WouldBlock from None
            except BrokenPipeError:
                raise BrokenPipe from None

    def pread(self, dst: Buffer, offset: int) -> int:
        with host_errors():
            return os.preadv(self.fd, dst.segments()[:_MAX_SEGMENTS], offset)

    def pwrite(self, src: Buffer, offset: int) -> int:
        with host_errors():
            return os.pwritev(self.fd, src.segments()[:_MAX_SEGMENTS], offset)

    def write_start(self, offset: int | None) -> int | None:
        if self.inode.kind != S.IFREG:
            return None
        if self.flags & O.APPEND:
            return self.attributes().size
        return self.seek(0, SEEK.CUR) if offset is None else offset

    def seek(self, offset: int, whence: int) -> int:
        with host_errors():
            return os.lseek(self.fd, offset, platform.host_whence(whence))

    def poll(self) -> Poll:
        events = poll_now(self.fd)
        if not self.is_stream:
            return Poll(events)  # of a regular file: reading and writing, however it is open
        wanted = (Poll.IN | Poll.RDNORM | Poll.PRI) * self.is_readable
        wanted |= (Poll.OUT | Poll.WRNORM) * self.is_writable
        return Poll(events & (wanted | Poll.ERR | Poll.HUP | Poll.RDHUP))

    def source(self, events: Poll) -> Source:
        return Source(
            readable=[self.fd] if events & (Poll.IN | Poll.RDNORM | Poll.PRI) else (),
            writable=[self.fd] if events & (Poll.OUT | Poll.WRNORM) else (),
        )

    # -- the rest ---------------------------------------------------------------------------------------

    @property
    def inode(self) -> Inode:
        return self._inode

    def truncate(self, length: int) -> None:
        with host_errors():
            os.ftruncate(self.fd, length)

    def allocate(self, mode: int, offset: int, length: int) -> None:
        with host_errors():
            platform.fallocate(self.fd, mode, offset, length)

    def sync(self, *, data_only: bool) -> None:
        with host_errors():
            if data_only and hasattr(os, "fdatasync"):
                os.fdatasync(self.fd)
            else:
                os.fsync(self.fd)

    def mapping(self) -> HostMapping:
        if self.inode.kind != S.IFREG:
            raise LinuxError(Errno.ENODEV)
        return HostMapping(self.fd, 0)

    def describe(self) -> bytes:
        """What the host calls it, if it is a terminal or has no path; the path of a file is the host's."""
        if self.is_terminal:
            return os.fsencode(os.ttyname(self.fd))
        attributes = self.attributes()
        kind = attributes.mode & S.IFMT
        if kind == S.IFIFO:
            return b"pipe:[%d]" % attributes.ino
        if kind == S.IFSOCK:
            return b"socket:[%d]" % attributes.ino
        return _path_of(self.fd)

    # -- ioctl ------------------------------------------------------------------------------------------

    @property
    def exchanges(self) -> dict[int, Exchange]:
        """The requests that `ioctl` takes, and how their arguments are used; ENOTTY for others."""
        if self.is_terminal:
            return TERMINAL_EXCHANGES
        return _STREAM_EXCHANGES if self.is_stream else {}

    def ioctl(self, request: int, argument: bytes | int) -> bytes:
        """Perform a request of `exchanges`. `argument`: the bytes it takes, or a number.

        Returns the bytes to be written to the guest, none if there are none to be. LinuxError.
        """
        shape = self.exchanges.get(request)
        if shape is None:
            raise LinuxError(Errno.ENOTTY)
        with host_errors():
            if isinstance(argument, int):
                if not shape.gives:
                    terminal.perform(self.fd, request, argument)
                    return b""
                argument = bytes(shape.gives)
            reply = terminal.exchange(self.fd, request, argument or bytes(shape.gives))
        return reply[: shape.gives]


class _HostStreams(FileSystem):
    """What inodes of host streams say they belong to."""

    type_name = b"pipefs"
    device = 0  # which is asked for to tell file systems apart, and these are of many


_filesystem: Final = _HostStreams()


class HostStreamInode(Inode):
    """The file behind a host descriptor. Opening it again, through /proc/self/fd, gives what the host gives."""

    filesystem = _filesystem

    def __init__(self, file: HostStreamFile) -> None:
        self._file = file

    def attributes(self) -> Attributes:
        with host_errors():
            return attributes_of(os.fstat(self._file.fd))

    def filesystem_status(self) -> FileSystemStatus:
        return status_of(self._file.fd, self._magic())

    def _magic(self) -> int:
        """What Linux has such files in, mostly; not every host tells."""
        if self._file.is_terminal:
            return MAGIC.DEVPTS
        kinds = {S.IFIFO: MAGIC.PIPEFS, S.IFSOCK: MAGIC.SOCKFS, S.IFCHR: MAGIC.TMPFS}
        return kinds.get(self.kind, MAGIC.EXT4)

    def open(self, flags: O, dentry: "Dentry") -> File:  # noqa: ARG002
        """EACCES if the stream does not go that way."""
        if (flags & O.ACCMODE != O.WRONLY and not self._file.is_readable) or (
            flags & O.ACCMODE != O.RDONLY and not self._file.is_writable
        ):
            raise LinuxError(Errno.EACCES)
        with host_errors():
            file = HostStreamFile(self._file.fd, None)
        file.flags = flags
        return file


def _flags_of(fd: int) -> O:
    """The access mode and O_APPEND of a host descriptor. Not O_NONBLOCK: where others have set it on what we
    share, an event loop in our own process most likely, guests would fail for no reason of theirs.
    """
    host = fcntl.fcntl(fd, fcntl.F_GETFL)
    access = {os.O_WRONLY: O.WRONLY, os.O_RDWR: O.RDWR}.get(host & os.O_ACCMODE, O.RDONLY)
    return O(access | (O.APPEND if host & os.O_APPEND else 0) | O.LARGEFILE)


def _path_of(fd: int) -> bytes:
    if hasattr(fcntl, "F_GETPATH"):  # Darwin
        return fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(1024)).partition(b"\0")[0]
    try:
        return os.fsencode(os.readlink(f"/proc/self/fd/{fd}"))  # noqa: PTH115 - a path of bytes
    except OSError:
        return b"anon_inode:[host]"


# -- transfers: one way for each kind of host file --------------------------------------------------------


class _Direct:
    """readv and writev: for what does not block, or is non-blocking for us alone."""

    limit: int | None = None  # bytes of one write

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self, segments: Sequence[memoryview]) -> int:
        return os.readv(self._fd, segments)

    def write(self, segments: Sequence[memoryview]) -> int:
        return os.writev(self._fd, segments)

    def close(self) -> None:
        pass


class _Polled(_Direct):
    """A descriptor that would block. Another reader can be quicker between our poll and our read, and then
    we wait for the data after his; nothing better can be done with it.
    """

    limit = _PIPE_BUF

    def read(self, segments: Sequence[memoryview]) -> int:
        self._require(Poll.IN | Poll.HUP | Poll.ERR)
        return super().read(segments)

    def write(self, segments: Sequence[memoryview]) -> int:
        self._require(Poll.OUT | Poll.HUP | Poll.ERR)
        return super().write(segments)

    def _require(self, events: int) -> None:
        if not poll_now(self._fd) & events:
            raise BlockingIOError


class _Socket(_Direct):
    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._socket = socket.socket(fileno=fd)

    def read(self, segments: Sequence[memoryview]) -> int:
        return self._socket.recvmsg_into(segments, 0, socket.MSG_DONTWAIT)[0]

    def write(self, segments: Sequence[memoryview]) -> int:
        return self._socket.sendmsg(segments, [], socket.MSG_DONTWAIT | _NO_SIGNAL)

    def close(self) -> None:
        self._socket.detach()


def _transfer_for(fd: int, kind: int, *, is_terminal: bool) -> _Direct:
    make: Callable[[int], _Direct] = _Direct
    if stat.S_ISSOCK(kind):
        make = _Socket
    elif (stat.S_ISFIFO(kind) or is_terminal) and os.get_blocking(fd):
        make = _Polled
    return make(fd)
