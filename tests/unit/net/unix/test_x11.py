"""X clients are not told of extensions that they cannot use."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.net.unix.x11 import XRequests

ORDERS = {"<": b"l", ">": b"B"}


def setup(order: str, name: bytes = b"MIT-MAGIC-COOKIE-1", secret: bytes = b"0123456789abcdef") -> bytes:
    head = ORDERS[order] + struct.pack(f"{order}xHHHHxx", 11, 0, len(name), len(secret))
    return head + name + bytes(-len(name) % 4) + secret + bytes(-len(secret) % 4)


def query(order: str, name: bytes) -> bytes:
    words = 2 + -(-len(name) // 4)
    return struct.pack(f"{order}BxHHxx", 98, words, len(name)) + name + bytes(-len(name) % 4)


def request(order: str, opcode: int, body: bytes, *, big: bool = False) -> bytes:
    words = len(body) // 4
    if big:
        return struct.pack(f"{order}BxHI", opcode, 0, words + 2) + body
    return struct.pack(f"{order}BxH", opcode, words + 1) + body


def through(data: bytes, cuts: list[int]) -> bytes:
    """What the server gets if the client's writes, and what the socket takes of each, are cut somewhere."""
    requests, sent = XRequests(), b""
    for limit in [*cuts, len(data)]:
        size = limit
        while data and size:
            taken = max(size // 2, 1)
            sent += requests.changed(data[:size])[:taken]
            requests.went(data[:taken])
            data, size = data[taken:], size - taken
    return sent


bodies = st.binary(max_size=6).map(lambda data: data * 4)
others = st.tuples(st.integers(1, 127).filter(lambda code: code != 98), bodies, st.booleans())


@given(st.sampled_from("<>"), st.lists(others, max_size=4), st.lists(st.integers(1, 40), max_size=8))
def test_hidden_extensions_go_out_with_another_name(
    order: str, requests: list[tuple[int, bytes, bool]], cuts: list[int]
) -> None:
    plain = [request(order, code, body, big=big) for code, body, big in requests]
    hidden = [query(order, name) for name in (b"MIT-SHM", b"DRI2", b"DRI3")]
    expected = [query(order, name) for name in (b"MIT-SH!", b"DRI!", b"DRI!")]
    shown = [query(order, name) for name in (b"RENDER", b"MIT-SHMX", b"DRI", b"MIT-SUNDRY-NONSTANDARD")]
    whole = [setup(order), *shown, *plain, *hidden, *shown, *plain]
    wanted = [setup(order), *shown, *plain, *expected, *shown, *plain]
    assert through(b"".join(whole), cuts) == b"".join(wanted)


@pytest.mark.parametrize("cut", range(1, 16))
def test_a_name_may_be_cut_anywhere(cut: int) -> None:
    data = setup("<", b"", b"") + query("<", b"MIT-SHM")
    assert through(data, [cut, cut]).endswith(b"MIT-SH!\0")


def test_the_name_in_the_data_of_another_request_stays() -> None:
    data = setup("<") + request("<", 72, query("<", b"MIT-SHM"))
    assert through(data, []) == data


@given(st.binary(max_size=200))
def test_nothing_that_a_client_says_hurts(data: bytes) -> None:
    assert len(through(data, [])) == len(data)
