"""Which calls a program lets itself make: seccomp(2), and the same by prctl(2)."""

from typing import Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.filter import BPF_MAXINSNS, SockFilter, SockFprog
from aionoah.abi.prctl import SECCOMP_MODE
from aionoah.abi.seccomp import (
    SECCOMP_DATA_SIZE,
    SECCOMP_FILTER_FLAG,
    SECCOMP_OP,
    SECCOMP_RET,
    SeccompNotif,
    SeccompNotifResp,
    SeccompNotifSizes,
)
from aionoah.process.seccomp import Program, add_filter, begin_strict
from aionoah.process.seccomp_listener import SeccompListener
from aionoah.process.task import Task
from aionoah.syscalls.arguments import Addr, UInt
from aionoah.syscalls.registry import syscall

_FLAG = SECCOMP_FILTER_FLAG
_ALL_FLAGS: Final = sum(SECCOMP_FILTER_FLAG.members().values())
_ACTIONS: Final = frozenset(SECCOMP_RET.members())
_SIZES: Final = SeccompNotifSizes(SeccompNotif.SIZE, SeccompNotifResp.SIZE, SECCOMP_DATA_SIZE)


@syscall(partial="Nothing is logged.")
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
    elif operation == SECCOMP_OP.GET_NOTIF_SIZES:
        task.memory.put(args, _SIZES)
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
    _require_valid(flags)
    program = SockFprog.unpack(task.memory.read(args, SockFprog.SIZE))
    if not 0 < program.len <= BPF_MAXINSNS:
        raise LinuxError(Errno.EINVAL)
    who = task.credentials
    if not who.no_new_privileges and not who.has_own(CAP.SYS_ADMIN):
        raise LinuxError(Errno.EACCES)
    code = Program(task.memory.read(program.filter, program.len * SockFilter.SIZE), logs=_FLAG.LOG in flags)
    if _FLAG.NEW_LISTENER in flags:
        return _add_with_listener(task, code, flags)
    return _add(task, code, flags)


def _require_valid(flags: SECCOMP_FILTER_FLAG) -> None:
    """A thread that refuses and a listener could not both be told by one number."""
    is_ambiguous = _FLAG.TSYNC in flags and _FLAG.NEW_LISTENER in flags and _FLAG.TSYNC_ESRCH not in flags
    lacks_listener = _FLAG.WAIT_KILLABLE_RECV in flags and _FLAG.NEW_LISTENER not in flags
    if flags.outside(_ALL_FLAGS) or is_ambiguous or lacks_listener:
        raise LinuxError(Errno.EINVAL)


def _add(task: Task, code: Program, flags: SECCOMP_FILTER_FLAG) -> int:
    refused = add_filter(task, code, for_all=_FLAG.TSYNC in flags)
    if refused and _FLAG.TSYNC_ESRCH in flags:
        raise LinuxError(Errno.ESRCH)
    return refused


def _add_with_listener(task: Task, code: Program, flags: SECCOMP_FILTER_FLAG) -> int:
    """Returns the descriptor of who is to answer the calls. EMFILE."""
    tasks = task.kernel.tasks

    def count_users() -> int:
        return sum(one.seccomp is not None and code in one.seccomp.programs for one in tasks.values())

    listener = SeccompListener(count_users, waits_killable=_FLAG.WAIT_KILLABLE_RECV in flags)
    with task.files.reserve() as (fd,):
        code.listener = listener
        _add(task, code, flags)
        task.files.install(fd, listener, cloexec=True)
    return fd
