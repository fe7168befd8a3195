"""Kinds of characters as the kernel has them, in Latin-1 (Linux lib/ctype.c)."""

from typing import Final

NL: Final = 0x0A
CR: Final = 0x0D
TAB: Final = 0x09
BACKSPACE: Final = 0x08

CONTROLS: Final = frozenset((*range(0x20), 0x7F))  # not 0x80 to 0x9f, which are of no kind
_LOWER: Final = frozenset((*range(ord("a"), ord("z") + 1), 0xDF, *range(0xE0, 0xF7), *range(0xF8, 0x100)))
_UPPER: Final = frozenset((*range(ord("A"), ord("Z") + 1), *range(0xC0, 0xD7), *range(0xD8, 0xDF)))
WORD: Final = _LOWER | _UPPER | frozenset(b"0123456789_")
"""What a word erase takes for a word."""

TO_UPPER: Final = bytes(c - 0x20 if c in _LOWER else c for c in range(256))
TO_LOWER: Final = bytes(c + 0x20 if c in _UPPER else c for c in range(256))


def is_continuation(char: int) -> bool:
    """Whether a byte of UTF-8 belongs to the character before it."""
    return char & 0xC0 == 0x80
