"""Closing and duplicating descriptors, and making those of pipes and event counters.

Sources: close(2), close_range(2), dup(2), pipe(2), eventfd(2); Linux fs/file.c.
"""

from typing import TYPE_CHECKING, Final

from aionoah.abi.close_range import CLOSE_RANGE
from aionoah.abi.cstruct import I32, Struct
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.eventfd import EFD
from aionoah.abi.fcntl import O
from aionoah.fs.eventfd import EventFile
from aionoah.fs.pipe import open_pipe
from aionoah.syscalls.arguments import Fd, Ptr, UInt
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.process.task import Task

_VALID_PIPE: Final = O.CLOEXEC | O.NONBLOCK | O.DIRECT
_VALID_EVENTFD: Final = EFD.SEMAPHORE | EFD.CLOEXEC | EFD.NONBLOCK


class FdPair(Struct):
    """What pipe and socketpair fill in."""

    first: I32
    second: I32


@syscall
def close(task: "Task", fd: Fd) -> None:
    """The number is free afterwards, even if what was written could not be brought to where it belongs."""
    file = task.files.get(fd, allow_path=True)
    try:
        file.flush()
    except LinuxError:
        task.files.close(fd)
        raise
    task.files.close(fd)


@syscall
def close_range(task: "Task", first: UInt, last: UInt, flags: CLOSE_RANGE) -> None:
    if flags.outside(CLOSE_RANGE.UNSHARE | CLOSE_RANGE.CLOEXEC) or first > last:
        raise LinuxError(Errno.EINVAL)

    if CLOSE_RANGE.UNSHARE in flags and task.files.is_shared:
        own = task.files.fork()
        task.files.leave()
        task.files = own
    task.files.close_range(first, last, cloexec_only=CLOSE_RANGE.CLOEXEC in flags)


@syscall
def dup(task: "Task", oldfd: Fd) -> int:
    return task.files.dup(oldfd)


@syscall
def dup2(task: "Task", oldfd: Fd, newfd: Fd) -> int:
    return task.files.dup2(oldfd, newfd)


@syscall
def dup3(task: "Task", oldfd: Fd, newfd: Fd, flags: O) -> int:
    if flags.outside(O.CLOEXEC):
        raise LinuxError(Errno.EINVAL)
    return task.files.dup3(oldfd, newfd, cloexec=O.CLOEXEC in flags)


@syscall
def pipe(task: "Task", fds: Ptr[FdPair]) -> None:
    pipe2(task, fds, O(0))


@syscall
def pipe2(task: "Task", fds: Ptr[FdPair], flags: O) -> None:
    if flags.outside(_VALID_PIPE):
        raise LinuxError(Errno.EINVAL)

    with task.files.reserve(2) as (rfd, wfd):
        task.memory.put(fds, FdPair(rfd, wfd))  # EFAULT gives both back
        who = task.credentials
        reader, writer = open_pipe(flags, uid=who.fsuid, gid=who.fsgid)
        cloexec = O.CLOEXEC in flags
        task.files.install(rfd, reader, cloexec=cloexec)
        task.files.install(wfd, writer, cloexec=cloexec)


@syscall
def eventfd(task: "Task", count: UInt) -> int:
    return eventfd2(task, count, EFD(0))


@syscall
def eventfd2(task: "Task", count: UInt, flags: EFD) -> int:
    if flags.outside(_VALID_EVENTFD):
        raise LinuxError(Errno.EINVAL)

    status = O(O.RDWR | (flags & O.NONBLOCK))
    file = EventFile(status, count, is_semaphore=EFD.SEMAPHORE in flags)
    return task.files.add(file, cloexec=EFD.CLOEXEC in flags)
