"""Open flags by name, for this host and for others."""

import os

from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.aarch64 import AARCH64
from aionoah.abi.fcntl import VALID_OPEN_FLAGS, O
from aionoah.host.open_flags import flag_pairs, host_open_flags, translate

DARWIN = {
    "O_WRONLY": 1,
    "O_RDWR": 2,
    "O_NONBLOCK": 4,
    "O_APPEND": 8,
    "O_SYNC": 0x80,
    "O_NOFOLLOW": 0x100,
    "O_CREAT": 0x200,
    "O_TRUNC": 0x400,
    "O_EXCL": 0x800,
    "O_DIRECTORY": 0x100000,
    "O_DSYNC": 0x400000,
}
# What the kernel does not hand on: CLOEXEC and NOCTTY are always set, ASYNC and LARGEFILE mean nothing.
OWN = O.CLOEXEC | O.NOCTTY | O.ASYNC | O.LARGEFILE


def test_by_name_on_this_host() -> None:
    always = os.O_CLOEXEC | os.O_NOCTTY
    assert host_open_flags(0) == always
    assert host_open_flags(O.RDWR | O.CREAT | O.EXCL) == os.O_RDWR | os.O_CREAT | os.O_EXCL | always
    assert host_open_flags(O.DIRECTORY | O.NOFOLLOW) == os.O_DIRECTORY | os.O_NOFOLLOW | always
    assert host_open_flags(O.SYNC) == os.O_SYNC | os.O_DSYNC | always
    assert host_open_flags(O.CLOEXEC | O.NOCTTY) == always


@given(st.integers(0, 0xFFFF_FFFF))
def test_unknown_bits_are_dropped(flags: int) -> None:
    assert host_open_flags(flags) == host_open_flags(flags & VALID_OPEN_FLAGS)


def test_another_linux() -> None:
    """On an aarch64 host four names have other numbers: only names are right."""
    names = {f"O_{name}": AARCH64.guest_open_flags(value) for name, value in O.members().items()}
    names["O_SYNC"] = O.SYNC
    for flags in (O.DIRECTORY, O.NOFOLLOW, O.DIRECT, O.DIRECTORY | O.NOFOLLOW | O.PATH, O.SYNC, O.TMPFILE):
        assert translate(flags, flag_pairs(names)) == AARCH64.guest_open_flags(flags)


def test_macos() -> None:
    pairs = flag_pairs(DARWIN)
    assert translate(O.CREAT | O.TRUNC | O.WRONLY, pairs) == 0x200 | 0x400 | 1
    assert translate(O.SYNC, pairs) == 0x80 | 0x400000
    assert translate(O.PATH | O.DIRECT | O.NOATIME, pairs) == 0
    assert translate(O.TMPFILE, pairs) == 0x100000


@given(st.integers(0, VALID_OPEN_FLAGS))
def test_x86_64_numbers_stay(flags: int) -> None:
    same = {f"O_{name}": value for name, value in O.members().items()}
    same |= {"O_SYNC": O.SYNC & ~O.DSYNC, "O_TMPFILE": O.TMPFILE & ~O.DIRECTORY}
    assert translate(flags & ~O.ACCMODE, flag_pairs(same)) == flags & VALID_OPEN_FLAGS & ~O.ACCMODE & ~OWN
