"""File handles: name_to_handle_at(2), open_by_handle_at(2); Linux fs/fhandle.c. The order of the checks is the kernel's."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import AT, VALID_OPEN_FLAGS, FileHandle, O
from aionoah.fs.handles import FILEID, Handle, find, nameless_handle
from aionoah.fs.inode import MustWait
from aionoah.fs.operations import open_dentry, open_path
from aionoah.syscalls.arguments import Addr, DirFd, Path
from aionoah.syscalls.cells import Cell32
from aionoah.syscalls.paths import WORKING_DIRECTORY, locate
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.fs.file import File
    from aionoah.fs.path import Dentry
    from aionoah.process.task import Task

_HANDLE_FID: Final = AT.REMOVEDIR  # have one bit
_VALID_FLAGS: Final = AT.SYMLINK_FOLLOW | AT.EMPTY_PATH | _HANDLE_FID
_MAX_HANDLE: Final = 128  # MAX_HANDLE_SZ


@syscall(partial="AT_HANDLE_CONNECTABLE and AT_HANDLE_MNT_ID_UNIQUE are refused, as before Linux 6.12.")
def name_to_handle_at(
    task: "Task", dirfd: DirFd, pathname: Path, handle: Addr, mount_id: Addr, flags: AT
) -> None:
    if flags.outside(_VALID_FLAGS):
        raise LinuxError(Errno.EINVAL)
    nofollow = 0 if AT.SYMLINK_FOLLOW in flags else AT.SYMLINK_NOFOLLOW
    place = locate(task, dirfd, pathname, flags & AT.EMPTY_PATH | nofollow)
    made = _handle_of(place, identifies_only=_HANDLE_FID in flags)
    room = task.memory.get(FileHandle, handle).handle_bytes
    if room > _MAX_HANDLE:
        raise LinuxError(Errno.EINVAL)
    fits = len(made.data) <= room
    task.memory.put(mount_id, Cell32(place.mount.identifier))
    task.memory.put(handle, FileHandle(len(made.data), made.kind if fits else FILEID.INVALID))
    if not fits:
        raise LinuxError(Errno.EOVERFLOW)
    task.memory.write(handle + FileHandle.SIZE, made.data)


def _handle_of(place: "Dentry", *, identifies_only: bool) -> Handle:
    """EOPNOTSUPP, unless it is only to be told from others."""
    try:
        return place.mount.filesystem.handle_of(place.inode)
    except LinuxError as error:
        if error.errno is not Errno.EOPNOTSUPP or not identifies_only:
            raise
    return nameless_handle(place.inode.attributes().ino)


@syscall(
    partial="Handles of host files are good in the instance that gave them, for the last 512 files, which are found by their latest name."
)
async def open_by_handle_at(task: "Task", mount_fd: DirFd, handle: Addr, flags: O) -> int:
    header = task.memory.get(FileHandle, handle)
    if not 0 < header.handle_bytes <= _MAX_HANDLE or header.handle_type < 0:
        raise LinuxError(Errno.EINVAL)
    if mount_fd == WORKING_DIRECTORY:
        anchor: Dentry | None = task.fs.cwd
    else:
        anchor = task.files[mount_fd].dentry
    task.credentials.require(CAP.DAC_READ_SEARCH)
    data = task.memory.read(handle + FileHandle.SIZE, header.handle_bytes)
    if anchor is None:
        raise LinuxError(Errno.ESTALE)  # a pipe and the like
    place = find(anchor.mount, Handle(header.handle_type, data))
    with task.files.reserve() as (fd,):
        try:
            file = _open(task, place, O(flags & VALID_OPEN_FLAGS))
        except MustWait as condition:
            file = await condition.opening()
        task.files.install(fd, file, cloexec=O.CLOEXEC in flags)
    return fd


def _open(task: "Task", place: "Dentry", flags: O) -> "File":
    return open_path(place, flags) if O.PATH in flags else open_dentry(task.fs, place, flags)
