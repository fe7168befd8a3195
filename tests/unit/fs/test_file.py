"""What every open file description and inode does unless its kind overrides it."""

from collections.abc import Awaitable
from typing import Any

import pytest
from fakes.trees import outcome

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll
from aionoah.abi.stat import S
from aionoah.fs.file import BrokenPipe, File, WouldBlock, read, write
from aionoah.fs.inode import Attributes, Change, FileSystem, Inode
from aionoah.host.waiting import Source, Waiter, WaitQueue
from aionoah.memory.buffer import Buffer, KernelBuffer


def nothing() -> KernelBuffer:
    return KernelBuffer(bytearray(4))


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("read_nowait", (nothing(),), "EINVAL"),
        ("write_nowait", (nothing(),), "EINVAL"),
        ("pread", (nothing(), 0), "ESPIPE"),
        ("pwrite", (nothing(), 0), "ESPIPE"),
        ("seek", (0, 0), "ESPIPE"),
        ("entries", (), "ENOTDIR"),
        ("attributes", (), "EINVAL"),
        ("truncate", (0,), "EINVAL"),
        ("allocate", (0, 0, 1), "EOPNOTSUPP"),
        ("mapping", (), "ENODEV"),
    ],
)
def test_a_file_of_no_kind_refuses(name: str, arguments: tuple[Any, ...], expected: str) -> None:
    assert outcome(getattr(File(O(O.RDWR)), name), *arguments) == expected


@pytest.mark.parametrize(
    ("flags", "is_readable", "is_writable"),
    [
        (O.RDONLY, True, False),
        (O.WRONLY, False, True),
        (O.RDWR, True, True),
        (O.ACCMODE, False, False),
        (O.RDWR | O.PATH, False, False),
    ],
)
def test_access_modes(flags: int, *, is_readable: bool, is_writable: bool) -> None:
    file = File(O(flags))
    assert (file.is_readable, file.is_writable) == (is_readable, is_writable)
    assert not file.is_nonblocking
    assert Poll.IN | Poll.OUT in file.poll()


def test_the_last_reference_releases() -> None:
    events: list[str] = []

    class Kind(File):
        def release(self) -> None:
            events.append("release")

    file = Kind(O(0))
    file.on_release = lambda released: events.append(f"{released is file}")
    assert file.hold() is file
    file.drop()
    assert events == []
    file.drop()
    assert events == ["True", "release"]


class Slow(File):
    """Has something to read, and room to write, after a number of attempts."""

    is_stream = True

    def __init__(self, attempts: int, flags: int = O.RDWR) -> None:
        super().__init__(O(flags))
        self.attempts = attempts
        self.queue = WaitQueue()
        self.written = b""
        self.asked: list[int] = []

    def _try(self) -> None:
        self.attempts -= 1
        if self.attempts >= 0:
            raise WouldBlock

    def read_nowait(self, dst: Buffer) -> int:
        self._try()
        return dst.fill(b"ab")

    def write_nowait(self, src: Buffer) -> int:
        self._try()
        part = src.take(3)
        self.written += part
        self.attempts = 1
        return len(part)

    def source(self, events: Poll) -> Source:
        self.asked.append(int(events))
        return Source(self.queue)


def finish(awaitable: Awaitable[int], wakes: int) -> int:
    """Step a coroutine as the reactor would: it sleeps `wakes` times and then has its result."""
    steps = awaitable.__await__()
    try:
        for _ in range(wakes):
            assert isinstance(next(steps), Waiter)
        next(steps)
    except StopIteration as done:
        return int(done.value)
    pytest.fail("still asleep")


@pytest.mark.parametrize("attempts", [0, 1, 3])
def test_reading_sleeps_until_there_is_something(attempts: int) -> None:
    file, data = Slow(attempts), bytearray(4)
    assert finish(read(file, KernelBuffer(data)), attempts) == 2
    assert data == b"ab\0\0"
    assert file.asked == [Poll.IN] * attempts
    assert len(file.queue) == 0


def test_writing_goes_on_until_all_is_written() -> None:
    file = Slow(0)
    assert finish(write(file, KernelBuffer(b"abcdefgh")), 2) == 8
    assert file.written == b"abcdefgh"
    assert file.asked == [Poll.OUT] * 2


async def test_who_does_not_want_to_sleep_is_told() -> None:
    for call in (read(Slow(1, O.NONBLOCK), nothing()), write(Slow(1, O.NONBLOCK | O.WRONLY), nothing())):
        with pytest.raises(LinuxError) as caught:
            await call
        assert caught.value.errno is Errno.EAGAIN
    assert await write(Slow(0, O.NONBLOCK | O.WRONLY), KernelBuffer(b"abcdef")) == 3


@pytest.mark.parametrize(("first", "expected"), [(b"abc", 3), (b"", None)])
async def test_an_error_behind_what_was_written_waits_for_the_next_call(
    first: bytes, expected: int | None
) -> None:
    class Failing(Slow):
        def write_nowait(self, src: Buffer) -> int:
            if len(self.written) == len(first):
                raise LinuxError(Errno.EIO)
            return super().write_nowait(src)

    call = write(Failing(0), KernelBuffer(b"abcdef"))
    if expected is not None:
        assert await call == expected
    else:
        with pytest.raises(LinuxError):
            await call


async def test_a_broken_pipe_tells_what_had_gone_through() -> None:
    class Breaking(Slow):
        def write_nowait(self, src: Buffer) -> int:
            if self.written:
                raise BrokenPipe
            return super().write_nowait(src)

    with pytest.raises(BrokenPipe) as caught:
        await write(Breaking(0), KernelBuffer(b"abcdef"))
    assert caught.value.written == 3
    assert caught.value.errno is Errno.EPIPE


def test_a_sleeper_keeps_the_file_open() -> None:
    released = []

    class Kind(Slow):
        def release(self) -> None:
            released.append(self)

    file = Kind(1)
    steps = read(file, nothing()).__await__()
    next(steps)
    file.drop()
    assert released == []
    with pytest.raises(StopIteration):
        next(steps)
    assert released == [file]


# -- inodes -------------------------------------------------------------------------------------------------


class Plain(Inode):
    def attributes(self) -> Attributes:
        return Attributes(S.IFREG | 0o644, 1, 2)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("lookup", (b"x",), "ENOTDIR"),
        ("create", (b"x", 0, 0, 0), "ENOTDIR"),
        ("mkdir", (b"x", 0, 0, 0), "ENOTDIR"),
        ("mknod", (b"x", 0, 0, 0, 0), "ENOTDIR"),
        ("symlink", (b"x", b"y", 0, 0), "ENOTDIR"),
        ("link", (b"x", Plain()), "ENOTDIR"),
        ("unlink", (b"x",), "ENOTDIR"),
        ("rmdir", (b"x",), "ENOTDIR"),
        ("rename", (b"x", Plain(), b"y", 0), "ENOTDIR"),
        ("listing", (), "ENOTDIR"),
        ("readlink", (), "EINVAL"),
        ("open", (O(0), None), "ENXIO"),
        ("change", (Change(),), "EPERM"),
        ("get_xattr", (b"x",), "EOPNOTSUPP"),
        ("set_xattr", (b"x", b"", 0), "EOPNOTSUPP"),
        ("list_xattrs", (), "EOPNOTSUPP"),
        ("remove_xattr", (b"x",), "EOPNOTSUPP"),
    ],
)
def test_an_inode_of_no_kind_refuses(name: str, arguments: tuple[Any, ...], expected: str) -> None:
    assert outcome(getattr(Plain(), name), *arguments) == expected


def test_what_an_inode_says_of_itself() -> None:
    inode = Plain()
    assert inode.kind == S.IFREG
    assert inode.looked_up_attributes() == inode.attributes()
    assert inode.magic_target() is None
    assert outcome(FileSystem().status) == "ENOSYS"
