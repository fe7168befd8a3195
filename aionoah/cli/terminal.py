"""The caller's terminal as the screen and keyboard of a program that runs on a terminal of its own.

Ours is raw meanwhile: what is typed, control characters too, goes to the program's terminal, whose line discipline
knows what it means. However we end, the caller finds his terminal as it was.
"""

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
import sys
import termios
import tty
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from aionoah.abi.errno import LinuxError
from aionoah.abi.ioctl import IOCTL
from aionoah.abi.termios import Termios
from aionoah.host import terminal
from aionoah.statuses import FAILED
from aionoah.terminal_bridge import bridge

if TYPE_CHECKING:
    from aionoah.subprocess import Process

_GONE: Final = (errno.EPIPE, errno.EIO)  # who has closed our output knows that
_DEFAULT_SIZE: Final = os.terminal_size((80, 24))

_GUARD: Final = """trap '' INT QUIT TSTP TTIN TTOU HUP TERM
read -r word || { stty "$1"; printf "$2"; } <&2 >&2"""
"""A shell that sees our end by that of its input, and puts the terminal right unless we have done so."""

_PLAIN_SCREEN: Final = (
    r"\033[?47l\033[?25h"  # the other screen gone, the cursor shown
    r"\033[?1000l\033[?1002l\033[?1003l\033[?1006l\033[?2004l"  # no mouse, no marks around what is pasted
    r"\033[?1l\033>\033[0m\n"  # usual keys, usual letters
)
"""What undoes the things that programs do to a screen (xterm's control sequences; others take the same)."""


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
    sys.stdout.flush()
    with raw_terminal(), _followed_size(process):
        failure = await bridge(process, 0, 1)
        status = await process.wait()
    if failure is not None and failure.errno not in _GONE:
        click.echo(f"aionoah: the output cannot be written: {failure.strerror}.", err=True)
        return FAILED
    return status


# -- the caller's terminal ------------------------------------------------------------------------------


@contextlib.contextmanager
def raw_terminal() -> Iterator[None]:
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
    screen = _PLAIN_SCREEN if os.environ.get("TERM", "dumb") != "dumb" else ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        text = subprocess.run(["stty", "-g"], stdin=fd, capture_output=True, check=True).stdout  # noqa: S607
        guard = subprocess.Popen(  # noqa: S603 - words of our own
            ["/bin/sh", "-c", _GUARD, "sh", text.strip(), screen],
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
        """Somebody had stopped us, and used the terminal meanwhile: the program has to paint its screen anew."""
        if os.isatty(0):
            tty.setraw(0, termios.TCSADRAIN)
            size = host_size()
            process.resize(size.columns, max(size.lines - 1, 0))  # a signal comes of a change only
        follow()

    loop.add_signal_handler(signal.SIGWINCH, follow)
    loop.add_signal_handler(signal.SIGCONT, continued)
    follow()
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
        loop.remove_signal_handler(signal.SIGCONT)
