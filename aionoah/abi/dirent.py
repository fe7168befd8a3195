"""Directory entries as getdents64 packs them (include/linux/dirent.h; getdents64(2))."""

import struct
from typing import Final

# d_ino, d_off, d_reclen, d_type; then the name, a NUL, and zeros up to a multiple of eight.
_HEAD: Final = struct.Struct("<QqHB")
_HEAD_OLD: Final = struct.Struct("<QqH")


def dirent64_size(name: bytes) -> int:
    """How many bytes an entry of this name takes."""
    return (_HEAD.size + len(name) + 8) & ~7


def pack_dirent64(ino: int, cookie: int, kind: int, name: bytes) -> bytes:
    """One struct linux_dirent64; `cookie` is the position behind it, `kind` one of DT."""
    size = dirent64_size(name)
    return (_HEAD.pack(ino, cookie, size, kind) + name).ljust(size, b"\0")


def pack_dirent(ino: int, cookie: int, kind: int, name: bytes) -> bytes:
    """One struct linux_dirent of the old getdents: the kind is its last byte (fs/readdir.c)."""
    size = (_HEAD_OLD.size + len(name) + 2 + 7) & ~7
    return (_HEAD_OLD.pack(ino, cookie, size) + name).ljust(size - 1, b"\0") + bytes([kind])
