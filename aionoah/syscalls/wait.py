"""Waiting for children: wait4(2), waitid(2)."""

from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import Rusage
from aionoah.abi.siginfo import SigInfoChild
from aionoah.abi.wait import P, W
from aionoah.fs.pidfd import PidFile
from aionoah.process.children import News, Wanted, wait_for_child
from aionoah.process.task import Task
from aionoah.signals.info import named
from aionoah.syscalls.arguments import Addr, Pid, Ptr
from aionoah.syscalls.registry import syscall

_INT_MIN: Final = -(1 << 31)
_WAIT4_OPTIONS: Final = W.NOHANG | W.UNTRACED | W.CONTINUED | W.NOTHREAD | W.CLONE | W.ALL
_WAITID_EVENTS: Final = W.EXITED | W.STOPPED | W.CONTINUED
_WAITID_OPTIONS: Final = _WAITID_EVENTS | W.NOHANG | W.NOWAIT | W.NOTHREAD | W.CLONE | W.ALL
_SIGINFO_HEAD: Final = slice(0, 12)  # si_signo, si_errno, si_code
_SIGINFO_CHILD: Final = slice(16, 28)  # si_pid, si_uid, si_status; waitid writes nothing else
_NO_NEWS: Final = SigInfoChild(0, 0, 0, 0, 0, 0, 0, 0)


@syscall
async def wait4(task: Task, pid: Pid, wstatus: Addr, options: W, usage: Ptr[Rusage]) -> int:
    if options.outside(_WAIT4_OPTIONS):
        raise LinuxError(Errno.EINVAL)
    if pid == _INT_MIN:
        raise LinuxError(Errno.ESRCH)
    news = await wait_for_child(task, _wanted(task, pid), W(options | W.EXITED))
    if news is None:
        return 0
    if wstatus:
        task.memory.write_word(wstatus, news.status, 4)  # EFAULT, though the child has been reaped
    if usage:
        task.memory.put(usage, news.usage.to_abi())
    return news.pid


def _wanted(task: Task, pid: int) -> Wanted:
    """Which children the first argument of wait4 means."""
    if pid == -1:
        return lambda _child: True
    if pid > 0:
        return lambda child: child.pid == pid
    group = -pid or task.process.process_group
    return lambda child: child.process_group == group


@syscall
async def waitid(task: Task, which: P, pid: Pid, info: Addr, options: W, usage: Ptr[Rusage]) -> None:
    try:
        news = await _wait_by_id(task, which, pid, options)
    except LinuxError:
        _put_info(task, info, None)  # even then, and its EFAULT counts more
        raise
    if usage and news is not None:
        task.memory.put(usage, news.usage.to_abi())
    _put_info(task, info, news)


async def _wait_by_id(task: Task, which: int, number: int, options: W) -> News | None:
    if options.outside(_WAITID_OPTIONS) or not options & _WAITID_EVENTS:
        raise LinuxError(Errno.EINVAL)
    if which != P.PIDFD:
        return await wait_for_child(task, _wanted_by_id(task, which, number), options)
    file = _get_pidfd(task, number)
    if not file.is_nonblocking:
        return await wait_for_child(task, file.refers_to, options)
    news = await wait_for_child(task, file.refers_to, W(options | W.NOHANG))
    if news is None and not options & W.NOHANG:
        raise LinuxError(Errno.EAGAIN)
    return news


def _wanted_by_id(task: Task, which: int, number: int) -> Wanted:
    if which == P.ALL:
        return lambda _child: True
    if which == P.PID and number > 0:
        return lambda child: child.pid == number
    if which == P.PGID and number >= 0:
        group = number or task.process.process_group
        return lambda child: child.process_group == group
    raise LinuxError(Errno.EINVAL)


def _get_pidfd(task: Task, number: int) -> PidFile:
    if number < 0:
        raise LinuxError(Errno.EINVAL)
    file = task.files[number]
    if not isinstance(file, PidFile):
        raise LinuxError(Errno.EBADF)
    return file


def _put_info(task: Task, address: int, news: News | None) -> None:
    if not address:
        return
    names = task.credentials.user_namespace.uids
    data = named(news.info, names).pack() if news is not None else _NO_NEWS.pack()
    for part in (_SIGINFO_HEAD, _SIGINFO_CHILD):
        task.memory.write(address + part.start, data[part])
