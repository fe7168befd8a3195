"""Which calls a program lets itself make: seccomp(2), and the same by prctl(2)."""

from typing import Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.filter import BPF_MAXINSNS, SockFilter, SockFprog
from aionoah.abi.prctl import SECCOMP_MODE
from aionoah.abi.seccomp import SECCOMP_FILTER_FLAG, SECCOMP_OP, SECCOMP_RET
from aionoah.process.seccomp import Program, add_filter, begin_strict
from aionoah.process.task import Task
from aionoah.syscalls.arguments import Addr, UInt
from aionoah.syscalls.registry import syscall

_FLAG = SECCOMP_FILTER_FLAG
_VALID: Final = _FLAG.TSYNC | _FLAG.LOG | _FLAG.SPEC_ALLOW | _FLAG.TSYNC_ESRCH
_ACTIONS: Final = frozenset(SECCOMP_RET.members()) - {SECCOMP_RET.USER_NOTIF}


@syscall(
    partial="No listeners: SECCOMP_FILTER_FLAG_NEW_LISTENER is EINVAL, as before Linux 5.0. Nothing is logged."
)
def seccomp(task: Task, operation: SECCOMP_OP, flags: UInt, args: Addr) -> int:
    if operation == SECCOMP_OP.SET_MODE_FILTER:
        return _add_filter(task, _FLAG(flags), args)
    if flags or (operation == SECCOMP_OP.SET_MODE_STRICT and args):
        raise LinuxError(Errno.EINVAL)
    if operation == SECCOMP_OP.SET_MODE_STRICT:
        begin_strict(task)
    elif operation == SECCOMP_OP.GET_ACTION_AVAIL:
        if task.memory.read_word(args, 4) not in _ACTIONS:
            raise LinuxError(Errno.EOPNOTSUPP)
    else:
        raise LinuxError(Errno.EINVAL)
    return 0


def set_mode(task: Task, mode: int, args: int) -> None:
    """prctl, PR_SET_SECCOMP. EINVAL, and what seccomp says."""
    if mode == SECCOMP_MODE.STRICT:
        begin_strict(task)
    elif mode == SECCOMP_MODE.FILTER:
        _add_filter(task, _FLAG(0), args)
    else:
        raise LinuxError(Errno.EINVAL)


def _add_filter(task: Task, flags: SECCOMP_FILTER_FLAG, args: int) -> int:
    if flags.outside(_VALID):
        raise LinuxError(Errno.EINVAL)
    program = SockFprog.unpack(task.memory.read(args, SockFprog.SIZE))
    if not 0 < program.len <= BPF_MAXINSNS:
        raise LinuxError(Errno.EINVAL)
    who = task.credentials
    if not who.no_new_privileges and not who.has_capability(CAP.SYS_ADMIN):
        raise LinuxError(Errno.EACCES)
    code = Program(task.memory.read(program.filter, program.len * SockFilter.SIZE))
    refused = add_filter(task, code, for_all=_FLAG.TSYNC in flags)
    if refused and _FLAG.TSYNC_ESRCH in flags:
        raise LinuxError(Errno.ESRCH)
    return refused
