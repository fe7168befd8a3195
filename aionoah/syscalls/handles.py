"""File handles: name_to_handle_at(2), open_by_handle_at(2); Linux fs/fhandle.c.

None of our file systems has any, as an overlay of Linux has none: a name is all there is.
"""

from typing import TYPE_CHECKING, Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import AT, O
from aionoah.syscalls.arguments import Addr, DirFd, Path
from aionoah.syscalls.cells import Cell32
from aionoah.syscalls.paths import WORKING_DIRECTORY, locate
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.process.task import Task

_HANDLE_FID: Final = AT.REMOVEDIR  # have one bit
_VALID_FLAGS: Final = AT.SYMLINK_FOLLOW | AT.EMPTY_PATH | _HANDLE_FID
_MAX_HANDLE: Final = 128  # MAX_HANDLE_SZ
_NONE: Final = "No file system has handles (EOPNOTSUPP), and so none is valid (ESTALE)."


@syscall(partial=_NONE)
def name_to_handle_at(
    task: "Task",
    dirfd: DirFd,
    pathname: Path,
    handle: Addr,  # noqa: ARG001 - never filled
    mount_id: Addr,  # noqa: ARG001
    flags: AT,
) -> None:
    if flags.outside(_VALID_FLAGS):
        raise LinuxError(Errno.EINVAL)
    nofollow = 0 if AT.SYMLINK_FOLLOW in flags else AT.SYMLINK_NOFOLLOW
    locate(task, dirfd, pathname, flags & AT.EMPTY_PATH | nofollow)
    raise LinuxError(Errno.EOPNOTSUPP)


@syscall(partial=_NONE)
def open_by_handle_at(task: "Task", mount_fd: DirFd, handle: Addr, flags: O) -> None:  # noqa: ARG001
    size = task.memory.get(Cell32, handle).value & 0xFFFF_FFFF
    if not size or size > _MAX_HANDLE:
        raise LinuxError(Errno.EINVAL)
    if mount_fd != WORKING_DIRECTORY:
        task.files.get(mount_fd, allow_path=True)
    task.credentials.require(CAP.DAC_READ_SEARCH)
    raise LinuxError(Errno.ESTALE)
