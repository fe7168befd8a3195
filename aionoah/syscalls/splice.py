"""Moving bytes between pipes and files: splice(2), tee(2), vmsplice(2); Linux fs/splice.c.

Nothing is moved without a copy here: pages of pipes are not pages of files.
"""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import SPLICE, O
from aionoah.abi.poll import Poll
from aionoah.abi.signal import SIG
from aionoah.abi.uio import MAX_RW_COUNT, Iovec
from aionoah.fs import notify
from aionoah.fs.file import BrokenPipe, File, WouldBlock, read_at, sleep_until
from aionoah.fs.pipe import Pipe, PipeEnd
from aionoah.host.application import NotYet
from aionoah.memory.buffer import Buffer, KernelBuffer
from aionoah.signals.generate import send_to_task
from aionoah.signals.info import from_user
from aionoah.syscalls.arguments import Fd, In, Ptr, Size, ULong
from aionoah.syscalls.cells import Cell64
from aionoah.syscalls.read_write import write_at
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.size_limit import bounded

if TYPE_CHECKING:
    from collections.abc import Callable

    from aionoah.process.task import Task

_VALID: Final = SPLICE.MOVE | SPLICE.NONBLOCK | SPLICE.MORE | SPLICE.GIFT
_CHUNK: Final = 256 * 1024  # bytes at a time


@syscall
async def splice(
    task: "Task",
    fd_in: Fd,
    off_in: Ptr[Cell64],
    fd_out: Fd,
    off_out: Ptr[Cell64],
    length: Size,
    flags: SPLICE,
) -> int:
    if not length:
        return 0
    if flags.outside(_VALID):
        raise LinuxError(Errno.EINVAL)
    source, target = task.files[fd_in], task.files[fd_out]
    if (off_in and isinstance(source, PipeEnd)) or (off_out and isinstance(target, PipeEnd)):
        raise LinuxError(Errno.ESPIPE)
    start_in = task.memory.get(Cell64, off_in).value if off_in else None
    start_out = task.memory.get(Cell64, off_out).value if off_out else None
    _require_open(source, target)

    count = min(length, MAX_RW_COUNT)
    if isinstance(source, PipeEnd) and isinstance(target, PipeEnd):
        return await _between_pipes(task, source, target, count, flags, keep=False)
    if isinstance(source, PipeEnd):
        return await _out_of_pipe(task, source, target, Place(task, off_out, start_out), count, flags)
    if isinstance(target, PipeEnd):
        return await into_pipe(task, source, target, Place(task, off_in, start_in), count, flags)
    raise LinuxError(Errno.EINVAL)


@syscall
async def tee(task: "Task", fd_in: Fd, fd_out: Fd, length: Size, flags: SPLICE) -> int:
    if flags.outside(_VALID):
        raise LinuxError(Errno.EINVAL)
    if not length:
        return 0
    source, target = task.files[fd_in], task.files[fd_out]
    _require_open(source, target)
    if not isinstance(source, PipeEnd) or not isinstance(target, PipeEnd):
        raise LinuxError(Errno.EINVAL)
    return await _between_pipes(task, source, target, min(length, MAX_RW_COUNT), flags, keep=True)


@syscall
async def vmsplice(task: "Task", fd: Fd, iov: In[Iovec], count: ULong, flags: SPLICE) -> int:
    """Pages of the caller are copied: changing them later does not change what is in the pipe."""
    if flags.outside(_VALID):
        raise LinuxError(Errno.EINVAL)
    file = task.files[fd]
    memory = task.memory
    writes = file.is_writable
    buffer = memory.readable_vector(iov, count) if writes else memory.writable_vector(iov, count)
    if not buffer.length:
        return 0
    if not isinstance(file, PipeEnd):
        raise LinuxError(Errno.EBADF)
    if writes:
        return await _store(task, file, flags, lambda: file.pipe.write(buffer, is_packet=False))
    return await _fetch(file, flags, lambda: file.pipe.read(buffer))


def _require_open(source: File, target: File) -> None:
    if not source.is_readable or not target.is_writable:
        raise LinuxError(Errno.EBADF)


class Place:
    """Where in a file it goes on: at an offset that the caller keeps, or at the file's own position."""

    def __init__(self, task: "Task", address: Ptr[Cell64], position: int | None) -> None:
        self._task = task
        self._address = address
        self._start = self._position = position

    def require_possible(self, file: File) -> None:
        if self._position is not None and (not file.is_seekable or self._position < 0):
            raise LinuxError(Errno.EINVAL)

    def read(self, file: File, dst: Buffer) -> int:
        if self._position is not None:
            done = read_at(file, dst, self._position)
            self._position += done if file.has_position else 0
            return done
        done = file.read_nowait(dst)
        if notify.WATCHES and done:
            notify.accessed(file)
        return done

    def write(self, file: File, src: Buffer) -> int:
        if self._position is not None:
            done = write_at(self._task, file, src, self._position)
            self._position += done if file.has_position else 0
            return done
        done = file.write_nowait(bounded(self._task, file, src))
        if notify.WATCHES and done:
            notify.modified(file)
        return done

    def tell(self) -> None:
        if self._position is not None and self._position != self._start:
            self._task.memory.put(self._address, Cell64(self._position))


async def _out_of_pipe(
    task: "Task", source: PipeEnd, target: File, place: Place, length: int, flags: SPLICE
) -> int:
    """What is there, at least something: as much as the target takes."""
    place.require_possible(target)
    if O.APPEND in target.flags or not target.takes_splices:
        raise LinuxError(Errno.EINVAL)
    moved = 0
    try:
        while moved < length and (source.pipe.size or not moved):
            done = await _move(source, target, place, length - moved, flags)
            if not done:
                break
            moved += done
    except BrokenPipe:
        send_to_task(task, from_user(SIG.PIPE, task.process.pid, task.credentials.uid))
        if not moved:
            raise
    except (LinuxError, NotYet):
        if not moved:
            raise
    place.tell()
    return moved


async def _move(source: PipeEnd, target: File, place: Place, length: int, flags: SPLICE) -> int:
    """Some bytes, once they are there and the target takes any; 0 at end of file."""
    while await _fetch(source, flags, lambda: len(source.pipe.peek(1))):
        try:
            data = source.pipe.peek(min(length, _CHUNK))
            done = place.write(target, KernelBuffer(data)) if data else 0
        except WouldBlock:
            if flags & SPLICE.NONBLOCK or target.is_nonblocking:
                raise LinuxError(Errno.EAGAIN) from None
        else:
            source.pipe.consume(done)
            return done
        await sleep_until(target, Poll(Poll.OUT))
    return 0


async def into_pipe(
    task: "Task", source: File, target: PipeEnd, place: Place, length: int, flags: SPLICE
) -> int:
    """One read, of what the pipe has room for (splice_file_to_pipe)."""
    place.require_possible(source)
    if not source.gives_splices:
        raise LinuxError(Errno.EINVAL)
    while True:
        room = await _store(task, target, flags, lambda: _require_room(target.pipe))
        data = bytearray(min(length, room, _CHUNK))
        try:
            got = place.read(source, KernelBuffer(data))
            break
        except WouldBlock:
            if flags & SPLICE.NONBLOCK or source.is_nonblocking:
                raise LinuxError(Errno.EAGAIN) from None
        await sleep_until(source, Poll(Poll.IN))
    if got:
        target.pipe.write(KernelBuffer(memoryview(data)[:got]), is_packet=False)
    place.tell()
    return got


def _require_room(pipe: Pipe) -> int:
    if not pipe.readers:
        raise BrokenPipe
    if not pipe.room:
        raise WouldBlock
    return pipe.room


async def _between_pipes(
    task: "Task", source: PipeEnd, target: PipeEnd, length: int, flags: SPLICE, *, keep: bool
) -> int:
    """EINVAL for one and the same pipe. `keep`: the bytes stay in the source too."""
    if source.pipe is target.pipe:
        raise LinuxError(Errno.EINVAL)
    if (source.flags | target.flags) & O.NONBLOCK:
        flags = SPLICE(flags | SPLICE.NONBLOCK)

    def move() -> int:
        data = source.pipe.peek(min(length, _require_room(target.pipe)))
        if data:
            target.pipe.write(KernelBuffer(data), is_packet=False)
            if not keep:
                source.pipe.consume(len(data))
        return len(data)

    while True:
        await _fetch(source, flags, lambda: len(source.pipe.peek(1)))
        await _store(task, target, flags, lambda: _require_room(target.pipe))
        try:
            return move()
        except WouldBlock:
            continue  # somebody else was quicker while we slept


async def _fetch(source: PipeEnd, flags: SPLICE, take: "Callable[[], int]") -> int:
    """Take from a pipe, waiting for something to be there. EAGAIN."""
    while True:
        try:
            return take()
        except WouldBlock:
            if flags & SPLICE.NONBLOCK or source.is_nonblocking:
                raise LinuxError(Errno.EAGAIN) from None
        await sleep_until(source, Poll(Poll.IN))


async def _store(task: "Task", target: PipeEnd, flags: SPLICE, put: "Callable[[], int]") -> int:
    """Put into a pipe, waiting for room. EAGAIN, EPIPE and SIGPIPE without readers."""
    while True:
        try:
            return put()
        except WouldBlock:
            if flags & SPLICE.NONBLOCK or target.is_nonblocking:
                raise LinuxError(Errno.EAGAIN) from None
        except BrokenPipe:
            send_to_task(task, from_user(SIG.PIPE, task.process.pid, task.credentials.uid))
            raise
        await sleep_until(target, Poll(Poll.OUT))
