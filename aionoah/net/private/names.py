"""The name server of the instance's own network, over the host's resolver. Wire format: RFC 1035, by dnspython."""

import asyncio
import contextlib
import socket as host_socket
from typing import TYPE_CHECKING, Final

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from aionoah.net.private.network import HOST
from aionoah.net.private.rules import Ip, canonical

if TYPE_CHECKING:
    from aionoah.host.application import Workers
    from aionoah.net.private.network import PrivateNetwork

_TTL: Final = 30  # seconds that guests may remember an answer
_FAMILIES: Final = {
    dns.rdatatype.A: (4, host_socket.AF_INET),
    dns.rdatatype.AAAA: (6, host_socket.AF_INET6),
}


class Resolver:
    """Answers for addresses of names; nothing else is known about any name."""

    def __init__(self, network: "PrivateNetwork", workers: "Workers") -> None:
        """`workers` look names up: the application's own look-ups do not wait for guests'."""
        self._network = network
        self._workers = workers

    async def answer(self, query: bytes) -> bytes | None:
        """The reply to a query; None for what is no query."""
        try:
            message = dns.message.from_wire(query)
            reply = dns.message.make_response(message)
        except dns.exception.DNSException:
            return None
        reply.flags |= dns.flags.RA
        if len(message.question) != 1 or message.question[0].rdclass != dns.rdataclass.IN:
            reply.set_rcode(dns.rcode.REFUSED)
            return reply.to_wire()
        question = message.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        addresses = await self._addresses(name)
        if addresses is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        version, _ = _FAMILIES.get(question.rdtype, (0, 0))
        found = [str(ip) for ip in addresses or () if ip.version == version]
        if found:
            reply.answer.append(dns.rrset.from_text(question.name, _TTL, "IN", question.rdtype, *found))
        return reply.to_wire()

    async def _addresses(self, name: str) -> list[Ip] | None:
        """None for a name that does not exist, or that guests have no use for."""
        given = self._network.addresses.get(name)
        if given is not None:
            self._network.remember(name, given)
            return [given]
        if self._network.rules is None or not (
            self._network.outside.decides or self._network.rules.may_resolve(name)
        ):
            return None
        found = await self._look_up(name)
        for ip in found:
            if ip != HOST:  # whoever owns a name does not say what the host's loopback is called
                self._network.remember(name, ip)
        return found or None

    async def _look_up(self, name: str) -> list[Ip]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Ip]] = loop.create_future()

        def tell(found: list[Ip]) -> None:
            if not answer.done():
                answer.set_result(found)

        def ask() -> None:
            found: list[Ip] = []
            with contextlib.suppress(OSError, UnicodeError):
                infos = host_socket.getaddrinfo(name, None, type=host_socket.SOCK_STREAM)
                found = [canonical(str(info[4][0])) for info in infos]
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(tell, found)

        self._workers.submit(ask)
        return await answer
