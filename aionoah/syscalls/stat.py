"""stat and its family, statx, statfs: stat(2), statx(2), statfs(2); Linux fs/stat.c, fs/statfs.c."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.cstruct import Struct
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import AT
from aionoah.abi.stat import STATX, STATX_ATTR, Statx, StatxTimestamp, major, minor
from aionoah.abi.statfs import Statfs
from aionoah.abi.time import NSEC_PER_SEC
from aionoah.abi.x86_64 import Stat
from aionoah.fs.inode import Attributes, Details, FileSystemStatus
from aionoah.fs.operations import filesystem_status
from aionoah.fs.path import Dentry, look
from aionoah.process.user_namespaces import FIRST
from aionoah.syscalls.arguments import DirFd, Fd, Path, Ptr
from aionoah.syscalls.paths import WORKING_DIRECTORY, attributes_at, base, locate, place_of
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.process.task import Task

_CHANGES: Final = int(STATX.CTIME | STATX.MTIME)
_DETAILS: Final = STATX.BTIME | STATX.DIOALIGN
_OF_MOUNTS: Final = STATX_ATTR.MOUNT_ROOT | STATX_ATTR.AUTOMOUNT | STATX_ATTR.DAX
_FIRST_UNIQUE: Final = 1 << 31
_VALID_AT: Final = AT.SYMLINK_NOFOLLOW | AT.NO_AUTOMOUNT | AT.EMPTY_PATH | AT.STATX_SYNC_TYPE


@syscall
def stat(task: "Task", pathname: Path, statbuf: Ptr[Stat]) -> None:
    _put_stat(task, statbuf, attributes_at(task, WORKING_DIRECTORY, pathname))


@syscall
def lstat(task: "Task", pathname: Path, statbuf: Ptr[Stat]) -> None:
    _put_stat(task, statbuf, attributes_at(task, WORKING_DIRECTORY, pathname, AT.SYMLINK_NOFOLLOW))


@syscall
def fstat(task: "Task", fd: Fd, statbuf: Ptr[Stat]) -> None:
    _put_stat(task, statbuf, task.files.get(fd, allow_path=True).attributes())


@syscall
def newfstatat(task: "Task", dirfd: DirFd, pathname: Path | None, statbuf: Ptr[Stat], flags: AT) -> None:
    _put_stat(task, statbuf, attributes_at(task, dirfd, _checked(pathname, flags), flags))


@syscall
def statx(
    task: "Task", dirfd: DirFd, pathname: Path | None, flags: AT, mask: STATX, statxbuf: Ptr[Statx]
) -> None:
    if STATX.RESERVED in mask or AT.STATX_SYNC_TYPE in flags:
        raise LinuxError(Errno.EINVAL)
    path = _checked(pathname, flags)
    if mask & _DETAILS or not path:
        place, is_itself = locate(task, dirfd, path, flags), True
        attributes = place.inode.attributes()
    else:
        follow = AT.SYMLINK_NOFOLLOW not in flags
        attributes, place, is_itself = look(task.fs, base(task, dirfd, path), path, follow=follow)
    if task.credentials.user_namespace is not FIRST:
        attributes = _named(task, attributes)
    task.memory.write(statxbuf, _extended(place, attributes, mask, is_itself=is_itself))


@syscall
def statfs(task: "Task", pathname: Path, buf: Ptr[Statfs]) -> None:
    _put_statfs(task, buf, locate(task, WORKING_DIRECTORY, pathname))


@syscall
def fstatfs(task: "Task", fd: Fd, buf: Ptr[Statfs]) -> None:
    _put_statfs(task, buf, place_of(task.files.get(fd, allow_path=True)))


def _checked(path: bytes | None, flags: AT) -> bytes:
    """EINVAL before anything else. A null path is as good as an empty one since Linux 6.11."""
    if flags.outside(_VALID_AT):
        raise LinuxError(Errno.EINVAL)
    if path is None and AT.EMPTY_PATH not in flags:
        raise LinuxError(Errno.EFAULT)
    return path or b""


def _put_stat(task: "Task", address: int, attributes: Attributes) -> None:
    if task.credentials.user_namespace is not FIRST:
        attributes = _named(task, attributes)
    task.memory.write(address, pack_stat(task.architecture.stat_struct, attributes))


def _named(task: "Task", attributes: Attributes) -> Attributes:
    """With its owners' names in the task's user name space."""
    names = task.credentials.user_namespace
    return attributes._replace(uid=names.uids.shown(attributes.uid), gid=names.gids.shown(attributes.gid))


def pack_stat(kind: type[Struct], attributes: Attributes) -> bytes:
    """An architecture's struct stat. Programs that walk trees ask for little else, so no Struct is made for it."""
    mode, ino, dev, nlink, uid, gid, rdev, size, blksize, blocks, atime, mtime, ctime, _ = attributes
    first, second = (nlink, mode) if kind.FIELDS[2] == "st_nlink" else (mode, nlink)
    return kind.pack_values(
        *(dev, ino, first, second, uid, gid, rdev, size, blksize, blocks),
        *(atime // NSEC_PER_SEC, atime % NSEC_PER_SEC),
        *(mtime // NSEC_PER_SEC, mtime % NSEC_PER_SEC),
        *(ctime // NSEC_PER_SEC, ctime % NSEC_PER_SEC),
    )


def _extended(place: Dentry, attributes: Attributes, wanted: STATX, *, is_itself: bool) -> bytes:
    """A struct statx of a file in the mount of a place. A program that asks for more than stat would tell is worth
    a further question to the host.
    """
    details = place.inode.details() if wanted & _DETAILS else Details(None)
    present = _present(place, details, wanted)
    alignment = details.direct_alignment if present & STATX.DIOALIGN else None
    is_top = is_itself and place is place.mount.root
    mode, ino, dev, nlink, uid, gid, rdev, size, blksize, blocks, atime, mtime, ctime, _ = attributes
    return Statx.pack_values(
        *(present | _mount_field(wanted), blksize),
        *(details.attributes | (STATX_ATTR.MOUNT_ROOT if is_top else 0), nlink, uid, gid, mode),
        *(ino, size, blocks, details.known_attributes | _OF_MOUNTS),
        _timestamp(atime),
        _timestamp(details.birth_ns or 0 if present & STATX.BTIME else 0),
        _timestamp(ctime if present & STATX.CTIME else 0),
        _timestamp(mtime if present & STATX.MTIME else 0),
        *(major(rdev), minor(rdev), major(dev), minor(dev)),
        _mount_id(place.mount.identifier, wanted),
        *(alignment or (0, 0)),
        *(0, 0, 0, 0),  # subvolumes and atomic writes
    )


def _present(place: Dentry, details: Details, wanted: STATX) -> int:
    """Which fields are told, the mount's aside: those of stat mostly unasked."""
    present = int(STATX.BASIC_STATS)
    if place.inode.filesystem.has_fine_times and not wanted & _CHANGES:
        present &= ~_CHANGES
    if details.birth_ns is not None:
        present |= wanted & STATX.BTIME
    if details.direct_alignment is not None:
        present |= wanted & STATX.DIOALIGN
    return present


def _mount_field(wanted: STATX) -> int:
    return int(STATX.MNT_ID_UNIQUE if STATX.MNT_ID_UNIQUE in wanted else STATX.MNT_ID)


def _mount_id(identifier: int, wanted: STATX) -> int:
    """Those that are never used again begin where no others are (fs/namespace.c)."""
    return identifier + (_FIRST_UNIQUE if STATX.MNT_ID_UNIQUE in wanted else 0)


def _timestamp(time_ns: int) -> bytes:
    return StatxTimestamp.pack_values(*divmod(time_ns, NSEC_PER_SEC))


def _put_statfs(task: "Task", address: int, place: Dentry) -> None:
    task.memory.put(address, _pack_statfs(filesystem_status(place), place.inode.filesystem.device))


def _pack_statfs(status: FileSystemStatus, device: int) -> Statfs:
    return Statfs(
        f_type=status.magic,
        f_bsize=status.block_size,
        f_blocks=status.blocks,
        f_bfree=status.blocks_free,
        f_bavail=status.blocks_available,
        f_files=status.files,
        f_ffree=status.files_free,
        f_fsid0=device & 0x7FFFFFFF,  # any number that tells file systems apart
        f_fsid1=0,
        f_namelen=status.name_length,
        f_frsize=status.block_size,
        f_flags=status.flags,
    )
