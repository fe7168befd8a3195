"""The base of every set of bits and every choice that Linux's interface names."""

from collections.abc import Iterator
from functools import cache


class Flags(int):
    """A word of bits whose names are class attributes, each a plain int.

    enum.IntFlag is not used: building and combining its members costs a microsecond each, on
    the path of every system call, and from Python 3.11 on it drops unknown bits in `& ~mask`.

    >>> class O(Flags):
    ...     NONBLOCK = 0o4000
    ...     CLOEXEC = 0o2000000
    >>> O.NONBLOCK in O(0o4001), O(0o4001).outside(O.NONBLOCK)
    (True, 1)
    """

    __slots__ = ()

    def __contains__(self, bits: int) -> bool:
        return self & bits == bits

    def outside(self, valid: int) -> int:
        """The bits that are set here and not in `valid`."""
        return self & ~valid

    @classmethod
    @cache
    def members(cls) -> dict[str, int]:
        """Names and values as declared, in the order of declaration, base classes first."""
        named: dict[str, int] = {}
        for base in reversed(cls.__mro__):
            if base is not int and issubclass(base, int):
                named |= {
                    k: v for k, v in vars(base).items() if k.isupper() and k != "WIDTH" and isinstance(v, int)
                }
        return named

    def names(self) -> Iterator[str]:
        """The names of the bits that are set, wide names first, then what has none as hexadecimal."""
        rest = int(self)
        for name, bits in sorted(self.members().items(), key=lambda item: -item[1].bit_count()):
            if bits and rest & bits == bits:
                rest &= ~bits
                yield name
        if rest:
            yield hex(rest)


class Choice(int):
    """A word that is one of several named values, such as lseek's whence."""

    __slots__ = ()

    @classmethod
    @cache
    def members(cls) -> dict[int, str]:
        """Names by value; of two names for one value the first declared wins."""
        named: dict[int, str] = {}
        for name, value in vars(cls).items():
            if name.isupper() and name != "WIDTH" and isinstance(value, int):
                named.setdefault(value, name)
        return named

    def name(self) -> str:
        """The name of this value, or its decimal digits where it has none."""
        return self.members().get(self, str(int(self)))
