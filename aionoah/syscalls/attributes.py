"""Permissions and owners of files: chmod(2), chown(2); Linux fs/open.c."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import AT
from aionoah.fs import operations
from aionoah.fs.path import Dentry
from aionoah.process.user_namespaces import NO_ID
from aionoah.syscalls.arguments import DirFd, Fd, Gid, Mode, Path, Uid
from aionoah.syscalls.paths import WORKING_DIRECTORY, locate, place_of
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.process.task import Task

_VALID_FLAGS: Final = AT.SYMLINK_NOFOLLOW | AT.EMPTY_PATH


@syscall
def chmod(task: "Task", pathname: Path, mode: Mode) -> None:
    fchmodat2(task, WORKING_DIRECTORY, pathname, mode, AT(0))


@syscall
def fchmod(task: "Task", fd: Fd, mode: Mode) -> None:
    operations.chmod(task.fs, place_of(task.files[fd]), mode)


@syscall
def fchmodat(task: "Task", dirfd: DirFd, pathname: Path, mode: Mode) -> None:
    fchmodat2(task, dirfd, pathname, mode, AT(0))


@syscall
def fchmodat2(task: "Task", dirfd: DirFd, pathname: Path, mode: Mode, flags: AT) -> None:
    if flags.outside(_VALID_FLAGS):
        raise LinuxError(Errno.EINVAL)

    operations.chmod(task.fs, locate(task, dirfd, pathname, flags), mode)


@syscall
def chown(task: "Task", pathname: Path, owner: Uid, group: Gid) -> None:
    fchownat(task, WORKING_DIRECTORY, pathname, owner, group, AT(0))


@syscall
def lchown(task: "Task", pathname: Path, owner: Uid, group: Gid) -> None:
    fchownat(task, WORKING_DIRECTORY, pathname, owner, group, AT(AT.SYMLINK_NOFOLLOW))


@syscall
def fchown(task: "Task", fd: Fd, owner: Uid, group: Gid) -> None:
    _chown(task, place_of(task.files[fd]), owner, group)


@syscall
def fchownat(task: "Task", dirfd: DirFd, pathname: Path, owner: Uid, group: Gid, flags: AT) -> None:
    if flags.outside(_VALID_FLAGS):
        raise LinuxError(Errno.EINVAL)

    _chown(task, locate(task, dirfd, pathname, flags), owner, group)


def _chown(task: "Task", place: Dentry, owner: int, group: int) -> None:
    names = task.credentials.user_namespace
    uid, gid = names.uids.to_kernel(owner), names.gids.to_kernel(group)
    if uid == NO_ID != owner or gid == NO_ID != group:
        raise LinuxError(Errno.EINVAL)
    operations.chown(task.fs, place, None if uid == NO_ID else uid, None if gid == NO_ID else gid)
