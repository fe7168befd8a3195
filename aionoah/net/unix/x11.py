"""What a guest's X client may not ask of the host's X server: extensions that share memory or descriptors with it.

A segment's number in the guest would be another segment's on the host, and descriptors do not pass. So the
client's question whether there is such an extension (QueryExtension) goes out with another name, and the server
says that there is none; lists of all extensions come back without them (x11_answers.py). Clients fall back to the
plain protocol, as over a network.

Source: X Window System Protocol, version 11: connection setup (section 8), requests (section 1), QueryExtension,
ListExtensions; the BIG-REQUESTS extension.
"""

from typing import Final

HIDDEN: Final = (b"MIT-SHM", b"DRI2", b"DRI3")
_OTHER: Final = ord("!")  # in place of the last letter of a hidden name
_QUERY_EXTENSION: Final = 98
_LIST_EXTENSIONS: Final = 99
_OPCODE: Final = bytes([_QUERY_EXTENSION])
_NAME: Final = 8  # where a QueryExtension has it
_LONGEST: Final = _NAME + max(map(len, HIDDEN)) + 1
_SETUP: Final = 12  # bytes of the client's first words, without the names that follow


class XRequests:
    """Follows the requests of one client, however they are cut."""

    def __init__(self) -> None:
        self.is_big_endian = False
        self.listed: tuple[int, ...] = ()  # numbers of the requests for a list that are not yet answered
        self._count = 0  # of requests
        self._is_set_up = False
        self._head = b""  # the first bytes of the request that has begun
        self._left = 0  # bytes of it beyond those that have gone; 0 as long as its length is not known

    def changed(self, data: bytes) -> bytes:
        result = bytearray(data)
        scout = XRequests()
        scout.__dict__.update(self.__dict__)
        scout._follow(data, result)
        return bytes(result)

    def went(self, data: bytes) -> None:
        self._follow(data, None)

    def _follow(self, data: bytes, result: bytearray | None) -> None:
        """Go through further bytes, and mark in `result` the last letters of hidden names."""
        position = 0
        while position < len(data):
            if self._left and not self._may_hide:
                step = min(self._left, len(data) - position)
                self._advance(step)
                position += step
                continue
            self._head += data[position : position + 1]
            position += 1
            if self._left:
                self._left -= 1
            else:
                self._left = self._remaining()
            if result is not None and self._ends_hidden_name():
                result[position - 1] = _OTHER
            self._finish_if_done()

    @property
    def _may_hide(self) -> bool:
        """Whether the rest of the request may be of interest."""
        head = self._head
        return self._is_set_up and head[:1] == _OPCODE and len(head) < _LONGEST

    def _advance(self, count: int) -> None:
        self._left -= count
        self._finish_if_done()

    def _finish_if_done(self) -> None:
        if self._left or self._remaining(whole=True) != 0:
            return
        if self._is_set_up:
            self._count = self._count + 1 & 0xFFFF
            if self._head[0] == _LIST_EXTENSIONS:
                self.listed = (*self.listed, self._count)
        self._head = b""
        self._is_set_up = True

    def _remaining(self, *, whole: bool = False) -> int:
        """Bytes that the request has beyond `_head`, once that says how long it is; with `whole`, -1 if it does not."""
        total = self._total()
        if total is None:
            return -1 if whole else 0
        return 0 if whole else max(total - len(self._head), 0)

    def _total(self) -> int | None:
        head = self._head
        if not self._is_set_up:
            if len(head) < _SETUP:
                return None
            self.is_big_endian = head[:1] == b"B"
            names = (self._number(head[6:8]), self._number(head[8:10]))
            return _SETUP + sum(-(-length // 4) * 4 for length in names)
        if len(head) < 4:
            return None
        words = self._number(head[2:4])
        if words:
            return words * 4
        return self._number(head[4:8]) * 4 if len(head) >= 8 else None  # BIG-REQUESTS

    def _number(self, data: bytes) -> int:
        return int.from_bytes(data, "big" if self.is_big_endian else "little")

    def _ends_hidden_name(self) -> bool:
        head = self._head
        if not self._is_set_up or head[0] != _QUERY_EXTENSION or len(head) <= _NAME:
            return False
        name = head[_NAME:]
        return name in HIDDEN and self._number(head[4:6]) == len(name)
