"""Directory entries as getdents64 packs them (include/linux/dirent.h; getdents64(2))."""

import itertools
import struct
from bisect import bisect_right
from collections.abc import Iterable
from functools import cache
from typing import Final

# d_ino, d_off, d_reclen, d_type; then the name, a NUL, and zeros up to a multiple of eight.
_HEAD: Final = struct.Struct("<QqHB")
_NUL_AND_HEAD: Final = _HEAD.size + 8
_HEAD_OLD: Final = struct.Struct("<QqH")


def dirent64_size(name: bytes) -> int:
    """How many bytes an entry of this name takes."""
    return (len(name) + _NUL_AND_HEAD) & ~7


@cache
def _record(size: int) -> struct.Struct:
    """A whole entry of so many bytes, the zeros behind the name included."""
    return struct.Struct(f"<QqHB{size - _HEAD.size}s")


def pack_dirent64(ino: int, cookie: int, kind: int, name: bytes) -> bytes:
    """One struct linux_dirent64; `cookie` is the position behind it, `kind` one of DT."""
    size = (len(name) + _NUL_AND_HEAD) & ~7
    return _record(size).pack(ino, cookie, size, kind, name)


def pack_dirent(ino: int, cookie: int, kind: int, name: bytes) -> bytes:
    """One struct linux_dirent of the old getdents: the kind is its last byte (fs/readdir.c)."""
    size = (_HEAD_OLD.size + len(name) + 2 + 7) & ~7
    return (_HEAD_OLD.pack(ino, cookie, size) + name).ljust(size - 1, b"\0") + bytes([kind])


class PackedEntries:
    """A directory's entries, one struct linux_dirent64 behind the other; d_off is the position behind each."""

    __slots__ = ("_data", "_ends")

    def __init__(self, data: bytes, ends: list[int]) -> None:
        """`ends`: the offset in the data behind each entry."""
        self._data = data
        self._ends = ends

    @classmethod
    def of(cls, rows: Iterable[tuple[int, int, bytes]]) -> "PackedEntries":
        """Of inode numbers, DT_* and names."""
        packed = [pack_dirent64(ino, cookie, kind, name) for cookie, (ino, kind, name) in enumerate(rows, 1)]
        return cls(b"".join(packed), list(itertools.accumulate(map(len, packed))))

    def __len__(self) -> int:
        return len(self._ends)

    def part(self, first: int, room: int) -> tuple[bytes, int]:
        """The entries behind a position, as many as there is room for, and the position behind them."""
        if first >= len(self._ends):
            return b"", first
        start = self._ends[first - 1] if first else 0
        last = bisect_right(self._ends, start + room, first)
        return self._data[start : self._ends[last - 1]] if last > first else b"", last

    def rows(self) -> list[tuple[int, int, bytes]]:
        """Inode number, DT_* and name of each."""
        found, start, data = [], 0, self._data
        for end in self._ends:
            ino, _, _, kind = _HEAD.unpack_from(data, start)
            name = data[start + _HEAD.size : end]
            found.append((ino, kind, name[: name.index(0)]))
            start = end
        return found
