"""Whom a directory of /proc is about, and who may look.

/proc/PID is about a process, /proc/PID/task/TID about one thread; most of their files are the same.
Source: proc(5), ptrace(2) ("Ptrace access mode checking").
"""

from typing import Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.stat import S
from aionoah.fs.path import UNREACHABLE, Dentry, path_of
from aionoah.process.current import find_current_task
from aionoah.process.task import Process, Task

Subject = Process | Task
_OPEN_DIRECTORY: Final = S.IFDIR | 0o555


def process_of(subject: Subject) -> Process:
    return subject if isinstance(subject, Process) else subject.process


def find_task(subject: Subject) -> Task | None:
    """The thread, or of a process its main thread; None for one that has ended, though others may be left."""
    if isinstance(subject, Task):
        return None if subject.has_exited else subject
    return subject.tasks.get(subject.pid)


def thread_count(process: Process) -> int:
    """The threads, and a main thread that has ended, which stays until the process does."""
    return len(process.tasks) + (process.pid not in process.tasks)


def task_of(subject: Subject) -> Task:
    """Like find_task; ESRCH for what has ended."""
    task = find_task(subject)
    if task is None:
        raise LinuxError(Errno.ESRCH)
    return task


def number_of(subject: Subject) -> int:
    """The pid or tid."""
    return subject.pid if isinstance(subject, Process) else subject.tid


def ids_of(subject: Subject, mode: int) -> tuple[int, int]:
    """Whose a file of this mode is: the effective user's. Root's if the process has ended, and, but for
    directories that anybody may enter, if it is not dumpable (task_dump_owner).
    """
    task = find_task(subject)
    if task is None or not (mode == _OPEN_DIRECTORY or process_of(subject).is_dumpable):
        return 0, 0
    return task.credentials.euid, task.credentials.egid


def shown_path(dentry: Dentry) -> bytes:
    """The path of a position as the reader of /proc sees it; from the root of all if that is the application. Nothing
    says whether the reader can get there (d_path in fs/d_path.c).
    """
    reader = find_current_task()
    return path_of(dentry, reader.fs.root if reader is not None else _top(dentry)).removeprefix(UNREACHABLE)


def _top(dentry: Dentry) -> Dentry:
    while dentry.parent is not None:
        dentry = dentry.parent
    return dentry


def is_own(subject: Subject) -> bool:
    """Whether the reader is of the process itself."""
    reader = find_current_task()
    return reader is not None and reader.process is process_of(subject)


def may_inspect(subject: Subject) -> bool:
    """Whether the reader might read the memory of the process (PTRACE_MODE_READ_FSCREDS)."""
    reader, task = find_current_task(), find_task(subject)
    if reader is None or task is None or task.process is reader.process:
        return True
    who, theirs = reader.credentials, task.credentials
    if who.may(CAP.SYS_PTRACE, theirs.user_namespace):
        return True
    if who.user_namespace is not theirs.user_namespace:
        return False
    is_same_user = all(uid == who.fsuid for uid in (theirs.uid, theirs.euid, theirs.suid))
    is_same_group = all(gid == who.fsgid for gid in (theirs.gid, theirs.egid, theirs.sgid))
    return is_same_user and is_same_group and task.process.is_dumpable


def require_inspectable(subject: Subject) -> Task:
    """The task, for somebody who may look into it: EACCES, ESRCH."""
    task = task_of(subject)
    if not may_inspect(subject):
        raise LinuxError(Errno.EACCES)
    return task
