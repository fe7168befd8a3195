"""X clients are not shown extensions that they cannot use."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.net.unix.x11_answers import XConnection

LIST, OTHER = 99, 127  # requests: ListExtensions, NoOperation


def begun(order: str) -> XConnection:
    """A connection whose client has said its first words."""
    made = XConnection()
    made.went({"<": b"l", ">": b"B"}[order] + struct.pack(f"{order}xHHHHxx", 11, 0, 0, 0))
    return made


def request(order: str, opcode: int) -> bytes:
    return struct.pack(f"{order}BxH", opcode, 1)


def setup(order: str) -> bytes:
    return struct.pack(f"{order}BxHHH", 1, 11, 0, 5) + b"twenty bytes of facts"[:20]


def reply(order: str, number: int, body: bytes = b"", count: int = 0) -> bytes:
    body += bytes(-len(body) % 4)
    return struct.pack(f"{order}BBHI24x", 1, count, number, len(body) // 4) + body


def names(order: str, number: int, *listed: bytes, padding: int = 0) -> bytes:
    body = b"".join(bytes([len(name)]) + name for name in listed)
    return reply(order, number, body + bytes(padding), len(listed))


def event(order: str, kind: int, number: int, body: bytes = b"") -> bytes:
    return struct.pack(f"{order}BBHI24x", kind, 0, number, len(body) // 4) + body


def through(connection: XConnection, data: bytes, cuts: list[int]) -> bytes:
    told = b""
    for size in [*cuts, len(data)]:
        told += connection.heard(data[:size])
        data = data[size:]
    return told


ALL = (b"BIG-REQUESTS", b"MIT-SHM", b"DRI3", b"RENDER", b"DRI2")
cutting = st.lists(st.integers(1, 50), max_size=20)


@given(st.sampled_from("<>"), cutting)
def test_a_list_has_no_hidden_ones_and_keeps_its_length(order: str, cuts: list[int]) -> None:
    connection = begun(order)
    for opcode in (OTHER, LIST, OTHER, LIST):
        connection.went(request(order, opcode))
    around = (
        event(order, 35, 2, bytes(8))
        + event(order, 0x80 | 2, 2)
        + event(order, 0, 2)
        + reply(order, 1, ALL[0])
    )
    said = setup(order) + around + names(order, 2, *ALL) + around + names(order, 4, b"MIT-SHM") + around
    lost = sum(1 + len(name) for name in ALL if name.startswith((b"MIT", b"DRI")))
    expected = names(order, 2, b"BIG-REQUESTS", b"RENDER", padding=lost)
    wanted = setup(order) + around + expected + around + names(order, 4, padding=8) + around
    assert through(connection, said, cuts) == wanted


def test_another_reply_that_looks_like_one_stays() -> None:
    connection = begun("<")
    for opcode in (OTHER, LIST):
        connection.went(request("<", opcode))
    said = setup("<") + names("<", 1, *ALL) + names("<", 2, b"RENDER") + names("<", 2, *ALL)
    assert through(connection, said, []) == said


def test_numbers_of_requests_start_again() -> None:
    connection = begun("<")
    connection.went(request("<", OTHER) * 0x1_0004 + request("<", LIST))
    assert through(connection, setup("<") + names("<", 5, b"DRI2"), []) == setup("<") + names(
        "<", 5, padding=5
    )


@pytest.mark.parametrize("cut", [4, 8, 30, 31, 32, 40])
def test_what_cannot_be_judged_yet_waits(cut: int) -> None:
    connection = begun("<")
    connection.went(request("<", LIST))
    assert connection.heard(setup("<")) == setup("<")
    said = names("<", 1, b"DRI2", b"RENDER")
    assert connection.heard(said[:cut]) == b""
    assert connection.heard(said[cut:]) == names("<", 1, b"RENDER", padding=5)


@given(st.binary(max_size=300), cutting)
def test_nothing_that_a_server_says_hurts(data: bytes, cuts: list[int]) -> None:
    connection = begun("<")
    connection.went(request("<", LIST))
    assert len(through(connection, data, cuts)) <= len(data)
