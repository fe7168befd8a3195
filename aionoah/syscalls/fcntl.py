"""fcntl: descriptors, status flags, pipe sizes, seals. Record locks are in locks.py.

Sources: fcntl(2); Linux fs/fcntl.c.
"""

from typing import TYPE_CHECKING, Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import F_SEAL, FD, RWH, F, O
from aionoah.abi.words import signed
from aionoah.fs.file import File
from aionoah.fs.memfd import MemoryFile, MemoryInode
from aionoah.fs.pipe import PipeEnd
from aionoah.fs.regular import is_append_only
from aionoah.fs.write_hints import hint_of, set_hint
from aionoah.memory.vma import VM
from aionoah.syscalls.arguments import Fd, ULong
from aionoah.syscalls.leases import change_lease, get_lease
from aionoah.syscalls.locks import get_lock, set_lock, wait_for_lock
from aionoah.syscalls.owners import COMMANDS, control_owner
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.sigio import can_signal, set_asynchronous

if TYPE_CHECKING:
    from aionoah.process.task import Task

_SETTABLE: Final = O.APPEND | O.NONBLOCK | O.DIRECT | O.NOATIME
_NOT_STATUS: Final = O.CREAT | O.EXCL | O.NOCTTY | O.TRUNC | O.CLOEXEC
_ON_DESCRIPTORS: Final = frozenset((F.DUPFD, F.DUPFD_CLOEXEC, F.DUPFD_QUERY, F.GETFD, F.SETFD))
_ON_PATH_FILES: Final = _ON_DESCRIPTORS | {F.GETFL}
_LOCKING: Final = {
    F.SETLK: (set_lock, False),
    F.OFD_SETLK: (set_lock, True),
    F.GETLK: (get_lock, False),
    F.OFD_GETLK: (get_lock, True),
}


@syscall(partial="Leases are broken by guests only, not by programs of the host.")
async def fcntl(task: "Task", fd: Fd, cmd: F, arg: ULong) -> int:
    file = task.files.get(fd, allow_path=cmd in _ON_PATH_FILES)
    if cmd in _ON_DESCRIPTORS:  # the most frequent ones
        return _descriptor(task, fd, file, cmd, arg)
    if cmd in _LOCKING:
        operation, is_of_description = _LOCKING[cmd]
        operation(task, file, arg, of_description=is_of_description)
        return 0
    if cmd in (F.SETLKW, F.OFD_SETLKW):
        await wait_for_lock(task, fd, file, arg, of_description=cmd == F.OFD_SETLKW)
        return 0
    if cmd in COMMANDS:
        return control_owner(task, fd, file, cmd, arg)
    return _control(task, fd, file, cmd, arg)


def _control(task: "Task", fd: int, file: File, cmd: int, arg: int) -> int:
    match cmd:
        case F.GETFL:
            return task.architecture.guest_open_flags(file.flags & ~_NOT_STATUS)
        case F.SETFL:
            _set_status(task, fd, file, task.architecture.open_flags(arg & 0xFFFF_FFFF))
        case F.GETPIPE_SZ | F.SETPIPE_SZ:
            return _pipe_size(task, file, cmd, arg)
        case F.GET_SEALS | F.ADD_SEALS:
            return _seals(task, file, cmd, arg)
        case F.GET_RW_HINT | F.SET_RW_HINT:
            _write_hint(task, file, cmd, arg)
        case F.GETLEASE:
            return get_lease(file)
        case F.SETLEASE:
            change_lease(task, fd, file, signed(arg))
        case _:
            raise LinuxError(Errno.EINVAL)
    return 0


def _descriptor(task: "Task", fd: int, file: File, cmd: int, arg: int) -> int:
    """What is about the descriptor, not about the file."""
    match cmd:
        case F.DUPFD_QUERY:
            return int(task.files.get(signed(arg), allow_path=True) is file)
        case F.GETFD:
            return FD.CLOEXEC if task.files.is_close_on_exec(fd) else 0
        case F.SETFD:
            task.files.set_close_on_exec(fd, cloexec=bool(arg & FD.CLOEXEC))
            return 0
        case _:
            return task.files.dup(fd, minimum=signed(arg), cloexec=cmd == F.DUPFD_CLOEXEC)


def _set_status(task: "Task", fd: int, file: File, flags: int) -> None:
    """EPERM for O_NOATIME on somebody else's file and O_APPEND on one that is only appended to, EINVAL for O_DIRECT where nothing is kept in between."""
    if flags & O.NOATIME and O.NOATIME not in file.flags:
        identity = task.fs.identity
        if not identity.may_act_as(file.attributes().uid):
            raise LinuxError(Errno.EPERM)
    if (flags ^ file.flags) & O.APPEND and is_append_only(file):
        raise LinuxError(Errno.EPERM)
    if flags & O.DIRECT and not file.takes_direct:
        raise LinuxError(Errno.EINVAL)
    if can_signal(file):
        set_asynchronous(task.kernel, file, fd, is_on=bool(flags & O.ASYNC))
    file.take_back()
    file.flags = O(file.flags & ~_SETTABLE | flags & _SETTABLE)


def _pipe_size(task: "Task", file: File, cmd: int, arg: int) -> int:
    if not isinstance(file, PipeEnd):
        raise LinuxError(Errno.EBADF)
    if cmd == F.GETPIPE_SZ:
        return file.pipe.capacity
    may_exceed_limit = task.credentials.has_capability(CAP.SYS_RESOURCE)
    return file.pipe.set_capacity(arg & 0xFFFF_FFFF, may_exceed_limit=may_exceed_limit)


def _write_hint(task: "Task", file: File, cmd: int, address: int) -> None:
    """EPERM unless it is the caller's file. (F_GET_FILE_RW_HINT and its like have gone: EINVAL.)"""
    if cmd == F.GET_RW_HINT:
        task.memory.write(address, hint_of(file).to_bytes(8, "little"))
        return
    if not task.fs.identity.may_act_as(file.attributes().uid):
        raise LinuxError(Errno.EPERM)
    hint = int.from_bytes(task.memory.read(address, 8), "little")
    if hint > RWH.EXTREME:
        raise LinuxError(Errno.EINVAL)
    set_hint(file, hint)


def _seals(task: "Task", file: File, cmd: int, arg: int) -> int:
    if cmd == F.ADD_SEALS and not file.is_writable:
        raise LinuxError(Errno.EPERM)
    if not isinstance(file, MemoryFile):
        raise LinuxError(Errno.EINVAL)
    if cmd == F.GET_SEALS:
        return file.memory_inode.seals
    inode, seals = file.memory_inode, arg & 0xFFFF_FFFF
    if seals & F_SEAL.WRITE and not inode.seals & (F_SEAL.SEAL | F_SEAL.WRITE) and _is_mapped(task, inode):
        raise LinuxError(Errno.EBUSY)
    inode.add_seals(seals)
    return 0


def _is_mapped(task: "Task", inode: MemoryInode) -> bool:
    """Whether anybody has, or may make, a shared mapping of it writable."""
    memories = {each.memory for each in task.kernel.tasks.values()}
    return any(
        line.is_shared
        and line.flags & VM.MAYWRITE
        and line.file is not None
        and _inode_of(line.file) is inode
        for memory in memories
        for line in memory.maps()
    )


def _inode_of(file: object) -> object:
    return file.memory_inode if isinstance(file, MemoryFile) else None
