"""Guest-physical memory over the C core; every backend on a real host uses it."""

import os
from typing import Final

from aionoah.hypervisor._native import ffi, lib
from aionoah.hypervisor.protocols import PAGE_SIZE

_LARGEST_REGION: Final = 1 << 38
_SMALLEST_REGION: Final = 1 << 30


class HostFrames:
    """A reserved host region cut into frames. `limit` is what guests may use at once, in bytes.

    The region is several times larger, because shared file mappings do not count. Views of it
    must not be touched after close().
    """

    def __init__(self, limit: int) -> None:
        size = _LARGEST_REGION
        while True:
            # A host with a limit on address space refuses the size that we would like.
            self.native = lib.frames_open(size // PAGE_SIZE, limit // PAGE_SIZE)
            if self.native != ffi.NULL:
                break
            if size <= _SMALLEST_REGION:
                raise MemoryError("the host refuses to reserve 1 GiB of address space for guests")
            size //= 2
        self.memory = memoryview(ffi.buffer(self.native.base, size))

    @property
    def limit(self) -> int:
        return int(self.native.limit)

    @property
    def in_use(self) -> int:
        return int(self.native.in_use)

    @property
    def invalidations(self) -> int:
        return int(self.native.invalidations)

    def allocate(self, count: int) -> int:
        first: int = lib.frames_allocate(self.native, count)
        if not first:
            raise MemoryError("no guest memory is left")
        return first

    def allocate_file(self, fd: int, offset: int, count: int, *, shared: bool, writable: bool) -> int:
        first: int = lib.frames_allocate_file(self.native, fd, offset, count, shared, writable)
        if not first:
            if ffi.errno == 12:  # ENOMEM on every host
                raise MemoryError("no guest memory is left")
            raise OSError(ffi.errno, os.strerror(ffi.errno))
        return first

    def hold(self, first: int, count: int) -> None:
        lib.frames_hold(self.native, first, count)

    def drop(self, first: int, count: int) -> None:
        lib.frames_drop(self.native, first, count)

    def view(self, first: int, count: int) -> memoryview:
        return self.memory[first * PAGE_SIZE : (first + count) * PAGE_SIZE]

    def populate(self, view: memoryview) -> None:
        lib.frames_populate(ffi.from_buffer(view), len(view))

    def copy_in(self, view: memoryview) -> bytes:
        copy = bytearray(len(view))
        self._copy(ffi.from_buffer(copy), ffi.from_buffer(view), len(copy))
        return bytes(copy)

    def copy_out(self, view: memoryview, data: bytes | bytearray | memoryview) -> None:
        self._copy(ffi.from_buffer(view), ffi.from_buffer(data), len(data))

    def load(self, word: memoryview, *, is_file: bool) -> int:
        return _value(lib.frames_load(ffi.from_buffer("uint32_t[]", word), is_file))

    def compare_exchange(self, word: memoryview, expected: int, new: int, *, is_file: bool) -> int:
        target = ffi.from_buffer("uint32_t[]", word)
        return _value(lib.frames_compare_exchange(target, expected, new, is_file))

    def _copy(self, to: object, source: object, length: int) -> None:
        if lib.frames_copy(to, source, length):
            raise OSError(14, "no memory behind a mapped file")  # EFAULT on every host

    def close(self) -> None:
        lib.frames_close(self.native)


def _value(found: int) -> int:
    if found < 0:
        raise OSError(14, "no memory behind a mapped file")  # EFAULT on every host
    return found
