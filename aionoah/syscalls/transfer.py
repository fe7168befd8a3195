"""Copying between descriptors inside the kernel: sendfile(2), copy_file_range(2).

Sources: Linux fs/read_write.c (do_sendfile, vfs_copy_file_range, generic_copy_file_checks), fs/splice.c.
"""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import SEEK, SPLICE, O
from aionoah.abi.stat import S
from aionoah.abi.uio import MAX_RW_COUNT
from aionoah.abi.words import WORD_MASK
from aionoah.fs.anonymous import AnonymousFile
from aionoah.fs.file import File, read_at, write_at
from aionoah.fs.pipe import PipeEnd
from aionoah.host.application import NotYet
from aionoah.memory.buffer import KernelBuffer
from aionoah.syscalls.arguments import Fd, Ptr, Size, UInt
from aionoah.syscalls.cells import Cell64
from aionoah.syscalls.read_write import readable_file, writable_file, write_to
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.size_limit import room_at
from aionoah.syscalls.splice import Place, into_pipe

if TYPE_CHECKING:
    from aionoah.process.task import Task

_CHUNK: Final = 256 * 1024  # bytes moved at a time


@syscall
async def sendfile(task: "Task", out_fd: Fd, in_fd: Fd, offset: Ptr[Cell64], count: Size) -> int:
    """Without `offset` the input's own position moves."""
    position = task.memory.get(Cell64, offset).value if offset else None
    source = readable_file(task, in_fd)
    if position is not None and not source.is_seekable:
        raise LinuxError(Errno.ESPIPE)
    if position is not None and position < 0:
        raise LinuxError(Errno.EINVAL)
    if count >> 63:
        raise LinuxError(Errno.EINVAL)
    target = writable_file(task, out_fd)
    length = min(count, MAX_RW_COUNT)
    if isinstance(target, PipeEnd):
        return _count(task, await _send_to_pipe(task, target, source, Place(task, offset, position), length))
    _require_sendable(source, target, length)
    start = source.seek(0, SEEK.CUR) if position is None else position
    sent = await _send(task, target, source, start, length)
    end = start + sent if source.has_position else start
    if offset:
        task.memory.put(offset, Cell64(end))
    else:
        source.seek(end, SEEK.SET)
    return _count(task, sent)


def _count(task: "Task", moved: int) -> int:
    """The call has both read and written."""
    return task.counts.has_read(task.counts.has_written(moved))


async def _send_to_pipe(task: "Task", target: PipeEnd, source: File, place: Place, count: int) -> int:
    """From what cannot seek, too, and not more than the pipe has room for at once."""
    if not count:
        return 0
    if isinstance(source, PipeEnd):
        raise LinuxError(Errno.EINVAL)
    return await into_pipe(
        task, source, target, place, count, SPLICE(target.is_nonblocking and SPLICE.NONBLOCK)
    )


def _require_sendable(source: File, target: File, count: int) -> None:
    """Linux takes eventfd and its kind to be seekable, and sends nothing of them."""
    is_seekable = source.is_seekable or isinstance(source, AnonymousFile)
    if not is_seekable or O.APPEND in target.flags or (count and not source.gives_splices):
        raise LinuxError(Errno.EINVAL)


async def _send(task: "Task", target: File, source: File, position: int, count: int) -> int:
    """How much got through. An error or a signal after something has gone ends the call with success."""
    sent = 0
    while sent < count:
        try:
            data = bytearray(min(count - sent, _CHUNK))
            got = read_at(source, KernelBuffer(data), position + sent)
            if not got:
                break
            _require_taker(target)
            done = await write_to(task, target, KernelBuffer(memoryview(data)[:got]))
        except (LinuxError, NotYet):
            if not sent:
                raise
            break
        sent += done
        if not done or (done < got and not target.is_seekable):  # a file says itself why it takes no more
            break
    return sent


def _require_taker(target: File) -> None:
    """Linux finds out when it has something to write."""
    if not target.takes_splices:
        raise LinuxError(Errno.EINVAL)


@syscall
def copy_file_range(
    task: "Task", fd_in: Fd, off_in: Ptr[Cell64], fd_out: Fd, off_out: Ptr[Cell64], size: Size, flags: UInt
) -> int:
    source, target = task.files[fd_in], task.files[fd_out]
    start_in = task.memory.get(Cell64, off_in).value if off_in else source.offset
    start_out = task.memory.get(Cell64, off_out).value if off_out else target.offset
    if flags:
        raise LinuxError(Errno.EINVAL)
    _require_copyable(source, target)
    _require_range(start_in, size)
    _require_range(start_out, size)
    count = min(size, max(source.attributes().size - start_in, 0), MAX_RW_COUNT)
    count = room_at(task, start_out, count)
    _require_disjoint(source, target, start_in, start_out, count)

    copied = _copy(source, target, start_in, start_out, count)
    if off_in:
        task.memory.put(off_in, Cell64(start_in + copied))
    else:
        source.seek(start_in + copied, SEEK.SET)
    if off_out:
        task.memory.put(off_out, Cell64(start_out + copied))
    else:
        target.seek(start_out + copied, SEEK.SET)
    return _count(task, copied)


def _require_copyable(source: File, target: File) -> None:
    """generic_file_rw_checks, then EXDEV between file systems."""
    kinds = {file.attributes().mode & S.IFMT for file in (source, target)}
    if S.IFDIR in kinds:
        raise LinuxError(Errno.EISDIR)
    if kinds != {S.IFREG}:
        raise LinuxError(Errno.EINVAL)
    if not source.is_readable or not target.is_writable or O.APPEND in target.flags:
        raise LinuxError(Errno.EBADF)
    if source.inode.filesystem is not target.inode.filesystem:
        raise LinuxError(Errno.EXDEV)


def _require_range(start: int, size: int) -> None:
    """The sum is made of unsigned words, so -1 overflows and other negative offsets do not."""
    if (start + size) & WORD_MASK < start & WORD_MASK:
        raise LinuxError(Errno.EOVERFLOW)
    if start < 0:
        raise LinuxError(Errno.EINVAL)


def _require_disjoint(source: File, target: File, start_in: int, start_out: int, size: int) -> None:
    is_same = source.attributes()[1:3] == target.attributes()[1:3]  # inode and device
    if is_same and start_out < start_in + size and start_in < start_out + size:
        raise LinuxError(Errno.EINVAL)


def _copy(source: File, target: File, start_in: int, start_out: int, size: int) -> int:
    copied = 0
    while copied < size:
        try:
            data = bytearray(min(size - copied, _CHUNK))
            got = read_at(source, KernelBuffer(data), start_in + copied)
            if not got:
                break
            done = write_at(target, KernelBuffer(memoryview(data)[:got]), start_out + copied)
        except (LinuxError, NotYet):
            if not copied:
                raise
            break
        copied += done
        if done < got:
            break
    return copied
