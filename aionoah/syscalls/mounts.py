"""Changing the tree of mounts: mount, umount2, pivot_root; Linux fs/namespace.c. The order of the checks is the kernel's."""

from functools import partial
from typing import TYPE_CHECKING, Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import AT
from aionoah.abi.mount import MAGIC_MASK, MAGIC_VALUE, MNT, MS
from aionoah.fs import mounting
from aionoah.fs.path import Dentry
from aionoah.fs.types import new_filesystem
from aionoah.syscalls.arguments import Addr, Path
from aionoah.syscalls.paths import WORKING_DIRECTORY, locate
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.process.task import Task

_VALID_UMOUNT: Final = MNT.FORCE | MNT.DETACH | MNT.EXPIRE | MNT.UMOUNT_NOFOLLOW
_PROPAGATION: Final = MS.SHARED | MS.PRIVATE | MS.SLAVE | MS.UNBINDABLE


@syscall(
    partial="Types are tmpfs, ramfs, overlay, proc, sysfs, devtmpfs, devpts and mqueue, and in a user name space tmpfs, ramfs,"
    " devpts and mqueue; locked mounts of the application stay."
)
def mount(
    task: "Task", source: Path | None, target: Path, filesystemtype: Path | None, mountflags: MS, data: Addr
) -> None:
    options = task.memory.read_cstring(data) if data else b""
    place = locate(task, WORKING_DIRECTORY, target)
    flags = mountflags & ~MAGIC_MASK if mountflags & MAGIC_MASK == MAGIC_VALUE else int(mountflags)
    task.credentials.require_over(CAP.SYS_ADMIN, task.namespaces.mounts.owner)
    namespace = task.namespaces.mounts
    if flags & MS.REMOUNT:
        mounting.remount(namespace, place, flags)
    elif flags & MS.BIND:
        mounting.bind(namespace, _source(task, source), place, recursive=bool(flags & MS.REC))
    elif flags & _PROPAGATION:
        mounting.set_propagation(namespace, place, flags)
    elif flags & MS.MOVE:
        mounting.move(namespace, _source(task, source), place)
    else:
        if filesystemtype is None:
            raise LinuxError(Errno.EINVAL)
        made = new_filesystem(task.kernel, filesystemtype, options, partial(locate, task, WORKING_DIRECTORY))
        mounting.mount_new(namespace, made.filesystem, place, flags, source or b"none", made.details)


def _source(task: "Task", source: bytes | None) -> Dentry:
    """EINVAL without one."""
    if not source:
        raise LinuxError(Errno.EINVAL)
    return locate(task, WORKING_DIRECTORY, source)


@syscall
def umount2(task: "Task", target: Path, flags: MNT) -> None:
    if flags.outside(_VALID_UMOUNT):
        raise LinuxError(Errno.EINVAL)
    nofollow = AT.SYMLINK_NOFOLLOW if MNT.UMOUNT_NOFOLLOW in flags else 0
    place = locate(task, WORKING_DIRECTORY, target, nofollow)
    task.credentials.require_over(CAP.SYS_ADMIN, task.namespaces.mounts.owner)
    mounting.unmount(task.namespaces.mounts, place, flags, task.fs.root)


@syscall
def pivot_root(task: "Task", new_root: Path, put_old: Path) -> None:
    task.credentials.require_over(CAP.SYS_ADMIN, task.namespaces.mounts.owner)
    new, put = (locate(task, WORKING_DIRECTORY, path) for path in (new_root, put_old))
    old = mounting.pivot_root(task.namespaces.mounts, new, put, task.fs.root)
    for each in task.kernel.tasks.values():
        if each.fs.root is old:
            each.fs.root = new
        if each.fs.cwd is old:
            each.fs.cwd = new
