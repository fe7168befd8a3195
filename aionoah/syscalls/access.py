"""May the caller use a file: access(2); Linux fs/open.c (do_faccessat)."""

import contextlib
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import ACCESS, AT
from aionoah.fs import operations
from aionoah.syscalls.arguments import DirFd, Path
from aionoah.syscalls.paths import WORKING_DIRECTORY, attributes_at, base, locate
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.process.task import Task

_VALID_FLAGS: Final = AT.EACCESS | AT.SYMLINK_NOFOLLOW | AT.EMPTY_PATH


@syscall
def access(task: "Task", pathname: Path, mode: ACCESS) -> None:
    faccessat2(task, WORKING_DIRECTORY, pathname, mode, AT(0))


@syscall
def faccessat(task: "Task", dirfd: DirFd, pathname: Path, mode: ACCESS) -> None:
    faccessat2(task, dirfd, pathname, mode, AT(0))


@syscall
def faccessat2(task: "Task", dirfd: DirFd, pathname: Path, mode: ACCESS, flags: AT) -> None:
    if mode.outside(ACCESS.R | ACCESS.W | ACCESS.X) or flags.outside(_VALID_FLAGS):
        raise LinuxError(Errno.EINVAL)

    is_real = AT.EACCESS not in flags
    with task.fs.acting_as_real_user() if is_real else contextlib.nullcontext():
        if not mode:  # whether it is there
            attributes_at(task, dirfd, pathname, flags)
            return
        if pathname:
            follow = not flags & AT.SYMLINK_NOFOLLOW
            place, seen = operations.stat(task.fs, base(task, dirfd, pathname), pathname, follow=follow)
        else:
            place, seen = locate(task, dirfd, pathname, flags), None
    operations.access(task.fs, place, mode, real=is_real, attributes=seen)
