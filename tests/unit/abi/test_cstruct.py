"""How structures are laid out, packed and read."""

import struct
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.cstruct import I16, I32, I64, U8, U16, U32, U64, Struct
from aionoah.abi.time import Itimerspec, Timespec


class Mixed(Struct):
    first: U8
    second: I64
    third: U16
    name: Annotated[bytes, "5s"]
    last: I32


class Outer(Struct):
    head: U32
    inner: Mixed
    tail: U8


class Spare(Struct):
    word: Annotated[int, "I12x"]
    unaligned: Annotated[int, "Q0x"]


def test_padding_is_cs() -> None:
    assert (Mixed.SIZE, Mixed.ALIGNMENT) == (32, 8)
    packed = Mixed(1, -1, 0x0302, b"abcde", 7).pack()
    assert packed == b"\1" + bytes(7) + b"\xff" * 8 + b"\2\3abcde\0" + b"\7\0\0\0" + bytes(4)


def test_nested_structures_keep_their_alignment() -> None:
    assert (Outer.SIZE, Outer.ALIGNMENT) == (48, 8)
    outer = Outer(1, Mixed(1, 2, 3, b"x\0\0\0\0", 4), 5)
    assert outer.pack()[8:40] == outer.inner.pack()
    assert Outer.unpack(outer.pack()) == outer


def test_spare_bytes_and_packed_words() -> None:
    assert (Spare.SIZE, Spare.ALIGNMENT) == (24, 1)
    assert Spare(1, 2).pack() == struct.pack("<I12xQ", 1, 2)
    assert Spare.FIELDS == ("word", "unaligned")


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-(1 << 63), (1 << 63) - 1))
def test_round_trip(seconds: int, nanoseconds: int) -> None:
    value = Itimerspec(Timespec(seconds, nanoseconds), Timespec(0, 1))
    assert Itimerspec.unpack(memoryview(value.pack())) == value


def test_fields_by_position_and_name() -> None:
    assert Timespec(1, tv_nsec=2) == Timespec(1, 2)
    with pytest.raises(TypeError):
        Timespec(1)
    with pytest.raises(TypeError):
        Timespec(1, 2, 3)


@pytest.mark.parametrize(("value", "field"), [(-1, U8), (256, U8), (1 << 15, I16), (1 << 64, U64)])
def test_values_out_of_range(value: int, field: object) -> None:
    kind = type("Single", (Struct,), {"__annotations__": {"field": field}})
    with pytest.raises(struct.error):
        kind(value).pack()


def test_too_few_bytes() -> None:
    with pytest.raises(struct.error):
        Timespec.unpack(bytes(15))
    with pytest.raises(struct.error):
        Timespec.unpack(bytes(16), offset=1)


def test_equality_and_text() -> None:
    assert Timespec(1, 2) != Timespec(1, 3)
    assert Timespec(1, 2) != (1, 2)
    assert repr(Timespec(1, 2)) == "Timespec(tv_sec=1, tv_nsec=2)"


def test_rows_are_the_fields_of_each() -> None:
    class Pair(Struct):
        first: I16
        second: I64

    data = Pair(-1, 2).pack() + Pair(3, -4).pack()
    assert list(Pair.rows(data)) == [(-1, 2), (3, -4)]
    with pytest.raises(struct.error):
        Pair.rows(data[:-1])


def test_flat_fields_are_those_of_nested_structures_in_their_place() -> None:
    class Inner(Struct):
        small: U8
        wide: U64

    class Outer(Struct):
        first: U16
        inner: Inner
        last: U8

    packed = Outer(1, Inner(2, 3), 4).pack()
    assert Outer.flat().size == Outer.SIZE
    assert Outer.flat().unpack(packed) == (1, 2, 3, 4)
    assert Outer.flat().pack(1, 2, 3, 4) == packed
