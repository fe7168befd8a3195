"""What a word of memory is to all who may wait for it: the keys by which futexes are found.

A word in shared memory is the same word at whatever address and in whatever process; any other is named
by its address space and address. Source: futex(2); Linux kernel/futex/core.c (get_futex_key).
"""

from collections.abc import Hashable
from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.memory.vma import VM

if TYPE_CHECKING:
    from aionoah.memory.memory import Memory
    from aionoah.memory.vma import VmaMap

_READ, _WRITE = 0, 2


def shared_key(memory: "Memory", vmas: "VmaMap", address: int, *, writes: bool) -> Hashable:
    """The key of a word that others may have mapped. EFAULT for one that the program could not use.

    `writes`: the operation may change the word. A word of private memory that nobody can write to
    never changes, so there is nothing to wait for: EFAULT too. It is never the same as the key of
    FUTEX_PRIVATE_FLAG.
    """
    vma = vmas.find(address)
    if vma is None:
        raise LinuxError(Errno.EFAULT)
    is_file = vma.backing is not None and (vma.is_shared or not vma.flags & VM.WRITE)
    memory.window(address, _READ if is_file and not writes else _WRITE)
    if vma.backing is None or not is_file:
        return memory, address, None
    return vma.backing.identity(), vma.offset_at(address)
