"""Files on their way through UNIX sockets, and the collection of those that nobody can receive any more.

A socket can lie in a queue that only it can read, or in one of another socket in the same position: their
references never reach zero. Whenever the last reference from outside may have gone, the sockets that only
queues hold are looked through (Linux net/unix/garbage.c).
"""

from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.fs.file import File

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aionoah.net.unix.socket import UnixSocket

_MAX_DEPTH = 4  # of sockets within sockets' queues (MAX_RECURSION_LEVEL)

_in_flight: "dict[UnixSocket, int]" = {}
"""UNIX sockets in queues, and how many times each."""


def send_files(files: "Iterable[File]") -> "tuple[File, ...]":
    """References for a queue."""
    held = tuple(file.hold() for file in files)
    for file in held:
        socket = _as_socket(file)
        if socket is not None:
            _in_flight[socket] = _in_flight.get(socket, 0) + 1
    return held


def receive_files(files: "Iterable[File]") -> None:
    """The references belong to a receiver now; or to whoever drops them."""
    for file in files:
        socket = _as_socket(file)
        if socket is not None:
            _in_flight[socket] -= 1
            if not _in_flight[socket]:
                del _in_flight[socket]


def drop_files(files: "Iterable[File]") -> None:
    """What was in a queue that has gone."""
    receive_files(files)
    for file in files:
        file.drop()


def require_shallow(files: "Iterable[File]") -> None:
    """ETOOMANYREFS if sockets would lie in queues of sockets in queues … too deep."""
    for file in files:
        socket = _as_socket(file)
        if socket is not None and _depth(socket, 0) > _MAX_DEPTH:
            raise LinuxError(Errno.ETOOMANYREFS)


def _depth(socket: "UnixSocket", above: int) -> int:
    if above > _MAX_DEPTH:
        return above
    inner = [_depth(other, above + 1) for other in socket.queued_sockets() if other is not socket]
    return max(inner, default=above)


def collect(suspect: "UnixSocket") -> None:
    """Free what only unreachable queues hold, `suspect` for example, which has just lost a reference."""
    if suspect not in _in_flight or suspect.references > _in_flight[suspect]:
        return
    unreachable = {socket for socket, times in _in_flight.items() if socket.references == times}
    while True:
        from_outside = {
            socket for socket in unreachable if _times_held_by(unreachable, socket) < _in_flight[socket]
        }
        if not from_outside:
            break
        unreachable -= from_outside
    for socket in unreachable:
        socket.hold()  # so that all queues are emptied before any socket goes
    for socket in unreachable:
        socket.purge()
    for socket in unreachable:
        socket.drop()


def _times_held_by(holders: "set[UnixSocket]", socket: "UnixSocket") -> int:
    return sum(other is socket for holder in holders for other in holder.queued_sockets())


def _as_socket(file: File) -> "UnixSocket | None":
    from aionoah.net.unix.socket import UnixSocket  # noqa: PLC0415 - the two need each other

    return file if isinstance(file, UnixSocket) else None
