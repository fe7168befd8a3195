"""Names and connections: bind(2), listen(2), accept(2), connect(2), shutdown(2), getsockname(2), getpeername(2)."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.socket import SHUT, SOCK_CLOEXEC, SOCK_NONBLOCK
from aionoah.net import socket as sockets
from aionoah.syscalls.arguments import Addr, Fd, Int
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.socket_addresses import read_address, socket_of, write_address

if TYPE_CHECKING:
    from aionoah.process.task import Task

_ACCEPT_FLAGS: Final = SOCK_CLOEXEC | SOCK_NONBLOCK


@syscall
def bind(task: "Task", fd: Fd, addr: Addr, addrlen: Int) -> None:
    socket = socket_of(task, fd)
    socket.bind(read_address(task, addr, addrlen), task.fs)


@syscall
def listen(task: "Task", fd: Fd, backlog: Int) -> None:
    socket_of(task, fd).listen(backlog)


@syscall
async def connect(task: "Task", fd: Fd, addr: Addr, addrlen: Int) -> None:
    socket = socket_of(task, fd)
    await socket.connect(read_address(task, addr, addrlen), task.fs)


@syscall
async def accept(task: "Task", fd: Fd, addr: Addr, addrlen: Addr) -> int:
    return await _accept(task, fd, addr, addrlen, 0)


@syscall
async def accept4(task: "Task", fd: Fd, addr: Addr, addrlen: Addr, flags: Int) -> int:
    if flags & ~_ACCEPT_FLAGS:
        raise LinuxError(Errno.EINVAL)
    return await _accept(task, fd, addr, addrlen, flags)


async def _accept(task: "Task", fd: int, addr: int, addrlen: int, flags: int) -> int:
    """The number is taken first, so that no connection is lost for want of one."""
    socket = socket_of(task, fd)
    with task.files.reserve() as (new,):
        made, peer = await sockets.accept(socket)
        try:
            if flags & SOCK_NONBLOCK:
                made.set_nonblocking()
            if addr:
                write_address(task, peer, addr, addrlen)
        except LinuxError:
            made.drop()
            raise
        task.files.install(new, made, cloexec=bool(flags & SOCK_CLOEXEC))
        return new


@syscall
def shutdown(task: "Task", fd: Fd, how: SHUT) -> None:
    socket_of(task, fd).shutdown(how)


@syscall
def getsockname(task: "Task", fd: Fd, addr: Addr, addrlen: Addr) -> None:
    write_address(task, socket_of(task, fd).name(), addr, addrlen)


@syscall
def getpeername(task: "Task", fd: Fd, addr: Addr, addrlen: Addr) -> None:
    write_address(task, socket_of(task, fd).peer_name(), addr, addrlen)
