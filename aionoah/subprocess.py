"""A guest process as the application sees it: the interface of asyncio.subprocess."""

import asyncio
import contextlib
import os
import signal as host_signal
import subprocess
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Final

from aionoah.abi.signal import SIG
from aionoah.host.waiting import kernel_lock
from aionoah.signals.generate import send_to_process
from aionoah.signals.info import from_user

if TYPE_CHECKING:
    from aionoah.process.task import Process as GuestProcess

PIPE: Final = subprocess.PIPE
STDOUT: Final = subprocess.STDOUT
DEVNULL: Final = subprocess.DEVNULL
Redirection = int | IO[bytes] | IO[str] | None
"""PIPE, STDOUT, DEVNULL, a host descriptor, a file object, or None for the application's own."""


class InternalError(RuntimeError):
    """A bug in aionoah ended a guest; the cause is attached."""


class Process:
    """A running guest program, made by `Linux.create_subprocess_exec`.

    `stdin` is a StreamWriter, `stdout` and `stderr` are StreamReaders where PIPE was asked for, else
    None. `returncode` is None while it runs, then its exit status, or -N after signal N.
    """

    def __init__(self, guest: "GuestProcess", streams: "Streams", loop: asyncio.AbstractEventLoop) -> None:
        self._guest = guest
        self._streams = streams
        self._ended: asyncio.Future[None] = loop.create_future()
        self.pid = guest.pid
        self.returncode: int | None = None
        self.stdin = streams.stdin
        self.stdout = streams.stdout
        self.stderr = streams.stderr

    def __repr__(self) -> str:
        state = "running" if self.returncode is None else f"returncode={self.returncode}"
        return f"<aionoah.Process {self.pid} {state}>"

    async def wait(self) -> int:
        """Wait until the process and everything it held is gone; returns `returncode`.

        Raises InternalError if a bug of ours ended it.
        """
        await asyncio.shield(self._ended)
        assert self.returncode is not None  # noqa: S101 - set before _ended
        return self.returncode

    async def communicate(self, input: bytes | None = None) -> tuple[bytes | None, bytes | None]:  # noqa: A002
        """Feed stdin, read stdout and stderr to their ends, and wait. None for what is no PIPE."""
        _, out, err = await asyncio.gather(
            self._feed(input), _drain_reader(self.stdout), _drain_reader(self.stderr)
        )
        await self.wait()
        return out, err

    def send_signal(self, signal: int) -> None:
        """Send a signal, by the host's number; nothing happens once the process has ended."""
        name = host_signal.Signals(signal).name.removeprefix("SIG")
        with kernel_lock:
            if self._guest.wait_status is None:
                send_to_process(self._guest, from_user(getattr(SIG, name), 0, 0))

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(host_signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(host_signal.SIGKILL)

    # -- for Linux -----------------------------------------------------------------------------------------

    def finish(self, failure: BaseException | None) -> None:
        """The last thread has gone. On the loop."""
        status = self._guest.wait_status or 0
        signal = status & 0x7F
        self.returncode = -signal if signal else status >> 8 & 0xFF
        if self._ended.done():
            return
        if failure is None:
            self._ended.set_result(None)
        else:
            error = InternalError(f"aionoah failed while it ran process {self.pid}: {failure!r}")
            error.__cause__ = failure
            self._ended.set_exception(error)
            self._ended.exception()  # nobody may be waiting

    async def _feed(self, data: bytes | None) -> None:
        if self.stdin is None:
            return
        if data:
            self.stdin.write(data)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # as subprocess does
            await self.stdin.drain()
        self.stdin.close()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await self.stdin.wait_closed()


async def _drain_reader(reader: asyncio.StreamReader | None) -> bytes | None:
    return None if reader is None else await reader.read()


class Streams:
    """The three standard descriptors of a new guest, and our ends of their pipes.

    `guest_fds` are host descriptors for 0, 1 and 2; those in `owned` are to be closed by whoever takes
    them. A context manager: leaving it by an exception closes everything.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        self._loop = loop
        self._limit = limit
        self._transports: list[asyncio.BaseTransport] = []
        self.guest_fds: list[int] = []
        self.owned: set[int] = set()
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None

    async def open(self, stdin: Redirection, stdout: Redirection, stderr: Redirection) -> None:
        """Raises OSError, ValueError."""
        if stdin == STDOUT or stdout == STDOUT:
            raise ValueError("STDOUT is for stderr only")
        try:
            if stdin == PIPE:
                self.stdin = await self._pipe_to_guest()
            else:
                self._give(stdin, 0)
            if stdout == PIPE:
                self.stdout = await self._pipe_from_guest()
            else:
                self._give(stdout, 1)
            if stderr == PIPE:
                self.stderr = await self._pipe_from_guest()
            elif stderr == STDOUT:
                self.guest_fds.append(self.guest_fds[1])
            else:
                self._give(stderr, 2)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close our ends and what the guest did not take."""
        for transport in self._transports:
            transport.close()
        self.release_guest_ends()

    def release_guest_ends(self) -> None:
        """The guest has its own descriptors of them now, or will never have."""
        for fd in self.owned:
            os.close(fd)
        self.owned.clear()

    def _give(self, what: Redirection, fd: int) -> None:
        if what == DEVNULL:
            opened = os.open(os.devnull, os.O_RDWR)
            self.owned.add(opened)
            self.guest_fds.append(opened)
        elif what is None:
            self.guest_fds.append(fd)
        else:
            self.guest_fds.append(what if isinstance(what, int) else what.fileno())

    async def _pipe_to_guest(self) -> asyncio.StreamWriter:
        reading, writing = os.pipe()
        self._own(reading)
        transport, protocol = await self._loop.connect_write_pipe(self._protocol, os.fdopen(writing, "wb", 0))
        self._transports.append(transport)
        return asyncio.StreamWriter(transport, protocol, None, self._loop)

    async def _pipe_from_guest(self) -> asyncio.StreamReader:
        reading, writing = os.pipe()
        self._own(writing)
        reader = asyncio.StreamReader(limit=self._limit, loop=self._loop)
        transport, _ = await self._loop.connect_read_pipe(self._protocol_for(reader), os.fdopen(reading, "rb", 0))
        self._transports.append(transport)
        return reader

    def _own(self, fd: int) -> None:
        self.owned.add(fd)
        self.guest_fds.append(fd)

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        """For a writer: it gives StreamWriter its flow control."""
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(loop=self._loop), loop=self._loop)

    def _protocol_for(self, reader: asyncio.StreamReader) -> Callable[[], asyncio.StreamReaderProtocol]:
        return lambda: asyncio.StreamReaderProtocol(reader, loop=self._loop)
