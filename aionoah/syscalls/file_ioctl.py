"""Requests about the contents and the flags of files.

Sources: ioctl_ficlone(2), ioctl_fideduperange(2), FS_IOC_GETFLAGS(2const); Linux fs/ioctl.c, fs/remap_range.c, whose
order of checks this is.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aionoah.abi.cstruct import I64, U64, Struct
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.ioctl import IOCTL
from aionoah.abi.stat import S
from aionoah.fs import notify
from aionoah.fs.hostfs_file import HostFile
from aionoah.syscalls.cells import Cell32, Cell64
from aionoah.syscalls.size_limit import room_at

if TYPE_CHECKING:
    from aionoah.fs.file import File
    from aionoah.process.task import Task


class FileCloneRange(Struct):
    """Argument of FICLONERANGE; a length of 0 is all that there is."""

    src_fd: I64
    src_offset: U64
    src_length: U64
    dest_offset: U64


def _clone(task: "Task", file: "File", argument: int) -> None:
    _clone_range(task, file, FileCloneRange(argument & 0xFFFF_FFFF, 0, 0, 0))


def _clone_part(task: "Task", file: "File", argument: int) -> None:
    _clone_range(task, file, task.memory.get(FileCloneRange, argument))


def _clone_range(task: "Task", file: "File", wanted: FileCloneRange) -> None:
    """Only the host's file systems can share blocks: EOPNOTSUPP for all others."""
    source = task.files[wanted.src_fd]
    if source.inode.filesystem is not file.inode.filesystem:
        raise LinuxError(Errno.EXDEV)
    kinds = {each.attributes().mode & S.IFMT for each in (source, file)}
    if S.IFDIR in kinds:
        raise LinuxError(Errno.EISDIR)
    if kinds != {int(S.IFREG)}:
        raise LinuxError(Errno.EINVAL)
    if not source.is_readable or not file.is_writable or O.APPEND in file.flags:
        raise LinuxError(Errno.EBADF)
    if not isinstance(source, HostFile) or not isinstance(file, HostFile):
        raise LinuxError(Errno.EOPNOTSUPP)
    _require_room(task, source, wanted)
    file.clone_from(source, wanted.src_offset, wanted.src_length, wanted.dest_offset)
    if notify.WATCHES:
        notify.modified(file)


def _require_room(task: "Task", source: "File", wanted: FileCloneRange) -> None:
    """EFBIG at RLIMIT_FSIZE, EINVAL across it (generic_remap_checks)."""
    length = wanted.src_length or max(source.attributes().size - wanted.src_offset, 0)
    if room_at(task, wanted.dest_offset, length) < length:
        raise LinuxError(Errno.EINVAL)


def _tell_block_size(task: "Task", file: "File", argument: int) -> None:
    task.memory.put(argument, Cell32(file.attributes().blksize))


def _tell_room(task: "Task", file: "File", argument: int) -> None:
    """What it takes on the disk, in bytes (FIOQSIZE)."""
    attributes = file.attributes()
    if attributes.mode & S.IFMT not in (S.IFREG, S.IFDIR, S.IFLNK):
        raise LinuxError(Errno.ENOTTY)
    task.memory.put(argument, Cell64(attributes.blocks * 512))


def _map_blocks(task: "Task", file: "File", argument: int) -> None:  # noqa: ARG001
    raise LinuxError(Errno.EOPNOTSUPP)


def _refuse_for_files(task: "Task", file: "File", argument: int) -> None:  # noqa: ARG001
    """EOPNOTSUPP from regular files and directories, as of a file system that cannot; ENOTTY from others."""
    if file.attributes().mode & S.IFMT not in (S.IFREG, S.IFDIR):
        raise LinuxError(Errno.ENOTTY)
    raise LinuxError(Errno.EOPNOTSUPP)


def _get_flags(task: "Task", file: "File", argument: int) -> None:
    task.memory.put(argument, Cell32(file.inode.flags()))


def _set_flags(task: "Task", file: "File", argument: int) -> None:
    """They are the host's business. What changes nothing is done."""
    present = file.inode.flags()
    if task.memory.get(Cell32, argument).value != present:
        raise LinuxError(Errno.EOPNOTSUPP)


FILE_REQUESTS: Final[dict[int, Callable[["Task", "File", int], None]]] = {
    IOCTL.FICLONE: _clone,
    IOCTL.FICLONERANGE: _clone_part,
    IOCTL.FIDEDUPERANGE: _refuse_for_files,
    IOCTL.FIGETBSZ: _tell_block_size,
    IOCTL.FIOQSIZE: _tell_room,
    IOCTL.FS_IOC_FIEMAP: _map_blocks,
    IOCTL.FS_IOC_GETFLAGS: _get_flags,
    IOCTL.FS_IOC_SETFLAGS: _set_flags,
}
