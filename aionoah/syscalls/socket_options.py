"""getsockopt(2) and setsockopt(2)."""

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.filter import BPF_MAXINSNS, SockFilter, SockFprog
from aionoah.abi.socket import SO, SOL
from aionoah.fs.pidfd import PidFile
from aionoah.syscalls.arguments import Addr, Fd, Int, Ptr
from aionoah.syscalls.cells import Cell32
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.socket_addresses import socket_of

if TYPE_CHECKING:
    from aionoah.net.socket import Socket
    from aionoah.process.task import Task

_LONGEST: Final = 4096  # bytes of a value; none that we know is longer


@syscall
def setsockopt(task: "Task", fd: Fd, level: SOL, optname: Int, optval: Addr, optlen: Int) -> None:
    if optlen < 0:
        raise LinuxError(Errno.EINVAL)
    socket = socket_of(task, fd)
    if level == SOL.SOCKET and optname == SO.ATTACH_FILTER:
        _attach_filter(task, socket, optval, optlen)
        return
    socket.set_option(level, optname, task.memory.read(optval, min(optlen, _LONGEST)))


@syscall
def getsockopt(task: "Task", fd: Fd, level: SOL, optname: Int, optval: Addr, optlen: Ptr[Cell32]) -> None:
    socket = socket_of(task, fd)
    socket.require_level(level)
    room = task.memory.get(Cell32, optlen).value
    if room < 0:
        raise LinuxError(Errno.EINVAL)
    own = _OWN.get(optname) if level == SOL.SOCKET else None
    if own is not None:
        own(task, socket, optval, optlen, room)
        return
    value = socket.get_option(level, optname, min(room, _LONGEST))
    task.memory.write(optval, value)
    task.memory.put(optlen, Cell32(len(value)))


def _attach_filter(task: "Task", socket: "Socket", optval: int, optlen: int) -> None:
    """EINVAL, EPERM for a socket whose filter is locked, EFAULT."""
    if optlen != SockFprog.SIZE:
        raise LinuxError(Errno.EINVAL)
    given = task.memory.get(SockFprog, optval)
    if socket.is_filter_locked:
        raise LinuxError(Errno.EPERM)
    if not given.filter or not 0 < given.len <= BPF_MAXINSNS:
        raise LinuxError(Errno.EINVAL)
    socket.attach_filter(task.memory.read(given.filter, given.len * SockFilter.SIZE))


# -- options that are more than bytes of a value ------------------------------------------------------------


def _get_filter(task: "Task", socket: "Socket", optval: int, optlen: int, room: int) -> None:
    """How many instructions there are, put at `optval` unless `room`, in instructions too, is 0. EINVAL."""
    count = len(socket.filter_program) // SockFilter.SIZE
    if room and count:
        if room < count:
            raise LinuxError(Errno.EINVAL)
        task.memory.write(optval, socket.filter_program)
    task.memory.put(optlen, Cell32(count))


def _get_peer_groups(task: "Task", socket: "Socket", optval: int, optlen: int, room: int) -> None:
    """ERANGE where there is too little room, with how much it takes; ENODATA without a peer."""
    if socket.peer_identity is None:
        raise LinuxError(Errno.ENODATA)
    groups = socket.peer_identity.groups
    data = struct.pack(f"<{len(groups)}I", *groups)
    if room >= len(data):
        task.memory.write(optval, data)
    task.memory.put(optlen, Cell32(len(data)))
    if room < len(data):
        raise LinuxError(Errno.ERANGE)


def _get_peer_pidfd(task: "Task", socket: "Socket", optval: int, optlen: int, room: int) -> None:
    """A descriptor of the process that made the connection, though it may have ended. ENODATA, EMFILE."""
    peer = socket.peer_identity
    if peer is None or peer.process is None:
        raise LinuxError(Errno.ENODATA)
    with task.files.reserve() as (fd,):
        data = struct.pack("<i", fd)[:room]
        task.memory.write(optval, data)
        task.memory.put(optlen, Cell32(len(data)))
        task.files.install(fd, PidFile(peer.process), cloexec=True)


def _get_peer_name(task: "Task", socket: "Socket", optval: int, optlen: int, room: int) -> None:
    """As getpeername, but a room that is larger than the name is EINVAL. ENOTCONN."""
    try:
        name = socket.peer_name()
    except LinuxError:
        raise LinuxError(Errno.ENOTCONN) from None
    if room > len(name):
        raise LinuxError(Errno.EINVAL)
    task.memory.write(optval, name[:room])
    task.memory.put(optlen, Cell32(room))


_OWN: Final[dict[int, Callable[["Task", "Socket", int, int, int], None]]] = {
    SO.ATTACH_FILTER: _get_filter,  # SO_GET_FILTER is the same number
    SO.PEERGROUPS: _get_peer_groups,
    SO.PEERNAME: _get_peer_name,
    SO.PEERPIDFD: _get_peer_pidfd,
}
