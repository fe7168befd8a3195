"""Single numbers that calls read or write through a pointer."""

from aionoah.abi.cstruct import I32, I64, Struct


class Cell32(Struct):
    """An int."""

    value: I32


class Cell64(Struct):
    """A loff_t."""

    value: I64
