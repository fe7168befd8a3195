"""Guest memory as a Buffer: addresses that are resolved anew whenever somebody wants the bytes."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import LinuxError
from aionoah.memory.pages import Window

if TYPE_CHECKING:
    from aionoah.memory.guest_memory import GuestMemory

_SEGMENTS_MAX: Final = 1024  # the host's IOV_MAX; what is left out makes a short transfer


class GuestBuffer:
    """Ranges of one address space; see memory.buffer.Buffer."""

    __slots__ = ("_access", "_memory", "_ranges", "length")

    def __init__(self, memory: "GuestMemory", ranges: list[tuple[int, int]], access: int) -> None:
        """`ranges` are pairs of address and length; `access` is 2 for a buffer that is written to, or 0."""
        self._memory = memory
        self._ranges = ranges
        self._access = access
        self.length = ranges[0][1] if len(ranges) == 1 else sum(length for _, length in ranges)

    def segments(self, limit: int | None = None) -> Sequence[memoryview]:
        limit = self.length if limit is None else limit
        views = self._direct(limit)
        if views is None:
            views = [view for _, view in islice(self._pieces(limit), _SEGMENTS_MAX)]
        return views if self._access else [view.toreadonly() for view in views]

    def fill(self, data: bytes | bytearray | memoryview) -> int:
        direct = self._direct(len(data))
        if direct is None:
            return self._fill_pieces(memoryview(data))
        if len(direct) == 1 and len(direct[0]) == len(data):  # mostly
            direct[0][:] = data
            return len(data)
        rest, done = memoryview(data), 0
        for view in direct:
            view[:] = rest[done : done + len(view)]
            done += len(view)
        return done

    def _fill_pieces(self, data: memoryview) -> int:
        done = 0
        for window, view in self._pieces(len(data)):
            try:
                self._memory.copy_out(view, data[done : done + len(view)], window)
            except LinuxError:
                if not done:
                    raise
                break
            done += len(view)
        return done

    def take(self, limit: int | None = None) -> bytes:
        limit = self.length if limit is None else limit
        direct = self._direct(limit)
        if direct is not None:
            return bytes(direct[0]) if len(direct) == 1 else b"".join(direct)
        parts: list[bytes] = []
        for window, view in self._pieces(limit):
            try:
                parts.append(self._memory.copy_in(view, window))
            except LinuxError:
                if not parts:
                    raise
                break
        return b"".join(parts)

    def advance(self, count: int) -> None:
        self.length -= count
        while count and self._ranges:
            address, length = self._ranges[0]
            if length > count:
                self._ranges[0] = address + count, length - count
                return
            count -= length
            del self._ranges[0]

    def _direct(self, limit: int) -> list[memoryview] | None:
        """The first bytes in one piece for each range, if they are quickly to be had."""
        views: list[memoryview] = []
        for address, length in self._ranges:
            if limit <= 0:
                break
            view = self._memory.direct_view(address, min(length, limit), self._access)
            if view is None or len(views) == _SEGMENTS_MAX:
                return None
            views.append(view)
            limit -= len(view)
        return views

    def _pieces(self, limit: int) -> Iterator[tuple[Window, memoryview]]:
        """The accessible bytes at the front, `limit` at most: EFAULT if there are none at all."""
        is_first = True
        for address, length in self._ranges:
            if limit <= 0:
                return
            try:
                for piece in self._memory.views(address, min(length, limit), self._access):
                    yield piece
                    is_first = False
            except LinuxError:
                if is_first:
                    raise
                return
            limit -= length
