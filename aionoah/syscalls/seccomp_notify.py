"""Requests of whoever answers the calls of others (seccomp_unotify(2); Linux kernel/seccomp.c, whose order of checks this is)."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.seccomp import (
    SECCOMP_ADDFD_FLAG,
    SECCOMP_IOCTL,
    SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP,
    SECCOMP_USER_NOTIF_FLAG_CONTINUE,
    SeccompNotif,
    SeccompNotifAddfd,
    SeccompNotifResp,
)
from aionoah.abi.words import signed
from aionoah.fs.file import TO_READ, File, sleep_until
from aionoah.process.seccomp_listener import Notification, SeccompListener, State
from aionoah.syscalls.cells import Cell64
from aionoah.syscalls.structures import read_structure

if TYPE_CHECKING:
    from aionoah.process.task import Task

_SIZE_MASK: Final = 0x3FFF << 16
_DIRECTIONS: Final = 3 << 30
_FLAG: Final = SECCOMP_ADDFD_FLAG


async def listener_ioctl(task: "Task", file: SeccompListener, request: int, argument: int) -> int:
    """EINVAL for what is no request."""
    if request == SECCOMP_IOCTL.RECV:
        await _receive(task, file, argument)
    elif request == SECCOMP_IOCTL.SEND:
        _answer(file, task.memory.get(SeccompNotifResp, argument))
    elif request in (SECCOMP_IOCTL.ID_VALID, SECCOMP_IOCTL.ID_VALID_WRONG_DIR):
        file.find(task.memory.get(Cell64, argument).value & (1 << 64) - 1, otherwise=Errno.ENOENT)
    elif request == SECCOMP_IOCTL.SET_FLAGS:
        if argument & ~SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP:
            raise LinuxError(Errno.EINVAL)
    elif request & ~(_DIRECTIONS | _SIZE_MASK) == SECCOMP_IOCTL.ADDFD & ~(_DIRECTIONS | _SIZE_MASK):
        return _add_descriptor(task, file, _addition(task, request, argument))
    else:
        raise LinuxError(Errno.EINVAL)
    return 0


async def _receive(task: "Task", file: SeccompListener, address: int) -> None:
    """Wait for a call, whatever O_NONBLOCK says. EINVAL unless there are zeros where it goes."""
    if any(task.memory.read(address, SeccompNotif.SIZE)):
        raise LinuxError(Errno.EINVAL)
    while (note := file.next_new()) is None:
        await sleep_until(file, TO_READ)
    task.memory.put(address, SeccompNotif(note.number, note.task.tid, 0, note.data))
    note.state = State.SENT
    file.changed.wake()


def _answer(file: SeccompListener, response: SeccompNotifResp) -> None:
    is_made = response.flags == SECCOMP_USER_NOTIF_FLAG_CONTINUE
    if response.flags and not is_made:
        raise LinuxError(Errno.EINVAL)
    if is_made and (response.error or response.val):
        raise LinuxError(Errno.EINVAL)
    file.find(response.id, otherwise=Errno.EINPROGRESS).answer(response.val, response.error, is_made=is_made)


def _addition(task: "Task", request: int, address: int) -> SeccompNotifAddfd:
    """A structure that may have grown: E2BIG for anything in it that we do not know."""
    size = (request & _SIZE_MASK) >> 16
    if not SeccompNotifAddfd.SIZE <= size < PAGE_SIZE:
        raise LinuxError(Errno.EINVAL)
    wanted = SeccompNotifAddfd.unpack(read_structure(task.memory, address, size, SeccompNotifAddfd.SIZE))
    if wanted.newfd_flags & ~O.CLOEXEC or wanted.flags & ~(_FLAG.SETFD | _FLAG.SEND):
        raise LinuxError(Errno.EINVAL)
    if wanted.newfd and not wanted.flags & _FLAG.SETFD:
        raise LinuxError(Errno.EINVAL)
    return wanted


def _add_descriptor(task: "Task", file: SeccompListener, wanted: SeccompNotifAddfd) -> int:
    """Give who waits a file of ours; returns its number there. EBADF, EMFILE."""
    given = task.files.get(signed(wanted.srcfd))
    note = file.find(wanted.id, otherwise=Errno.EINPROGRESS)
    number = _install(note, wanted, given)
    if wanted.flags & _FLAG.SEND:
        note.answer(number, 0, is_made=False)
    return number


def _install(note: Notification, wanted: SeccompNotifAddfd, file: File) -> int:
    files, is_closing = note.task.files, bool(wanted.newfd_flags & O.CLOEXEC)
    if wanted.flags & _FLAG.SETFD:
        return files.replace(signed(wanted.newfd), file, cloexec=is_closing)
    number = files.add(file, cloexec=is_closing)
    file.hold()
    return number
