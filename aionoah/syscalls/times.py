"""Access and modification times of files: utime(2), utimensat(2); Linux fs/utimes.c."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.cstruct import Struct
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import AT
from aionoah.abi.stat import UTIME
from aionoah.abi.time import NSEC_PER_SEC, NSEC_PER_USEC, USEC_PER_SEC, Timespec, Timeval, Utimbuf
from aionoah.fs import operations
from aionoah.fs.inode import NOW
from aionoah.fs.path import Dentry
from aionoah.syscalls.arguments import DirFd, In, Path
from aionoah.syscalls.paths import WORKING_DIRECTORY, locate, place_of
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.process.task import Task

_VALID_FLAGS: Final = AT.SYMLINK_NOFOLLOW | AT.EMPTY_PATH


class TimespecPair(Struct):
    """Access and modification time."""

    atime: Timespec
    mtime: Timespec


class TimevalPair(Struct):
    """Access and modification time."""

    atime: Timeval
    mtime: Timeval


@syscall
def utime(task: "Task", filename: Path, times: In[Utimbuf]) -> None:
    atime_ns = mtime_ns = NOW
    if times:
        wanted = task.memory.get(Utimbuf, times)
        atime_ns, mtime_ns = wanted.actime * NSEC_PER_SEC, wanted.modtime * NSEC_PER_SEC
    operations.set_times(task.fs, locate(task, WORKING_DIRECTORY, filename), atime_ns, mtime_ns)


@syscall
def utimes(task: "Task", filename: Path, times: In[TimevalPair]) -> None:
    futimesat(task, WORKING_DIRECTORY, filename, times)


@syscall
def futimesat(task: "Task", dirfd: DirFd, filename: Path | None, times: In[TimevalPair]) -> None:
    atime_ns = mtime_ns = NOW
    if times:
        wanted = task.memory.get(TimevalPair, times)
        atime_ns, mtime_ns = _from_timeval(wanted.atime), _from_timeval(wanted.mtime)
    operations.set_times(task.fs, _place(task, dirfd, filename, AT(0)), atime_ns, mtime_ns)


@syscall
def utimensat(task: "Task", dirfd: DirFd, pathname: Path | None, times: In[TimespecPair], flags: AT) -> None:
    if not times:
        operations.set_times(task.fs, _place(task, dirfd, pathname, flags), NOW, NOW)
        return
    wanted = task.memory.get(TimespecPair, times)
    if wanted.atime.tv_nsec == wanted.mtime.tv_nsec == UTIME.OMIT:
        return  # without a look at the file
    place = _place(task, dirfd, pathname, flags)
    operations.set_times(task.fs, place, _from_timespec(wanted.atime), _from_timespec(wanted.mtime))


def _place(task: "Task", dirfd: int, path: bytes | None, flags: AT) -> Dentry:
    """A null path means the descriptor itself, which then has to be one that can do something."""
    if path is None and dirfd != WORKING_DIRECTORY:
        if flags:
            raise LinuxError(Errno.EINVAL)
        return place_of(task.files[dirfd])
    if flags.outside(_VALID_FLAGS):
        raise LinuxError(Errno.EINVAL)
    if path is None:
        raise LinuxError(Errno.EFAULT)
    return locate(task, dirfd, path, flags)


def _from_timespec(time: Timespec) -> int | None:
    if time.tv_nsec == UTIME.NOW:
        return NOW
    if time.tv_nsec == UTIME.OMIT:
        return None
    if not 0 <= time.tv_nsec < NSEC_PER_SEC:
        raise LinuxError(Errno.EINVAL)
    return time.tv_sec * NSEC_PER_SEC + time.tv_nsec


def _from_timeval(time: Timeval) -> int:
    if not 0 <= time.tv_usec < USEC_PER_SEC:
        raise LinuxError(Errno.EINVAL)
    return time.tv_sec * NSEC_PER_SEC + time.tv_usec * NSEC_PER_USEC
