"""Pipes and FIFOs: what the comparison with the host's pipes does not show."""

from collections.abc import Coroutine
from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.limits import PIPE_BUF
from aionoah.abi.poll import Poll
from aionoah.abi.stat import S
from aionoah.abi.statfs import MAGIC
from aionoah.fs.file import BrokenPipe, WouldBlock, read, write
from aionoah.fs.inode import Attributes, FileSystem, Inode
from aionoah.fs.pipe import PipeEnd, open_fifo, open_pipe
from aionoah.host.waiting import Waiter
from aionoah.memory.buffer import KernelBuffer

HUP, ERR = Poll.HUP, Poll.ERR
IN, OUT = Poll.IN | Poll.RDNORM, Poll.OUT | Poll.WRNORM


def get(end: PipeEnd, length: int) -> bytes:
    memory = bytearray(length)
    return bytes(memory[: end.read_nowait(KernelBuffer(memory))])


def put(end: PipeEnd, data: bytes) -> int:
    return end.write_nowait(KernelBuffer(data))


def step(coroutine: Coroutine[Waiter, None, Any]) -> Waiter:
    """Run until it sleeps."""
    return coroutine.send(None)


def finish(coroutine: Coroutine[Waiter, None, Any]) -> Any:
    """Run to the end, which must not sleep."""
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    return stop.value.value


def fails(errno: Errno) -> Any:
    return pytest.raises(LinuxError, match=f"^{errno.name}$")


class FaultyBuffer(KernelBuffer):
    """Guest memory that nobody may touch."""

    def take(self, limit: int | None = None) -> bytes:
        raise LinuxError(Errno.EFAULT)

    def fill(self, data: bytes | bytearray | memoryview) -> int:
        raise LinuxError(Errno.EFAULT)


# -- nothing is lost ----------------------------------------------------------------------------------------


def test_a_fault_consumes_nothing() -> None:
    reader, writer = open_pipe()
    put(writer, b"abc")
    with fails(Errno.EFAULT):
        reader.read_nowait(FaultyBuffer(bytes(10)))
    with fails(Errno.EFAULT):
        writer.write_nowait(FaultyBuffer(bytes(10)))
    assert get(reader, 10) == b"abc"
    with pytest.raises(WouldBlock):
        get(reader, 10)


def test_a_short_copy_leaves_the_rest() -> None:
    class ShortBuffer(KernelBuffer):
        def fill(self, data: bytes | bytearray | memoryview) -> int:
            return super().fill(data[:2])

    reader, writer = open_pipe()
    put(writer, b"abcdef")
    assert reader.read_nowait(ShortBuffer(bytearray(6))) == 2
    assert get(reader, 6) == b"cdef"


def test_large_data_crosses_pages_in_order() -> None:
    reader, writer = open_pipe()
    data = bytes(range(256)) * 300
    received = b""
    rest = data
    while rest or writer.pipe.size:
        rest = rest[put(writer, rest[:50000]) :] if not writer.pipe.is_full else rest
        received += get(reader, 7001)
    assert received == data


# -- sleeping -----------------------------------------------------------------------------------------------


def test_a_reader_sleeps_until_there_is_data() -> None:
    reader, writer = open_pipe()
    memory = bytearray(10)
    reading = read(reader, KernelBuffer(memory))
    waiter = step(reading)
    assert not waiter.is_woken
    assert len(reader.pipe.readable) == 1
    put(writer, b"hello")
    assert waiter.is_woken
    assert finish(reading) == 5
    assert memory[:5] == b"hello"
    assert len(reader.pipe.readable) == 0


def test_a_reader_sleeps_until_the_last_writer_is_gone() -> None:
    reader, writer = open_pipe()
    other = writer.inode.open(O(O.WRONLY), None)  # type: ignore[arg-type]
    reading = read(reader, KernelBuffer(bytearray(10)))
    waiter = step(reading)
    writer.drop()
    assert not waiter.is_woken
    other.drop()
    assert waiter.is_woken
    assert finish(reading) == 0


def test_a_blocking_writer_writes_everything() -> None:
    reader, writer = open_pipe()
    data = bytes(range(250)) * 800
    writing = write(writer, KernelBuffer(data))
    received = b""
    waiter = step(writing)
    while len(received) < len(data):
        part = get(reader, 30000)
        received += part
        assert waiter.is_woken
        try:
            waiter = writing.send(None)
        except StopIteration as stop:
            assert stop.value == len(data)  # noqa: PT017 - the result of a coroutine
            received += get(reader, 1 << 20)
    assert received == data


def test_a_signal_ends_a_write_with_what_has_been_written() -> None:
    _reader, writer = open_pipe()
    writing = write(writer, KernelBuffer(bytes(100000)))
    step(writing)
    with pytest.raises(StopIteration) as stop:
        writing.throw(LinuxError(Errno.ERESTARTSYS))
    assert stop.value.value == 65536
    again = write(writer, KernelBuffer(bytes(10)))
    step(again)
    with fails(Errno.ERESTARTSYS):
        again.throw(LinuxError(Errno.ERESTARTSYS))


def test_a_writer_hears_of_the_last_reader_leaving() -> None:
    reader, writer = open_pipe()
    writing = write(writer, KernelBuffer(bytes(100000)))
    waiter = step(writing)
    reader.drop()
    assert waiter.is_woken
    with pytest.raises(BrokenPipe) as broken:
        writing.send(None)
    assert broken.value.errno is Errno.EPIPE
    assert broken.value.written == 65536
    with pytest.raises(BrokenPipe) as broken:
        finish(write(writer, KernelBuffer(b"x")))
    assert broken.value.written == 0


def test_a_nonblocking_end_never_sleeps() -> None:
    reader, writer = open_pipe(O.NONBLOCK)
    assert reader.is_nonblocking
    with fails(Errno.EAGAIN):
        read(reader, KernelBuffer(bytearray(1))).send(None)
    assert finish(write(writer, KernelBuffer(bytes(70000)))) == 65536
    with fails(Errno.EAGAIN):
        write(writer, KernelBuffer(b"x")).send(None)


def test_a_file_lives_while_somebody_sleeps_on_it() -> None:
    """Another thread closes the descriptor: the pipe is not broken before the reader is back."""
    reader, writer = open_pipe()
    reading = read(reader, KernelBuffer(bytearray(4)))
    step(reading)
    reader.drop()
    assert put(writer, b"data") == 4
    assert finish(reading) == 4
    with pytest.raises(BrokenPipe):
        put(writer, b"more")


def test_what_to_wait_for() -> None:
    reader, writer = open_pipe()
    assert reader.source(Poll(Poll.IN)).queues == (reader.pipe.readable,)
    assert writer.source(Poll(Poll.OUT)).queues == (writer.pipe.writable,)
    both = PipeEnd(reader.pipe, O(O.RDWR))
    assert both.source(Poll(Poll.IN)).queues == (reader.pipe.readable, reader.pipe.writable)


# -- capacity, identity -------------------------------------------------------------------------------------


def test_capacity_beyond_the_limit_takes_a_privilege() -> None:
    pipe = open_pipe()[0].pipe
    with fails(Errno.EPERM):
        pipe.set_capacity(1048577, may_exceed_limit=False)
    with fails(Errno.EINVAL):
        pipe.set_capacity((1 << 31) + 1, may_exceed_limit=True)
    assert pipe.set_capacity(1048577, may_exceed_limit=True) == 2097152
    assert pipe.set_capacity(1048577, may_exceed_limit=False) == 2097152, "not more than it has"
    assert pipe.set_capacity(1, may_exceed_limit=False) == PIPE_BUF


def test_more_capacity_wakes_writers() -> None:
    _reader, writer = open_pipe()
    put(writer, bytes(65536))
    writing = write(writer, KernelBuffer(b"x"))
    waiter = step(writing)
    writer.pipe.set_capacity(1 << 17, may_exceed_limit=False)
    assert waiter.is_woken
    assert finish(writing) == 1


def test_what_stat_and_proc_say() -> None:
    reader, writer = open_pipe(O.NONBLOCK | O.CLOEXEC, uid=5, gid=6)
    attributes = reader.attributes()
    assert attributes.mode == S.IFIFO | 0o600
    assert (attributes.uid, attributes.gid, attributes.nlink, attributes.size) == (5, 6, 1, 0)
    assert attributes.mtime_ns > 0
    assert writer.attributes() == attributes
    assert open_pipe()[0].attributes().ino != attributes.ino
    assert reader.describe() == b"pipe:[%d]" % attributes.ino
    assert reader.filesystem_status().magic == MAGIC.PIPEFS
    assert reader.flags == O.RDONLY | O.NONBLOCK
    assert writer.flags == O.WRONLY | O.NONBLOCK
    for call in (lambda: reader.pread(KernelBuffer(b""), 0), lambda: writer.seek(0, 0)):
        with fails(Errno.ESPIPE):
            call()
    with fails(Errno.EINVAL):
        reader.inode.open(O(O.ACCMODE), None)  # type: ignore[arg-type]


# -- FIFOs --------------------------------------------------------------------------------------------------


class Place:
    """Stands for the Dentry of a FIFO."""

    def __init__(self, inode: Inode) -> None:
        self.inode = inode


class Fifo(Inode):
    def __init__(self, filesystem: FileSystem, ino: int = 1) -> None:
        self.filesystem = filesystem
        self.ino = ino

    def attributes(self) -> Attributes:
        return Attributes(S.IFIFO | 0o644, self.ino, 7)

    def opening(self, flags: int) -> Coroutine[Any, Any, PipeEnd]:
        return open_fifo(self, O(flags), Place(self))  # type: ignore[arg-type]


@pytest.fixture
def fifo() -> Fifo:
    return Fifo(FileSystem())


@pytest.mark.parametrize(("first", "second"), [(O.RDONLY, O.WRONLY), (O.WRONLY, O.RDONLY)])
def test_opening_waits_for_the_other_side(fifo: Fifo, first: int, second: int) -> None:
    opening = fifo.opening(first)
    waiter = step(opening)
    assert not waiter.is_woken
    other = finish(fifo.opening(second))
    assert waiter.is_woken
    end = finish(opening)
    assert end.pipe is other.pipe
    assert end.inode is fifo


def test_the_same_side_is_no_peer(fifo: Fifo) -> None:
    first, second = fifo.opening(O.RDONLY), fifo.opening(O.RDONLY)
    waiter = step(first)
    step(second)
    step(first)
    writer = finish(fifo.opening(O.WRONLY))
    assert waiter.source.queues[0] is writer.pipe.opened
    assert finish(first).pipe is finish(second).pipe


def test_a_peer_that_came_and_went_counts(fifo: Fifo) -> None:
    opening = fifo.opening(O.RDONLY)
    step(opening)
    finish(fifo.opening(O.WRONLY)).drop()
    reader = finish(opening)
    assert get(reader, 1) == b""
    assert reader.poll() == HUP


def test_an_interrupted_open_leaves_no_trace(fifo: Fifo) -> None:
    opening = fifo.opening(O.RDONLY)
    step(opening)
    with fails(Errno.ERESTARTSYS):
        opening.throw(LinuxError(Errno.ERESTARTSYS))
    with fails(Errno.ENXIO):
        fifo.opening(O.WRONLY | O.NONBLOCK).send(None)


def test_a_killed_open_leaves_no_trace(fifo: Fifo) -> None:
    opening = fifo.opening(O.WRONLY)
    step(opening)
    opening.close()
    reader = finish(fifo.opening(O.RDONLY | O.NONBLOCK))
    assert reader.pipe.writers == 0


def test_nonblocking_opens(fifo: Fifo) -> None:
    with fails(Errno.ENXIO):
        fifo.opening(O.WRONLY | O.NONBLOCK).send(None)
    reader = finish(fifo.opening(O.RDONLY | O.NONBLOCK))
    assert reader.poll() == 0, "no hang-up before anybody has written"
    assert get(reader, 1) == b""
    writer = finish(fifo.opening(O.WRONLY | O.NONBLOCK))
    with pytest.raises(WouldBlock):
        get(reader, 1)
    writer.drop()
    assert reader.poll() == HUP
    finish(fifo.opening(O.RDWR))
    with fails(Errno.EINVAL):
        fifo.opening(O.ACCMODE).send(None)


def test_read_write_never_waits(fifo: Fifo) -> None:
    end = finish(fifo.opening(O.RDWR))
    assert end.poll() == OUT
    put(end, b"to myself")
    assert end.poll() == IN | OUT
    assert get(end, 20) == b"to myself"
    with pytest.raises(WouldBlock):
        get(end, 20)


def test_data_is_gone_with_the_last_end(fifo: Fifo) -> None:
    end = finish(fifo.opening(O.RDWR))
    put(end, b"lost")
    end.drop()
    reader = finish(fifo.opening(O.RDONLY | O.NONBLOCK))
    assert get(reader, 10) == b""


def test_inodes_made_anew_lead_to_the_same_fifo(fifo: Fifo) -> None:
    one = finish(fifo.opening(O.RDWR))
    other = finish(Fifo(fifo.filesystem).opening(O.RDWR))
    stranger = finish(Fifo(FileSystem()).opening(O.RDWR))
    assert one.pipe is other.pipe
    assert one.pipe is not stranger.pipe
    assert one.pipe is not finish(Fifo(fifo.filesystem, 2).opening(O.RDWR)).pipe


def test_a_writer_whose_reader_left_sees_an_error(fifo: Fifo) -> None:
    opening = fifo.opening(O.WRONLY)
    step(opening)
    finish(fifo.opening(O.RDONLY | O.NONBLOCK)).drop()
    writer = finish(opening)
    assert writer.poll() == OUT | ERR
    with pytest.raises(BrokenPipe):
        put(writer, b"x")
