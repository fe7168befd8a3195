"""Lines of JSON with descriptors beside them, cut anywhere."""

import contextlib
import json
import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.instances.protocol import Assembler, Message, ProtocolError, pack, receive, send


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, two = socket.socketpair()
    with one, two:
        yield one, two


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers())), st.integers(1, 50))
def test_cut_anywhere(messages: list[dict[str, object]], size: int) -> None:
    messages = [{name: value for name, value in each.items() if name != "fds"} for each in messages]
    data = b"".join(map(pack, messages))
    assembler = Assembler()
    got = [each for start in range(0, len(data), size) for each in assembler.feed(data[start : start + size])]
    assert [each.fields for each in got] == messages


@given(st.binary())
def test_garbage_is_refused_or_kept_back(data: bytes) -> None:
    try:
        for message in Assembler().feed(data + b"\n"):
            assert isinstance(message.fields, dict)
    except ProtocolError:
        pass


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"1",
        b"{",
        b"\xff",
        b"[" * 5000,
        b'{"fds": 1}',
        b'{"fds": -1}',
        b'{"fds": true}',
        b'{"fds": "x"}',
    ],
)
def test_nonsense(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        Assembler().feed(line + b"\n")


def test_a_line_that_does_not_end() -> None:
    assembler = Assembler()
    for _ in range(64):
        assert assembler.feed(b"x" * 65536) == []
    with pytest.raises(ProtocolError, match="too much"):
        assembler.feed(b"x")


def test_descriptors(pair: tuple[socket.socket, socket.socket]) -> None:
    one, two = pair
    reading, writing = os.pipe()
    send(one, {"op": "exec"}, [reading, writing])
    send(one, {"op": "more"})
    assembler = Assembler()
    messages: list[Message] = []
    while len(messages) < 2:
        messages += receive(two, assembler)
    first, second = messages
    assert (first.text("op"), len(first.fds), second.fds) == ("exec", 2, [])
    assert not any(map(os.get_inheritable, first.fds))
    os.write(first.fds[1], b"x")
    assert os.read(reading, 1) == b"x"
    fds = list(first.fds)
    first.close()
    os.close(reading)
    os.close(writing)
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_descriptors_that_nobody_has_asked_for_are_closed(pair: tuple[socket.socket, socket.socket]) -> None:
    one, two = pair
    reading, writing = os.pipe()
    socket.send_fds(one, [b"{}"], [writing])
    assembler = Assembler()
    assert receive(two, assembler) == []
    os.close(writing)
    assembler.close()
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_too_many_descriptors(pair: tuple[socket.socket, socket.socket]) -> None:
    one, two = pair
    reading, writing = os.pipe()
    assembler = Assembler()
    for _ in range(3):
        socket.send_fds(one, [b" "], [writing])
        assert receive(two, assembler) == []
    socket.send_fds(one, [b" "], [writing])
    with pytest.raises(ProtocolError, match="too much"):
        receive(two, assembler)
    assembler.close()
    os.close(writing)
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_an_answer_that_is_quicker_than_the_question_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = socket.socketpair()

    def send_fds(connection: socket.socket, buffers: list[bytes], fds: object) -> int:
        two.close()
        return len(buffers[0])

    monkeypatch.setattr(socket, "send_fds", send_fds)
    with one:
        send(one, {}, [0])


def test_the_end(pair: tuple[socket.socket, socket.socket]) -> None:
    one, two = pair
    one.close()
    with pytest.raises(EOFError):
        receive(two, Assembler())


@pytest.mark.parametrize("value", [None, 1, True, [], {}, "text", 1e300, float("nan"), ["a", 1]])
def test_fields_are_checked(value: object) -> None:
    message = Message(json.loads(json.dumps({"x": value})), [])
    for ask, kind in ((message.text, str), (message.number, (int, float)), (message.texts, list)):
        with contextlib.suppress(ProtocolError):
            assert isinstance(ask("x"), kind)
