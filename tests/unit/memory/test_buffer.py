"""The Buffer over memory of our own."""

from aionoah.memory.buffer import Front, KernelBuffer


def test_fill_and_advance() -> None:
    memory = bytearray(6)
    buffer = KernelBuffer(memory)
    assert buffer.fill(b"abc") == 3
    buffer.advance(3)
    assert (buffer.length, buffer.fill(b"defghi")) == (3, 3)
    assert memory == b"abcdef"


def test_take() -> None:
    buffer = KernelBuffer(b"abcdef")
    assert (buffer.take(2), buffer.take(), buffer.take(99)) == (b"ab", b"abcdef", b"abcdef")
    buffer.advance(4)
    assert buffer.take() == b"ef"


def test_segments_are_in_place() -> None:
    memory = bytearray(4)
    buffer = KernelBuffer(memory)
    (view,) = buffer.segments()
    view[1] = 7
    assert memory == b"\0\7\0\0"
    assert [len(view) for view in buffer.segments(2)] == [2]
    assert list(buffer.segments(0)) == []
    buffer.advance(4)
    assert list(buffer.segments()) == []


def test_the_front_of_another() -> None:
    memory = bytearray(b"abcdef")
    front = Front(KernelBuffer(memory), 4)
    assert (front.length, front.take(), front.take(2), front.take(9)) == (4, b"abcd", b"ab", b"abcd")
    assert [bytes(view) for view in front.segments()] == [b"abcd"]
    assert [bytes(view) for view in front.segments(9)] == [b"abcd"]
    assert front.fill(b"ABCDEF") == 4
    front.advance(3)
    assert (front.length, front.take(), memory) == (1, b"D", b"ABCDef")
