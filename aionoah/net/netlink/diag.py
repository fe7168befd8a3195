"""Answers of NETLINK_SOCK_DIAG: the sockets of this instance's programs (sock_diag(7); ss(8)).

Sources: uapi linux/sock_diag.h, inet_diag.h, unix_diag.h; Linux net/ipv4/inet_diag.c, net/unix/diag.c. What
cannot be seen from outside a socket (timers, memory) is left out, as the structures allow.
"""

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno
from aionoah.abi.inet import IPPROTO
from aionoah.abi.netlink import NLM_F, NLMSG, Nlmsghdr
from aionoah.abi.socket import AF, SOCK
from aionoah.fs.device_numbers import internal_device
from aionoah.net import census
from aionoah.net.netlink.descriptions import pack_attributes
from aionoah.net.netlink.route import acknowledged, error_message, is_request, messages, pack_message
from aionoah.net.unix.connection import ConnectionSocket
from aionoah.net.unix.socket import UnixSocket
from aionoah.process.current import current_task

if TYPE_CHECKING:
    from aionoah.net.socket import Socket

SOCK_DIAG_BY_FAMILY: Final = 20
_SOCK_DESTROY: Final = 21
# inet_diag_req_v2: family, protocol, extensions, states, id.
_INET_REQUEST: Final = struct.Struct("<BBBxI48s")
_UNIX_REQUEST: Final = struct.Struct("<BBxxIIIII")  # unix_diag_req: …, states, inode, show, cookie
_KINDS: Final = {IPPROTO.TCP: SOCK.STREAM, IPPROTO.UDP: SOCK.DGRAM, IPPROTO.RAW: SOCK.RAW}
_ANY_COOKIE: Final = 0xFFFF_FFFF
_INET_SHUTDOWN: Final = 8  # INET_DIAG_SHUTDOWN
_NAME, _VFS, _PEER, _ICONS, _RQLEN, _SHUTDOWN, _UID = 0, 1, 2, 3, 4, 6, 7  # UNIX_DIAG_*
_SHOW_NAME, _SHOW_VFS, _SHOW_PEER, _SHOW_ICONS, _SHOW_RQLEN, _SHOW_UID = 1, 2, 4, 8, 16, 64  # UDIAG_SHOW_*


class DiagAnswerer:
    """Answers the requests of one socket."""

    def answers(self, request: bytes, port: int) -> Iterator[list[bytes]]:
        for head, message in messages(request):
            yield self._answer(head, message, port) if is_request(head) else acknowledged(head, message, port)

    def _answer(self, head: Nlmsghdr, message: bytes, port: int) -> list[bytes]:
        found = _found(head, message[Nlmsghdr.SIZE :])
        if isinstance(found, Errno):
            return [error_message(head, message, found, port)]
        if head.nlmsg_flags & NLM_F.DUMP == NLM_F.DUMP:
            parts = [
                pack_message(SOCK_DIAG_BY_FAMILY, NLM_F.MULTI, head.nlmsg_seq, port, body) for body in found
            ]
            return [*parts, pack_message(NLMSG.DONE, NLM_F.MULTI, head.nlmsg_seq, port, bytes(4))]
        one = next(found, None)
        if one is None:
            return [error_message(head, message, Errno.ENOENT, port)]
        return [pack_message(SOCK_DIAG_BY_FAMILY, 0, head.nlmsg_seq, port, one)]

    def set_option(self, option: int, value: int) -> None:
        """Nothing here depends on any."""

    def close(self) -> None: ...


def _found(head: Nlmsghdr, body: bytes) -> Iterator[bytes] | Errno:
    """Descriptions of the sockets that a request means. EINVAL, ENOENT for families that nobody describes."""
    if head.nlmsg_type == _SOCK_DESTROY:
        return Errno.EOPNOTSUPP
    if head.nlmsg_type != SOCK_DIAG_BY_FAMILY or len(body) < 2:
        return Errno.EINVAL
    is_dump = head.nlmsg_flags & NLM_F.DUMP == NLM_F.DUMP
    if body[0] in (AF.INET, AF.INET6):
        return _inet(body, is_dump=is_dump)
    if body[0] == AF.UNIX:
        return _unix(body, is_dump=is_dump)
    return Errno.ENOENT


# -- internet sockets ---------------------------------------------------------------------------------------


def _inet(body: bytes, *, is_dump: bool) -> Iterator[bytes] | Errno:
    if len(body) < _INET_REQUEST.size:
        return Errno.EINVAL
    family, protocol, _, states, wanted = _INET_REQUEST.unpack_from(body)
    if protocol not in _KINDS:
        return Errno.ENOENT
    found = (
        (description, identity)
        for socket, uid in census.open_sockets(current_task().kernel)
        if socket.family == family and socket.kind == _KINDS[protocol] and census.has_name(socket)
        for state, identity, description in (_inet_description(socket, uid),)
        if not is_dump or states >> state & 1
    )
    if is_dump:
        return (description for description, _ in found)
    return (description for description, identity in found if identity[:36] == wanted[:36])


def _inet_description(socket: "Socket", uid: int) -> tuple[int, bytes, bytes]:
    """State, struct inet_diag_sockid, and struct inet_diag_msg with attributes."""
    local, remote, state = census.ends(socket)
    place = slice(4, 8) if socket.family == AF.INET else slice(8, 24)
    number = census.number(socket)
    identity = (
        local[2:4]
        + remote[2:4]
        + local[place].ljust(16, b"\0")
        + remote[place].ljust(16, b"\0")
        + struct.pack("<III", 0, number, 0)
    )
    head = bytes([socket.family, state, 0, 0])
    tail = struct.pack("<IIIII", 0, *census.queues(socket), uid, number)
    return state, identity, head + identity + tail + pack_attributes((_INET_SHUTDOWN, bytes(1)))


# -- UNIX sockets -------------------------------------------------------------------------------------------


def _unix(body: bytes, *, is_dump: bool) -> Iterator[bytes] | Errno:
    if len(body) < _UNIX_REQUEST.size:
        return Errno.EINVAL
    _, protocol, states, inode, show, *cookie = _UNIX_REQUEST.unpack_from(body)
    if protocol:
        return Errno.EINVAL
    if not is_dump and not inode:
        return Errno.EINVAL
    if not is_dump and cookie not in ([_ANY_COOKIE, _ANY_COOKIE], [inode, 0]):
        return Errno.ESTALE
    return (
        _unix_description(socket, uid, show)
        for socket, uid in census.open_sockets(current_task().kernel)
        if isinstance(socket, UnixSocket)
        and (states >> _unix_state(socket) & 1 if is_dump else census.number(socket) == inode)
    )


def _unix_state(socket: UnixSocket) -> int:
    if socket.is_listening:
        return census.LISTEN
    return census.ESTABLISHED if socket.peer is not None else census.CLOSE


def _unix_description(socket: UnixSocket, uid: int, show: int) -> bytes:
    """Struct unix_diag_msg and the attributes that are wanted."""
    number = census.number(socket)
    head = struct.pack("<BBBxIII", AF.UNIX, socket.kind, _unix_state(socket), number, number, 0)
    attributes: list[tuple[int, bytes]] = []
    if show & _SHOW_NAME and socket.path:
        attributes.append((_NAME, socket.path))
    if show & _SHOW_VFS and socket.place is not None:
        filesystem, inode = socket.place
        device = internal_device(filesystem.device)
        attributes.append((_VFS, struct.pack("<II", inode & 0xFFFF_FFFF, device)))
    if show & _SHOW_PEER and socket.peer is not None:
        attributes.append((_PEER, struct.pack("<I", census.number(socket.peer))))
    waiting = list(socket.embryos) if isinstance(socket, ConnectionSocket) else []
    if show & _SHOW_ICONS and socket.is_listening:
        attributes.append((_ICONS, b"".join(struct.pack("<I", census.number(each)) for each in waiting)))
    if show & _SHOW_RQLEN:
        attributes.append((_RQLEN, struct.pack("<II", *_unix_queues(socket))))
    if show & _SHOW_UID:
        attributes.append((_UID, struct.pack("<I", uid)))
    return head + pack_attributes(*attributes, (_SHUTDOWN, bytes([socket.shut])))


def _unix_queues(socket: UnixSocket) -> tuple[int, int]:
    if isinstance(socket, ConnectionSocket) and socket.is_listening:
        return len(socket.embryos), socket.backlog
    return socket.available(), socket.used
