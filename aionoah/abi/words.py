"""Words of registers, which are unsigned, as C's numbers."""

from typing import Final

WORD_SIZE: Final = 8  # bytes
WORD_MASK: Final = (1 << 64) - 1  # the greatest word, and what of a number fits into one
INT_MAX: Final = (1 << 31) - 1


def signed(word: int, width: int = 32) -> int:
    """The low `width` bits as a signed number: C's int, or its long with 64."""
    word &= (1 << width) - 1
    return word - (1 << width) if word >> (width - 1) else word
