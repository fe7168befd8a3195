"""What clients and instances say to each other: a line of JSON for each message, with descriptors beside it.

The client asks one thing in its first line, `{"protocol": 1, "op": "exec", …}`; what follows depends on that. A line
that comes with descriptors says how many: `"fds": 3`. Closing the connection ends what was asked for.
"""

import array
import contextlib
import json
import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

PROTOCOL: Final = 1
_LONGEST: Final = 4 << 20  # bytes of one line: an environment is in it
MOST_FDS: Final = 3
_PIECE: Final = 65536


class ProtocolError(Exception):
    """The other end talks nonsense."""


class Message(NamedTuple):
    fields: dict[str, Any]
    fds: list[int]  # the receiver's to close

    def text(self, name: str, default: str | None = None) -> str:
        """ProtocolError if it is none."""
        value = self.fields.get(name, default)
        if not isinstance(value, str):
            raise ProtocolError(f"{name} is no text")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        value = self.fields.get(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e9:
            raise ProtocolError(f"{name} is no number")
        return value

    def texts(self, name: str) -> list[str]:
        value = self.fields.get(name, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise ProtocolError(f"{name} is no list of texts")
        return value

    def close(self) -> None:
        """The descriptors, as far as nobody has taken them out."""
        while self.fds:
            os.close(self.fds.pop())


class Assembler:
    """Bytes and descriptors to messages. What comes in may be cut anywhere."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._fds: deque[int] = deque()

    def feed(self, data: bytes, fds: Sequence[int] = ()) -> list[Message]:
        """ProtocolError. The descriptors are ours from now on."""
        self._fds.extend(fds)
        self._data += data
        lines = []
        if b"\n" in data:
            *lines, rest = bytes(self._data).split(b"\n")
            self._data = bytearray(rest)
        messages = [self._parse(line) for line in lines]
        if len(self._data) > _LONGEST or len(self._fds) > MOST_FDS:
            raise ProtocolError("that is too much")
        return messages

    def _parse(self, line: bytes) -> Message:
        try:
            fields = json.loads(line) if len(line) <= _LONGEST else None
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            raise ProtocolError("that is no JSON object")
        count = fields.get("fds", 0)
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= len(self._fds):
            raise ProtocolError("the descriptors are missing")
        return Message(fields, [self._fds.popleft() for _ in range(count)])

    def close(self) -> None:
        while self._fds:
            os.close(self._fds.pop())


def pack(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def send(connection: socket.socket, fields: dict[str, Any], fds: Sequence[int] = ()) -> None:
    """On a blocking socket. OSError."""
    data = pack({**fields, "fds": len(fds)} if fds else fields)
    sent = socket.send_fds(connection, [data], fds) if fds else connection.send(data)
    if data[sent:]:  # sending nothing fails if the other end has answered and gone
        connection.sendall(data[sent:])


def receive(connection: socket.socket, assembler: Assembler) -> list[Message]:
    """What has come; nothing at the end. BlockingIOError, OSError, ProtocolError."""
    room = socket.CMSG_SPACE((MOST_FDS + 1) * array.array("i").itemsize)
    data, ancillary, _, _ = connection.recvmsg(_PIECE, room, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
    fds = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    for fd in fds:
        os.set_inheritable(fd, False)
    if not data:
        for fd in fds:
            with contextlib.suppress(OSError):
                os.close(fd)
        raise EOFError
    return assembler.feed(data, fds)
