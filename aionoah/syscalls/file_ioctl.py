"""Requests about the contents and the flags of files.

Sources: ioctl(2), FS_IOC_GETFLAGS(2const), FS_IOC_FSGETXATTR(2const); Linux fs/ioctl.c, fs/file_attr.c,
Documentation/filesystems/fiemap.rst.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import FALLOC, SEEK
from aionoah.abi.ioctl import FS_IOC, IOCTL, Fiemap, Fsxattr, SpaceResv
from aionoah.abi.stat import S
from aionoah.fs import file_flags
from aionoah.syscalls.cells import Cell32, Cell64
from aionoah.syscalls.file_sharing import clone, clone_range, share_same
from aionoah.syscalls.paths import place_of
from aionoah.syscalls.sync import allocate

if TYPE_CHECKING:
    from aionoah.fs.file import File
    from aionoah.process.task import Task

_EXTENT_SIZE: Final = 56  # struct fiemap_extent
_MAX_EXTENTS: Final = 0xFFFF_FFFF // _EXTENT_SIZE
_EXTENTS_AT_ONCE: Final = 4096


def _tell_block_size(task: "Task", file: "File", argument: int) -> None:
    task.memory.put(argument, Cell32(file.attributes().blksize))


def _tell_room(task: "Task", file: "File", argument: int) -> None:
    """What it takes on the disk, in bytes (FIOQSIZE)."""
    attributes = file.attributes()
    if attributes.mode & S.IFMT not in (S.IFREG, S.IFDIR, S.IFLNK):
        raise LinuxError(Errno.ENOTTY)
    task.memory.put(argument, Cell64(attributes.blocks * 512))


def _map_extents(task: "Task", file: "File", argument: int) -> None:
    """The host tells where the blocks of its files are: EOPNOTSUPP for all others."""
    if not file_flags.is_host(file.inode):
        raise LinuxError(Errno.EOPNOTSUPP)
    wanted = task.memory.get(Fiemap, argument)
    if wanted.fm_extent_count > _MAX_EXTENTS:
        raise LinuxError(Errno.EINVAL)
    count = min(wanted.fm_extent_count, _EXTENTS_AT_ONCE)
    wanted.fm_extent_count = count
    answer = file_flags.extents(file.inode, wanted.pack() + bytes(count * _EXTENT_SIZE))
    found = Fiemap.unpack(answer)
    filled = min(found.fm_mapped_extents, count) * _EXTENT_SIZE
    task.memory.write(argument, answer[: Fiemap.SIZE + filled])


def _map_block(task: "Task", file: "File", argument: int) -> None:
    """FIBMAP: the number of a block on the host's device."""
    if file.attributes().mode & S.IFMT != S.IFREG:
        raise LinuxError(Errno.ENOTTY)
    if not task.fs.identity.has(CAP.SYS_RAWIO):
        raise LinuxError(Errno.EPERM)
    block = task.memory.get(Cell32, argument).pack()
    if not file_flags.is_host(file.inode):
        raise LinuxError(Errno.EINVAL)
    task.memory.write(argument, file_flags.control(file.inode, IOCTL.FIBMAP, block))


def _reserve(mode: int) -> "Callable[[Task, File, int], None]":
    """What fallocate(2) came after (ioctl_xfs_reserve): for regular files."""

    def allocate_as_wanted(task: "Task", file: "File", argument: int) -> None:
        if file.attributes().mode & S.IFMT != S.IFREG:
            raise LinuxError(Errno.ENOTTY)
        wanted = task.memory.get(SpaceResv, argument)
        if wanted.l_whence not in (SEEK.SET, SEEK.CUR, SEEK.END):
            raise LinuxError(Errno.EINVAL)
        start = {SEEK.CUR: file.offset, SEEK.END: file.attributes().size}.get(wanted.l_whence, 0)
        allocate(task, file, FALLOC(mode | FALLOC.KEEP_SIZE), start + wanted.l_start, wanted.l_len)

    return allocate_as_wanted


def _get_flags(task: "Task", file: "File", argument: int) -> None:
    task.memory.put(argument, Cell32(file.inode.flags()))


def _set_flags(task: "Task", file: "File", argument: int) -> None:
    flags = task.memory.get(Cell32, argument).value & 0xFFFF_FFFF
    file_flags.set_flags(task.fs, place_of(file), flags)


def _get_extended_flags(task: "Task", file: "File", argument: int) -> None:
    task.memory.put(argument, file_flags.extended(file.inode))


def _set_extended_flags(task: "Task", file: "File", argument: int) -> None:
    file_flags.set_extended(task.fs, place_of(file), task.memory.get(Fsxattr, argument))


def _get_generation(task: "Task", file: "File", argument: int) -> None:
    """FS_IOC_GETVERSION. ENOTTY for what is not the host's."""
    answer = file_flags.control(file.inode, IOCTL.FS_IOC_GETVERSION, bytes(8))
    task.memory.write(argument, answer[: Cell32.SIZE])


FILE_REQUESTS: Final[dict[int, Callable[["Task", "File", int], None]]] = {
    IOCTL.FICLONE: clone,
    IOCTL.FICLONERANGE: clone_range,
    IOCTL.FIDEDUPERANGE: share_same,
    IOCTL.FIGETBSZ: _tell_block_size,
    IOCTL.FIOQSIZE: _tell_room,
    IOCTL.FIBMAP: _map_block,
    IOCTL.FS_IOC_FIEMAP: _map_extents,
    IOCTL.FS_IOC_FSGETXATTR: _get_extended_flags,
    IOCTL.FS_IOC_FSSETXATTR: _set_extended_flags,
    IOCTL.FS_IOC_GETVERSION: _get_generation,
    FS_IOC.RESVSP: _reserve(0),
    FS_IOC.RESVSP64: _reserve(0),
    FS_IOC.UNRESVSP: _reserve(FALLOC.PUNCH_HOLE),
    FS_IOC.UNRESVSP64: _reserve(FALLOC.PUNCH_HOLE),
    FS_IOC.ZERO_RANGE: _reserve(FALLOC.ZERO_RANGE),
    IOCTL.FS_IOC_GETFLAGS: _get_flags,
    IOCTL.FS_IOC_SETFLAGS: _set_flags,
}
