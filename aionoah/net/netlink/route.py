"""Answers of rtnetlink: what there are of links, addresses, routes and neighbours (rtnetlink(7)).

On Linux the host's own kernel is asked, and what it says is handed on; whatever would change something is
refused before. Where there is nothing to be seen, or nobody to ask, the answers are made here.
"""

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Protocol

from aionoah.abi.errno import Errno
from aionoah.abi.netlink import NLM_F, NLMSG, NLMSG_ALIGNTO, Nlmsghdr
from aionoah.host import platform
from aionoah.host.errors import host_errors
from aionoah.net.links import LOOPBACK_DOWN, Link
from aionoah.net.netlink.descriptions import RTM_GETLINK, RTM_NEWLINK, descriptions, link_description

if TYPE_CHECKING:
    from aionoah.net.network import Network

_RTM_MAX: Final = 123  # uapi linux/rtnetlink.h
_GET: Final = 2  # of the four kinds of each object: new, delete, get, set


class Answerer(Protocol):
    """Who answers the requests of one socket."""

    def answers(self, request: bytes, port: int) -> Iterator[list[bytes]]:
        """Datagrams for the socket with this port, for one message of a request after the other."""
        ...

    def set_option(self, option: int, value: int) -> None:
        """One of abi.netlink.NETLINK_OPTION."""
        ...

    def close(self) -> None: ...


def new_answerer(network: "Network") -> Answerer:
    if network.links is None and platform.HAS_NETLINK:
        with host_errors():
            return HostAnswerer()
    return LinkAnswerer(network.links or (LOOPBACK_DOWN,))


def messages(data: bytes) -> Iterator[tuple[Nlmsghdr, bytes]]:
    """The messages of a datagram, each with its head; ends where a length cannot be (NLMSG_OK)."""
    offset = 0
    while offset + Nlmsghdr.SIZE <= len(data):
        head = Nlmsghdr.unpack(data, offset)
        if not Nlmsghdr.SIZE <= head.nlmsg_len <= len(data) - offset:
            return
        yield head, data[offset : offset + head.nlmsg_len]
        offset += head.nlmsg_len + -head.nlmsg_len % NLMSG_ALIGNTO


def refusal(head: Nlmsghdr, message: bytes) -> Errno | None:
    """Why a request gets no answer: EPERM for what would change something, EOPNOTSUPP."""
    if head.nlmsg_type > _RTM_MAX or len(message) < Nlmsghdr.SIZE + 1:
        return Errno.EOPNOTSUPP if head.nlmsg_type > _RTM_MAX else None
    return None if head.nlmsg_type & 3 == _GET else Errno.EPERM


def error_message(head: Nlmsghdr, message: bytes, error: int, port: int) -> bytes:
    """NLMSG_ERROR; with 0 for an error it is an acknowledgement."""
    body = struct.pack("<i", -error) + (message if error else message[: Nlmsghdr.SIZE])
    return pack_message(NLMSG.ERROR, 0, head.nlmsg_seq, port, body)


def acknowledged(head: Nlmsghdr, message: bytes, port: int) -> list[bytes]:
    """What there is to say of a message that asks for nothing."""
    return [error_message(head, message, 0, port)] if head.nlmsg_flags & NLM_F.ACK else []


def pack_message(kind: int, flags: int, sequence: int, port: int, body: bytes) -> bytes:
    return Nlmsghdr(Nlmsghdr.SIZE + len(body), kind, flags, sequence, port).pack() + body


def is_request(head: Nlmsghdr) -> bool:
    return bool(head.nlmsg_flags & NLM_F.REQUEST) and head.nlmsg_type >= NLMSG.MIN_TYPE


class HostAnswerer:
    """Asks the kernel of a Linux host."""

    def __init__(self) -> None:
        self._host = platform.RouteSocket()

    def answers(self, request: bytes, port: int) -> Iterator[list[bytes]]:
        for head, message in messages(request):
            yield self._answer(head, message, port) if is_request(head) else acknowledged(head, message, port)

    def _answer(self, head: Nlmsghdr, message: bytes, port: int) -> list[bytes]:
        refused = refusal(head, message)
        if refused is not None:
            return [error_message(head, message, refused, port)]
        with host_errors():
            replies = self._host.ask(message)
        return [_readdressed(reply, port) for reply in replies]

    def set_option(self, option: int, value: int) -> None:
        with host_errors():
            self._host.set_option(option, value)

    def close(self) -> None:
        self._host.close()


def _readdressed(reply: bytes, port: int) -> bytes:
    """The host's answer, addressed to the guest's port in place of ours."""
    changed = bytearray(reply)
    offset = 0
    for head, message in messages(reply):
        struct.pack_into("<I", changed, offset + 12, port)
        offset += len(message) + -len(message) % NLMSG_ALIGNTO
        if head.nlmsg_type == NLMSG.ERROR and len(message) >= 2 * Nlmsghdr.SIZE + 4:
            struct.pack_into("<I", changed, offset - len(message) + Nlmsghdr.SIZE + 4 + 12, 0)
    return bytes(changed)


class LinkAnswerer:
    """Describes links of our own: what there is of them, their addresses and routes; no neighbours."""

    def __init__(self, links: tuple[Link, ...]) -> None:
        self._links = links

    def answers(self, request: bytes, port: int) -> Iterator[list[bytes]]:
        for head, message in messages(request):
            is_asking = is_request(head) and len(message) > Nlmsghdr.SIZE
            yield self._answer(head, message, port) if is_asking else acknowledged(head, message, port)

    def _answer(self, head: Nlmsghdr, message: bytes, port: int) -> list[bytes]:
        refused = refusal(head, message)
        if refused is not None:
            return [error_message(head, message, refused, port)]
        is_dump = head.nlmsg_flags & NLM_F.DUMP == NLM_F.DUMP
        if is_dump:
            family = message[Nlmsghdr.SIZE]
            found = descriptions(self._links, head.nlmsg_type, family)
            parts = [pack_message(kind, NLM_F.MULTI, head.nlmsg_seq, port, body) for kind, body in found]
            return [*parts, pack_message(NLMSG.DONE, NLM_F.MULTI, head.nlmsg_seq, port, bytes(4))]
        if head.nlmsg_type == RTM_GETLINK:
            return [self._one_link(head, message, port)]
        return [error_message(head, message, Errno.EOPNOTSUPP, port)]

    def _one_link(self, head: Nlmsghdr, message: bytes, port: int) -> bytes:
        index = int.from_bytes(message[20:24], "little")
        for link in self._links:
            if index == link.number or link.name + b"\0" in message[32:]:
                return pack_message(RTM_NEWLINK, 0, head.nlmsg_seq, port, link_description(link))
        return error_message(head, message, Errno.ENODEV, port)

    def set_option(self, option: int, value: int) -> None:
        """Nothing here is long enough to be told apart."""

    def close(self) -> None: ...
