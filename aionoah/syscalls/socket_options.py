"""getsockopt(2) and setsockopt(2)."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.socket import SOL
from aionoah.syscalls.arguments import Addr, Fd, Int, Ptr
from aionoah.syscalls.cells import Cell32
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.socket_addresses import socket_of

if TYPE_CHECKING:
    from aionoah.process.task import Task

_LONGEST: Final = 4096  # bytes of a value; none that we know is longer


@syscall
def setsockopt(task: "Task", fd: Fd, level: SOL, optname: Int, optval: Addr, optlen: Int) -> None:
    if optlen < 0:
        raise LinuxError(Errno.EINVAL)
    socket = socket_of(task, fd)
    socket.set_option(level, optname, task.memory.read(optval, min(optlen, _LONGEST)))


@syscall
def getsockopt(task: "Task", fd: Fd, level: SOL, optname: Int, optval: Addr, optlen: Ptr[Cell32]) -> None:
    socket = socket_of(task, fd)
    room = task.memory.get(Cell32, optlen).value
    if room < 0:
        raise LinuxError(Errno.EINVAL)
    value = socket.get_option(level, optname, min(room, _LONGEST))
    task.memory.write(optval, value)
    task.memory.put(optlen, Cell32(len(value)))
