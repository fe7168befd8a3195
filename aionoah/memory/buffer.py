"""Where file code reads from and writes to, without knowing whether it is a guest's memory."""

from collections.abc import Sequence
from typing import Protocol


class Buffer(Protocol):
    """A scattered range of bytes. Guest memory may change hands while a handler sleeps, so a buffer
    is no more than addresses: each call below resolves them anew and raises EFAULT if the first byte
    is not accessible. Later inaccessible bytes shorten what is given, as in Linux.
    """

    @property
    def length(self) -> int: ...

    def segments(self, limit: int | None = None) -> Sequence[memoryview]:
        """The bytes in place, at most `limit` of them, for os.readv and the like; valid until the
        handler awaits. Never empty unless `length` or `limit` is 0; no more pieces than the host takes
        in one call (IOV_MAX): what lies behind them is left out.
        """
        ...

    def fill(self, data: bytes | bytearray | memoryview) -> int:
        """Copy data to the front; returns how much fitted."""
        ...

    def take(self, limit: int | None = None) -> bytes:
        """A copy of the first `limit` bytes, all if None."""
        ...

    def advance(self, count: int) -> None:
        """Drop the first `count` bytes: they have been transferred."""
        ...


class Front:
    """No more than the first bytes of another buffer."""

    def __init__(self, whole: Buffer, length: int) -> None:
        self._whole = whole
        self.length = length

    def segments(self, limit: int | None = None) -> Sequence[memoryview]:
        return self._whole.segments(self._within(limit))

    def fill(self, data: bytes | bytearray | memoryview) -> int:
        return self._whole.fill(memoryview(data)[: self.length])

    def take(self, limit: int | None = None) -> bytes:
        return self._whole.take(self._within(limit))

    def advance(self, count: int) -> None:
        self._whole.advance(count)
        self.length -= count

    def _within(self, limit: int | None) -> int:
        return self.length if limit is None else min(limit, self.length)


class KernelBuffer:
    """A Buffer over memory of our own."""

    def __init__(self, memory: bytearray | memoryview | bytes) -> None:
        self._rest = memoryview(memory)

    @property
    def length(self) -> int:
        return len(self._rest)

    def segments(self, limit: int | None = None) -> Sequence[memoryview]:
        part = self._rest[:limit]
        return [part] if part else []

    def fill(self, data: bytes | bytearray | memoryview) -> int:
        count = min(len(data), len(self._rest))
        self._rest[:count] = data[:count]
        return count

    def take(self, limit: int | None = None) -> bytes:
        return bytes(self._rest[:limit])

    def advance(self, count: int) -> None:
        self._rest = self._rest[count:]
