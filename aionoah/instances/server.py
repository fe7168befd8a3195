"""The control socket of an instance: who connects, and what each has to say. One task for each client."""

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from aionoah.host.peers import peer_uid
from aionoah.instances import InstanceError
from aionoah.instances.place import make_private
from aionoah.instances.protocol import Assembler, Message, ProtocolError, pack, receive

_PATIENCE: Final = 10.0  # seconds until a client has said what it wants
_MOST_CLIENTS: Final = 512
_PAUSE: Final = 1.0  # seconds, when there are no descriptors for another client
_GRACE: Final = 2.0  # seconds for the last answers


class Peer:
    """A client that has connected."""

    def __init__(self, connection: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._loop = loop
        self._assembler = Assembler()
        self._messages: deque[Message] = deque()
        self._end: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        loop.add_reader(connection.fileno(), self._read)

    async def receive(self) -> Message:
        """The next message. EOFError if the client has gone, ProtocolError."""
        while not self._messages:
            if self._end is not None:
                raise self._end
            self._waiter = self._loop.create_future()
            await self._waiter
        return self._messages.popleft()

    def send(self, fields: dict[str, Any]) -> None:
        """A client that does not read loses its answers."""
        data = pack(fields)
        with contextlib.suppress(OSError):
            if self._connection.send(data) != len(data):  # half a line, and then nothing
                self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._stop_reading()
        for message in self._messages:
            message.close()
        self._messages.clear()
        self._assembler.close()
        self._connection.close()

    def _read(self) -> None:
        try:
            self._messages.extend(receive(self._connection, self._assembler))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._end = EOFError()
        except (EOFError, ProtocolError) as error:
            self._end = error
        if self._end is not None:
            self._stop_reading()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _stop_reading(self) -> None:
        if self._connection.fileno() >= 0:
            self._loop.remove_reader(self._connection.fileno())


class ControlServer:
    """`handle` answers a client's first message, and stays with it as long as it wants."""

    def __init__(self, path: Path, handle: Callable[[Peer, Message], Awaitable[None]]) -> None:
        self._path = path
        self._handle = handle
        self._loop = asyncio.get_running_loop()
        self._clients: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None

    def open(self) -> None:
        """Whoever holds the instance's lock may: what is at the path is nobody's. Also again, if it has been
        removed, as a user's runtime directory is at logout. OSError, InstanceError.
        """
        self._close_listener()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            make_private(self._path.parent)
            self._path.unlink(missing_ok=True)
            listener.bind(os.fsencode(self._path))  # nobody else gets into the directory
            self._path.chmod(0o600)
            listener.listen(64)
            listener.setblocking(False)
        except (InstanceError, OSError):
            listener.close()
            raise
        self._listener = listener
        self._loop.add_reader(listener.fileno(), self._accept)

    async def close(self) -> None:
        """Every connection is closed: to clients that is the end of the instance."""
        self._close_listener()
        with contextlib.suppress(OSError):
            self._path.unlink()
        if self._clients:
            await asyncio.wait(self._clients, timeout=_GRACE)
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        assert self._listener is not None  # noqa: S101 - it is watched
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:  # too many descriptors
            listener = self._listener
            self._loop.remove_reader(listener.fileno())
            self._loop.call_later(_PAUSE, self._resume, listener)
            return
        if len(self._clients) >= _MOST_CLIENTS or not _is_trusted(connection):
            connection.close()
            return
        task = self._loop.create_task(self._serve(Peer(connection, self._loop)))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    def _resume(self, listener: socket.socket) -> None:
        if listener is self._listener:
            self._loop.add_reader(listener.fileno(), self._accept)

    async def _serve(self, peer: Peer) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                message = await peer.receive()
            with contextlib.closing(message):
                await self._handle(peer, message)
        except ProtocolError as error:
            peer.send({"error": f"the instance does not understand its client: {error}"})
        except InstanceError as error:
            peer.send({"error": str(error)})
        except (EOFError, TimeoutError):
            pass
        finally:
            peer.close()


def _is_trusted(connection: socket.socket) -> bool:
    """The file's mode says the same; not every system looks at it."""
    try:
        return peer_uid(connection) in (os.geteuid(), 0)
    except OSError:
        return False
