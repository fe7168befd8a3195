"""Advisory locks: flock(2), and the record locks of fcntl(2). Linux fs/locks.c."""

from time import monotonic_ns
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import LCK, LOCK, SEEK, Flock
from aionoah.fs.file import File, WouldBlock
from aionoah.fs.locks import (
    LAST,
    HostConflict,
    InodeLocks,
    RecordLock,
    WholeLock,
    forget_locks,
    forget_record_locks,
    is_deadlock,
    locks_of,
)
from aionoah.host.waiting import Source, sleep_on
from aionoah.syscalls.arguments import Fd
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.process.task import Task

_NO_PID: Final = -1
_FIRST_PAUSE_NS: Final = 1_000_000
_LONGEST_PAUSE_NS: Final = 20_000_000


@syscall
async def flock(task: "Task", fd: Fd, operation: LOCK) -> None:
    if LOCK.MAND in operation:
        return
    kind = operation & ~LOCK.NB
    if kind not in (LOCK.SH, LOCK.EX, LOCK.UN):
        raise LinuxError(Errno.EINVAL)

    file = task.files[fd]
    locks = locks_of(file.inode)
    if kind == LOCK.UN:
        locks.unlock_whole(file)
        return
    wanted = WholeLock(kind == LOCK.EX, task.process.pid, task.kernel, file.lock_descriptor())
    queue = _Queue(task, file, locks, wanted)
    while True:
        try:
            locks.lock_whole(file, wanted)
        except WouldBlock as condition:
            if LOCK.NB in operation:
                raise LinuxError(Errno.EAGAIN) from None
            await queue.sleep(condition)
        else:
            file.on_release = forget_locks
            return


class _Range(NamedTuple):
    """The bytes from `start` to `end` inclusive."""

    start: int
    end: int


def get_lock(task: "Task", file: File, address: int, *, of_description: bool) -> None:
    """F_GETLK and F_OFD_GETLK: what would be in the way; F_UNLCK if nothing.

    F_OFD_GETLK asked for F_UNLCK tells what the description itself has locked.
    """
    wanted = task.memory.get(Flock, address)
    if wanted.type not in (LCK.RDLCK, LCK.WRLCK) and not of_description:
        raise LinuxError(Errno.EINVAL)
    where = _range(file, wanted)
    _require_type(wanted.type)
    _require_no_pid(wanted, of_description=of_description)
    owner, locks = file if of_description else task.files, locks_of(file.inode)
    if wanted.type == LCK.UNLCK:
        other = locks.own(owner, *where)
    else:
        other = locks.conflict(owner, *where, exclusive=wanted.type == LCK.WRLCK)
    if other is None:
        wanted = _host_lock(file, wanted, RecordLock(owner, wanted.type == LCK.WRLCK, *where, 0))
    else:
        kind = LCK.WRLCK if other.is_exclusive else LCK.RDLCK
        length = 0 if other.end == LAST else other.end - other.start + 1
        wanted = Flock(kind, SEEK.SET, other.start, length, other.pid)
    task.memory.put(address, wanted)


def _host_lock(file: File, asked: Flock, wanted: RecordLock) -> Flock:
    """What the host's programs have in the way. A process that is none of ours has the number 0 here, as one of
    another PID name space has.
    """
    unlocked = Flock(LCK.UNLCK, asked.whence, asked.start, asked.len, asked.pid)
    if asked.type == LCK.UNLCK:
        return unlocked
    other = locks_of(file.inode).host_conflict(file, wanted)
    if other is None:
        return unlocked
    kind = LCK.WRLCK if other.is_exclusive else LCK.RDLCK
    return Flock(kind, SEEK.SET, other.start, other.length, _NO_PID if other.is_description else 0)


def set_lock(task: "Task", file: File, address: int, *, of_description: bool) -> None:
    """F_SETLK and F_OFD_SETLK: EAGAIN if somebody is in the way."""
    try:
        _set(task, file, task.memory.get(Flock, address), of_description=of_description)
    except WouldBlock:
        raise LinuxError(Errno.EAGAIN) from None


async def wait_for_lock(task: "Task", fd: int, file: File, address: int, *, of_description: bool) -> None:
    """F_SETLKW and F_OFD_SETLKW. EBADF if the descriptor has been closed when the lock is free."""
    wanted = task.memory.get(Flock, address)
    queue: _Queue | None = None
    while True:
        try:
            _set(task, file, wanted, of_description=of_description)
        except WouldBlock as condition:
            if queue is None:
                queue = _Queue(task, file, locks_of(file.inode), _record(task, file, wanted, of_description))
            await queue.sleep(condition)
        else:
            return
        if fd not in task.files or task.files[fd] is not file:
            raise LinuxError(Errno.EBADF)


def _set(task: "Task", file: File, wanted: Flock, *, of_description: bool) -> None:
    lock = _record(task, file, wanted, of_description)
    _require_access(file, wanted.type)
    _require_no_pid(wanted, of_description=of_description)
    locks = locks_of(file.inode)
    if wanted.type == LCK.UNLCK:
        locks.unlock_record(lock.owner, lock.start, lock.end)
        return
    locks.lock_record(lock, file)
    if of_description:
        file.on_release = forget_locks
    else:
        task.files.on_close = forget_record_locks


def _record(task: "Task", file: File, wanted: Flock, of_description: bool) -> RecordLock:  # noqa: FBT001
    owner = file if of_description else task.files
    pid = _NO_PID if of_description else task.process.pid
    return RecordLock(owner, wanted.type == LCK.WRLCK, *_range(file, wanted), pid, task.kernel)


def _require_access(file: File, kind: int) -> None:
    """A shared lock is for readers, an exclusive one for writers."""
    if (kind == LCK.RDLCK and not file.is_readable) or (kind == LCK.WRLCK and not file.is_writable):
        raise LinuxError(Errno.EBADF)
    _require_type(kind)


def _require_type(kind: int) -> None:
    if kind not in (LCK.RDLCK, LCK.WRLCK, LCK.UNLCK):
        raise LinuxError(Errno.EINVAL)


def _require_no_pid(wanted: Flock, *, of_description: bool) -> None:
    if of_description and wanted.pid:
        raise LinuxError(Errno.EINVAL)


def _range(file: File, wanted: Flock) -> _Range:
    """flock64_to_posix_lock: EINVAL before the start of the file, EOVERFLOW beyond its largest end."""
    start = wanted.start
    if wanted.whence == SEEK.CUR:
        start += file.offset
    elif wanted.whence == SEEK.END:
        start += file.attributes().size
    elif wanted.whence != SEEK.SET:
        raise LinuxError(Errno.EINVAL)
    length = wanted.len
    if start > LAST:
        raise LinuxError(Errno.EOVERFLOW)
    if start < 0 or start + min(length, 0) < 0:
        raise LinuxError(Errno.EINVAL)
    if length < 0:
        return _Range(start + length, start - 1)
    if start + length - 1 > LAST:
        raise LinuxError(Errno.EOVERFLOW)
    return _Range(start, start + length - 1 if length else LAST)


class _Queue:
    """A call that waits for a lock."""

    def __init__(self, task: "Task", file: File, locks: InodeLocks, wanted: RecordLock | WholeLock) -> None:
        self._task = task
        self._file = file
        self._locks = locks
        self._wanted = wanted
        self._pause_ns = _FIRST_PAUSE_NS

    async def sleep(self, condition: WouldBlock) -> None:
        """Until the lock may be free. EDEADLK if it cannot become so."""
        wanted, locks = self._wanted, self._locks
        if isinstance(wanted, RecordLock) and not wanted.is_description and is_deadlock(wanted, locks):
            raise LinuxError(Errno.EDEADLK)
        locks.waiting[self] = wanted
        self._file.hold()
        try:
            await sleep_on(Source(locks.changed), self._deadline_ns(condition))
        finally:
            del locks.waiting[self]
            self._file.drop()

    def _deadline_ns(self, condition: WouldBlock) -> int | None:
        """When to try again, if nobody is going to tell that the host's program has let go."""
        if not isinstance(condition, HostConflict):
            return None
        pause_ns = self._pause_ns
        self._pause_ns = min(2 * pause_ns, _LONGEST_PAUSE_NS)
        return monotonic_ns() + pause_ns
