"""Reading and writing at a given position, and lseek.

The position of the vector calls comes in two words for the sake of 32-bit programs; on 64 bits the
first holds all of it. Sources: pread(2), preadv(2), lseek(2); Linux fs/read_write.c.
"""
# ruff: noqa: ARG001 - the upper half of a position

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import SEEK, O
from aionoah.abi.uio import RWF, Iovec
from aionoah.fs import file as files
from aionoah.fs import notify
from aionoah.fs.file import BrokenPipe, File, WouldBlock
from aionoah.fs.regular import RegularFile
from aionoah.memory.buffer import Buffer, Front
from aionoah.syscalls.arguments import Addr, Fd, In, Offset, Size, ULong
from aionoah.syscalls.read_write import (
    broken_pipe,
    read_into,
    readable_file,
    writable_file,
    write_at,
    write_to,
)
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.size_limit import bounded, room_at
from aionoah.syscalls.sync import sync_file

if TYPE_CHECKING:
    from aionoah.process.task import Task

OF_CACHE: Final = RWF.NOWAIT | RWF.DONTCACHE  # what only the file knows how to do
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
    is_own = offset == _OWN_POSITION
    file = readable_file(task, fd) if is_own else _reader_at(task, fd, offset)
    dst = task.memory.writable_vector(iov, iovcnt)
    if not dst.length:
        return task.counts.has_read(0)
    require_flags(flags, file.read_flags)
    if flags & OF_CACHE and isinstance(file, RegularFile):
        return task.counts.has_read(read_regular(file, dst, offset, flags))
    if not is_own:
        return _read(task, file, dst, offset)
    if RWF.NOWAIT in flags:
        return task.counts.has_read(_read_now(file, dst))
    return await read_into(task, file, dst)


@syscall(partial="RWF_ATOMIC is refused with EOPNOTSUPP.")
async def pwritev2(
    task: "Task", fd: Fd, iov: In[Iovec], iovcnt: ULong, offset: Offset, offset_high: ULong, flags: RWF
) -> int:
    """At the file's own position if `offset` is -1."""
    file = writable_file(task, fd) if offset == _OWN_POSITION else _writer_at(task, fd, offset)
    src = task.memory.readable_vector(iov, iovcnt)
    if not src.length:
        return task.counts.has_written(0)
    require_flags(flags, file.write_flags)
    if not isinstance(file, RegularFile):
        return task.counts.has_written(await _write_other(task, file, src, offset, flags))
    written = task.counts.has_written(write_regular(task, file, src, offset, flags))
    if flags & (RWF.DSYNC | RWF.SYNC) and written:
        await sync_file(file, data_only=RWF.SYNC not in flags)
    return written


def _read(task: "Task", file: File, dst: Buffer, offset: int) -> int:
    try:
        return task.counts.has_read(files.read_at(file, dst, offset))
    except LinuxError:
        task.counts.has_read(0)
        raise


def _write(task: "Task", file: File, src: Buffer, offset: int) -> int:
    try:
        return task.counts.has_written(write_at(task, file, src, offset))
    except LinuxError:
        task.counts.has_written(0)
        raise


def require_flags(flags: RWF, valid: int) -> None:
    """EOPNOTSUPP, EINVAL. Not asked about the transfer of nothing."""
    if flags.outside(valid):
        raise LinuxError(Errno.EOPNOTSUPP)
    if RWF.APPEND in flags and RWF.NOAPPEND in flags:
        raise LinuxError(Errno.EINVAL)


def _reader_at(task: "Task", fd: int, offset: int) -> File:
    file = _file_at(task, fd, offset)
    if not file.is_readable:
        raise LinuxError(Errno.EBADF)
    return file


def _writer_at(task: "Task", fd: int, offset: int) -> File:
    file = _file_at(task, fd, offset)
    if not file.is_writable:
        raise LinuxError(Errno.EBADF)
    return file


def _file_at(task: "Task", fd: int, offset: int) -> File:
    """EINVAL, EBADF, and ESPIPE: what cannot seek says so before it is asked about reading, or where the memory is."""
    if offset < 0:
        raise LinuxError(Errno.EINVAL)
    file = task.files[fd]
    if not file.is_seekable:
        raise LinuxError(Errno.ESPIPE)
    return file


def _read_now(file: File, dst: Buffer) -> int:
    try:
        return file.read_nowait(dst)
    except WouldBlock:
        raise LinuxError(Errno.EAGAIN) from None


def read_regular(file: RegularFile, dst: Buffer, offset: int, flags: RWF) -> int:
    """Read with flags that have been required."""
    moves = offset == _OWN_POSITION
    start = file.offset if moves else offset
    done = file.read_with(dst, start, flags)
    if notify.WATCHES and done:
        notify.accessed(file)
    if moves:
        file.offset = start + done
    return done


def write_regular(task: "Task", file: RegularFile, src: Buffer, offset: int, flags: RWF) -> int:
    """At the end, whatever the file and the caller say, with RWF_APPEND; never there for O_APPEND with RWF_NOAPPEND."""
    moves = offset == _OWN_POSITION
    appends = O.APPEND in file.flags and RWF.NOAPPEND not in flags
    start = file.offset if moves else offset
    if appends or RWF.APPEND in flags:
        start = file.size()
    written = file.write_with(Front(src, room_at(task, start, src.length)), start, flags)
    if notify.WATCHES and written:
        notify.modified(file)
    if moves:
        file.offset = start + written
    return written


async def _write_other(task: "Task", file: File, src: Buffer, offset: int, flags: RWF) -> int:
    if offset != _OWN_POSITION:
        return write_at(task, file, src, offset)
    if RWF.NOWAIT in flags:
        try:
            return file.write_nowait(bounded(task, file, src))
        except WouldBlock:
            raise LinuxError(Errno.EAGAIN) from None
        except BrokenPipe as broken:
            return broken_pipe(task, file, broken, signals=RWF.NOSIGNAL not in flags)
    return await write_to(task, file, src, signals=RWF.NOSIGNAL not in flags)
