"""Where the parts of a program go in its address space (Linux arch/x86/mm/mmap.c, arch/arm64/mm/mmap.c,
fs/binfmt_elf.c): at random, unless its personality says ADDR_NO_RANDOMIZE.
"""

import os
from typing import Final

from aionoah.abi.architecture import PAGE_SIZE, Architecture
from aionoah.process.elf import Image
from aionoah.process.image import page_down, page_up

_MMAP_RANDOM_BITS: Final = {"x86_64": 28, "aarch64": 18}  # CONFIG_ARCH_MMAP_RND_BITS, in pages
_STACK_RANDOM_BITS: Final = {"x86_64": 22, "aarch64": 18}  # STACK_RND_MASK, in pages
_BRK_RANDOM_RANGE: Final = 1 << 30  # arch_randomize_brk of 64-bit programs
_STACK_GAP_RANGE: Final = 8192  # arch_align_stack


def _random_below(limit: int) -> int:
    """Unpredictable; uneven by less than one part in 2**30. (The module secrets costs more than its use.)"""
    return int.from_bytes(os.urandom(8), "little") % limit


class Layout:
    """The places of one program; those that are random are drawn when asked for."""

    def __init__(self, architecture: Architecture, stack_limit: int, *, is_random: bool) -> None:
        """`stack_limit`: RLIMIT_STACK in bytes."""
        self._architecture = architecture
        self._stack_limit = stack_limit
        self._is_random = is_random

    def _random_pages(self, bits: int) -> int:
        """A random number of pages below 2**bits, in bytes; 0 without randomization."""
        return _random_below(1 << bits) * PAGE_SIZE if self._is_random else 0

    def mmap_base(self) -> int:
        """Where mappings grow down from: below the room for the stack, wherever that has been put."""
        name, room = self._architecture.name, self._stack_limit
        if self._is_random:
            room += PAGE_SIZE << _STACK_RANDOM_BITS[name]
        return self._architecture.mmap_base(room) - self._random_pages(_MMAP_RANDOM_BITS[name])

    def stack_top(self, space_end: int) -> int:
        """Where the stack ends in a space that may end earlier than the architecture's."""
        highest = min(self._architecture.stack_top, page_down(space_end))
        return highest - self._random_pages(_STACK_RANDOM_BITS[self._architecture.name])

    def stack_gap(self) -> int:
        """Bytes between the strings on the stack and what is below them."""
        return _random_below(_STACK_GAP_RANGE) if self._is_random else 0

    def image_start(self, image: Image) -> int | None:
        """Where a position-independent program begins.

        None is where mappings go, for one without an interpreter (a static program, or a dynamic loader
        run by hand): there it is out of the way of the program that it may load.
        """
        if image.interpreter is None or not image.is_position_independent:
            return None
        random = self._random_pages(_MMAP_RANDOM_BITS[self._architecture.name])
        return (self._architecture.pie_base + random) & -image.alignment

    def brk_start(self, image: Image, bias: int) -> int:
        """Where the heap begins: behind the program, or far from mappings for one that is among them."""
        start = page_up(image.end + bias)
        if image.is_position_independent and image.interpreter is None:
            start = self._architecture.pie_base + PAGE_SIZE  # Linux rounds this address up, here only
        return start + (page_down(_random_below(_BRK_RANDOM_RANGE)) if self._is_random else 0)
