"""The kernel's access to one guest address space: bounded copies that raise EFAULT and never crash."""

from typing import NewType, TypeVar

from aionoah.abi.cstruct import Struct
from aionoah.memory.buffer import Buffer

Address = NewType("Address", int)
"""A guest virtual address: any 64-bit word that a program may pass."""

T = TypeVar("T", bound=Struct)


class GuestMemory:
    """Copies in and out of one address space. Every method raises EFAULT for what a guest could not
    access itself, in the whole 64-bit range, faulting lazily mapped pages in where needed.
    """

    def read(self, address: int, length: int) -> bytes:
        raise NotImplementedError

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        raise NotImplementedError

    def get(self, kind: type[T], address: int) -> T:
        """One structure."""
        raise NotImplementedError

    def put(self, address: int, value: Struct) -> None:
        raise NotImplementedError

    def read_word(self, address: int, size: int = 8) -> int:
        """An unsigned little-endian integer of 1, 2, 4 or 8 bytes; atomic when aligned."""
        raise NotImplementedError

    def write_word(self, address: int, value: int, size: int = 8) -> None:
        raise NotImplementedError

    def read_cstring(self, address: int, limit: int = 4096) -> bytes:
        """The bytes before the NUL; ENAMETOOLONG if there is none within `limit` bytes."""
        raise NotImplementedError

    def readable(self, address: int, length: int) -> Buffer:
        """A buffer to take from (the source of write); `length` is clipped to Linux's MAX_RW_COUNT."""
        raise NotImplementedError

    def writable(self, address: int, length: int) -> Buffer:
        """A buffer to fill (the destination of read)."""
        raise NotImplementedError

    def readable_vector(self, iov: int, count: int) -> Buffer:
        """A buffer over an array of `count` struct iovec: EINVAL beyond IOV_MAX or a negative length."""
        raise NotImplementedError

    def writable_vector(self, iov: int, count: int) -> Buffer:
        raise NotImplementedError
