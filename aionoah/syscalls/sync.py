"""Size, space and durability of files: truncate, fallocate, fsync and advice about them.

Sources: truncate(2), fallocate(2), fsync(2), sync(2), sync_file_range(2), posix_fadvise(2), readahead(2);
Linux fs/open.c, fs/sync.c, mm/fadvise.c. The order of the checks is the kernel's.
"""

import os
from functools import partial
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import FADV, FALLOC, SYNC
from aionoah.abi.stat import S
from aionoah.fs import notify, operations
from aionoah.fs.file import File
from aionoah.host.blocking import run_blocking
from aionoah.syscalls.arguments import Fd, Offset, Path, Size
from aionoah.syscalls.paths import WORKING_DIRECTORY, locate
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.size_limit import require_size

if TYPE_CHECKING:
    from aionoah.process.task import Task

_MAX_OFFSET: Final = (1 << 63) - 1
_VALID_ALLOCATE: Final = (
    FALLOC.KEEP_SIZE
    | FALLOC.PUNCH_HOLE
    | FALLOC.COLLAPSE_RANGE
    | FALLOC.ZERO_RANGE
    | FALLOC.INSERT_RANGE
    | FALLOC.UNSHARE_RANGE
)
_VALID_SYNC: Final = SYNC.WAIT_BEFORE | SYNC.WRITE | SYNC.WAIT_AFTER


# -- size and space -----------------------------------------------------------------------------------


@syscall
def truncate(task: "Task", path: Path, length: Offset) -> None:
    if length < 0:
        raise LinuxError(Errno.EINVAL)

    place = locate(task, WORKING_DIRECTORY, path)
    operations.truncate(task.fs, place, length, partial(require_size, task))


@syscall
def ftruncate(task: "Task", fd: Fd, length: Offset) -> None:
    if length < 0:
        raise LinuxError(Errno.EINVAL)

    file = task.files[fd]
    if not file.is_writable or _kind(file) != S.IFREG:
        raise LinuxError(Errno.EINVAL)
    require_size(task, file.attributes().size, length)
    file.truncate(length)
    if notify.WATCHES:
        notify.modified(file)


@syscall
def fallocate(task: "Task", fd: Fd, mode: FALLOC, offset: Offset, length: Offset) -> None:
    """EOPNOTSUPP for what the file system cannot do."""
    allocate(task, task.files[fd], mode, offset, length)


def allocate(task: "Task", file: File, mode: FALLOC, offset: int, length: int) -> None:
    """vfs_fallocate."""
    if offset < 0 or length <= 0:
        raise LinuxError(Errno.EINVAL)
    if mode.outside(_VALID_ALLOCATE) or (FALLOC.PUNCH_HOLE in mode and FALLOC.KEEP_SIZE not in mode):
        raise LinuxError(Errno.EOPNOTSUPP)
    if not file.is_writable:
        raise LinuxError(Errno.EBADF)
    _require_allocatable(_kind(file))
    if offset + length > _MAX_OFFSET:
        raise LinuxError(Errno.EFBIG)
    if _reserves(file, mode):
        require_size(task, file.attributes().size, offset + length)
    file.allocate(mode, offset, length)
    if notify.WATCHES:
        notify.modified(file)


def _reserves(file: File, mode: int) -> bool:
    """Whether RLIMIT_FSIZE is asked about: in memory, of what stays behind the end of the file too."""
    if file.limits_reserved:
        return not mode & ~FALLOC.KEEP_SIZE
    return not mode & ~FALLOC.ZERO_RANGE


def _require_allocatable(kind: int) -> None:
    refusals = {S.IFIFO: Errno.ESPIPE, S.IFDIR: Errno.EISDIR, S.IFREG: None, S.IFBLK: None}
    refusal = refusals.get(kind, Errno.ENODEV)
    if refusal is not None:
        raise LinuxError(refusal)


# -- durability ---------------------------------------------------------------------------------------


@syscall
async def fsync(task: "Task", fd: Fd) -> None:
    await sync_file(task.files[fd], data_only=False)


@syscall
async def fdatasync(task: "Task", fd: Fd) -> None:
    await sync_file(task.files[fd], data_only=True)


async def sync_file(file: File, *, data_only: bool) -> None:
    """The host may take its time; the file stays open until it has done."""
    if not file.waits_for_disk:
        file.sync(data_only=data_only)
        return
    await run_blocking(partial(file.hold().sync, data_only=data_only), file.drop)


@syscall
async def sync(task: "Task") -> None:  # noqa: ARG001 - of all there is
    """What programs have written is the host's already: it writes its caches."""
    await run_blocking(os.sync, _nothing)


@syscall(partial="For a host file, every file system of the host is written.")
async def syncfs(task: "Task", fd: Fd) -> None:
    if task.files[fd].waits_for_disk:
        await run_blocking(os.sync, _nothing)


def _nothing() -> None:
    """Nothing has to stay open for it."""


@syscall(partial="The whole file is written, and only when the caller wants to wait.")
async def sync_file_range(task: "Task", fd: Fd, offset: Offset, nbytes: Offset, flags: SYNC) -> None:
    file = task.files[fd]
    if flags.outside(_VALID_SYNC) or offset < 0 or nbytes < 0 or offset + nbytes > _MAX_OFFSET:
        raise LinuxError(Errno.EINVAL)
    if _kind(file) not in (S.IFREG, S.IFBLK, S.IFDIR, S.IFLNK):
        raise LinuxError(Errno.ESPIPE)
    if flags & (SYNC.WAIT_BEFORE | SYNC.WAIT_AFTER):
        await sync_file(file, data_only=True)


# -- advice -------------------------------------------------------------------------------------------


@syscall
def fadvise64(task: "Task", fd: Fd, offset: Offset, size: Offset, advice: FADV) -> None:
    file = task.files[fd]
    if _kind(file) == S.IFIFO:
        raise LinuxError(Errno.ESPIPE)
    if size < 0 or advice > FADV.NOREUSE:
        raise LinuxError(Errno.EINVAL)
    file.advise(offset, size, advice)


@syscall
def readahead(task: "Task", fd: Fd, offset: Offset, count: Size) -> None:
    file = task.files[fd]
    if not file.is_readable:
        raise LinuxError(Errno.EBADF)
    if _kind(file) not in (S.IFREG, S.IFBLK) or count > _MAX_OFFSET:
        raise LinuxError(Errno.EINVAL)
    file.advise(offset, count, FADV.WILLNEED)


def _kind(file: File) -> int:
    return file.attributes().mode & S.IFMT
