"""Files on their way through UNIX sockets, and the collection of those that nobody can receive any more.

A socket can lie in a queue that only it can read, or in one of another socket in the same position: their
references never reach zero. Whenever the last reference from outside may have gone, it is looked for upwards: at
the sockets that hold this one, at those that hold them, and so on (Linux net/unix/garbage.c looks at all there are).
"""

from collections import deque
from typing import TYPE_CHECKING

from aionoah.fs.file import File

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aionoah.net.unix.socket import UnixSocket

_in_flight: "dict[UnixSocket, dict[UnixSocket, int]]" = {}
"""UNIX sockets in queues: whose queue it is, and how many times they are in it."""

_to_drop: deque[File] = deque()
"""Files of queues that have gone: a loop empties it, as queues within queues may be deeper than Python's stack."""


def send_files(files: "Iterable[File]", receiver: "UnixSocket") -> "tuple[File, ...]":
    """References for the queue of a socket."""
    held = tuple(file.hold() for file in files)
    for socket in _sockets(held):
        holders = _in_flight.setdefault(socket, {})
        holders[receiver] = holders.get(receiver, 0) + 1
    return held


def receive_files(files: "Iterable[File]", receiver: "UnixSocket") -> None:
    """The references belong to a receiver now; or to whoever drops them."""
    for socket in _sockets(files):
        holders = _in_flight[socket]
        holders[receiver] -= 1
        if not holders[receiver]:
            del holders[receiver]
        if not holders:
            del _in_flight[socket]


def drop_files(files: "Iterable[File]", receiver: "UnixSocket") -> None:
    """What was in a queue that has gone."""
    receive_files(files, receiver)
    is_begun = bool(_to_drop)
    _to_drop.extend(files)
    if is_begun:
        return
    while _to_drop:
        _to_drop[0].drop()  # it stays there meanwhile, to say that somebody is at it
        _to_drop.popleft()


def collect(suspect: "UnixSocket") -> None:
    """Free what nobody can receive any more, if `suspect`, which has just lost a reference, is of that kind."""
    if suspect not in _in_flight:
        return
    unreachable = _unreachable_holders(suspect)
    for socket in unreachable:
        socket.hold()  # so that all queues are emptied before any socket goes
    for socket in unreachable:
        socket.purge()
    for socket in unreachable:
        socket.drop()


def _unreachable_holders(socket: "UnixSocket") -> "set[UnixSocket]":
    """A socket and all whose queues would have to be read to get at it; none if a program can do that."""
    found, to_do = {socket}, [socket]
    while to_do:
        one = to_do.pop()
        holders = _in_flight.get(one, {})
        above = list(holders)
        references = one.references - sum(holders.values())
        if one.listener is not None:
            above.append(one.listener)
            references -= 1  # of the queue of connections that nobody has accepted
        if references:
            return set()
        to_do += [holder for holder in above if holder not in found]
        found.update(above)
    return found


def _sockets(files: "Iterable[File]") -> "list[UnixSocket]":
    from aionoah.net.unix.socket import UnixSocket  # noqa: PLC0415 - the two need each other

    return [file for file in files if isinstance(file, UnixSocket)]
