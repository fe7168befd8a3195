"""Structures that are longer than we know, on both kernels."""

import importlib
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from aionoah.abi.fcntl import AT_FDCWD, O

importlib.import_module("aionoah.syscalls.open")

HOW = struct.pack("<3Q", O.RDONLY | O.DIRECTORY, 0, 0)


@pytest.mark.parametrize("tail", [b"", bytes(8), b"\0\1", bytes(15) + b"\1"])
def test_what_is_not_known_must_be_zero(same: Any, tail: bytes) -> None:
    def script(k: Any) -> Iterator[Any]:
        opened = k.call("openat2", AT_FDCWD, b".", HOW + tail, len(HOW + tail))
        yield opened if not isinstance(opened, int) or opened < 0 else "open"

    same(script)


def test_what_is_not_known_is_looked_at_first(same: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        for tail in (bytes(8), bytes(7) + b"\1"):
            place = k.edge - len(HOW + tail)
            k.set(place, HOW + tail)
            for behind in (0, 8):
                size = len(HOW + tail) + behind
                yield str(k.call("openat2", AT_FDCWD, b"nonexistent", place, size))
        yield str(k.call("openat2", AT_FDCWD, b".", 8, len(HOW) + 8))

    same(script)
