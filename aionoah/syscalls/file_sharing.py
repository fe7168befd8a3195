"""Requests to share blocks between files: cloning them, and finding out that they are the same.

Sources: ioctl_ficlone(2), ioctl_fideduperange(2); Linux fs/ioctl.c, fs/remap_range.c, whose order of checks this is.
"""

from typing import TYPE_CHECKING

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import ACCESS, O
from aionoah.abi.ioctl import FileCloneRange, FileDedupeRange, FileDedupeRangeInfo
from aionoah.abi.stat import S
from aionoah.fs import notify
from aionoah.fs.hostfs_file import HostFile
from aionoah.fs.permissions import allows
from aionoah.host.errors import host_errors
from aionoah.syscalls.size_limit import room_at

if TYPE_CHECKING:
    from aionoah.fs.file import File
    from aionoah.process.task import Task


def clone(task: "Task", file: "File", argument: int) -> None:
    _clone_part(task, file, FileCloneRange(argument & 0xFFFF_FFFF, 0, 0, 0))


def clone_range(task: "Task", file: "File", argument: int) -> None:
    _clone_part(task, file, task.memory.get(FileCloneRange, argument))


def _clone_part(task: "Task", file: "File", wanted: FileCloneRange) -> None:
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


def share_same(task: "Task", file: "File", argument: int) -> None:
    """FIDEDUPERANGE. EOPNOTSUPP for what is not on a file system of the host that can."""
    count = task.memory.get(FileDedupeRange, argument).dest_count
    size = FileDedupeRange.SIZE + count * FileDedupeRangeInfo.SIZE
    if size > PAGE_SIZE:
        raise LinuxError(Errno.ENOMEM)
    data = task.memory.read(argument, size)
    wanted = FileDedupeRange.unpack(data)
    source = _require_source(file, wanted)
    places = [
        FileDedupeRangeInfo.unpack(data, start)
        for start in range(FileDedupeRange.SIZE, size, FileDedupeRangeInfo.SIZE)
    ]
    for place in places:
        place.bytes_deduped, place.status = _share_with(task, source, wanted, place)
    task.memory.write(argument, wanted.pack() + b"".join(place.pack() for place in places))


def _require_source(file: "File", wanted: FileDedupeRange) -> HostFile:
    from aionoah.host.file_details import require_sharing  # noqa: PLC0415 - slow to import, and few ask

    if not file.is_readable or wanted.reserved1 or wanted.reserved2:
        raise LinuxError(Errno.EINVAL)
    kind = file.attributes().mode & S.IFMT
    if kind != S.IFREG:
        raise LinuxError(Errno.EISDIR if kind == S.IFDIR else Errno.EINVAL)
    if not isinstance(file, HostFile):
        raise LinuxError(Errno.EOPNOTSUPP)
    with host_errors():
        require_sharing(file.fd, wanted.src_offset, wanted.src_length)
    return file


def _share_with(
    task: "Task", source: HostFile, wanted: FileDedupeRange, place: FileDedupeRangeInfo
) -> tuple[int, int]:
    """How many bytes are shared, and what is said of this place: 1 if it differs, or a negative errno."""
    from aionoah.host.file_details import share_same_blocks  # noqa: PLC0415

    try:
        target = _partner(task, source, place)
    except LinuxError as error:
        return 0, -int(error.errno)
    with host_errors():
        return share_same_blocks(
            source.fd, wanted.src_offset, wanted.src_length, target.fd, place.dest_offset
        )


def _partner(task: "Task", source: HostFile, place: FileDedupeRangeInfo) -> HostFile:
    """vfs_dedupe_file_range_one: whoever may write to a file need not have opened it for that."""
    if place.reserved:
        raise LinuxError(Errno.EINVAL)
    target = task.files[place.dest_fd]
    attributes, identity = target.attributes(), task.fs.identity
    if not (
        target.is_writable
        or identity.uid == attributes.uid
        or allows(attributes, identity, ACCESS.W, target.inode)
    ):
        raise LinuxError(Errno.EPERM)
    if target.inode.filesystem is not source.inode.filesystem:
        raise LinuxError(Errno.EXDEV)
    if attributes.mode & S.IFMT == S.IFDIR:
        raise LinuxError(Errno.EISDIR)
    if not isinstance(target, HostFile):
        raise LinuxError(Errno.EINVAL)
    return target
