"""The open file description: what a descriptor refers to, and what reads and writes go through.

Subclass File for each kind of file and implement what the kind can do; the defaults give the errno
that Linux gives where the kind cannot.
"""
# ruff: noqa: ARG002 - defaults refuse, whatever they are asked

from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import monotonic_ns
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll
from aionoah.abi.uio import RWF_FOR_ALL
from aionoah.fs import notify
from aionoah.host.waiting import Source, sleep_on
from aionoah.memory.buffer import Buffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aionoah.abi.dirent import PackedEntries
    from aionoah.fs.epoll_crowd import Crowd
    from aionoah.fs.inode import Attributes, DirectoryEntry, FileSystemStatus, Inode, Row
    from aionoah.fs.path import Dentry


TO_READ: Final = Poll(Poll.IN)
TO_WRITE: Final = Poll(Poll.OUT)
_ACCESS: Final = O.ACCMODE | O.PATH
_READING: Final = (O.RDONLY, O.RDWR)
_WRITING: Final = (O.WRONLY, O.RDWR)


class WouldBlock(Exception):  # noqa: N818 - a condition, named like trio's
    """A read or write finds nothing to do now; `sleep_until` returns when it is to be tried again."""


class BrokenPipe(LinuxError):  # noqa: N818 - the C library's words for EPIPE
    """EPIPE of a write to a pipe or socket that nobody reads any more: it also raises SIGPIPE.

    The write handler catches it, sends SIGPIPE to the calling thread (sockets: unless MSG_NOSIGNAL), and
    returns `written` if that is not 0, else EPIPE.
    """

    def __init__(self, written: int = 0) -> None:
        super().__init__(Errno.EPIPE)
        self.written = written  # bytes of this call that had gone through before


class HostMapping:
    """A host descriptor and offset whose pages are the file's pages, for mmap."""

    __slots__ = ("fd", "offset")

    def __init__(self, fd: int, offset: int) -> None:
        self.fd = fd
        self.offset = offset


class SignalOwner(NamedTuple):
    """Who is told by a signal what happens to a file (F_SETOWN, F_SETSIG)."""

    kind: int  # of abi.fcntl.OWNER
    number: int  # 0 for nobody
    signal: int  # 0 for SIGIO
    uid: int = 0  # of the task that has said so: who may not send him a signal does not by this either
    euid: int = 0


class Dependent(Protocol):
    """Something that ends with an open file description, without keeping it open."""

    def file_released(self) -> None: ...

    def source_will_change(self) -> None:
        """What the file's `source` has said so far is to be let go of."""
        ...

    def source_has_changed(self) -> None: ...


class SpaceWatcher:
    """Who wants to know that a write has found no room (signals of O_ASYNC)."""

    def lacks_room(self) -> None:
        raise NotImplementedError


class File:
    """One open file description; descriptors, dup and fork share it by reference."""

    is_seekable = False
    is_waited_for = False  # though it is seekable: epoll takes it
    waits_for_disk = False  # whether sync may take long, so that it must not be called under the kernel lock
    on_release: "Callable[[File], None] | None" = None  # called once before `release`: gives locks back
    when_left: "Callable[[object], None] | None" = None  # called when a table has closed a descriptor of it
    dependents: "dict[Dependent, None] | None" = None  # entries of epoll files
    crowd: "Crowd | None" = None  # those of them that are exclusive
    reads_itself = False  # whether a blocking read is not just a wait for `read_nowait`, but `read`
    signal_owner: SignalOwner | None = None
    write_hint = 0  # of abi.fcntl.RWH, for what has no inode
    space_watcher: SpaceWatcher | None = None
    takes_direct = False  # O_DIRECT may be set
    polls_of_caller = False  # what `poll` says is about whoever asks: of others' waiting it says nothing
    has_position = True  # which reads and writes move, if it is seekable
    gives_splices = True  # sendfile and splice may read it (Linux: splice_read)
    takes_splices = True  # and write it (splice_write)
    limits_reserved = False  # RLIMIT_FSIZE is about what is behind the end too (fallocate, KEEP_SIZE)
    is_stream = False  # pipes and the like: a blocking write goes on until all is written
    signals_cut_writes = True  # SIGPIPE comes even if a part has been written before nobody read any more
    read_flags = RWF_FOR_ALL  # of preadv2
    write_flags = RWF_FOR_ALL  # of pwritev2; HIPRI alone where Linux has `write` but no `write_iter`
    read_timeout_ns: int | None = None  # how long a blocking read waits before EAGAIN (SO_RCVTIMEO)
    write_timeout_ns: int | None = None

    def __init__(self, flags: O, dentry: "Dentry | None" = None) -> None:
        self.flags = flags  # access mode and status flags; F_SETFL changes the latter
        self.dentry = dentry  # what was opened; None for pipes and the like
        self.offset = 0
        self._references = 1
        if dentry is not None:
            dentry.inode.opens += 1

    # -- lifetime ---------------------------------------------------------------------------------

    def hold(self) -> "File":
        self._references += 1
        return self

    def drop(self) -> None:
        """Give a reference back; the last one releases the file."""
        self._references -= 1
        if self._references == 0:
            self._end()

    @contextmanager
    def changing_source(self) -> "Iterator[None]":
        """While what `source` says changes: those who listen to it for long let go and come again."""
        dependents = list(self.dependents or ())
        for dependent in dependents:
            dependent.source_will_change()
        try:
            yield
        finally:
            for dependent in dependents:
                dependent.source_has_changed()

    def _end(self) -> None:
        for dependent in list(self.dependents or ()):
            dependent.file_released()
        if self.on_release is not None:
            self.on_release(self)
        is_gone = bool(notify.WATCHES) and notify.closing(self)
        self.release()
        if self.dentry is not None:
            self.dentry.inode.opens -= 1
            if is_gone:
                notify.closed(self.dentry.inode)

    def release(self) -> None:
        """Free what the file holds. Called once."""

    def lend(self) -> object | None:
        """A loan (lending.py), for those that can be read and written without us."""
        return None

    def take_back(self) -> None:
        """End the loan, if there is one: a descriptor is closed, or flags change."""

    # -- access mode ------------------------------------------------------------------------------

    @property
    def is_readable(self) -> bool:
        return self.flags & _ACCESS in _READING

    @property
    def is_writable(self) -> bool:
        return self.flags & _ACCESS in _WRITING

    @property
    def is_nonblocking(self) -> bool:
        return bool(self.flags & O.NONBLOCK)

    # -- data: what a kind of file implements -------------------------------------------------------

    def opened(self, flags: O) -> None:
        """Called once when it has been opened by its name, with all of open's flags."""

    async def read(self, dst: Buffer) -> int:
        """The whole of a read, sleeping as this kind of file wants it: for those with `reads_itself`."""
        raise NotImplementedError

    def read_nowait(self, dst: Buffer) -> int:
        """Read at the present position and move it. Returns the count, 0 at end of file.

        WouldBlock if there is nothing yet; LinuxError.
        """
        raise LinuxError(Errno.EINVAL)

    def write_nowait(self, src: Buffer) -> int:
        """Write at the present position (the end with O_APPEND) and move it. WouldBlock, LinuxError."""
        raise LinuxError(Errno.EINVAL)

    def pread(self, dst: Buffer, offset: int) -> int:
        """Read at `offset`; never waits. ESPIPE for what cannot seek."""
        raise LinuxError(Errno.ESPIPE)

    def pwrite(self, src: Buffer, offset: int) -> int:
        raise LinuxError(Errno.ESPIPE)

    def write_start(self, offset: int | None) -> int | None:
        """Where a write would begin that is to go to an offset, None for the present position. None if the size
        of files of this kind is not limited (RLIMIT_FSIZE).
        """
        return None

    def seek(self, offset: int, whence: int) -> int:
        """The new position, in bytes (for directories: a cookie)."""
        raise LinuxError(Errno.ESPIPE)

    def poll(self) -> Poll:
        """What would not block now. Files that never block are always ready."""
        return Poll(Poll.IN | Poll.OUT | Poll.RDNORM | Poll.WRNORM)

    def source(self, events: Poll) -> Source:
        """What to wait for until one of `events` may have come."""
        return Source()

    def entries(self) -> "Iterator[DirectoryEntry]":
        """The entries of a directory from the present position on; consuming one moves the position."""
        raise LinuxError(Errno.ENOTDIR)

    def listing(self) -> "list[Row]":
        """All entries of a directory, of which those before the present position have been read."""
        raise LinuxError(Errno.ENOTDIR)

    def packed(self) -> "PackedEntries":
        """The same as getdents64 gives them."""
        raise LinuxError(Errno.ENOTDIR)

    # -- the rest -------------------------------------------------------------------------------------

    @property
    def inode(self) -> "Inode":
        """The inode behind the file; kinds without a dentry override it."""
        if self.dentry is None:
            raise LinuxError(Errno.EINVAL)
        return self.dentry.inode

    def attributes(self) -> "Attributes":
        """What fstat reports."""
        return self.inode.attributes()

    def filesystem_status(self) -> "FileSystemStatus":
        return self.inode.filesystem_status()

    def truncate(self, length: int) -> None:
        raise LinuxError(Errno.EINVAL)

    def allocate(self, mode: int, offset: int, length: int) -> None:
        raise LinuxError(Errno.EOPNOTSUPP)

    def advise(self, offset: int, length: int, advice: int) -> None:
        """posix_fadvise(2), of which nobody is told whether it was followed; `advice` is one of FADV."""

    def sync(self, *, data_only: bool) -> None:
        raise LinuxError(Errno.EINVAL)

    def mapping(self) -> HostMapping:
        """For mmap; raises ENODEV for files without pages."""
        raise LinuxError(Errno.ENODEV)

    def for_mapping(self, *, shared: bool) -> "File":
        """What a new mapping shows, which is mostly the file itself; ENODEV for files without pages."""
        self.mapping()
        return self

    @property
    def is_write_sealed(self) -> bool:
        """Whether a shared mapping of it may never be written (F_SEAL_WRITE, F_SEAL_FUTURE_WRITE)."""
        return False

    def flush(self) -> None:
        """What close(2) does of each descriptor before it is closed, and whose error it returns."""

    def lock_descriptor(self) -> int | None:
        """For a file of the host: its descriptor that stands for this open file description alone."""
        return None

    def unobserved(self) -> AbstractContextManager[None]:
        """The context of opening a file of the host for ends of our own, of which no watch is to hear."""
        return nullcontext()

    def describe(self) -> bytes:
        """What /proc/self/fd/N shows when there is no path, such as b"pipe:[4711]"."""
        return b"anon_inode:[unknown]"

    def fdinfo(self) -> bytes:
        """The lines of /proc/self/fdinfo/N that only this kind of file has."""
        return b""


async def read(file: File, dst: Buffer) -> int:
    """Read, sleeping until there is something. The sleep is the only cancellation point and nothing
    has been consumed when we reach it, so a signal can never lose data.
    """
    if file.reads_itself:
        return await file.read(dst)
    deadline_ns = deadline_after(file.read_timeout_ns)
    while True:
        try:
            done = file.read_nowait(dst)
        except WouldBlock:
            if file.is_nonblocking or has_passed(deadline_ns):
                raise LinuxError(Errno.EAGAIN) from None
        else:
            if notify.WATCHES and done:
                notify.accessed(file)
            return done
        await sleep_until(file, TO_READ, deadline_ns)


async def write(file: File, src: Buffer) -> int:
    """Write, sleeping until there is room: for something, or for everything if the file is a stream.

    What has been written when an error or a signal (ERESTARTSYS, thrown into the sleep) comes is what the
    call returns.
    """
    written = 0
    deadline_ns = deadline_after(file.write_timeout_ns)
    try:
        while True:
            try:
                done = file.write_nowait(src)
            except WouldBlock:
                if file.space_watcher is not None:
                    file.space_watcher.lacks_room()
                if file.is_nonblocking or has_passed(deadline_ns):
                    raise LinuxError(Errno.EAGAIN) from None
                await sleep_until(file, TO_WRITE, deadline_ns)
                continue
            written += done
            if notify.WATCHES and done:
                notify.modified(file)
            if done == src.length or not file.is_stream or file.is_nonblocking:
                return written
            src.advance(done)
    except BrokenPipe:
        raise BrokenPipe(written) from None
    except LinuxError:
        if not written:
            raise
        return written


def read_at(file: File, dst: Buffer, offset: int) -> int:
    """File.pread, told to whoever watches the file."""
    done = file.pread(dst, offset)
    if notify.WATCHES and done:
        notify.accessed(file)
    return done


def write_at(file: File, src: Buffer, offset: int) -> int:
    """File.pwrite, told to whoever watches the file."""
    done = file.pwrite(src, offset)
    if notify.WATCHES and done:
        notify.modified(file)
    return done


async def sleep_until(file: File, events: Poll, deadline_ns: int | None = None) -> None:
    """Sleep until one of `events` may have come, or the deadline has passed. Another thread may close the
    descriptor meanwhile: the file lives on until we are back.

    A call with a timeout is not restarted after a signal: EINTR (signal(7)).
    """
    file.hold()
    try:
        await sleep_on(file.source(events), deadline_ns)
    except LinuxError as error:
        if deadline_ns is not None and error.errno is Errno.ERESTARTSYS:
            raise LinuxError(Errno.EINTR) from None
        raise
    finally:
        file.drop()


def deadline_after(timeout_ns: int | None) -> int | None:
    """When a call that begins now shall end, as time.monotonic_ns counts; None for never."""
    return None if timeout_ns is None else monotonic_ns() + timeout_ns


def has_passed(deadline_ns: int | None) -> bool:
    return deadline_ns is not None and monotonic_ns() >= deadline_ns
