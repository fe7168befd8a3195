"""Directory entries as getdents64 packs them (include/linux/dirent.h; getdents64(2))."""

import struct
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
