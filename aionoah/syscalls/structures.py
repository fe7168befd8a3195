"""Structures that grow from one version of Linux to the next, which calls get with their size."""

from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.words import WORD_SIZE

if TYPE_CHECKING:
    from aionoah.memory.memory import Memory


def read_structure(memory: "Memory", address: int, size: int, known: int) -> bytes:
    """`known` bytes of a structure of `size` bytes, what it lacks being zero. (copy_struct_from_user)

    E2BIG if it says something in what is not known, even where its beginning cannot be read; EFAULT.
    """
    for place in range(address + known, address + size, WORD_SIZE):
        length = min(WORD_SIZE, address + size - place)
        if any(memory.read(place, length)):
            raise LinuxError(Errno.E2BIG)
    return memory.read(address, min(size, known)).ljust(known, b"\0")
