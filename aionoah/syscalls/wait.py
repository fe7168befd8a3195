"""Waiting for children: wait4(2), waitid(2)."""

from collections.abc import Callable
from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import Rusage
from aionoah.abi.wait import P, W
from aionoah.process.children import wait_for_child
from aionoah.process.task import Process, Task
from aionoah.process.usage import usage_of
from aionoah.syscalls.arguments import Addr, Pid, Ptr
from aionoah.syscalls.registry import syscall

_INT_MIN: Final = -(1 << 31)
_WAIT4_OPTIONS: Final = W.NOHANG | W.UNTRACED | W.CONTINUED | W.NOTHREAD | W.CLONE | W.ALL
_WAITID_EVENTS: Final = W.EXITED | W.STOPPED | W.CONTINUED
_WAITID_OPTIONS: Final = _WAITID_EVENTS | W.NOHANG | W.NOWAIT | W.NOTHREAD | W.CLONE | W.ALL
_SIGINFO_FIELDS: Final = 28  # bytes of siginfo_t that waitid writes: up to the end of si_status


@syscall
async def wait4(task: Task, pid: Pid, wstatus: Addr, options: W, usage: Ptr[Rusage]) -> int:
    if options.outside(_WAIT4_OPTIONS):
        raise LinuxError(Errno.EINVAL)
    if pid == _INT_MIN:
        raise LinuxError(Errno.ESRCH)
    events = W.EXITED | options & (W.UNTRACED | W.CONTINUED)
    news = await wait_for_child(task.process, _wanted(task, pid), events, options)
    if news is None:
        return 0
    if wstatus:
        task.memory.write_word(wstatus, news.status, 4)
    if usage:
        task.memory.put(usage, usage_of(news.cpu_time_ns))
    return news.child.pid


def _wanted(task: Task, pid: int) -> Callable[[Process], bool]:
    """Which children the first argument of wait4 means."""
    if pid == -1:
        return lambda _child: True
    if pid > 0:
        return lambda child: child.pid == pid
    group = -pid or task.process.process_group
    return lambda child: child.process_group == group


@syscall
async def waitid(task: Task, which: P, pid: Pid, info: Addr, options: W, usage: Ptr[Rusage]) -> None:
    if options.outside(_WAITID_OPTIONS) or not options & _WAITID_EVENTS:
        raise LinuxError(Errno.EINVAL)
    news = await wait_for_child(
        task.process, _wanted_by_id(task, which, pid), options & _WAITID_EVENTS, options
    )
    if usage and news is not None:
        task.memory.put(usage, usage_of(news.cpu_time_ns))
    if info:
        task.memory.write(
            info, news.info.pack()[:_SIGINFO_FIELDS] if news is not None else bytes(_SIGINFO_FIELDS)
        )


def _wanted_by_id(task: Task, which: int, number: int) -> Callable[[Process], bool]:
    if which == P.ALL:
        return lambda _child: True
    if which == P.PID and number > 0:
        return lambda child: child.pid == number
    if which == P.PGID and number >= 0:
        group = number or task.process.process_group
        return lambda child: child.process_group == group
    if which == P.PIDFD and number >= 0:
        task.files[number]
        raise LinuxError(Errno.EBADF)
    raise LinuxError(Errno.EINVAL)
