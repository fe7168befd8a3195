"""UDP ports of the host that lead to guests: datagrams are carried to and fro, and their senders kept apart."""

import contextlib
import socket as host_socket
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aionoah.abi.socket import SOCK
from aionoah.net.private.datagram import PrivateDatagram
from aionoah.net.private.network import Endpoint
from aionoah.net.private.rules import canonical

if TYPE_CHECKING:
    from aionoah.net.private.network import PrivateNetwork

_MOST_SENDERS: Final = 1024  # that a guest can answer: the one not heard of for longest is forgotten
_LARGEST: Final = 0xFFFF  # bytes of a datagram
_AT_ONCE: Final = 64  # datagrams, before others have their turn


class PublishedDatagrams:
    """One port of the host. Called under the kernel lock."""

    def __init__(self, private: "PrivateNetwork", host: host_socket.socket, guest_port: int) -> None:
        """`host` is bound and does not block."""
        self.host = host
        self._private = private
        self._to = Endpoint(canonical("127.0.0.1"), guest_port)
        self._senders: OrderedDict[Endpoint, None] = OrderedDict()

    def receive(self) -> None:
        """The host's socket can be read."""
        for _ in range(_AT_ONCE):
            try:
                data, address = self.host.recvfrom(_LARGEST)
            except OSError:  # nothing is left, or a sender does not want to be answered
                return
            self._deliver(data, address)

    def _deliver(self, data: bytes, address: tuple[Any, ...]) -> None:
        """To whoever has the port, or to nobody."""
        sender = Endpoint(canonical(address[0].partition("%")[0]), address[1])
        for found in self._private.find(SOCK.DGRAM, self._to):
            if isinstance(found, PrivateDatagram) and found.peer in (None, sender):
                self._remember(sender, address)
                found.deliver(data, sender, self._to)
                return

    def _remember(self, sender: Endpoint, address: tuple[Any, ...]) -> None:
        self._private.correspondents[self._to.port, sender] = partial(self._answer, address)
        self._senders[sender] = None
        self._senders.move_to_end(sender)
        if len(self._senders) > _MOST_SENDERS:
            forgotten, _ = self._senders.popitem(last=False)
            self._private.correspondents.pop((self._to.port, forgotten), None)

    def _answer(self, address: tuple[Any, ...], data: bytes) -> None:
        """As any network does, it loses what it has no room for."""
        with contextlib.suppress(OSError):
            self.host.sendto(data, address)
