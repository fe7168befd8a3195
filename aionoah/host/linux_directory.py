"""Directories of Linux, read without an object for each entry. Source: getdents64(2)."""

import os
from collections.abc import Collection
from typing import Final

from aionoah.abi.dirent import PackedEntries
from aionoah.host._native import ffi, lib

_ROOM: Final = 1 << 17
_SMALLEST: Final = 24  # bytes of an entry
_out: Final = ffi.new("uint8_t[]", _ROOM)
_ends: Final = ffi.new("uint32_t[]", _ROOM // _SMALLEST)
_part: Final = ffi.new("struct directory_part *")


def read_entries(fd: int, hidden: Collection[int]) -> PackedEntries | None:
    """All entries of a directory, open for reading and at its start, but those with the inode numbers of `hidden`. None
    if there are devices among them, or entries of which the file system does not tell the kind. OSError.

    To be called under the kernel lock.
    """
    numbers = ffi.new("uint64_t[]", list(hidden)) if hidden else ffi.NULL
    data: list[bytes] = []
    ends: list[int] = []
    size = 0
    while True:
        error = lib.directory_read(fd, len(ends), _out, _ROOM, _ends, numbers, len(hidden), _part)
        if error:
            raise OSError(-error, os.strerror(-error))
        if _part.has_special:
            return None
        data.append(ffi.buffer(_out, _part.size)[:])
        found = ffi.unpack(_ends, _part.count)
        ends += [size + end for end in found] if size else found
        if _part.is_last:
            return PackedEntries(b"".join(data), ends)
        size = ends[-1]
