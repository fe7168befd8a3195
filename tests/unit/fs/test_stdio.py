"""Host descriptors as a guest's standard streams."""

import fcntl
import os
import pty
import select
import socket
import struct
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import SEEK, O
from aionoah.abi.ioctl import IOCTL, Winsize
from aionoah.abi.poll import Poll
from aionoah.abi.stat import S, makedev
from aionoah.abi.statfs import MAGIC
from aionoah.abi.termios import Termios
from aionoah.fs import operations, stdio
from aionoah.fs.file import BrokenPipe, File, WouldBlock
from aionoah.fs.mount import Mount
from aionoah.fs.stdio import HostStreamFile
from aionoah.host import platform
from aionoah.memory.buffer import KernelBuffer

IN, OUT = Poll.IN | Poll.RDNORM, Poll.OUT | Poll.WRNORM


def get(file: File, length: int) -> bytes:
    memory = bytearray(length)
    return bytes(memory[: file.read_nowait(KernelBuffer(memory))])


def put(file: File, data: bytes) -> int:
    return file.write_nowait(KernelBuffer(data))


def fails(errno: Errno) -> Any:
    return pytest.raises(LinuxError, match=f"^{errno.name}$")


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def fill(file: File, size: int) -> int:
    """Write until there is no room; how much that was."""
    total = 0
    while True:
        try:
            total += put(file, bytes(size))
        except WouldBlock:
            return total


class Given:
    """Descriptors of the application and the files over them, all closed at the end."""

    def __init__(self) -> None:
        self.fds: list[int] = []
        self.files: list[HostStreamFile] = []

    def pair(self, fds: tuple[int, int]) -> tuple[int, int]:
        self.fds += fds
        return fds

    def file(self, fd: int) -> HostStreamFile:
        self.files.append(HostStreamFile(fd))
        return self.files[-1]

    def close(self, fd: int) -> None:
        self.fds.remove(fd)
        os.close(fd)


@pytest.fixture
def given() -> Iterator[Given]:
    before = open_descriptors()
    made = Given()
    yield made
    for file in made.files:
        file.drop()
    for fd in made.fds:
        os.close(fd)
    assert open_descriptors() == before, "descriptors have been left open"


@pytest.fixture(params=["reopened", "polled"])
def pipe(request: pytest.FixtureRequest, given: Given, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """A pipe of the host; in its second form on a host that cannot open it anew."""
    if request.param == "polled":
        monkeypatch.setattr(stdio.platform, "open_nonblocking", os.dup)
    return given.pair(os.pipe())


# -- pipes --------------------------------------------------------------------------------------------------


def test_a_pipe_is_read_without_blocking(given: Given, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    file = given.file(reader)
    with pytest.raises(WouldBlock):
        get(file, 10)
    assert file.poll() == 0
    os.write(writer, b"hello")
    assert file.poll() == IN
    assert get(file, 3) == b"hel"
    assert get(file, 0) == b""
    assert get(file, 10) == b"lo"
    given.close(writer)
    assert file.poll() == Poll.HUP
    assert get(file, 10) == b""


def test_a_pipe_is_written_without_blocking(given: Given, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    file = given.file(writer)
    assert file.poll() == OUT
    total = fill(file, 5000)
    assert total > 32768  # how full a pipe is depends on its pages
    assert file.poll() == 0
    assert len(os.read(reader, 1 << 20)) == total
    assert put(file, b"more") == 4
    assert put(file, b"") == 0


def test_a_pipe_without_readers(given: Given, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    file = given.file(writer)
    given.close(reader)
    assert file.poll() & Poll.ERR
    with pytest.raises(BrokenPipe) as broken:
        put(file, b"x")
    assert broken.value.errno is Errno.EPIPE


def test_what_others_share_stays_blocking(given: Given, pipe: tuple[int, int]) -> None:
    for fd in pipe:
        file = given.file(fd)
        assert os.get_blocking(fd)
        assert not file.is_nonblocking
        assert file.fd != fd
        assert not os.get_inheritable(file.fd)


def test_nonblocking_of_the_application_is_not_the_guests(given: Given) -> None:
    reader, _writer = given.pair(os.pipe())
    os.set_blocking(reader, False)
    assert not given.file(reader).is_nonblocking
    assert not os.get_blocking(reader)


def test_a_pipe_for_the_guest_keeps_its_own_name(given: Given, pipe: tuple[int, int]) -> None:
    file = given.file(pipe[0])
    status = os.fstat(pipe[0])
    assert file.describe() == b"pipe:[%d]" % status.st_ino
    attributes = file.attributes()
    assert attributes.mode == status.st_mode
    assert attributes.mode & S.IFMT == S.IFIFO
    assert attributes.dev == makedev(os.major(status.st_dev), os.minor(status.st_dev))
    assert (file.is_readable, file.is_writable, file.is_stream, file.is_seekable) == (
        True,
        False,
        True,
        False,
    )
    for call in (
        lambda: file.seek(0, SEEK.CUR),
        lambda: file.pread(KernelBuffer(bytearray(1)), 0),
        lambda: given.file(pipe[1]).pwrite(KernelBuffer(b"x"), 0),
    ):
        with fails(Errno.ESPIPE):
            call()
    with fails(Errno.ENODEV):
        file.mapping()
    with fails(Errno.EINVAL):
        file.truncate(0)


def test_what_to_wait_for(given: Given, pipe: tuple[int, int]) -> None:
    file = given.file(pipe[0])
    source = file.source(Poll(Poll.IN))
    assert (source.readable, source.writable) == ((file.fd,), ())
    source = given.file(pipe[1]).source(Poll(Poll.OUT))
    assert (source.readable, source.writable) == ((), (given.files[-1].fd,))


def test_opening_again(given: Given, pipe: tuple[int, int]) -> None:
    """What /proc/self/fd/0 leads to."""
    file = given.file(pipe[0])
    again = file.inode.open(O(O.RDONLY | O.NONBLOCK), None)  # type: ignore[arg-type]
    os.write(pipe[1], b"both")
    assert get(again, 2) == b"bo"
    assert get(file, 2) == b"th"
    assert again.is_nonblocking
    again.drop()
    with fails(Errno.EACCES):
        file.inode.open(O(O.WRONLY), None)  # type: ignore[arg-type]
    with fails(Errno.EACCES):
        given.file(pipe[1]).inode.open(O(O.RDWR), None)  # type: ignore[arg-type]


def test_how_much_waits(given: Given, pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"12345")
    file = given.file(pipe[0])
    assert file.ioctl(IOCTL.FIONREAD, 0x1000) == struct.pack("<i", 5)
    with fails(Errno.ENOTTY):
        file.ioctl(IOCTL.TCGETS, 0x1000)


# -- sockets ------------------------------------------------------------------------------------------------


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_a_socket_goes_both_ways(given: Given, sockets: tuple[socket.socket, socket.socket]) -> None:
    mine, theirs = sockets
    file = given.file(theirs.fileno())
    assert theirs.getblocking()
    with pytest.raises(WouldBlock):
        get(file, 10)
    mine.send(b"to the guest")
    assert file.poll() == IN | OUT
    assert get(file, 100) == b"to the guest"
    assert put(file, b"from the guest") == 14
    assert mine.recv(100) == b"from the guest"
    assert file.describe() == b"socket:[%d]" % os.fstat(theirs.fileno()).st_ino
    assert fill(file, 100000) > 100000


def test_a_socket_that_was_closed(given: Given, sockets: tuple[socket.socket, socket.socket]) -> None:
    mine, theirs = sockets
    file = given.file(theirs.fileno())
    mine.close()
    assert get(file, 10) == b""
    assert file.poll() & Poll.HUP
    with pytest.raises(BrokenPipe):
        put(file, b"x")


def test_a_connection_that_was_reset(given: Given) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as mine,
    ):
        theirs, _ = server.accept()
        with theirs:
            file = given.file(theirs.fileno())
            mine.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            mine.close()
            with fails(Errno.ECONNRESET):
                get(file, 10)


# -- regular files ------------------------------------------------------------------------------------------


def test_a_regular_file_goes_on_where_others_were(given: Given, tmp_path: Path) -> None:
    path = tmp_path / "out"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    given.fds.append(fd)
    os.write(fd, b"shell\n")
    file = given.file(fd)
    assert put(file, b"guest\n") == 6
    os.write(fd, b"shell again\n")
    assert path.read_bytes() == b"shell\nguest\nshell again\n"
    assert file.seek(-12, SEEK.END) == 12
    assert get(file, 5) == b"shell"
    assert os.lseek(fd, 0, os.SEEK_CUR) == 17
    memory = bytearray(5)
    assert file.pread(KernelBuffer(memory), 6) == 5
    assert memory == b"guest"
    assert file.pwrite(KernelBuffer(b"G"), 6) == 1
    file.truncate(12)
    assert path.read_bytes() == b"shell\nGuest\n"
    file.sync(data_only=True)
    file.sync(data_only=False)
    file.allocate(0, 0, 20)
    assert path.stat().st_size == 20
    assert file.poll() == IN | OUT
    assert file.is_seekable
    assert not file.is_stream
    assert file.describe() == bytes(path)
    mapping = file.mapping()
    assert os.fstat(mapping.fd).st_ino == path.stat().st_ino
    assert mapping.offset == 0
    place = Mount(file.inode.filesystem, root=file.inode).root
    for status in (file.filesystem_status(), operations.filesystem_status(place)):
        assert (status.magic, status.block_size) == (MAGIC.EXT4, os.fstatvfs(fd).f_frsize)


def test_appending(given: Given, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old\n")
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    given.fds.append(fd)
    file = given.file(fd)
    assert O.APPEND in file.flags
    put(file, b"new\n")
    assert path.read_bytes() == b"old\nnew\n"


def test_where_a_write_begins(given: Given, tmp_path: Path, pipe: tuple[int, int]) -> None:
    """Of what RLIMIT_FSIZE is about, which is no pipe."""
    fd = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    given.fds.append(fd)
    os.write(fd, b"one")
    file = given.file(fd)
    assert (file.write_start(None), file.write_start(2)) == (3, 2)
    os.lseek(fd, 1, os.SEEK_SET)
    assert file.write_start(None) == 1
    file.flags = O(file.flags | O.APPEND)
    assert (file.write_start(None), file.write_start(2)) == (3, 3)
    assert given.file(pipe[1]).write_start(None) is None


def test_a_guest_may_ask_for_appending(given: Given, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"0123456789")
    fd = os.open(path, os.O_WRONLY)
    given.fds.append(fd)
    file = given.file(fd)
    file.flags = O(file.flags | O.APPEND)
    put(file, b"x")
    assert path.read_bytes() == b"0123456789x"


def test_a_full_device(given: Given) -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    given.fds.append(fd)
    with fails(Errno.ENOSPC):
        put(given.file(fd), b"x")


def test_the_null_device(given: Given) -> None:
    fd = os.open("/dev/null", os.O_RDWR)
    given.fds.append(fd)
    file = given.file(fd)
    assert get(file, 10) == b""
    assert put(file, b"xyz") == 3
    assert file.attributes().rdev == makedev(1, 3)
    assert file.exchanges == {}


def test_a_descriptor_that_is_not_open() -> None:
    with pytest.raises(OSError, match="Bad file"):
        HostStreamFile(9999)


# -- terminals ----------------------------------------------------------------------------------------------


@pytest.fixture
def terminal(given: Given) -> tuple[int, HostStreamFile]:
    """The master side of a pty, and a file over its terminal."""
    master, slave = given.pair(pty.openpty())
    return master, given.file(slave)


def type_on(master: int, file: HostStreamFile, data: bytes) -> None:
    """Let the host's line discipline, which works in its own time, pass on what somebody types."""
    os.write(master, data)
    select.select([file.fd], [], [])


def test_a_terminal(terminal: tuple[int, HostStreamFile]) -> None:
    master, file = terminal
    assert file.is_terminal
    assert file.is_stream
    with pytest.raises(WouldBlock):
        get(file, 10)
    type_on(master, file, b"line\n")
    assert get(file, 100) == b"line\n"
    type_on(master, file, b"\x04")
    assert get(file, 100) == b"", "end of file is ^D"
    put(file, b"out\n")
    shown = b""
    while b"out" not in shown:
        shown += os.read(master, 100)  # what was typed is echoed first
    assert shown.endswith(b"out\r\n")
    assert file.describe() == os.ttyname(file.fd).encode()
    assert file.attributes().mode & S.IFMT == S.IFCHR
    with fails(Errno.ESPIPE):
        file.seek(0, SEEK.CUR)


def test_terminal_settings(terminal: tuple[int, HostStreamFile]) -> None:
    _, file = terminal
    raw = file.ioctl(IOCTL.TCGETS, 0x1000)
    assert raw == fcntl.ioctl(file.fd, 0x5401, bytes(36))
    settings = Termios.unpack(raw)
    assert file.ioctl(IOCTL.TCSETSW, Termios(**{**vars(settings), "c_lflag": 0}).pack()) == b""
    assert termios.tcgetattr(file.fd)[3] == 0


def test_terminal_size(terminal: tuple[int, HostStreamFile]) -> None:
    _, file = terminal
    assert file.ioctl(IOCTL.TIOCSWINSZ, Winsize(50, 132, 1, 2).pack()) == b""
    assert file.ioctl(IOCTL.TIOCGWINSZ, 0x1000) == Winsize(50, 132, 1, 2).pack()
    assert os.get_terminal_size(file.fd) == (132, 50)


def test_terminal_queues(terminal: tuple[int, HostStreamFile]) -> None:
    master, file = terminal
    type_on(master, file, b"typed\n")
    assert file.ioctl(IOCTL.FIONREAD, 0) == struct.pack("<i", 6)
    assert file.ioctl(IOCTL.TCFLSH, 0) == b""
    with pytest.raises(WouldBlock):
        get(file, 10)
    assert file.ioctl(IOCTL.TIOCOUTQ, 0) == struct.pack("<i", 0)
    with fails(Errno.ENOTTY):
        file.ioctl(IOCTL.TIOCSPGRP, b"\1\0\0\0")


def test_a_terminal_that_is_gone(given: Given, terminal: tuple[int, HostStreamFile]) -> None:
    master, file = terminal
    given.close(master)
    assert get(file, 10) == b""
    with fails(Errno.EIO):
        put(file, b"x")


def test_readiness_where_poll_takes_no_terminals(
    terminal: tuple[int, HostStreamFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    class RefusingPoll:
        def register(self, fd: int, _events: int) -> None:
            self.fd = fd

        def poll(self, _timeout: int) -> list[tuple[int, int]]:
            return [(self.fd, stdio.select.POLLNVAL)]

    monkeypatch.setattr(stdio.select, "poll", RefusingPoll)
    monkeypatch.setattr("aionoah.host.readiness._HAS_SAME_BITS", False)
    master, file = terminal
    assert file.poll() == OUT
    type_on(master, file, b"x\n")
    assert file.poll() == IN | OUT


def test_the_platform_says_what_it_could_do(given: Given) -> None:
    """The contract with the host border that the transfers rely on."""
    reader, _ = given.pair(os.pipe())
    fd = platform.open_nonblocking(reader)
    given.fds.append(fd)
    assert not os.get_blocking(fd)
