"""Sockets without tasks: how tests send, receive and see who would be woken."""

from collections.abc import Coroutine
from typing import Any

from aionoah.abi.socket import MSG, SOCK
from aionoah.fs.file import File, WouldBlock
from aionoah.host.waiting import Source, Waiter
from aionoah.memory.buffer import KernelBuffer
from aionoah.net.network import Network
from aionoah.net.socket import Outgoing, Received, Socket
from aionoah.net.unix.creation import UnixKind, new_unix_pair

SEQUENCED = SOCK.SEQPACKET


def pair(kind: int = SOCK.STREAM, network: Network | None = None) -> tuple[UnixKind, UnixKind]:
    return new_unix_pair(network or Network(), kind, 0, 0)


def send(socket: Socket, data: bytes, *files: File, flags: int = 0, address: bytes | None = None) -> int:
    return socket.send_nowait(Outgoing(KernelBuffer(data), MSG(flags), address, files=files))


def receive(socket: Socket, room: int = 100, flags: int = 0) -> tuple[bytes, Received]:
    """What has come, and the rest of the message. WouldBlock."""
    memory = bytearray(room)
    received = socket.receive_nowait(KernelBuffer(memory), MSG(flags))
    return bytes(memory[: min(received.length, room)]), received


def data(socket: Socket, room: int = 100, flags: int = 0) -> bytes | None:
    """The bytes of the next message, None if there is nothing."""
    try:
        found, received = receive(socket, room, flags)
    except WouldBlock:
        return None
    for file in received.files:
        file.drop()
    return found


def flood(socket: Socket, chunk: bytes) -> int:
    """Send until no more fits; how many bytes did."""
    total = 0
    while True:
        try:
            total += send(socket, chunk)
        except WouldBlock:
            return total


def watch(source: Source) -> Waiter:
    """A waiter that is enlisted everywhere; `is_woken` tells."""
    waiter = Waiter(source, None)
    for queue in source.queues:
        queue.add(waiter)
    return waiter


def begin(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Step once: the waiter of the first sleep, or the result."""
    try:
        return coroutine.send(None)
    except StopIteration as stop:
        return stop.value
