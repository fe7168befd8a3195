"""What a guest's X client hears of the host's X server: lists of extensions have no hidden ones in them.

Source: X Window System Protocol, version 11: connection setup (section 8), ListExtensions; replies, errors and
events (appendix B); the Generic Event extension.
"""

from typing import Final

from aionoah.net.unix.x11 import HIDDEN, XRequests

_SETUP_HEAD: Final = 8  # bytes of the server's first words, which say how many follow
_HEAD: Final = 32  # of whatever comes later
_REPLY: Final = 1
_GENERIC_EVENT: Final = 35
_CODE: Final = 0x7F  # of an event, that a client may have sent


class XConnection:
    """Follows both directions of one client's stream, however they are cut."""

    def __init__(self) -> None:
        self._requests = XRequests()
        self.changed = self._requests.changed
        self.went = self._requests.went
        self._is_set_up = False
        self._held = b""  # the beginning of a message, until it can be judged
        self._left = 0  # bytes of a message that has been let through

    def heard(self, data: bytes) -> bytes:
        """What may be told of what has come so far; the rest comes with later bytes."""
        data = self._held + data
        told: list[bytes] = []
        position = 0
        while position < len(data):
            if self._left:
                told.append(data[position : position + self._left])
            elif (message := self._next(data, position)) is None:
                break
            else:
                told.append(message)
            position += len(told[-1])
            self._left = max(self._left - len(told[-1]), 0)
        self._held = data[position:]
        return b"".join(told)

    def _next(self, data: bytes, start: int) -> bytes | None:
        """The head of the message there, and `_left` for its rest, or all of it if it is changed; None if more has
        to come first.
        """
        size = _HEAD if self._is_set_up else _SETUP_HEAD
        head = data[start : start + size]
        if len(head) < size:
            return None
        if not self._is_set_up:
            self._is_set_up = True
            self._left = size + 4 * self._number(head[6:8])
            return head
        more = head[0] == _REPLY or head[0] & _CODE == _GENERIC_EVENT
        total = size + (4 * self._number(head[4:8]) if more else 0)
        if head[0] != _REPLY or self._number(head[2:4]) not in self._requests.listed:
            self._left = total
            return head
        reply = data[start : start + total]
        if len(reply) < total:
            return None
        answered = self._number(head[2:4])
        self._requests.listed = tuple(number for number in self._requests.listed if number != answered)
        return _without_hidden(reply)

    def _number(self, data: bytes) -> int:
        return int.from_bytes(data, "big" if self._requests.is_big_endian else "little")


def _without_hidden(reply: bytes) -> bytes:
    """The answer to ListExtensions, as long as it was."""
    names, position = [], _HEAD
    for _ in range(reply[1]):
        length = reply[position] if position < len(reply) else 0
        names.append(reply[position : position + 1 + length])
        position += 1 + length
    shown = [name for name in names if name[1:] not in HIDDEN]
    content = b"".join(shown)
    return (
        reply[:1] + bytes([len(shown)]) + reply[2:_HEAD] + content + bytes(len(reply) - _HEAD - len(content))
    )
