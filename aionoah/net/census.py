"""Every socket that the programs of an instance have open, and what others may know of it (ss(8), proc_pid_net(5))."""

from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.errno import LinuxError
from aionoah.abi.inet import TCP
from aionoah.abi.ioctl import IOCTL
from aionoah.abi.socket import AF, SO, SOCK, SOL
from aionoah.net.socket import Socket, unspecified

if TYPE_CHECKING:
    from aionoah.process.kernel import Kernel

ESTABLISHED: Final = 1  # include/net/tcp_states.h
CLOSE: Final = 7
LISTEN: Final = 10
_TCP_INFO_COUNTS: Final = 24  # offset of tcpi_unacked and tcpi_sacked, which of a listener are its queue's


def open_sockets(kernel: "Kernel") -> list[tuple[Socket, int]]:
    """Each socket once, with the user of a program that has it."""
    found: dict[Socket, int] = {}
    tables = {id(task.files): task for task in kernel.tasks.values()}
    for task in tables.values():
        for fd in task.files:
            file = task.files.get(fd, allow_path=True)
            if isinstance(file, Socket):
                found.setdefault(file, task.credentials.fsuid)
    return sorted(found.items(), key=lambda entry: number(entry[0]))


def number(socket: Socket) -> int:
    """That of its inode."""
    return socket.inode.attributes().ino


def is_listening(socket: Socket) -> bool:
    return socket.kind != SOCK.DGRAM and any(socket.get_option(SOL.SOCKET, SO.ACCEPTCONN, 4))


class Ends(NamedTuple):
    """The addresses of an internet socket and the state of its connection."""

    local: bytes  # sockaddr
    remote: bytes
    state: int


def ends(socket: Socket) -> Ends:
    nowhere = unspecified(socket.family) + bytes(26)
    try:
        remote, is_connected = socket.peer_name(), True
    except LinuxError:
        remote, is_connected = nowhere, False
    return Ends(socket.name(), remote, _state(socket, is_connected=is_connected))


def _state(socket: Socket, *, is_connected: bool) -> int:
    if socket.kind == SOCK.STREAM and (told := _tcp_info(socket)):
        return told[0]
    if is_connected:
        return ESTABLISHED
    return LISTEN if is_listening(socket) else CLOSE


def _tcp_info(socket: Socket) -> bytes:
    """Struct tcp_info; empty where nobody has one."""
    try:
        return socket.get_option(SOL.TCP, TCP.INFO, 232)
    except LinuxError:
        return b""


def queues(socket: Socket) -> tuple[int, int]:
    """Bytes to be received and bytes not sent yet; of a listener, connections that wait and the most of them."""
    if socket.kind == SOCK.STREAM and is_listening(socket):
        counts = _tcp_info(socket)[_TCP_INFO_COUNTS : _TCP_INFO_COUNTS + 8]
        return int.from_bytes(counts[:4], "little"), int.from_bytes(counts[4:], "little")
    return _asked(socket, IOCTL.FIONREAD), _asked(socket, IOCTL.TIOCOUTQ)


def _asked(socket: Socket, request: int) -> int:
    try:
        return int.from_bytes(socket.ioctl(request, bytes(4)), "little")
    except LinuxError:
        return 0


def has_name(socket: Socket) -> bool:
    """Whether an internet socket has a port: one that was never bound nor connected is in no table of the kernel's."""
    if socket.family not in (AF.INET, AF.INET6):
        return False
    try:
        return any(socket.name()[2:4])
    except LinuxError:
        return False
