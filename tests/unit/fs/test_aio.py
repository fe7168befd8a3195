"""The ring of an asynchronous context. (What requests do is in tests/guest/programs/aio.c.)"""

import pytest

from aionoah.abi.aio import AIO_RING_MAGIC, AioRing, IoEvent
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll
from aionoah.fs.aio import AioContext, Origin, PollRequest
from aionoah.fs.aio_limits import AioLimits
from aionoah.fs.eventfd import EventFile
from aionoah.fs.pipe import open_pipe
from aionoah.host.edges import HostEdges
from aionoah.memory.buffer import KernelBuffer

ROOM = 4


@pytest.fixture
def memory() -> bytearray:
    return bytearray(AioRing.SIZE + ROOM * IoEvent.SIZE)


@pytest.fixture
def context(memory: bytearray) -> AioContext:
    return AioContext(memoryview(memory), 3)


def test_the_ring_is_in_memory(context: AioContext, memory: bytearray) -> None:
    assert AioRing.unpack(memory) == AioRing(3, ROOM, 0, 0, AIO_RING_MAGIC, 1, 0, AioRing.SIZE)
    for number in range(6):
        context.begin()
        context.complete(Origin(number, 16, None), -number)
        assert IoEvent.unpack(context.take(9)) == IoEvent(number, 16, -number, 0)
        context.taken(1)
    assert AioRing.unpack(memory).head == AioRing.unpack(memory).tail == 6 % ROOM


def test_there_is_room_for_every_event(context: AioContext) -> None:
    for _ in range(ROOM - 1):
        context.begin()
    with pytest.raises(LinuxError) as refused:
        context.begin()
    assert refused.value.errno is Errno.EAGAIN
    context.complete(Origin(0, 0, None), 0)
    with pytest.raises(LinuxError):
        context.begin()
    context.taken(1)
    context.begin()


def test_the_program_may_write_nonsense_into_the_ring(context: AioContext, memory: bytearray) -> None:
    context.begin()
    memory[: AioRing.SIZE] = b"\xff" * AioRing.SIZE
    context.complete(Origin(1, 2, None), 3)
    assert len(context.take(100)) <= (ROOM - 1) * IoEvent.SIZE
    context.taken(context.waiting)
    assert context.waiting == 0


def test_polling(context: AioContext) -> None:
    reader, writer = open_pipe()
    notified = EventFile(O(O.RDWR))
    context.begin()
    PollRequest(context, Origin(1, 16, notified.hold()), reader, Poll.IN, HostEdges()).start()
    assert context.waiting == 0
    writer.write_nowait(KernelBuffer(b"x"))
    assert IoEvent.unpack(context.take(1)).res == Poll.IN | Poll.RDNORM
    assert notified.poll() & Poll.IN
    assert not context.polls
    assert context.is_idle


def test_the_end_gives_up_what_waits(context: AioContext) -> None:
    reader, writer = open_pipe()
    context.begin()
    PollRequest(context, Origin(1, 16, None), reader, Poll.IN, HostEdges()).start()
    reader.drop()
    assert not writer.poll() & Poll.ERR  # the request holds it
    context.close()
    assert writer.poll() & Poll.ERR
    assert context.is_idle


def test_limits() -> None:
    limits = AioLimits()
    limits.take(limits.most)
    with pytest.raises(LinuxError) as refused:
        limits.take(1)
    assert refused.value.errno is Errno.EAGAIN


def test_several_requests_of_one_structure(context: AioContext) -> None:
    """A program may submit it again before it has ended."""
    reader, writer = open_pipe()
    for data in (1, 2):
        context.begin()
        PollRequest(context, Origin(data, 16, None), reader, Poll.IN, HostEdges()).start()
    found = context.find_poll(16)
    assert found is not None
    found.end(0)
    assert IoEvent.unpack(context.take(1)).data == 1
    writer.write_nowait(KernelBuffer(b"x"))
    assert context.waiting == 2
    assert context.find_poll(16) is None
    assert context.is_idle
