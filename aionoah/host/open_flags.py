"""Open flags of the kernel proper as the host's, by name: even two Linux hosts have different numbers."""

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from aionoah.abi.fcntl import O

# SYNC and TMPFILE hold the bits of DSYNC and DIRECTORY too; here each name stands for a bit of its own.
_NAMES: Final = {
    "O_WRONLY": O.WRONLY,
    "O_RDWR": O.RDWR,
    "O_CREAT": O.CREAT,
    "O_EXCL": O.EXCL,
    "O_TRUNC": O.TRUNC,
    "O_APPEND": O.APPEND,
    "O_NONBLOCK": O.NONBLOCK,
    "O_DSYNC": O.DSYNC,
    "O_DIRECT": O.DIRECT,
    "O_DIRECTORY": O.DIRECTORY,
    "O_NOFOLLOW": O.NOFOLLOW,
    "O_NOATIME": O.NOATIME,
    "O_SYNC": O.SYNC & ~O.DSYNC,
    "O_PATH": O.PATH,
    "O_TMPFILE": O.TMPFILE & ~O.DIRECTORY,
}


def flag_pairs(host: Mapping[str, int]) -> tuple[tuple[int, int], ...]:
    """Linux's bit and the host's for each name, given the host's names. What it lacks is 0."""
    return tuple((bit, host.get(name, 0)) for name, bit in _NAMES.items())


# A descriptor of ours is never inherited by a program of the host, and never makes a terminal ours.
_ALWAYS: Final = os.O_CLOEXEC | os.O_NOCTTY
_PAIRS: Final = flag_pairs(vars(os))


@lru_cache(256)
def host_open_flags(flags: int) -> int:
    """The host's open flags for those of abi.fcntl.O, with CLOEXEC and NOCTTY in any case."""
    return translate(flags, _PAIRS) | _ALWAYS


def translate(flags: int, pairs: tuple[tuple[int, int], ...]) -> int:
    result = 0
    for linux, host in pairs:
        if flags & linux:
            result |= host
    return result
