"""The network as the application sees it: what guests may reach, and what the application answers itself.

network = Network(allow=["deb.debian.org:80", "10.1.0.0/16"], publish={8080: 80})
network.serve("api.internal", 80, handler)
async with Linux(network=network) as linux:
    ...
    reader, writer = await linux.connect(6379)
"""

import asyncio
import contextlib
import logging
import socket as host_socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import LinuxError
from aionoah.abi.socket import SOCK
from aionoah.host import sockets
from aionoah.host.application import Answer, Application, Workers
from aionoah.host.waiting import kernel_lock
from aionoah.net.private.names import Resolver
from aionoah.net.private.network import HOST, HOST_NAME, NAME_SERVER, Endpoint, PrivateNetwork, Receiver
from aionoah.net.private.published import PublishedDatagrams
from aionoah.net.private.rules import Attempt, Rules, canonical
from aionoah.net.private.stream import PrivateStream

if TYPE_CHECKING:
    from aionoah.net.network import Network as KernelNetwork

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None]
Decision = Callable[[Attempt], Awaitable[bool]]
logger: Final = logging.getLogger("aionoah.network")


class Network:
    """A network of the guests' own. One instance uses it at a time, from entering to leaving.

    Guests reach each other at 127.0.0.1, ::1 and 10.0.2.15, whatever the host has there. What else they reach:

    allow, deny: rules of the form HOST or HOST:PORTS, where HOST is an address, a CIDR block, a name, *.domain or
        *, and PORTS is a number or FIRST-LAST. `deny` goes first. The host's own loopback is "host.internal".
    decide: asked with an Attempt about what no rule speaks of; otherwise that is refused (ENETUNREACH).
    publish: port of the host's 127.0.0.1, or (address, port) → port of a guest's TCP server.
    publish_udp: likewise, of a guest's UDP server.
    hosts: name → address, as in /etc/hosts.
    on_denied: told of each attempt that was refused; besides, the log "aionoah.network" has a record of it.

    ValueError with a sentence for what is no rule and no address.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str] = (),
        deny: Iterable[str] = (),
        decide: Decision | None = None,
        publish: Mapping[int | tuple[str, int], int] | None = None,
        publish_udp: Mapping[int | tuple[str, int], int] | None = None,
        hosts: Mapping[str, str] | None = None,
        on_denied: Callable[[Attempt], None] | None = None,
    ) -> None:
        allow = tuple(allow)
        self._rules = Rules(allow, deny) if allow or decide else None
        self._decide = decide
        self._publish = {SOCK.STREAM: dict(publish or {}), SOCK.DGRAM: dict(publish_udp or {})}
        self._hosts = {name.lower(): str(ip_address(address)) for name, address in (hosts or {}).items()}
        self._on_denied = on_denied
        self._handlers: dict[tuple[str, int], Handler] = {}
        self._running: _Running | None = None

    def serve(self, name: str, port: int, handler: Handler) -> None:
        """Answer guests' connections to a name, which they alone know, as asyncio.start_server does.

        ValueError if the name and port are served already.
        """
        name = name.lower()
        if (name, port) in self._handlers:
            raise ValueError(f"{name}:{port} is served already")
        self._handlers[name, port] = handler
        if self._running is not None:
            self._running.serve(name, port, handler)

    async def open(self, kernel_network: "KernelNetwork") -> None:
        """For Linux, which has entered. RuntimeError while another one uses it; OSError for published ports."""
        if self._running is not None:
            raise RuntimeError("a Network serves one Linux at a time: make another one")
        running = _Running(self._rules, self._decide, self._on_denied, kernel_network)
        for name, address in self._hosts.items():
            running.private.addresses[name] = canonical(address)
            running.private.remember(name, canonical(address))  # guests have it from their /etc/hosts
        for (name, port), handler in self._handlers.items():
            running.serve(name, port, handler)
        try:
            for kind, published in self._publish.items():
                for place, port in published.items():
                    where = ("127.0.0.1", place) if isinstance(place, int) else place
                    running.publish(kind, where, port)
        except OSError:
            await running.close()
            raise
        self._running = running

    async def close(self) -> None:
        """For Linux, which is left."""
        if self._running is not None:
            await self._running.close()
            self._running = None

    def files(self, hostname: bytes) -> dict[bytes, bytes]:
        """What guests find at paths, so that they know the names, their own machine's too."""
        return {
            b"/etc/hosts": self._hosts_file() + b"127.0.1.1\t%s\n" % hostname,
            b"/etc/resolv.conf": b"nameserver %s\n" % str(NAME_SERVER).encode(),
        }

    def _hosts_file(self) -> bytes:
        lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
        lines += [f"{address}\t{name}" for name, address in self._hosts.items()]
        if self._rules is not None:
            lines.append(f"{HOST}\t{HOST_NAME}")
        return ("\n".join(lines) + "\n").encode()

    async def connect(self, host: str, port: int, limit: int) -> Streams:
        """A stream to a guest's server. ConnectionRefusedError."""
        if self._running is None:
            raise RuntimeError("the network is not in use")
        return await self._running.connect(host, port, limit)


class _Running:
    """A network that is in use. Methods of Outside are called by guests, the rest by the application."""

    def __init__(
        self,
        rules: Rules | None,
        decide: Decision | None,
        on_denied: Callable[[Attempt], None] | None,
        kernel_network: "KernelNetwork",
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._application, self._workers = Application(self._loop), Workers()
        self._decide = decide
        self._on_denied = on_denied
        self._handlers: dict[Endpoint, Handler] = {}
        self._listeners: list[host_socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.private = kernel_network.private = PrivateNetwork(self, rules)
        self._resolver = Resolver(self.private, self._workers)
        self._queries = 0  # of names, that have no answer yet

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            listener.close()
        self._workers.close()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- the application ----------------------------------------------------------------------------------

    def serve(self, name: str, port: int, handler: Handler) -> None:
        with kernel_lock:
            self._handlers[self.private.serve(name, port)] = handler

    def publish(self, kind: int, place: tuple[str, int], guest_port: int) -> None:
        """Open a port of the host for a guest. OSError with a sentence."""
        is_stream = kind == SOCK.STREAM
        family = host_socket.AF_INET6 if ":" in place[0] else host_socket.AF_INET
        listener = host_socket.socket(
            family, host_socket.SOCK_STREAM if is_stream else host_socket.SOCK_DGRAM
        )
        try:
            if is_stream:
                listener.setsockopt(host_socket.SOL_SOCKET, host_socket.SO_REUSEADDR, 1)
            listener.bind(place)
            if is_stream:
                listener.listen(1024)
        except OSError as error:
            listener.close()
            sentence = f"port {place[1]} of {place[0]} cannot be published: {error.strerror}"
            raise OSError(error.errno, sentence) from None
        listener.setblocking(False)
        self._listeners.append(listener)
        if is_stream:
            self._spawn(self._accept(listener, guest_port))
        else:
            self._carry(PublishedDatagrams(self.private, listener, guest_port))

    def _carry(self, published: PublishedDatagrams) -> None:
        def receive() -> None:
            with kernel_lock:
                published.receive()

        self._loop.add_reader(published.host, receive)

    async def _accept(self, listener: host_socket.socket, port: int) -> None:
        """A connection from outside is the guest's from its beginning: nothing is copied."""
        while True:
            try:
                connection, address = await self._loop.sock_accept(listener)
                sockets.require_free(connection)
            except OSError:  # no descriptor is left, or no memory
                await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            try:
                self._offer(connection, Endpoint(canonical(address[0]), address[1]), "0.0.0.0", port)  # noqa: S104
            except ConnectionRefusedError:
                connection.close()

    def _offer(self, connection: host_socket.socket, peer: Endpoint, host: str, port: int) -> None:
        """Give a guest's server a connection. ConnectionRefusedError."""
        ip = canonical("127.0.0.1" if host == "0.0.0.0" else host)  # noqa: S104
        to = Endpoint(ip, port)
        with kernel_lock:
            for found in self.private.find(SOCK.STREAM, to):
                if isinstance(found, PrivateStream) and found.is_listening and found.has_room:
                    found.offer(found.accepted(connection, peer, to))
                    return
        raise ConnectionRefusedError(f"no guest listens on port {port}")

    async def connect(self, host: str, port: int, limit: int) -> Streams:
        mine, other = host_socket.socketpair()
        try:
            with kernel_lock:
                local = self.private.free_port(SOCK.STREAM)
            self._offer(other, Endpoint(canonical("127.0.0.1"), local), host, port)
        except (ConnectionRefusedError, LinuxError):
            mine.close()
            other.close()
            raise
        return await _streams(mine, limit)

    # -- guests -------------------------------------------------------------------------------------------

    @property
    def decides(self) -> bool:
        return self._decide is not None

    def ask(self, attempt: Attempt) -> Answer:
        async def decide() -> bool:
            assert self._decide is not None  # noqa: S101 - `decides`
            return await self._decide(attempt)

        return self._application.ask(decide, self._workers)

    def denied(self, attempt: Attempt) -> None:
        self._soon(lambda: self._record(attempt))

    def _record(self, attempt: Attempt) -> None:
        names = f" ({', '.join(attempt.names)})" if attempt.names else ""
        target = f"[{attempt.host}]" if ":" in attempt.host else attempt.host
        logger.warning(
            "%s (%d) was not let through to %s %s:%d%s",
            *(attempt.program, attempt.pid, attempt.protocol, target, attempt.port, names),
        )
        if self._on_denied is not None:
            self._on_denied(attempt)

    def serve_guest(self, endpoint: Endpoint, connection: host_socket.socket) -> None:
        handler = self._handlers[endpoint]
        self._soon(lambda: self._spawn(self._handle(handler, connection)))

    async def _handle(self, handler: Handler, connection: host_socket.socket) -> None:
        reader, writer = await _streams(connection, _LIMIT)
        try:
            waits = handler(reader, writer)
            if waits is not None:
                await waits
        except Exception:
            logger.exception("a handler of the network failed")
            writer.close()

    def resolve(self, query: bytes, socket: Receiver, asked: Endpoint) -> None:
        async def answer() -> None:
            reply = None
            try:
                reply = await self._resolver.answer(query)
            finally:
                with kernel_lock:
                    self._queries -= 1
                    if reply is not None:
                        socket.deliver(reply, asked)

        if self._queries < _MOST_QUERIES:  # others are lost, as with any name server that has too much to do
            self._queries += 1
            self._soon(lambda: self._spawn(answer()))

    def _soon(self, function: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody is left
            self._loop.call_soon_threadsafe(function)


_MOST_QUERIES: Final = 256
_ACCEPT_PAUSE: Final = 1.0  # seconds, as asyncio has it
_LIMIT: Final = 1 << 16  # bytes that a StreamReader holds, as asyncio has it


async def _streams(connection: host_socket.socket, limit: int) -> Streams:
    connection.setblocking(False)
    return await asyncio.open_connection(sock=connection, limit=limit)
