"""/proc/sysvipc, and the limits of System V IPC under /proc/sys/kernel (proc_sysvipc(5), proc_sys_kernel(5))."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.words import INT_MAX
from aionoah.fs.synthetic import Directory, Node, Text
from aionoah.process.namespaces import current_namespaces

if TYPE_CHECKING:
    from aionoah.process.ipc.tables import Ipc
    from aionoah.process.kernel import Kernel

_LONG_MAX: Final = (1 << 64) - 1
_MOST_OBJECTS: Final = 1 << 15  # ids have room for no more
_SEM: Final = ("semmsl", "semmns", "semopm", "semmni")

_MSG_HEAD: Final = (
    b"       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid"
    b"      stime      rtime      ctime\n"
)
_SEM_HEAD: Final = b"       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n"
_SHM_HEAD: Final = (
    b"       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid"
    b"      atime      dtime      ctime                   rss                  swap\n"
)
_MSG: Final = b"%10d %10d  %4o  %10d %10d %5d %5d %5d %5d %5d %5d %10d %10d %10d\n"
_SET: Final = b"%10d %10d  %4o %10d %5d %5d %5d %5d %10d %10d\n"
_SHM: Final = b"%10d %10d  %4o %21d %5d %5d  %5d %5d %5d %5d %5d %10d %10d %10d %21d %21d\n"


def _ipc(kernel: "Kernel") -> "Ipc":
    """Of the reader's name space."""
    return current_namespaces(kernel).ipc.system_v


def _messages(ipc: "Ipc") -> Iterator[bytes]:
    for queue in ipc.messages.objects:
        yield _MSG % (
            *(queue.key, queue.id, queue.mode, queue.size, len(queue.messages), queue.sender, queue.receiver),
            *(*queue.owners(), queue.sent, queue.received, queue.changed),
        )


def _semaphores(ipc: "Ipc") -> Iterator[bytes]:
    for one in ipc.semaphores.objects:
        yield _SET % (
            *(one.key, one.id, one.mode, len(one), *one.owners()),
            *(one.operated, one.changed),
        )


def _segments(ipc: "Ipc") -> Iterator[bytes]:
    for one in ipc.memory.objects:
        yield _SHM % (
            *(one.key, one.id, one.mode, one.size, one.creator, one.last_pid, one.attachments),
            *(*one.owners(), one.attached, one.detached, one.changed),
            *(one.resident_pages * PAGE_SIZE, 0),
        )


SYSVIPC: Final[Directory["Kernel"]] = Directory(
    {
        b"msg": Text(lambda kernel: _MSG_HEAD + b"".join(_messages(_ipc(kernel)))),
        b"sem": Text(lambda kernel: _SEM_HEAD + b"".join(_semaphores(_ipc(kernel)))),
        b"shm": Text(lambda kernel: _SHM_HEAD + b"".join(_segments(_ipc(kernel)))),
    }
)


def _numbers(data: bytes, count: int, most: int) -> list[int]:
    """Up to `count` numbers, separated by spaces. EINVAL."""
    words = data.strip(b"\0").split()[:count]
    if not words or not all(word.isdigit() and int(word) <= most for word in words):
        raise LinuxError(Errno.EINVAL)
    return [int(word) for word in words]


def _limit(attribute: str, most: int) -> Text["Kernel"]:
    def read(kernel: "Kernel") -> bytes:
        return b"%d\n" % getattr(_ipc(kernel).limits, attribute)

    def write(kernel: "Kernel", data: bytes) -> None:
        setattr(_ipc(kernel).limits, attribute, _numbers(data, 1, most)[0])

    return Text(read, write)


def _sem(kernel: "Kernel") -> bytes:
    return b"%d\t%d\t%d\t%d\n" % tuple(getattr(_ipc(kernel).limits, name) for name in _SEM)


def _set_sem(kernel: "Kernel", data: bytes) -> None:
    """The first ones, if there are fewer than four."""
    numbers = _numbers(data, len(_SEM), INT_MAX)
    if len(numbers) == len(_SEM) and numbers[-1] > _MOST_OBJECTS:
        raise LinuxError(Errno.ERANGE)
    for name, number in zip(_SEM, numbers, strict=False):
        setattr(_ipc(kernel).limits, name, number)


LIMITS: Final[dict[bytes, Node["Kernel"]]] = {
    b"msgmax": _limit("msgmax", INT_MAX),
    b"msgmnb": _limit("msgmnb", INT_MAX),
    b"msgmni": _limit("msgmni", _MOST_OBJECTS),
    b"sem": Text(_sem, _set_sem),
    b"shmall": _limit("shmall", _LONG_MAX),
    b"shmmax": _limit("shmmax", _LONG_MAX),
    b"shmmni": _limit("shmmni", _MOST_OBJECTS),
}
