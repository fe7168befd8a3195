"""A program's terminal, and the descriptors that are its keyboard and its screen: a terminal of the host, or pipes."""

import asyncio
import contextlib
import os
import stat
from typing import TYPE_CHECKING, Final

from aionoah.abi.poll import Poll
from aionoah.host import platform
from aionoah.host.readiness import poll_now

if TYPE_CHECKING:
    from aionoah.subprocess import Process

_PIECE: Final = 65536  # bytes of one read
_BLOCKING_PIECE: Final = 512  # bytes of one write where it might block
_ENOUGH: Final = 65536  # bytes that wait for the program: no more is read until it has taken them
_READABLE: Final = Poll.IN | Poll.HUP | Poll.ERR
_WRITABLE: Final = Poll.OUT | Poll.ERR


async def bridge(process: "Process", keyboard: int, screen: int) -> OSError | None:
    """Pass on what is typed and what is shown, until the program's terminal ends or nobody sees it any more: then
    the result is why.

    The descriptors stay the caller's. If it is a terminal that is typed at, it should be raw.
    """
    assert process.stdout is not None  # noqa: S101 - it has a terminal
    keys = _Keyboard(process, keyboard)
    try:
        await _show(process.stdout, screen)
    except OSError as error:
        process.hang_up()
        return error
    finally:
        keys.close()
    return None


class _Keyboard:
    """Passes on what is typed, by callbacks: a key is at the program's terminal in one step."""

    def __init__(self, process: "Process", fd: int) -> None:
        assert process.stdin is not None  # noqa: S101 - it has a terminal
        self._process = process
        self._writer = process.stdin
        self._loop = asyncio.get_running_loop()
        self._fd = platform.open_nonblocking(fd)
        self._is_terminal = os.isatty(fd)
        self._relief: asyncio.Task[None] | None = None  # waits for the program to read
        self._is_open = True
        self._is_watched = False
        if stat.S_ISREG(os.fstat(fd).st_mode):  # always ready, and unknown to epoll
            self._loop.call_soon(self._pass_on)
        else:
            self._watch()

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._unwatch()
            if self._relief is not None:
                self._relief.cancel()
            os.close(self._fd)

    def _watch(self) -> None:
        with contextlib.suppress(PermissionError):  # /dev/null and the like: there is nothing to be typed
            self._loop.add_reader(self._fd, self._pass_on)
            self._is_watched = True

    def _unwatch(self) -> None:
        if self._is_watched:
            self._loop.remove_reader(self._fd)
            self._is_watched = False

    def _pass_on(self) -> None:
        if not self._is_open or not poll_now(self._fd) & _READABLE:
            return
        try:
            data = os.read(self._fd, _PIECE)
        except BlockingIOError:
            return
        except OSError:  # EIO: the terminal has been hung up
            data = b""
        if not data:
            self._end()
            return
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > _ENOUGH:
            self._unwatch()
            self._relief = self._loop.create_task(self._wait_for_program())
        elif not self._is_watched:
            self._loop.call_soon(self._pass_on)

    async def _wait_for_program(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()
            if self._is_open:
                self._watch()
                self._pass_on()

    def _end(self) -> None:
        """A file ends with the program's end-of-file character; a terminal that ends has been hung up."""
        self._unwatch()
        if self._is_terminal:
            self._process.hang_up()
        else:
            self._writer.write_eof()


async def _show(screen: asyncio.StreamReader, output: int) -> None:
    """Write what the program shows, to its end. OSError."""
    fd = platform.open_nonblocking(output)
    try:
        piece = _BLOCKING_PIECE if os.get_blocking(fd) and not stat.S_ISREG(os.fstat(fd).st_mode) else _PIECE
        while data := await screen.read(_PIECE):
            rest = memoryview(data)
            while rest:
                rest = rest[await _write_some(fd, rest[:piece]) :]
    finally:
        os.close(fd)


async def _write_some(fd: int, data: memoryview) -> int:
    if not os.get_blocking(fd) or poll_now(fd) & _WRITABLE:
        with contextlib.suppress(BlockingIOError):
            return os.write(fd, data)
    loop = asyncio.get_running_loop()
    writable = loop.create_future()
    loop.add_writer(fd, lambda: None if writable.done() else writable.set_result(None))
    try:
        await writable
    finally:
        loop.remove_writer(fd)
    return 0
