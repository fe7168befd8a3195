"""Looking into other processes: process_vm_readv(2), process_vm_writev(2), kcmp(2)."""

from collections.abc import Callable, Iterator
from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.kcmp import KCMP, KcmpEpollSlot
from aionoah.abi.uio import UIO_MAXIOV, Iovec
from aionoah.fs.epoll import EpollFile
from aionoah.memory.buffer import Buffer
from aionoah.process.task import Task
from aionoah.process.tracing import require_tracing
from aionoah.syscalls.arguments import Addr, Pid, ULong
from aionoah.syscalls.registry import syscall

_CHUNK: Final = 1 << 20  # bytes that are copied at once


# -- memory ---------------------------------------------------------------------------------------------


@syscall
def process_vm_readv(
    task: Task, pid: Pid, local: Addr, local_count: ULong, remote: Addr, remote_count: ULong, flags: ULong
) -> int:
    _require_no_flags(flags)
    buffer = task.memory.writable_vector(local, local_count)

    def read(target: Task, address: int, length: int) -> int:
        return buffer.fill(target.memory.readable(address, length).take())

    return _transfer(task, pid, buffer, _remote_ranges(task, remote, remote_count), read)


@syscall
def process_vm_writev(
    task: Task, pid: Pid, local: Addr, local_count: ULong, remote: Addr, remote_count: ULong, flags: ULong
) -> int:
    _require_no_flags(flags)
    buffer = task.memory.readable_vector(local, local_count)

    def write(target: Task, address: int, length: int) -> int:
        return target.memory.writable(address, length).fill(buffer.take(length))

    return _transfer(task, pid, buffer, _remote_ranges(task, remote, remote_count), write)


def _require_no_flags(flags: int) -> None:
    if flags:
        raise LinuxError(Errno.EINVAL)


def _remote_ranges(task: Task, address: int, count: int) -> Iterator[Iovec]:
    """The other process's ranges: what is wrong with them shows when they are used. EINVAL, EFAULT."""
    if count > UIO_MAXIOV:
        raise LinuxError(Errno.EINVAL)
    data = task.memory.read(address, count * Iovec.SIZE)
    ranges = [Iovec.unpack(data, offset) for offset in range(0, len(data), Iovec.SIZE)]
    if any(one.iov_len >> 63 for one in ranges):
        raise LinuxError(Errno.EINVAL)
    return (one for one in ranges if one.iov_len)


def _transfer(
    task: Task, pid: int, local: Buffer, remote: Iterator[Iovec], copy: Callable[[Task, int, int], int]
) -> int:
    """Copy as far as both sides go; EFAULT if that is nowhere. (mm/process_vm_access.c)"""
    first = next(remote, None)
    if not local.length or first is None:
        return 0
    target = _find_task(task, pid)
    require_tracing(task, target)
    total = 0
    one: Iovec | None = first
    while one is not None and local.length:
        wanted = min(one.iov_len, local.length, _CHUNK)
        try:
            done = copy(target, one.iov_base, wanted)
        except LinuxError:
            if total:
                return total
            raise
        total += done
        local.advance(done)
        if done < wanted:
            break
        one = Iovec(one.iov_base + done, one.iov_len - done) if done < one.iov_len else next(remote, None)
    return total


def _find_task(task: Task, pid: int) -> Task:
    target = task.kernel.tasks.get(pid)
    if target is None:
        raise LinuxError(Errno.ESRCH)
    return target


# -- what is shared -------------------------------------------------------------------------------------


@syscall
def kcmp(task: Task, pid1: Pid, pid2: Pid, kind: KCMP, index1: ULong, index2: ULong) -> int:
    first, second = _find_task(task, pid1), _find_task(task, pid2)
    require_tracing(task, first)
    require_tracing(task, second)
    if kind == KCMP.IO:
        return 0  # nobody has any
    if kind == KCMP.EPOLL_TFD:
        slot = KcmpEpollSlot.unpack(task.memory.read(index2, KcmpEpollSlot.SIZE))
        one, other = _resource(first, KCMP.FILE, index1), _epoll_target(second, slot)
    else:
        one, other = _resource(first, kind, index1), _resource(second, kind, index2)
    if one is other:
        return 0
    return 1 if id(one) < id(other) else 2


def _resource(task: Task, kind: int, index: int) -> object:
    if kind == KCMP.FILE:
        return task.files.get(index & 0xFFFF_FFFF, allow_path=True)
    if kind == KCMP.VM:
        return task.memory
    if kind == KCMP.FILES:
        return task.files
    if kind == KCMP.FS:
        return task.fs.shared
    if kind == KCMP.SIGHAND:
        return task.process.signals.dispositions
    if kind == KCMP.SYSVSEM:
        return task.semaphore_undo
    raise LinuxError(Errno.EINVAL)


def _epoll_target(task: Task, slot: KcmpEpollSlot) -> object:
    """The file that a descriptor of epoll waits for. EBADF, EINVAL, ENOENT."""
    epoll = task.files.get(slot.efd, allow_path=True)
    if not isinstance(epoll, EpollFile):
        raise LinuxError(Errno.EINVAL)
    return epoll.target(slot.tfd, slot.toff)
