"""Words of registers, which are unsigned, as C's numbers."""


def signed(word: int, width: int = 32) -> int:
    """The low `width` bits as a signed number: C's int, or its long with 64."""
    word &= (1 << width) - 1
    return word - (1 << width) if word >> (width - 1) else word
