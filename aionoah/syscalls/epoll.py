"""epoll: epoll_create(2), epoll_ctl(2), epoll_wait(2). The order of the checks is the kernel's."""

from time import monotonic_ns
from typing import Any

from aionoah.abi.epoll import EPOLL_CLOEXEC, EPOLL_CTL, Epoll
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.time import NSEC_PER_MSEC, Timespec
from aionoah.abi.words import INT_MAX
from aionoah.clocks.duration import nanoseconds
from aionoah.fs.epoll import EpollFile, Interest, can_wait_for
from aionoah.host.waiting import Source, sleep_on
from aionoah.process.task import Task
from aionoah.syscalls.arguments import Addr, Fd, In, Int, Size, UInt
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.results import wants_restart
from aionoah.syscalls.signal_mask import signal_mask


@syscall
def epoll_create(task: Task, size: Int) -> int:
    if size <= 0:
        raise LinuxError(Errno.EINVAL)
    return epoll_create1(task, UInt(0))


@syscall
def epoll_create1(task: Task, flags: UInt) -> int:
    if flags & ~EPOLL_CLOEXEC:
        raise LinuxError(Errno.EINVAL)
    return task.files.add(EpollFile(task.kernel.host_edges), cloexec=bool(flags))


@syscall
def epoll_ctl(task: Task, epfd: Fd, op: EPOLL_CTL, fd: Fd, event: Addr) -> None:
    interest = Interest(Epoll(0), 0)
    if op != EPOLL_CTL.DEL:
        given: Any = task.memory.get(task.architecture.epoll_event_struct, event)
        interest = Interest(Epoll(given.events), given.data)
    epoll, file = task.files[epfd], task.files[fd]
    if not can_wait_for(file):
        raise LinuxError(Errno.EPERM)
    if epoll is file or not isinstance(epoll, EpollFile):
        raise LinuxError(Errno.EINVAL)

    if op == EPOLL_CTL.ADD:
        epoll.add(file, fd, interest)
    elif op == EPOLL_CTL.MOD:
        epoll.modify(file, fd, interest)
    elif op == EPOLL_CTL.DEL:
        epoll.remove(file, fd)
    else:
        raise LinuxError(Errno.EINVAL)


# -- waiting ------------------------------------------------------------------------------------------------


@syscall
async def epoll_wait(task: Task, epfd: Fd, events: Addr, maxevents: Int, timeout_ms: Int) -> int:
    return await _wait(task, epfd, events, maxevents, _deadline_ns(timeout_ms))


@syscall
async def epoll_pwait(
    task: Task, epfd: Fd, events: Addr, maxevents: Int, timeout_ms: Int, sigmask: Addr, size: Size
) -> int:
    with signal_mask(task, sigmask, size, Errno.EINTR):
        return await _wait(task, epfd, events, maxevents, _deadline_ns(timeout_ms))


@syscall
async def epoll_pwait2(
    task: Task, epfd: Fd, events: Addr, maxevents: Int, tmo: In[Timespec], sigmask: Addr, size: Size
) -> int:
    deadline_ns = None
    if tmo:
        deadline_ns = monotonic_ns() + nanoseconds(task.memory.get(Timespec, tmo))
    with signal_mask(task, sigmask, size, Errno.EINTR):
        return await _wait(task, epfd, events, maxevents, deadline_ns)


def _deadline_ns(timeout_ms: int) -> int | None:
    return None if timeout_ms < 0 else monotonic_ns() + timeout_ms * NSEC_PER_MSEC


async def _wait(task: Task, epfd: int, address: int, most: int, deadline_ns: int | None) -> int:
    """The number of events that have been put at `address`. EINTR if a signal comes first, always."""
    kind = task.architecture.epoll_event_struct
    if not 0 < most <= INT_MAX // kind.SIZE:
        raise LinuxError(Errno.EINVAL)
    if address + most * kind.SIZE > task.architecture.task_size:
        raise LinuxError(Errno.EFAULT)
    epoll = task.files[epfd]
    if not isinstance(epoll, EpollFile):
        raise LinuxError(Errno.EINVAL)
    epoll.hold()
    try:
        while not (found := epoll.look(most)):
            if deadline_ns is not None and monotonic_ns() >= deadline_ns:
                return 0
            if task.signals.is_interrupted:
                raise LinuxError(Errno.EINTR)
            await _sleep(epoll, deadline_ns)
        told = b"".join([kind.pack_values(events, entry.interest.data) for entry, events in found])
        task.memory.write(address, told)
        epoll.report(found)
        return len(found)
    finally:
        epoll.wake_next()
        epoll.drop()


async def _sleep(epoll: EpollFile, deadline_ns: int | None) -> None:
    try:
        await sleep_on(Source(epoll.waiting), deadline_ns)
    except LinuxError as error:
        if wants_restart(error):
            raise LinuxError(Errno.EINTR) from None
        raise
