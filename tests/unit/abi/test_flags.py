"""The two bases of named numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.epoll import Epoll
from aionoah.abi.fcntl import AT, SEEK, F, O
from aionoah.abi.poll import Poll
from aionoah.abi.signal import SIG

WORDS = st.integers(0, (1 << 64) - 1)


def test_members_are_plain_ints() -> None:
    assert type(O.CLOEXEC) is int
    assert type(O.CREAT | O.EXCL) is int


def test_in_asks_for_all_bits() -> None:
    assert O.SYNC in O(O.SYNC | O.RDWR)
    assert O.SYNC not in O(O.DSYNC)


@given(WORDS, WORDS)
def test_outside(flags: int, valid: int) -> None:
    assert O(flags).outside(valid) & valid == 0
    assert O(flags).outside(valid) | (flags & valid) == flags


def test_wide_names_come_first() -> None:
    assert list(O(O.SYNC | O.CREAT).names()) == ["SYNC", "CREAT"]
    assert list(O(O.TMPFILE | O.RDWR).names()) == ["TMPFILE", "RDWR"]


def test_bits_without_a_name() -> None:
    assert list(O(1 << 40).names()) == [hex(1 << 40)]
    assert list(O(0).names()) == []


@pytest.mark.parametrize("kind", [O, AT, Poll, Epoll])
@given(flags=st.integers(0, 0xFFFF_FFFF))
def test_names_lose_nothing(kind: type, flags: int) -> None:
    total = 0
    for name in kind(flags).names():
        total |= int(name, 16) if name.startswith("0x") else kind.members()[name]
    assert total == flags


def test_members_are_inherited() -> None:
    assert Epoll.members()["IN"] == Poll.IN
    assert next(iter(Epoll.members())) == "IN"
    assert "ET" not in Poll.members()


def test_choice_names() -> None:
    assert SEEK(SEEK.HOLE).name() == "HOLE"
    assert SEEK(77).name() == "77"
    assert F(F.DUPFD_CLOEXEC).name() == "DUPFD_CLOEXEC"


def test_first_of_two_names_wins() -> None:
    assert SIG.POLL == SIG.IO
    assert SIG(SIG.POLL).name() == "IO"
