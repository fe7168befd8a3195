"""Watching files: inotify_init(2), inotify_add_watch(2), inotify_rm_watch(2); Linux fs/notify/inotify."""

from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import ACCESS, O
from aionoah.abi.inotify import IN, IN_CLOEXEC, IN_NONBLOCK, IN_VALID
from aionoah.abi.stat import S
from aionoah.fs.inotify import InotifyFile
from aionoah.fs.operations import walk
from aionoah.fs.permissions import require
from aionoah.syscalls.arguments import Fd, Int, Path
from aionoah.syscalls.paths import WORKING_DIRECTORY, base
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.process.task import Task


@syscall
def inotify_init(task: "Task") -> int:
    return inotify_init1(task, O(0))


@syscall
def inotify_init1(task: "Task", flags: O) -> int:
    if flags.outside(IN_CLOEXEC | IN_NONBLOCK):
        raise LinuxError(Errno.EINVAL)

    file = InotifyFile(O(flags & O.NONBLOCK), task.kernel.inotify_limits, task.credentials.uid)
    try:
        return task.files.add(file, cloexec=O.CLOEXEC in flags)
    except LinuxError:
        file.drop()
        raise


@syscall
def inotify_add_watch(task: "Task", fd: Fd, pathname: Path, mask: IN) -> int:
    if not mask & IN_VALID or IN.MASK_ADD | IN.MASK_CREATE in mask:
        raise LinuxError(Errno.EINVAL)
    file = _inotify_file(task, fd)

    start = base(task, WORKING_DIRECTORY, pathname)
    place = walk(task.fs, start, pathname, follow=IN.DONT_FOLLOW not in mask)
    if IN.ONLYDIR in mask and place.inode.kind != S.IFDIR:
        raise LinuxError(Errno.ENOTDIR)
    require(place.inode.attributes(), task.fs.identity, ACCESS.R)
    return file.add(place, mask)


@syscall
def inotify_rm_watch(task: "Task", fd: Fd, wd: Int) -> None:
    _inotify_file(task, fd).remove(wd)


def _inotify_file(task: "Task", fd: int) -> InotifyFile:
    file = task.files[fd]
    if not isinstance(file, InotifyFile):
        raise LinuxError(Errno.EINVAL)
    return file
