"""The kernel's access to one guest address space: bounded copies that raise EFAULT and never crash."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NewType, TypeVar

from aionoah.abi.cstruct import Struct
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.limits import PATH_MAX
from aionoah.abi.uio import MAX_RW_COUNT, UIO_MAXIOV
from aionoah.hypervisor.protocols import PAGE_SIZE, Prot
from aionoah.memory.buffer import Buffer
from aionoah.memory.faults import FaultResult
from aionoah.memory.guest_buffer import GuestBuffer
from aionoah.memory.pages import Pages, Window

Address = NewType("Address", int)
"""A guest virtual address: any 64-bit word that a program may pass."""

T = TypeVar("T", bound=Struct)

# Native formats, which move a word with one instruction where "<" goes byte by byte; hosts are little-endian.
_WORDS: Final = {1: struct.Struct("B"), 2: struct.Struct("H"), 4: struct.Struct("I"), 8: struct.Struct("Q")}
_IOVEC: Final = struct.Struct("<QQ")
_SIGN: Final = 1 << 63
_SHORT_STRING: Final = 256  # what is looked at first; most strings end there
_WRITE: Final = 2  # Prot.WRITE, without the price of an enum


class GuestMemory:
    """Copies in and out of one address space. Every method raises EFAULT for what a guest could not
    access itself, in the whole 64-bit range, faulting lazily mapped pages in where needed.
    """

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._end = pages.space.end
        self._frames = pages.frames
        self.is_exhausted = False  # an access failed for want of memory: who made it is to be killed

    def fault(self, address: int, access: Prot) -> FaultResult:
        """Make an access possible that the page tables refuse, as for a page fault of the guest."""
        raise NotImplementedError

    # -- bytes --------------------------------------------------------------------------------------

    def read(self, address: int, length: int) -> bytes:
        window = self._pages.recent
        end = address + length
        if window.start <= address and end <= window.end and window.may_read and not window.is_file:
            return bytes(window.memory[address - window.start : end - window.start])
        if length == 0:
            return b""
        self.check_range(address, length)
        window = self.window(address, 0)
        if end <= window.end and not window.is_file:
            return bytes(window.memory[address - window.start : end - window.start])
        return b"".join([self.copy_in(view, window) for window, view in self.views(address, length, 0)])

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Write all of the bytes. On EFAULT, those before the bad address have been written, as in Linux."""
        window = self._pages.recent
        end = address + len(data)
        if window.start <= address and end <= window.end and window.may_write and not window.is_file:
            window.memory[address - window.start : end - window.start] = data
            return
        if end == address:
            return
        self.check_range(address, len(data))
        window = self.window(address, _WRITE)
        if end <= window.end and not window.is_file:
            window.memory[address - window.start : end - window.start] = data
            return
        rest = memoryview(data)
        for window, view in self.views(address, len(data), _WRITE):
            self.copy_out(view, rest[: len(view)], window)
            rest = rest[len(view) :]

    def get(self, kind: type[T], address: int) -> T:
        """One structure."""
        return kind.unpack(self.read(address, kind.SIZE))

    def put(self, address: int, value: Struct) -> None:
        self.write(address, value.pack())

    def read_word(self, address: int, size: int = 8) -> int:
        """An unsigned little-endian integer of 1, 2, 4 or 8 bytes; atomic when aligned."""
        window = self._pages.recent
        if (
            not (window.start <= address and address + size <= window.end and window.may_read)
            or window.is_file
        ):
            self.check_range(address, size)
            window = self.window(address, 0)
            if window.is_file or address + size > window.end:
                return int.from_bytes(self.read(address, size), "little")
        word: int = _WORDS[size].unpack_from(window.memory, address - window.start)[0]
        return word

    def write_word(self, address: int, value: int, size: int = 8) -> None:
        """Like read_word; bits of `value` beyond `size` bytes are dropped, so it may be negative."""
        value &= (1 << 8 * size) - 1
        window = self._pages.recent
        if (
            not (window.start <= address and address + size <= window.end and window.may_write)
            or window.is_file
        ):
            self.check_range(address, size)
            window = self.window(address, _WRITE)
            if window.is_file or address + size > window.end:
                self.write(address, value.to_bytes(size, "little"))
                return
        _WORDS[size].pack_into(window.memory, address - window.start, value)

    def load_word(self, address: int) -> int:
        """An aligned 32-bit word in one access, whatever is behind it, while guests may change it."""
        window = self._pages.recent
        if not (window.start <= address and address + 4 <= window.end and window.may_read):
            window = self.window(address, 0)
        offset = address - window.start
        if not window.is_file:
            word: int = _WORDS[4].unpack_from(window.memory, offset)[0]
            return word
        with _lost_pages():
            return self._frames.load(window.memory[offset : offset + 4], is_file=True)

    def compare_exchange(self, address: int, expected: int, new: int) -> int:
        """Put `new` in the place of `expected` in an aligned 32-bit word, atomically also for the guests
        that run; another value stays. Returns what was there.
        """
        window = self._pages.recent
        if not (window.start <= address and address + 4 <= window.end and window.may_write):
            window = self.window(address, _WRITE)
        offset = address - window.start
        with _lost_pages():
            word = window.memory[offset : offset + 4]
            return self._frames.compare_exchange(word, expected, new, is_file=window.is_file)

    def read_cstring(self, address: int, limit: int = PATH_MAX) -> bytes:
        """The bytes before the NUL; ENAMETOOLONG if there is none within `limit` bytes."""
        window = self._pages.recent
        if not (window.start <= address < window.end and window.may_read):
            window = self.window(address, 0)
        if not window.is_file:
            offset = address - window.start
            text = bytes(window.memory[offset : offset + _SHORT_STRING])
            if 0 <= (end := text.find(0)) < limit:
                return text[:end]
        return self._read_long_cstring(address, limit)

    def _read_long_cstring(self, address: int, limit: int) -> bytes:
        """The same for a string that goes on in other pages, or is in a file."""
        parts: list[bytes] = []
        step = _SHORT_STRING
        while limit > 0:
            window = self.window(address, 0)
            offset = address - window.start
            room = min(limit, step, -address % PAGE_SIZE or PAGE_SIZE)
            part = self.copy_in(window.memory[offset : offset + room], window)
            end = part.find(0)
            if end >= 0:
                parts.append(part[:end])
                return b"".join(parts)
            parts.append(part)
            limit -= len(part)
            address += len(part)
            step = PAGE_SIZE
        raise LinuxError(Errno.ENAMETOOLONG)

    # -- buffers ------------------------------------------------------------------------------------

    def readable(self, address: int, length: int) -> Buffer:
        """A buffer to take from (the source of write); `length` is clipped to Linux's MAX_RW_COUNT."""
        return self._buffer(address, length, 0)

    def writable(self, address: int, length: int) -> Buffer:
        """A buffer to fill (the destination of read)."""
        return self._buffer(address, length, _WRITE)

    def _buffer(self, address: int, length: int, access: int) -> Buffer:
        if address < 0 or address + length > self._end:
            raise LinuxError(Errno.EFAULT)
        return GuestBuffer(self, [(address, min(MAX_RW_COUNT, length))], access)

    def readable_vector(self, iov: int, count: int) -> Buffer:
        """A buffer over an array of `count` struct iovec: EINVAL beyond IOV_MAX or a negative length."""
        return GuestBuffer(self, self._ranges(iov, count), 0)

    def writable_vector(self, iov: int, count: int) -> Buffer:
        return GuestBuffer(self, self._ranges(iov, count), _WRITE)

    def _ranges(self, iov: int, count: int) -> list[tuple[int, int]]:
        """The ranges of an array of struct iovec, MAX_RW_COUNT bytes at most (lib/iov_iter.c)."""
        if not 0 <= count <= UIO_MAXIOV:
            raise LinuxError(Errno.EINVAL)
        given = list(_IOVEC.iter_unpack(self.read(iov, count * _IOVEC.size)))
        for _, length in given:
            if length >= _SIGN:
                raise LinuxError(Errno.EINVAL)
        ranges: list[tuple[int, int]] = []
        room = MAX_RW_COUNT
        for address, length in given:
            self.check_range(address, length)
            if clipped := min(length, room):
                ranges.append((address, clipped))
                room -= clipped
        return ranges

    # -- for GuestBuffer ----------------------------------------------------------------------------

    def direct_view(self, address: int, length: int, access: int) -> memoryview | None:
        """A range that lies in one piece, with these rights already and not in a file: the quick way, mostly open."""
        window = self._pages.recent
        end = address + length
        if address < window.start or end > window.end:
            found = self._pages.window(address)
            if found is None or end > found.end:
                return None
            window = found
        if window.is_file:
            return None
        if not (window.may_write if access else window.may_read):
            return None
        return window.memory[address - window.start : end - window.start]

    def check_range(self, address: int, length: int) -> None:
        """EFAULT for a range that no program can have, mapped or not (Linux: access_ok)."""
        if address < 0 or address + length > self._end:
            raise LinuxError(Errno.EFAULT)

    def window(self, address: int, access: int) -> Window:
        """The mapped neighbourhood of an address with this right; EFAULT."""
        found = self._pages.window(address)
        if found is not None and (found.may_write if access else found.may_read):
            return found
        if not 0 <= address < self._end:
            raise LinuxError(Errno.EFAULT)
        result = self.fault(address, Prot.WRITE if access else Prot.READ)
        if result is not FaultResult.RESOLVED:
            self.is_exhausted |= result is FaultResult.EXHAUSTED
            raise LinuxError(Errno.EFAULT)
        found = self._pages.window(address)
        if found is None or not (found.may_write if access else found.may_read):
            raise LinuxError(Errno.EFAULT)
        return found

    def views(self, address: int, length: int, access: int) -> Iterator[tuple[Window, memoryview]]:
        """A range piece by piece, each with the window it belongs to; EFAULT when it gets to a bad one."""
        end = address + length
        while address < end:
            window = self.window(address, access)
            stop = min(end, window.end)
            yield window, window.memory[address - window.start : stop - window.start]
            address = stop

    def copy_in(self, view: memoryview, window: Window) -> bytes:
        """The bytes of a view; EFAULT where it is a file that has become shorter."""
        if not window.is_file:
            return bytes(view)
        try:
            return self._frames.copy_in(view)
        except OSError:
            raise LinuxError(Errno.EFAULT) from None

    def copy_out(self, view: memoryview, data: memoryview, window: Window) -> None:
        if not window.is_file:
            view[:] = data
            return
        try:
            self._frames.copy_out(view, data)
        except OSError:
            raise LinuxError(Errno.EFAULT) from None


@contextmanager
def _lost_pages() -> Iterator[None]:
    """A file that has become shorter is EFAULT."""
    try:
        yield
    except OSError:
        raise LinuxError(Errno.EFAULT) from None
