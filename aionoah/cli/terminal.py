"""The caller's terminal as the screen and keyboard of a program that runs on a terminal of its own.

Ours is raw meanwhile: what is typed, control characters too, goes to the program's terminal, whose line discipline
knows what it means. However we end, the caller finds his terminal as it was.
"""

import asyncio
import contextlib
import os
import select
import signal
import stat
import subprocess
import sys
import termios
import tty
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import LinuxError
from aionoah.abi.ioctl import IOCTL
from aionoah.abi.termios import Termios
from aionoah.host import platform, terminal

if TYPE_CHECKING:
    from aionoah.subprocess import Process

_PIECE: Final = 65536  # bytes of one read
_BLOCKING_PIECE: Final = 512  # bytes of one write where it might block
_ENOUGH: Final = 65536  # bytes that wait for the program: no more is read until it has taken them
_DEFAULT_SIZE: Final = os.terminal_size((80, 24))

_GUARD: Final = """trap '' INT QUIT TSTP TTIN TTOU HUP TERM
read -r word || stty "$1" <&2"""
"""A shell that sees our end by that of its input, and puts the terminal right unless we have done so."""


def host_size() -> os.terminal_size:
    for fd in (1, 0):
        with contextlib.suppress(OSError):
            return os.get_terminal_size(fd)
    return _DEFAULT_SIZE


def host_settings() -> bytes | None:
    """What the caller's terminal is set to, for the program's to be set alike; None if there is none."""
    with contextlib.suppress(OSError, LinuxError):
        return terminal.exchange(0, IOCTL.TCGETS, bytes(Termios.SIZE))
    return None


async def attend(process: "Process") -> int:
    """Connect a program's terminal with our standard input and output until it ends; its `returncode`."""
    assert process.stdout is not None  # noqa: S101 - it has a terminal
    with _raw_terminal(), _followed_size(process):
        keyboard = _Keyboard(process)
        try:
            await _show(process.stdout)
        except OSError:  # our output has gone
            process.hang_up()
        finally:
            keyboard.close()
        return await process.wait()


# -- the caller's terminal ------------------------------------------------------------------------------


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    """Standard input passes every character as it is typed; nothing if it is no terminal."""
    if not os.isatty(0):
        yield
        return
    saved = termios.tcgetattr(0)
    with _guarded(0):
        try:
            tty.setraw(0, termios.TCSADRAIN)
            yield
        finally:
            with contextlib.suppress(termios.error):  # it may have gone
                termios.tcsetattr(0, termios.TCSADRAIN, saved)


@contextlib.contextmanager
def _guarded(fd: int) -> Iterator[None]:
    """Have the terminal put right even if we are killed."""
    guard = None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        text = subprocess.run(["stty", "-g"], stdin=fd, capture_output=True, check=True).stdout  # noqa: S607
        guard = subprocess.Popen(  # noqa: S603 - words of our own
            ["/bin/sh", "-c", _GUARD, "sh", text.strip()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=fd,
            process_group=0,
        )
    try:
        yield
    finally:
        if guard is not None:
            with contextlib.suppress(OSError):
                guard.communicate(b"done\n")


@contextlib.contextmanager
def _followed_size(process: "Process") -> Iterator[None]:
    """The program's terminal is as large as ours, whenever that changes."""
    loop = asyncio.get_running_loop()

    def follow() -> None:
        size = host_size()
        process.resize(size.columns, size.lines)

    def continued() -> None:
        """Somebody had stopped us, and used the terminal meanwhile."""
        if os.isatty(0):
            tty.setraw(0, termios.TCSADRAIN)
        follow()

    loop.add_signal_handler(signal.SIGWINCH, follow)
    loop.add_signal_handler(signal.SIGCONT, continued)
    follow()
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
        loop.remove_signal_handler(signal.SIGCONT)


# -- keys -----------------------------------------------------------------------------------------------


class _Keyboard:
    """Passes on what comes from standard input, by callbacks: a key is at the program's terminal in one step."""

    def __init__(self, process: "Process") -> None:
        assert process.stdin is not None  # noqa: S101 - it has a terminal
        self._process = process
        self._writer = process.stdin
        self._loop = asyncio.get_running_loop()
        self._fd = platform.open_nonblocking(0)
        self._is_terminal = os.isatty(0)
        self._relief: asyncio.Task[None] | None = None  # waits for the program to read
        self._is_open = True
        self._is_watched = False
        if stat.S_ISREG(os.fstat(0).st_mode):  # always ready, and unknown to epoll
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
        if not self._is_open or not select.select([self._fd], [], [], 0)[0]:
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


# -- screen ---------------------------------------------------------------------------------------------


async def _show(screen: asyncio.StreamReader) -> None:
    """Write what the program shows to standard output, to its end. OSError."""
    sys.stdout.flush()
    fd = platform.open_nonblocking(1)
    try:
        piece = _BLOCKING_PIECE if os.get_blocking(fd) and not stat.S_ISREG(os.fstat(fd).st_mode) else _PIECE
        while data := await screen.read(_PIECE):
            rest = memoryview(data)
            while rest:
                rest = rest[await _write_some(fd, rest[:piece]) :]
    finally:
        os.close(fd)


async def _write_some(fd: int, data: memoryview) -> int:
    if not os.get_blocking(fd) or select.select([], [fd], [], 0)[1]:
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
