"""Leases: F_SETLEASE and F_GETLEASE of fcntl(2); Linux fs/locks.c."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import LCK, O
from aionoah.abi.stat import S
from aionoah.fs.file import File
from aionoah.fs.leases import Holder, Lease, lease_of, set_lease
from aionoah.syscalls.owners import own_by_default, send_io_signal

if TYPE_CHECKING:
    from aionoah.fs.inode import Inode
    from aionoah.process.kernel import Kernel
    from aionoah.process.task import Task


def get_lease(file: File) -> int:
    """F_GETLEASE: what the lease is, or has to become."""
    lease = _find(file)
    return LCK.UNLCK if lease is None else lease.target


def _find(file: File) -> Lease | None:
    try:
        return lease_of(file)
    except LinuxError:
        return None  # a file without an inode has none


def change_lease(task: "Task", fd: int, file: File, kind: int) -> None:
    """F_SETLEASE. EINVAL for anything but a regular file, EACCES for somebody else's without CAP_LEASE, EAGAIN."""
    if kind not in (LCK.RDLCK, LCK.WRLCK, LCK.UNLCK):
        raise LinuxError(Errno.EINVAL)
    inode = file.inode
    attributes = inode.attributes()
    if task.credentials.fsuid != attributes.uid and not task.credentials.has_capability(CAP.LEASE):
        raise LinuxError(Errno.EACCES)
    if attributes.mode & S.IFMT != S.IFREG:
        raise LinuxError(Errno.EINVAL)
    if kind == LCK.UNLCK:
        present = lease_of(file)
        if present is None:
            raise LinuxError(Errno.EAGAIN)
        present.become(LCK.UNLCK)
        return
    kernel = task.kernel
    others = _others(kernel, file, inode)
    lease = set_lease(file, kind, others, Holder(task.process.pid, kernel, kernel.lease_limits))
    lease.tell = partial(send_io_signal, kernel, file, fd)
    own_by_default(task, file)


def _others(kernel: "Kernel", file: File, inode: "Inode") -> list[File | None]:
    """What else is open of the same file; None for what is not found, such as one that is being passed by a socket, and
    for a program that runs.
    """
    key = inode.key
    found: dict[File, None] = {
        each: None
        for each in _open_files(kernel)
        if each.dentry is not None and (each.dentry.inode is inode or each.dentry.inode.key == key)
    }
    known = sum(each.dentry is not None and each.dentry.inode is inode for each in found)
    others: list[File | None] = [each for each in found if each is not file and O.PATH not in each.flags]
    if inode.opens > known:
        others.append(None)
    return others


def _open_files(kernel: "Kernel") -> Iterator[File]:
    """Through descriptors and mappings."""
    tables = {task.files for task in kernel.tasks.values()}
    for table in tables:
        for fd in table:
            yield table.get(fd, allow_path=True)
    for memory in {task.memory for task in kernel.tasks.values()}:
        for area in memory.files(0):
            if isinstance(area.file, File):
                yield area.file
