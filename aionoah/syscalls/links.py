"""Names of files: links, symbolic links, removal, renaming.

Sources: link(2), symlink(2), readlink(2), unlink(2), rmdir(2), rename(2); Linux fs/namei.c.
"""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import AT, RENAME
from aionoah.abi.stat import S
from aionoah.fs import operations
from aionoah.syscalls.arguments import Addr, DirFd, Int, Path
from aionoah.syscalls.paths import WORKING_DIRECTORY, base, locate, own_place
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.process.task import Task

_VALID_LINK: Final = AT.SYMLINK_FOLLOW | AT.EMPTY_PATH


@syscall
def link(task: "Task", oldpath: Path, newpath: Path) -> None:
    linkat(task, WORKING_DIRECTORY, oldpath, WORKING_DIRECTORY, newpath, AT(0))


@syscall
def linkat(task: "Task", olddirfd: DirFd, oldpath: Path, newdirfd: DirFd, newpath: Path, flags: AT) -> None:
    """AT_SYMLINK_FOLLOW follows the links of /proc/self/fd too, and so names a file that has no name."""
    if flags.outside(_VALID_LINK):
        raise LinuxError(Errno.EINVAL)

    nofollow = 0 if AT.SYMLINK_FOLLOW in flags else AT.SYMLINK_NOFOLLOW
    old = locate(task, olddirfd, oldpath, flags & AT.EMPTY_PATH | nofollow)
    operations.link_dentry(task.fs, old, base(task, newdirfd, newpath), newpath)


@syscall
def symlink(task: "Task", target: Path, linkpath: Path) -> None:
    symlinkat(task, target, WORKING_DIRECTORY, linkpath)


@syscall
def symlinkat(task: "Task", target: Path, newdirfd: DirFd, linkpath: Path) -> None:
    operations.symlink(task.fs, target, base(task, newdirfd, linkpath), linkpath)


@syscall
def readlink(task: "Task", pathname: Path, buf: Addr, bufsiz: Int) -> int:
    return readlinkat(task, WORKING_DIRECTORY, pathname, buf, bufsiz)


@syscall
def readlinkat(task: "Task", dirfd: DirFd, pathname: Path, buf: Addr, bufsiz: Int) -> int:
    """Of an empty path: what the descriptor was opened on with O_PATH and O_NOFOLLOW."""
    if bufsiz <= 0:
        raise LinuxError(Errno.EINVAL)

    if pathname:
        place = locate(task, dirfd, pathname, AT.SYMLINK_NOFOLLOW)
    else:
        place = own_place(task, dirfd)
        if place.inode.kind != S.IFLNK:
            raise LinuxError(Errno.ENOENT)
    target = operations.readlink(place)[:bufsiz]
    task.memory.write(buf, target)
    return len(target)


@syscall
def unlink(task: "Task", pathname: Path) -> None:
    unlinkat(task, WORKING_DIRECTORY, pathname, AT(0))


@syscall
def rmdir(task: "Task", pathname: Path) -> None:
    unlinkat(task, WORKING_DIRECTORY, pathname, AT(AT.REMOVEDIR))


@syscall
def unlinkat(task: "Task", dirfd: DirFd, pathname: Path, flags: AT) -> None:
    if flags.outside(AT.REMOVEDIR):
        raise LinuxError(Errno.EINVAL)

    remove = operations.rmdir if AT.REMOVEDIR in flags else operations.unlink
    remove(task.fs, base(task, dirfd, pathname), pathname)


@syscall
def rename(task: "Task", oldpath: Path, newpath: Path) -> None:
    renameat2(task, WORKING_DIRECTORY, oldpath, WORKING_DIRECTORY, newpath, RENAME(0))


@syscall
def renameat(task: "Task", olddirfd: DirFd, oldpath: Path, newdirfd: DirFd, newpath: Path) -> None:
    renameat2(task, olddirfd, oldpath, newdirfd, newpath, RENAME(0))


@syscall(partial="RENAME_WHITEOUT is refused with EINVAL on overlays, as by Linux's.")
def renameat2(
    task: "Task", olddirfd: DirFd, oldpath: Path, newdirfd: DirFd, newpath: Path, flags: RENAME
) -> None:
    operations.require_rename_flags(flags)
    old, new = base(task, olddirfd, oldpath), base(task, newdirfd, newpath)
    operations.rename(task.fs, old, oldpath, new, newpath, flags)
