"""Processes by descriptor: pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2)."""

from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import RLIMIT
from aionoah.abi.siginfo import SI, SIGINFO_SIZE
from aionoah.abi.wait import PIDFD, PIDFD_SIGNAL
from aionoah.fs.directory import DirectoryFile
from aionoah.fs.pidfd import PidFile
from aionoah.process.task import Process, Task
from aionoah.process.tracing import require_tracing
from aionoah.signals.generate import send_to_process, send_to_task
from aionoah.signals.info import SigInfo, from_bytes, from_user
from aionoah.syscalls.arguments import Addr, Fd, Int, Pid, Signal, UInt
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.signal import check_kill_permission, send_to_group

_SIGNAL_SCOPES: Final = (0, PIDFD_SIGNAL.THREAD, PIDFD_SIGNAL.THREAD_GROUP, PIDFD_SIGNAL.PROCESS_GROUP)


@syscall
def pidfd_open(task: Task, pid: Pid, flags: PIDFD) -> int:
    if flags.outside(PIDFD.NONBLOCK | PIDFD.THREAD) or pid <= 0:
        raise LinuxError(Errno.EINVAL)
    return task.files.add(_new_file(task, pid, flags), cloexec=True)


def _new_file(task: Task, pid: int, flags: PIDFD) -> PidFile:
    process, thread = task.kernel.processes.get(pid), task.kernel.tasks.get(pid)
    is_nonblocking = PIDFD.NONBLOCK in flags
    if PIDFD.THREAD in flags and thread is not None:
        return PidFile(thread.process, thread, is_nonblocking=is_nonblocking)
    if process is not None:
        return PidFile(process, is_nonblocking=is_nonblocking)
    raise LinuxError(Errno.ESRCH if thread is None else Errno.EINVAL)


def _find_pidfd(task: Task, fd: int) -> PidFile:
    file = task.files[fd]
    if not isinstance(file, PidFile):
        raise LinuxError(Errno.EBADF)
    return file


# -- signals --------------------------------------------------------------------------------------------


def _find_recipient(task: Task, fd: int) -> PidFile:
    """A directory /proc/PID will do too, for this one call."""
    file = task.files[fd]
    if not isinstance(file, DirectoryFile):
        return _find_pidfd(task, fd)
    from aionoah.fs.proc.tree import find_subject  # noqa: PLC0415 - hardly anybody does that

    subject = find_subject(file.inode)
    if subject is None:
        raise LinuxError(Errno.EBADF)
    return PidFile(subject) if isinstance(subject, Process) else PidFile(subject.process, subject)


@syscall
def pidfd_send_signal(task: Task, pidfd: Fd, sig: Signal, info: Addr, flags: PIDFD_SIGNAL) -> None:
    if flags not in _SIGNAL_SCOPES:
        raise LinuxError(Errno.EINVAL)
    file = _find_recipient(task, pidfd)
    scope = flags or (PIDFD_SIGNAL.THREAD if file.task is not None else PIDFD_SIGNAL.THREAD_GROUP)
    code = SI.TKILL if scope == PIDFD_SIGNAL.THREAD else SI.USER
    if info:
        given = _given_info(task, file, sig, info, is_group=scope == PIDFD_SIGNAL.PROCESS_GROUP)
    else:
        given = from_user(sig, task.process.pid, task.credentials.uid, code)
    _send(task, file, sig, given, scope)


def _given_info(task: Task, file: PidFile, sig: int, address: int, *, is_group: bool) -> SigInfo:
    """The siginfo that the program made; only towards itself may it pose as the kernel or as kill."""
    data = task.memory.read(address, SIGINFO_SIZE)
    if int.from_bytes(data[:4], "little", signed=True) != sig:
        raise LinuxError(Errno.EINVAL)
    info = from_bytes(data, sig)
    number = file.task.tid if file.task is not None else file.process.pid
    if (info.si_code >= 0 or info.si_code == SI.TKILL) and (number != task.tid or is_group):
        raise LinuxError(Errno.EPERM)
    return info


def _send(task: Task, file: PidFile, sig: int, info: SigInfo, scope: int) -> None:
    process = file.process
    if scope == PIDFD_SIGNAL.PROCESS_GROUP:
        send_to_group(task, process.pid, sig, info)
        return
    file.require_alive()
    check_kill_permission(task, process, sig)
    limit = process.limits.soft(RLIMIT.SIGPENDING)
    if not sig:
        return
    if scope == PIDFD_SIGNAL.THREAD:
        thread = file.task or process.tasks.get(process.pid)
        if thread is not None and not thread.has_exited:
            send_to_task(thread, info, limit)
    else:
        send_to_process(process, info, limit)


# -- descriptors ----------------------------------------------------------------------------------------


@syscall
def pidfd_getfd(task: Task, pidfd: Fd, targetfd: Int, flags: UInt) -> int:
    if flags:
        raise LinuxError(Errno.EINVAL)
    file = _find_pidfd(task, pidfd)
    file.require_alive()
    target = file.task or file.process.tasks.get(file.process.pid)
    if target is None or target.has_exited:
        raise LinuxError(Errno.ESRCH)
    require_tracing(task, target)
    wanted = target.files.get(targetfd, allow_path=True)
    number = task.files.add(wanted, cloexec=True)
    wanted.hold()
    return number
