"""A program's terminal, and the descriptors that are its keyboard and its screen."""

import asyncio
import os
import resource
import socket
from collections.abc import Iterator

import pytest

from aionoah.terminal_bridge import bridge


class _Program:
    """Shows what it is typed, until it is typed the end."""

    def __init__(self) -> None:
        self.stdout = asyncio.StreamReader()
        self.stdin = self
        self.transport = self
        self.has_been_hung_up = False

    def write(self, data: bytes) -> None:
        self.stdout.feed_data(data)
        if data.endswith(b"end\n"):
            self.stdout.feed_eof()

    def write_eof(self) -> None:
        self.stdout.feed_eof()

    def get_write_buffer_size(self) -> int:
        return 0

    def hang_up(self) -> None:
        self.has_been_hung_up = True
        self.stdout.feed_eof()


@pytest.fixture
def high_descriptors() -> Iterator[None]:
    """Whatever is opened now has a number that no set of select(2) holds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    taken: list[int] = []
    while not taken or taken[-1] < 1100:
        taken.append(os.open(os.devnull, os.O_RDONLY))
    yield
    for fd in taken:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("high_descriptors")
async def test_descriptors_of_any_number() -> None:
    """As of a daemon with many programs, which has been sent them; sockets, where each use is asked for first."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        bridged = asyncio.create_task(bridge(_Program(), theirs.fileno(), theirs.fileno()))  # type: ignore[arg-type]
        ours.send(b"the end\n")
        assert await bridged is None
        assert ours.recv(100) == b"the end\n"


async def test_a_keyboard_that_goes() -> None:
    mine, theirs = os.openpty()
    program = _Program()
    try:
        bridged = asyncio.create_task(bridge(program, theirs, theirs))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        os.close(mine)
        await bridged
        assert program.has_been_hung_up
    finally:
        os.close(theirs)
