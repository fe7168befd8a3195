"""read, write and their vectors, at the file's own position.

Sources: read(2), write(2), readv(2); Linux fs/read_write.c.
"""

from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.signal import SIG
from aionoah.abi.uio import Iovec
from aionoah.fs import file as files
from aionoah.fs.file import BrokenPipe, File
from aionoah.memory.buffer import Buffer
from aionoah.signals.generate import send_to_task
from aionoah.signals.info import from_user
from aionoah.syscalls.arguments import Addr, Fd, In, Size, ULong
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.size_limit import bounded

if TYPE_CHECKING:
    from aionoah.process.task import Task


@syscall
async def read(task: "Task", fd: Fd, buf: Addr, count: Size) -> int:
    file = readable_file(task, fd)
    return await read_into(task, file, task.memory.writable(buf, count))


@syscall
async def write(task: "Task", fd: Fd, buf: Addr, count: Size) -> int:
    file = writable_file(task, fd)
    return await _write_from(task, file, task.memory.readable(buf, count))


@syscall
async def readv(task: "Task", fd: Fd, iov: In[Iovec], iovcnt: ULong) -> int:
    """Of nothing the file is not asked (vfs_readv)."""
    file = readable_file(task, fd)
    dst = task.memory.writable_vector(iov, iovcnt)
    return await read_into(task, file, dst) if dst.length else task.counts.has_read(0)


@syscall
async def writev(task: "Task", fd: Fd, iov: In[Iovec], iovcnt: ULong) -> int:
    file = writable_file(task, fd)
    src = task.memory.readable_vector(iov, iovcnt)
    return await _write_from(task, file, src) if src.length else task.counts.has_written(0)


async def read_into(task: "Task", file: File, dst: Buffer) -> int:
    """Read at the file's own position. The call counts (/proc/PID/io), even if it fails."""
    try:
        return task.counts.has_read(await files.read(file, dst))
    except LinuxError:
        task.counts.has_read(0)
        raise


async def _write_from(task: "Task", file: File, src: Buffer) -> int:
    try:
        return task.counts.has_written(await write_to(task, file, src))
    except LinuxError:
        task.counts.has_written(0)
        raise


def readable_file(task: "Task", fd: int) -> File:
    """EBADF for what is not open for reading."""
    file = task.files[fd]
    if not file.is_readable:
        raise LinuxError(Errno.EBADF)
    return file


def writable_file(task: "Task", fd: int) -> File:
    """EBADF for what is not open for writing."""
    file = task.files[fd]
    if not file.is_writable:
        raise LinuxError(Errno.EBADF)
    return file


def write_at(task: "Task", file: File, src: Buffer, offset: int) -> int:
    """Write at an offset, as far as the process may make files."""
    if task.process.limits.file_size is not None:
        src = bounded(task, file, src, offset)
    return files.write_at(file, src, offset)


async def write_to(task: "Task", file: File, src: Buffer, *, signals: bool = True) -> int:
    """Write, and raise SIGPIPE in the calling thread where nobody reads any more (pipe(7)), unless `signals` forbids it."""
    if task.process.limits.file_size is not None:
        src = bounded(task, file, src)
    try:
        return await files.write(file, src)
    except BrokenPipe as broken:
        return broken_pipe(task, file, broken, signals=signals)


def broken_pipe(task: "Task", file: File, broken: BrokenPipe, *, signals: bool) -> int:
    """What a write returns that nobody will read: a count, or EPIPE."""
    if signals and (file.signals_cut_writes or not broken.written):
        send_to_task(task, from_user(SIG.PIPE, task.process.pid, task.credentials.uid))
    if broken.written:
        return broken.written
    raise broken
