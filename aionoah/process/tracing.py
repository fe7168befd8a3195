"""Who may look into another process (ptrace(2), "Ptrace access mode checking"; Linux kernel/ptrace.c)."""

from typing import TYPE_CHECKING

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError

if TYPE_CHECKING:
    from aionoah.process.task import Task


def require_tracing(task: "Task", target: "Task") -> None:
    """EPERM unless `task`, as its real user, might trace the other (PTRACE_MODE_…_REALCREDS)."""
    mine, theirs = task.credentials, target.credentials
    if target.process is task.process or mine.may(CAP.SYS_PTRACE, theirs.user_namespace):
        return
    is_same_user = {theirs.uid, theirs.euid, theirs.suid} == {mine.uid}
    is_same_group = {theirs.gid, theirs.egid, theirs.sgid} == {mine.gid}
    is_weaker = mine.user_namespace is theirs.user_namespace and not theirs.permitted & ~mine.permitted
    if not (is_same_user and is_same_group and is_weaker and target.process.is_dumpable):
        raise LinuxError(Errno.EPERM)
