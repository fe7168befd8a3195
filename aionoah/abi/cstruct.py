"""C structures of Linux's interface, declared by annotations and laid out by C's alignment rules."""

from __future__ import annotations

import struct
from collections.abc import Callable
from operator import attrgetter
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Self,
    dataclass_transform,
    get_origin,
    get_type_hints,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# Field types: what mypy sees is what Python code handles; the annotation is the format letter.
I8 = Annotated[int, "b"]
U8 = Annotated[int, "B"]
I16 = Annotated[int, "h"]
U16 = Annotated[int, "H"]
I32 = Annotated[int, "i"]
U32 = Annotated[int, "I"]
I64 = Annotated[int, "q"]
U64 = Annotated[int, "Q"]


@dataclass_transform()
class Struct:
    """A fixed-size structure in guest memory, little-endian, padded as the C compiler would.

    Fields are annotated with I8 … U64, with `Annotated[bytes, "16s"]` for a char array, or with
    another Struct. (Not a dataclass: generating one costs more at import than all its uses.)

    >>> class Timespec(Struct):
    ...     sec: I64
    ...     nsec: I64
    >>> Timespec.SIZE, Timespec(1, 2).pack().hex()
    (16, '01000000000000000200000000000000')
    """

    SIZE: ClassVar[int]
    ALIGNMENT: ClassVar[int]
    FIELDS: ClassVar[tuple[str, ...]]
    pack_values: ClassVar[Callable[..., bytes]]
    """The bytes of a structure with these fields, structures among them as bytes, without making one."""
    _CODEC: ClassVar[struct.Struct]
    _FLAT: ClassVar[str]  # the format, that of nested structures in their place
    _NESTED: ClassVar[tuple[tuple[int, type[Struct]], ...]]
    _VALUES: ClassVar[Any]  # an attrgetter: a tuple of all fields, where there are several

    def __init_subclass__(cls) -> None:
        kinds = {name: kind for name, kind in _hints(cls).items() if get_origin(kind) is not ClassVar}
        cls.FIELDS = tuple(kinds)
        cls._VALUES = attrgetter(*cls.FIELDS)
        cls._lay_out(list(kinds.values()))

    @classmethod
    def _lay_out(cls, kinds: list[Any]) -> None:
        text, flat, offset, alignment, nested = "<", "", 0, 1, []
        for position, kind in enumerate(kinds):
            size, align, letters = _measure(kind)
            gap = -offset % align
            space = f"{gap}x" if gap else ""
            text += space + letters
            flat += space + _flat_letters(kind, letters)
            offset += gap + size
            alignment = max(alignment, align)
            if isinstance(kind, type):
                nested.append((position, kind))
        tail = -offset % alignment
        cls._CODEC = struct.Struct(text + (f"{tail}x" if tail else ""))
        cls.pack_values = cls._CODEC.pack
        cls._FLAT = flat + (f"{tail}x" if tail else "")
        cls.SIZE, cls.ALIGNMENT, cls._NESTED = cls._CODEC.size, alignment, tuple(nested)

    def __init__(self, *values: Any, **named: Any) -> None:  # noqa: ANN401 - of any type
        fields = self.__dict__  # half as dear as setattr for each
        if values:
            fields.update(zip(self.FIELDS, values, strict=False))
        if named:
            fields.update(named)
        if len(values) + len(named) != len(self.FIELDS):
            raise TypeError(f"{type(self).__name__} takes {len(self.FIELDS)} fields")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.FIELDS)
        return f"{type(self).__name__}({fields})"

    def pack(self) -> bytes:
        """The bytes of this structure, SIZE of them; raises struct.error for a value out of range."""
        if len(self.FIELDS) == 1 or self._NESTED:
            values = [getattr(self, name) for name in self.FIELDS]
            for position, _ in self._NESTED:
                values[position] = values[position].pack()
            return self._CODEC.pack(*values)
        return self._CODEC.pack(*self._VALUES(self))

    @classmethod
    def unpack(cls, data: bytes | bytearray | memoryview, offset: int = 0) -> Self:
        """Read one structure at `offset`; raises struct.error if fewer than SIZE bytes are there."""
        values = list(cls._CODEC.unpack_from(data, offset))
        for position, kind in cls._NESTED:
            values[position] = kind.unpack(values[position])
        return cls(*values)

    @classmethod
    def flat(cls) -> struct.Struct:
        """All fields as plain values in order, those of nested structures in their place: for where every
        microsecond counts.
        """
        return struct.Struct("<" + cls._FLAT)

    @classmethod
    def rows(cls, data: bytes | bytearray | memoryview) -> Iterator[tuple[Any, ...]]:
        """The fields of many structures, one behind the other, as plain values: for where there are thousands."""
        return cls._CODEC.iter_unpack(data)


def _hints(cls: type) -> dict[str, Any]:
    """The annotations of a class and its bases. typing's own way is ten times slower, and needed for
    annotations that are strings only.
    """
    bases = [base for base in reversed(cls.__mro__) if issubclass(base, Struct) and base is not Struct]
    hints = {name: kind for base in bases for name, kind in vars(base).get("__annotations__", {}).items()}
    return (
        get_type_hints(cls, include_extras=True) if any(isinstance(h, str) for h in hints.values()) else hints
    )


def _measure(kind: Any) -> tuple[int, int, str]:  # noqa: ANN401 - an annotation can be anything
    """Size, alignment and format letters of a field."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        return kind.SIZE, kind.ALIGNMENT, f"{kind.SIZE}s"
    letters = kind.__metadata__[0]
    size = struct.calcsize("<" + letters)
    return size, 1 if letters[-1] in "sx" else size, letters


def _flat_letters(kind: Any, letters: str) -> str:  # noqa: ANN401 - see above
    return kind._FLAT if isinstance(kind, type) and issubclass(kind, Struct) else letters  # noqa: SLF001
