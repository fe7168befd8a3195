"""Processes: who they are, and how they end.

getpid(2), gettid(2), setpgid(2), setsid(2), _exit(2), exit_group(2), set_tid_address(2), get_robust_list(2), personality(2).
"""

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.futex import RobustListHead
from aionoah.abi.personality import QUERY
from aionoah.abi.wait import exited_status
from aionoah.process.ending import end_process, end_thread
from aionoah.process.groups import members
from aionoah.process.task import Process, Task
from aionoah.process.tracing import require_tracing
from aionoah.syscalls.arguments import Addr, Int, Pid, Ptr, Size, UInt
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.results import Outcome

# -- numbers --------------------------------------------------------------------------------------------


@syscall
def getpid(task: Task) -> int:
    return task.process.pid


@syscall
def gettid(task: Task) -> int:
    return task.tid


@syscall
def getppid(task: Task) -> int:
    parent = task.process.parent
    return parent.pid if parent is not None else 0


@syscall
def set_tid_address(task: Task, tidptr: Addr) -> int:
    task.clear_child_tid = tidptr
    return task.tid


@syscall
def set_robust_list(task: Task, head: Ptr[RobustListHead], size: Size) -> None:
    if size != RobustListHead.SIZE:
        raise LinuxError(Errno.EINVAL)
    task.robust_list = head


@syscall
def get_robust_list(task: Task, pid: Pid, head: Addr, size: Addr) -> None:
    target = task.kernel.tasks.get(pid) if pid else task
    if target is None:
        raise LinuxError(Errno.ESRCH)
    require_tracing(task, target)
    task.memory.write_word(size, RobustListHead.SIZE)
    task.memory.write_word(head, target.robust_list)


# -- process groups and sessions ------------------------------------------------------------------------


@syscall
def getpgid(task: Task, pid: Pid) -> int:
    return _find_process(task, pid).process_group


@syscall
def getpgrp(task: Task) -> int:
    return task.process.process_group


@syscall
def getsid(task: Task, pid: Pid) -> int:
    return _find_process(task, pid).session


@syscall
def setpgid(task: Task, pid: Pid, pgid: Pid) -> None:
    own = task.process
    number = pid or own.pid
    group = pgid or number
    if group < 0:
        raise LinuxError(Errno.EINVAL)
    target = _find_process(task, number)
    if target.pid != number:  # a thread, not a process
        raise LinuxError(Errno.EINVAL)
    if target.parent is own:
        if target.session != own.session:
            raise LinuxError(Errno.EPERM)
        if target.has_executed:
            raise LinuxError(Errno.EACCES)
    elif target is not own:
        raise LinuxError(Errno.ESRCH)

    if target.session == target.pid:
        raise LinuxError(Errno.EPERM)
    if group != number and not _is_group_of_session(task, group, own.session):
        raise LinuxError(Errno.EPERM)
    target.process_group = group


def _is_group_of_session(task: Task, group: int, session: int) -> bool:
    return any(other.session == session for other in members(task.kernel, group))


@syscall
def setsid(task: Task) -> int:
    own = task.process
    if own.session == own.pid or any(members(task.kernel, own.pid)):
        raise LinuxError(Errno.EPERM)
    own.session = own.process_group = own.pid
    own.terminal = None
    return own.pid


def _find_process(task: Task, pid: int) -> Process:
    """The process with a number, or of the thread with it; the caller's own for 0. ESRCH."""
    if pid == 0:
        return task.process
    process = task.kernel.processes.get(pid)
    if process is not None:
        return process
    thread = task.kernel.tasks.get(pid)
    if thread is None:
        raise LinuxError(Errno.ESRCH)
    return thread.process


# -- end ------------------------------------------------------------------------------------------------


@syscall(own_thread=True)
def exit_(task: Task, status: Int) -> Outcome:
    end_thread(task, exited_status(status))
    return Outcome.KEEP_REGISTERS


@syscall(own_thread=True)
def exit_group(task: Task, status: Int) -> Outcome:
    end_process(task.process, exited_status(status))
    return Outcome.KEEP_REGISTERS


# -- execution domain -----------------------------------------------------------------------------------


@syscall(partial="Only ADDR_NO_RANDOMIZE does something, at the next execve.")
def personality(task: Task, persona: UInt) -> int:
    old = task.personality
    if persona != QUERY:
        task.personality = persona
    return old
