"""Pipes and FIFOs: a queue of bytes between file descriptions, made of our own objects.

Sources: pipe(7), pipe(2), fifo(7), fcntl(2); Linux fs/pipe.c, whose arithmetic of pages is followed exactly,
because programs see it: how much a full pipe takes, when a partly read one becomes writable.
"""

from collections import deque
from itertools import count
from time import time_ns
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.limits import PIPE_BUF
from aionoah.abi.poll import Poll
from aionoah.abi.stat import S
from aionoah.abi.statfs import MAGIC
from aionoah.fs.device_numbers import anonymous_device
from aionoah.fs.file import BrokenPipe, File, WouldBlock
from aionoah.fs.inode import Attributes, Change, FileSystem, FileSystemStatus, Inode, changed
from aionoah.host.waiting import Source, WaitQueue, sleep_on
from aionoah.memory.buffer import Buffer

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry

DEFAULT_CAPACITY: Final = 65536
MAX_CAPACITY: Final = 1048576  # /proc/sys/fs/pipe-max-size: more needs CAP_SYS_RESOURCE


class _Chunk:
    """Bytes of one write that lie in neighbouring pages, each page full but the last one.

    Reading gives pages back one by one; the bytes themselves stay until the chunk is empty.
    """

    __slots__ = ("data", "is_packet", "start")

    def __init__(self, data: bytes, *, is_packet: bool) -> None:
        self.data = data
        self.start = 0  # always < len(data)
        self.is_packet = is_packet

    @property
    def pages(self) -> int:
        return -(-len(self.data) // PIPE_BUF) - self.start // PIPE_BUF


class Pipe:
    """The queue itself and who has it open. It lives as long as any end does."""

    def __init__(self) -> None:
        self.readers = self.writers = 0
        self.readers_ever = self.writers_ever = 0  # so that an open sees a peer that came and went
        self.size = 0  # bytes that wait to be read
        self.readable = WaitQueue()  # data, or the last writer has gone
        self.writable = WaitQueue()  # room, or the last reader has gone
        self.opened = WaitQueue()
        self._chunks: deque[_Chunk] = deque()
        self._page_limit = DEFAULT_CAPACITY // PIPE_BUF
        self._pages = 0  # in use

    @property
    def is_full(self) -> bool:
        return self._pages >= self._page_limit

    # -- capacity ---------------------------------------------------------------------------------------

    @property
    def capacity(self) -> int:
        """F_GETPIPE_SZ, in bytes."""
        return self._page_limit * PIPE_BUF

    def set_capacity(self, size: int, *, may_exceed_limit: bool) -> int:
        """F_SETPIPE_SZ: round up to a power of two of pages; returns the new capacity in bytes.

        EINVAL beyond 2 GiB, EPERM beyond MAX_CAPACITY without `may_exceed_limit` (CAP_SYS_RESOURCE), EBUSY
        if what waits to be read would not fit.
        """
        if not 0 <= size <= 1 << 31:
            raise LinuxError(Errno.EINVAL)
        rounded = 1 << (max(size, PIPE_BUF) - 1).bit_length()
        pages = rounded // PIPE_BUF
        if rounded > MAX_CAPACITY and pages > self._page_limit and not may_exceed_limit:
            raise LinuxError(Errno.EPERM)
        if pages < self._pages:
            raise LinuxError(Errno.EBUSY)
        self._page_limit = pages
        self.writable.wake()
        return rounded

    # -- data -------------------------------------------------------------------------------------------

    def read(self, dst: Buffer) -> int:
        """Move what is there, at most one packet. Returns 0 at end of file; WouldBlock; EFAULT."""
        wanted = dst.length
        if not wanted:
            return 0
        if not self._chunks:
            if self.writers:
                raise WouldBlock
            return 0
        done = dst.fill(self._peek(wanted))
        self.consume(done)
        return done

    def peek(self, limit: int) -> bytes | memoryview:
        """The first bytes, at most one packet, to be taken elsewhere; empty at end of file. WouldBlock."""
        if not self._chunks:
            if self.writers:
                raise WouldBlock
            return b""
        return self._peek(limit)

    def consume(self, count: int) -> None:
        """What `peek` has shown has been taken. Only who found the pipe full waits for that."""
        was_full = self.is_full
        self._consume(count)
        if was_full:
            self.writable.wake()

    @property
    def room(self) -> int:
        """Bytes that a write is sure to put in: those of free pages."""
        return max(self._page_limit - self._pages, 0) * PIPE_BUF

    def _peek(self, limit: int) -> bytes | memoryview:
        """The first `limit` bytes, up to the end of a packet."""
        first = self._chunks[0]
        view = memoryview(first.data)[first.start : first.start + limit]
        if len(view) == limit or first.is_packet or len(self._chunks) == 1:
            return view
        views: list[memoryview] = []
        for chunk in self._chunks:
            view = memoryview(chunk.data)[chunk.start : chunk.start + limit]
            views.append(view)
            limit -= len(view)
            if not limit or chunk.is_packet:
                break
        return b"".join(views)

    def _consume(self, rest: int) -> None:
        """Drop bytes from the front, and what is left of a packet that they begin."""
        while rest:
            chunk = self._chunks[0]
            available = len(chunk.data) - chunk.start
            taken = min(available, rest)
            rest -= taken
            if chunk.is_packet or taken == available:
                self.size -= available
                self._pages -= chunk.pages
                self._chunks.popleft()
            else:
                before = chunk.pages
                chunk.start += taken
                self.size -= taken
                self._pages -= before - chunk.pages

    def write(self, src: Buffer, *, is_packet: bool) -> int:
        """Put in what fits: all or nothing up to PIPE_BUF bytes. WouldBlock, BrokenPipe, EFAULT."""
        length = src.length
        if not length:
            return 0
        if not self.readers:
            raise BrokenPipe
        odd = self._mergeable(length % PIPE_BUF)
        room = odd + max(self._page_limit - self._pages, 0) * PIPE_BUF
        if not room:
            raise WouldBlock
        data = src.take(min(length, room))
        self._store(data, odd, is_packet=is_packet)
        self.size += len(data)
        self.readable.wake()
        return len(data)

    def _mergeable(self, odd: int) -> int:
        """`odd` if the bytes of a write beyond its full pages fit in the page last written, else 0."""
        if not self._chunks:
            return 0
        last = self._chunks[-1]
        return odd if not last.is_packet and len(last.data) + odd <= PIPE_BUF else 0

    def _store(self, data: bytes, odd: int, *, is_packet: bool) -> None:
        if odd:
            self._chunks[-1].data += data[:odd]
            data = data[odd:]
        even = 0 if is_packet else len(data) - len(data) % PIPE_BUF
        if even:
            self._append(data[:even], is_packet=False)
        for start in range(even, len(data), PIPE_BUF):  # one odd page, or packets of a page each
            self._append(data[start : start + PIPE_BUF], is_packet=is_packet)

    def _append(self, data: bytes, *, is_packet: bool) -> None:
        chunk = _Chunk(data, is_packet=is_packet)
        self._chunks.append(chunk)
        self._pages += chunk.pages

    # -- ends -------------------------------------------------------------------------------------------

    def enter(self, *, reads: bool, writes: bool) -> None:
        self.readers += reads
        self.readers_ever += reads
        self.writers += writes
        self.writers_ever += writes
        self.opened.wake()

    def leave(self, *, reads: bool, writes: bool) -> None:
        self.readers -= reads
        self.writers -= writes
        if not self.readers:
            self.writable.wake()
        if not self.writers:
            self.readable.wake()
        if not self.readers and not self.writers:  # whoever opens the FIFO next begins anew
            self._chunks.clear()
            self.size = self._pages = 0
            self._page_limit = DEFAULT_CAPACITY // PIPE_BUF


class PipeEnd(File):
    """An open file description of a pipe or FIFO, for reading, writing or (FIFOs) both."""

    is_stream = True
    takes_direct = True  # for packets

    def __init__(
        self, pipe: Pipe, flags: O, dentry: "Dentry | None" = None, inode: "PipeInode | None" = None
    ) -> None:
        super().__init__(flags, dentry)
        self.pipe = pipe
        self._inode = inode
        self._quiet_hup = -1  # no HUP while only this many writers have ever come
        pipe.enter(reads=self.is_readable, writes=self.is_writable)

    def release(self) -> None:
        self.pipe.leave(reads=self.is_readable, writes=self.is_writable)

    def expect_writer(self) -> None:
        """A FIFO opened for reading before any writer came does not report HUP until one has been there."""
        self._quiet_hup = self.pipe.writers_ever

    def read_nowait(self, dst: Buffer) -> int:
        return self.pipe.read(dst)

    def write_nowait(self, src: Buffer) -> int:
        return self.pipe.write(src, is_packet=O.DIRECT in self.flags)

    def poll(self) -> Poll:
        pipe, mask = self.pipe, 0
        if self.is_readable:
            if pipe.size:
                mask |= Poll.IN | Poll.RDNORM
            if not pipe.writers and pipe.writers_ever != self._quiet_hup:
                mask |= Poll.HUP
        if self.is_writable:
            if not pipe.is_full:
                mask |= Poll.OUT | Poll.WRNORM
            if not pipe.readers:
                mask |= Poll.ERR  # most Unices do not for FIFOs; Linux does
        return Poll(mask)

    def source(self, events: Poll) -> Source:  # noqa: ARG002
        if not self.is_writable:
            return Source(self.pipe.readable)
        if not self.is_readable:
            return Source(self.pipe.writable)
        return Source(self.pipe.readable, self.pipe.writable)

    def available(self) -> int:
        """Bytes that wait to be read (FIONREAD, on either end)."""
        return self.pipe.size

    @property
    def inode(self) -> Inode:
        return self._inode or super().inode

    def describe(self) -> bytes:
        return self._inode.name if self._inode else super().describe()


# -- anonymous pipes ----------------------------------------------------------------------------------------


class PipeFileSystem(FileSystem):
    """Where anonymous pipes have their inodes; never mounted."""

    type_name = b"pipefs"
    device = anonymous_device()

    def status(self) -> FileSystemStatus:
        return FileSystemStatus(MAGIC.PIPEFS)


_pipefs = PipeFileSystem()
_inode_numbers = count(4096)


class PipeInode(Inode):
    """The inode of an anonymous pipe, which /proc/self/fd can open again."""

    filesystem = _pipefs

    def __init__(self, pipe: Pipe, uid: int, gid: int) -> None:
        self.pipe = pipe
        self._attributes = Attributes(
            S.IFIFO | S.IRUSR | S.IWUSR, next(_inode_numbers), _pipefs.device, uid=uid, gid=gid
        )
        now = time_ns()
        self._attributes = self._attributes._replace(atime_ns=now, mtime_ns=now, ctime_ns=now)

    @property
    def name(self) -> bytes:
        return b"pipe:[%d]" % self._attributes.ino

    def attributes(self) -> Attributes:
        return self._attributes

    def change(self, change: Change) -> None:
        self._attributes = changed(self._attributes, change)

    def open(self, flags: O, dentry: "Dentry") -> File:  # noqa: ARG002
        """A further end, which has no more place in the tree than the others. It never waits for a peer
        (is_pipe in fifo_open).
        """
        if flags & O.ACCMODE == O.ACCMODE:
            raise LinuxError(Errno.EINVAL)
        return PipeEnd(self.pipe, flags, inode=self)


def open_pipe(flags: int = 0, *, uid: int = 0, gid: int = 0) -> tuple[PipeEnd, PipeEnd]:
    """A new pipe: its reading and its writing end. Of `flags`, O_NONBLOCK and O_DIRECT count."""
    status = flags & (O.NONBLOCK | O.DIRECT)
    pipe = Pipe()
    inode = PipeInode(pipe, uid, gid)
    return (
        PipeEnd(pipe, O(O.RDONLY | status), inode=inode),
        PipeEnd(pipe, O(O.WRONLY | status), inode=inode),
    )


# -- FIFOs --------------------------------------------------------------------------------------------------

_fifos: WeakValueDictionary[tuple[FileSystem, int], Pipe] = WeakValueDictionary()
"""Pipes behind named inodes, while somebody has them open. (A file system may make inode objects anew at
each lookup, so that they cannot hold the pipe.) A FIFO on the host's disk joins guests, not host programs."""


async def open_fifo(inode: Inode, flags: O, dentry: "Dentry") -> PipeEnd:
    """Open a FIFO: waits until the other side is opened too, except with O_RDWR and O_NONBLOCK.

    ENXIO for a non-blocking writer without a reader (fifo(7)).
    """
    pipe = _fifos.setdefault((inode.filesystem, inode.attributes().ino), Pipe())
    access = flags & O.ACCMODE
    if access == O.ACCMODE:
        raise LinuxError(Errno.EINVAL)
    if access == O.WRONLY and O.NONBLOCK in flags and not pipe.readers:
        raise LinuxError(Errno.ENXIO)
    end = PipeEnd(pipe, flags, dentry)
    if access == O.RDONLY and not pipe.writers and O.NONBLOCK in flags:
        end.expect_writer()
    elif not (pipe.readers and pipe.writers):
        await _wait_for_peer(pipe, end)
    return end


async def _wait_for_peer(pipe: Pipe, end: PipeEnd) -> None:
    """Sleep until somebody opens the other side, even if he is gone again when we wake."""
    before = pipe.readers_ever, pipe.writers_ever
    side = 0 if end.is_writable else 1
    try:
        while (pipe.readers_ever, pipe.writers_ever)[side] == before[side]:
            await sleep_on(Source(pipe.opened))
    except BaseException:
        end.drop()
        raise
