"""Reading and writing at a given position, and lseek.

The position of the vector calls comes in two words for the sake of 32-bit programs; on 64 bits the
first holds all of it. Sources: pread(2), preadv(2), lseek(2); Linux fs/read_write.c.
"""
# ruff: noqa: ARG001 - the upper half of a position

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import SEEK
from aionoah.abi.uio import RWF, Iovec
from aionoah.fs import file as files
from aionoah.fs import notify
from aionoah.fs.file import File, WouldBlock
from aionoah.fs.regular import RegularFile
from aionoah.memory.buffer import Buffer, Front
from aionoah.syscalls.arguments import Addr, Fd, In, Offset, Size, ULong
from aionoah.syscalls.read_write import readable_file, writable_file, write_at, write_to
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.size_limit import bounded, room_at

if TYPE_CHECKING:
    from aionoah.process.task import Task

_VALID: Final = (
    RWF.HIPRI | RWF.DSYNC | RWF.SYNC | RWF.NOWAIT | RWF.APPEND | RWF.NOAPPEND | RWF.DONTCACHE
)  # for reading too, where those about writing say nothing
_OWN_POSITION: Final = -1


@syscall
def lseek(task: "Task", fd: Fd, offset: Offset, whence: SEEK) -> int:
    file = task.files[fd]
    if whence > SEEK.HOLE:
        raise LinuxError(Errno.EINVAL)
    return file.seek(offset, whence)


@syscall
def pread64(task: "Task", fd: Fd, buf: Addr, count: Size, offset: Offset) -> int:
    file = _reader_at(task, fd, offset)
    return _read(task, file, task.memory.writable(buf, count), offset)


@syscall
def pwrite64(task: "Task", fd: Fd, buf: Addr, count: Size, offset: Offset) -> int:
    file = _writer_at(task, fd, offset)
    return _write(task, file, task.memory.readable(buf, count), offset)


@syscall
def preadv(task: "Task", fd: Fd, iov: In[Iovec], iovcnt: ULong, offset: Offset) -> int:
    file = _reader_at(task, fd, offset)
    dst = task.memory.writable_vector(iov, iovcnt)
    return _read(task, file, dst, offset) if dst.length else task.counts.has_read(0)


@syscall
def pwritev(task: "Task", fd: Fd, iov: In[Iovec], iovcnt: ULong, offset: Offset) -> int:
    file = _writer_at(task, fd, offset)
    src = task.memory.readable_vector(iov, iovcnt)
    return _write(task, file, src, offset) if src.length else task.counts.has_written(0)


@syscall
async def preadv2(
    task: "Task", fd: Fd, iov: In[Iovec], iovcnt: ULong, offset: Offset, offset_high: ULong, flags: RWF
) -> int:
    """At the file's own position if `offset` is -1."""
    file = readable_file(task, fd) if offset == _OWN_POSITION else _reader_at(task, fd, offset)
    dst = task.memory.writable_vector(iov, iovcnt)
    _require_valid(flags, dst.length)
    if not dst.length:
        return task.counts.has_read(0)
    if offset != _OWN_POSITION:
        return _read(task, file, dst, offset)
    return task.counts.has_read(_read_now(file, dst) if RWF.NOWAIT in flags else await files.read(file, dst))


@syscall(partial="RWF_ATOMIC and RWF_NOSIGNAL are refused with EOPNOTSUPP.")
async def pwritev2(
    task: "Task", fd: Fd, iov: In[Iovec], iovcnt: ULong, offset: Offset, offset_high: ULong, flags: RWF
) -> int:
    """At the file's own position if `offset` is -1."""
    file = writable_file(task, fd) if offset == _OWN_POSITION else _writer_at(task, fd, offset)
    src = task.memory.readable_vector(iov, iovcnt)
    _require_valid(flags, src.length)
    if not src.length:
        return task.counts.has_written(0)
    written = task.counts.has_written(await _write_with(task, file, src, offset, flags))
    if flags & (RWF.DSYNC | RWF.SYNC) and written:
        file.sync(data_only=RWF.SYNC not in flags)
    return written


def _read(task: "Task", file: File, dst: Buffer, offset: int) -> int:
    try:
        return task.counts.has_read(files.read_at(file, dst, offset))
    except LinuxError:
        task.counts.read_calls += 1
        raise


def _write(task: "Task", file: File, src: Buffer, offset: int) -> int:
    try:
        return task.counts.has_written(write_at(task, file, src, offset))
    except LinuxError:
        task.counts.write_calls += 1
        raise


def _require_valid(flags: RWF, length: int) -> None:
    """Nobody asks what the transfer of nothing should have been like."""
    if not length:
        return
    if flags.outside(_VALID):
        raise LinuxError(Errno.EOPNOTSUPP)
    if RWF.APPEND in flags and RWF.NOAPPEND in flags:
        raise LinuxError(Errno.EINVAL)


def _reader_at(task: "Task", fd: int, offset: int) -> File:
    """EINVAL before EBADF before ESPIPE: what cannot seek says so before it is asked about reading."""
    file = _file_at(task, fd, offset)
    if not file.is_readable:
        raise LinuxError(Errno.EBADF if file.is_seekable else Errno.ESPIPE)
    return file


def _writer_at(task: "Task", fd: int, offset: int) -> File:
    file = _file_at(task, fd, offset)
    if not file.is_writable:
        raise LinuxError(Errno.EBADF if file.is_seekable else Errno.ESPIPE)
    return file


def _file_at(task: "Task", fd: int, offset: int) -> File:
    if offset < 0:
        raise LinuxError(Errno.EINVAL)
    return task.files[fd]


def _read_now(file: File, dst: Buffer) -> int:
    try:
        return file.read_nowait(dst)
    except WouldBlock:
        raise LinuxError(Errno.EAGAIN) from None


async def _write_with(task: "Task", file: File, src: Buffer, offset: int, flags: RWF) -> int:
    if RWF.APPEND in flags and file.is_seekable:
        return _append(task, file, src, moves=offset == _OWN_POSITION)
    if RWF.NOAPPEND in flags and isinstance(file, RegularFile):
        return _write_in_place(task, file, src, offset)
    if offset != _OWN_POSITION:
        return write_at(task, file, src, offset)
    if RWF.NOWAIT in flags:
        try:
            return file.write_nowait(bounded(task, file, src))
        except WouldBlock:
            raise LinuxError(Errno.EAGAIN) from None
    return await write_to(task, file, src)


def _write_in_place(task: "Task", file: RegularFile, src: Buffer, offset: int) -> int:
    """Where it is asked for, or at the file's own position, though the file may be for appending (O_APPEND)."""
    moves = offset == _OWN_POSITION
    start = file.offset if moves else offset
    src = Front(src, room_at(task, start, src.length))
    written = file.overwrite(src, start)
    if notify.WATCHES and written:
        notify.modified(file)
    if moves:
        file.offset += written
    return written


def _append(task: "Task", file: File, src: Buffer, *, moves: bool) -> int:
    end = file.attributes().size
    written = write_at(task, file, src, end)
    if moves:
        file.offset = end + written
    return written
