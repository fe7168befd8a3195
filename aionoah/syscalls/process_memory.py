"""The memory of a process that a descriptor stands for: process_madvise(2), process_mrelease(2)."""

from typing import Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mman import MADV
from aionoah.abi.uio import UIO_MAXIOV, Iovec
from aionoah.fs.pidfd import PidFile
from aionoah.process.task import Task
from aionoah.process.tracing import require_tracing
from aionoah.syscalls.arguments import Addr, Fd, Size, UInt
from aionoah.syscalls.registry import syscall

_OF_OTHERS: Final = {MADV.COLD, MADV.PAGEOUT, MADV.WILLNEED, MADV.COLLAPSE}  # what changes no contents


@syscall(partial="As madvise.")
def process_madvise(task: Task, pidfd: Fd, vec: Addr, count: Size, advice: MADV, flags: UInt) -> int:
    """As far as it goes; an error only if that is nowhere."""
    if flags:
        raise LinuxError(Errno.EINVAL)
    ranges = _read_ranges(task, vec, count)
    target = _find(task, pidfd)
    try:
        require_tracing(task, target)
    except LinuxError:
        raise LinuxError(Errno.EACCES) from None
    if target.memory is not task.memory:
        if advice not in _OF_OTHERS:
            raise LinuxError(Errno.EINVAL)
        task.credentials.require(CAP.SYS_NICE)
    done = 0
    for one in ranges:
        try:
            target.memory.madvise(one.iov_base, one.iov_len, advice)
        except LinuxError:
            if done:
                return done
            raise
        done += one.iov_len
    return done


def _read_ranges(task: Task, address: int, count: int) -> list[Iovec]:
    """EINVAL, EFAULT (import_iovec)."""
    if count > UIO_MAXIOV:
        raise LinuxError(Errno.EINVAL)
    data = task.memory.read(address, count * Iovec.SIZE)
    ranges = [Iovec.unpack(data, offset) for offset in range(0, len(data), Iovec.SIZE)]
    end = task.architecture.task_size
    if any(one.iov_len >> 63 for one in ranges):
        raise LinuxError(Errno.EINVAL)
    if any(one.iov_base + one.iov_len > end for one in ranges):
        raise LinuxError(Errno.EFAULT)
    return ranges


@syscall
def process_mrelease(task: Task, pidfd: Fd, flags: UInt) -> None:
    """Memory is given back as soon as the last thread is out of it, so there is nothing to hasten."""
    if flags:
        raise LinuxError(Errno.EINVAL)
    target = _find(task, pidfd)
    users = [other for other in task.kernel.tasks.values() if other.memory is target.memory]
    if not all(user.signals.is_dying or user.process.exit_status is not None for user in users):
        raise LinuxError(Errno.EINVAL)


def _find(task: Task, pidfd: int) -> Task:
    """A thread that still has the memory. EBADF, ESRCH."""
    file = task.files[pidfd]
    if not isinstance(file, PidFile):
        raise LinuxError(Errno.EBADF)
    file.require_alive()
    for target in file.process.tasks.values():
        if not target.has_exited:
            return target
    raise LinuxError(Errno.ESRCH)
