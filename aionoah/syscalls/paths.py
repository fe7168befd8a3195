"""What the calls that take a directory descriptor and a path have in common.

The variants without the descriptor are the same calls with AT_FDCWD.
"""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import AT, AT_FDCWD
from aionoah.fs.inode import Attributes
from aionoah.fs.mount import Mount
from aionoah.fs.path import Dentry, attributes, walk
from aionoah.syscalls.arguments import DirFd

if TYPE_CHECKING:
    from aionoah.fs.file import File
    from aionoah.process.task import Task

WORKING_DIRECTORY: Final = DirFd(AT_FDCWD)


def base(task: "Task", dirfd: int, path: bytes) -> Dentry:
    """Where a path begins; the descriptor counts for relative ones only. EBADF.

    ENOENT for an empty path, before the descriptor is looked at.
    """
    if dirfd == AT_FDCWD or path.startswith(b"/"):
        return task.fs.cwd
    if not path:
        raise LinuxError(Errno.ENOENT)
    return place_of(task.files.get(dirfd, allow_path=True))


def locate(task: "Task", dirfd: int, path: bytes, flags: int = 0) -> Dentry:
    """What a path leads to. Of `flags`, AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH count."""
    if not path and flags & AT.EMPTY_PATH:
        return own_place(task, dirfd)
    return walk(task.fs, base(task, dirfd, path), path, follow=not flags & AT.SYMLINK_NOFOLLOW)


def attributes_at(task: "Task", dirfd: int, path: bytes, flags: int = 0) -> Attributes:
    """What `locate(…).inode.attributes()` would say, at less cost."""
    if not path and flags & AT.EMPTY_PATH:
        return own_place(task, dirfd).inode.attributes()
    return attributes(task.fs, base(task, dirfd, path), path, follow=not flags & AT.SYMLINK_NOFOLLOW)


def own_place(task: "Task", dirfd: int) -> Dentry:
    """What a descriptor itself is open on, O_PATH ones too; the working directory for AT_FDCWD."""
    if dirfd == AT_FDCWD:
        return task.fs.cwd
    return place_of(task.files.get(dirfd, allow_path=True))


def place_of(file: "File") -> Dentry:
    """Where a file was opened. A pipe and the like is the root of a mount that nobody else sees, as in
    Linux, whose pipefs is mounted nowhere.
    """
    if file.dentry is not None:
        return file.dentry
    return Mount(file.inode.filesystem, root=file.inode).root
