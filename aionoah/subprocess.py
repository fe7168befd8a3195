"""A guest process as the application sees it: the interface of asyncio.subprocess."""

import asyncio
import contextlib
import fcntl
import os
import signal as host_signal
import subprocess
from collections.abc import Coroutine, Iterable
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

from aionoah.abi.signal import SIG
from aionoah.host.standard_streams import open_useless
from aionoah.host.waiting import kernel_lock
from aionoah.process.usage import usage_of_process
from aionoah.processes import CpuTime, cpu_time_of, family_of
from aionoah.signals.generate import send_to_process
from aionoah.signals.info import from_user

if TYPE_CHECKING:
    from aionoah.process.task import Process as GuestProcess
    from aionoah.terminal.pty import Pty

T = TypeVar("T", bound=asyncio.BaseTransport)
PIPE: Final = subprocess.PIPE
STDOUT: Final = subprocess.STDOUT
DEVNULL: Final = subprocess.DEVNULL
_PIECE: Final = 1 << 18  # bytes of one read
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
        self.ended: asyncio.Future[None] = loop.create_future()
        self.pid = guest.pid
        self.returncode: int | None = None
        self.failure: BaseException | None = None  # the bug of ours that ended a thread of it
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
        await asyncio.shield(self.ended)
        assert self.returncode is not None  # noqa: S101 - set before `ended`
        return self.returncode

    async def communicate(self, input: bytes | None = None) -> tuple[bytes | None, bytes | None]:  # noqa: A002
        """Feed stdin, read stdout and stderr to their ends, and wait. None for what is no PIPE.

        ValueError for input where stdin is none.
        """
        if input is not None and self.stdin is None:
            raise ValueError("input needs stdin=PIPE")
        talk = Conversation(input)
        await self.converse(talk)
        return talk.results(self)

    def send_signal(self, signal: int, *, tree: bool = False) -> None:
        """Send a signal, by the host's number; nothing happens once the process has ended.

        `tree`: also to all processes that it has made, and those have made, whether it has ended or not, and
        whatever has become of their parents, groups and sessions. At one moment: none can make another in between.

        ValueError for a number that is no signal, or none that Linux has; 0 sends nothing.
        """
        if signal == 0:
            return
        info = from_user(_guest_signal(signal), 0, 0)
        with kernel_lock:
            if tree:
                for member in family_of(self._guest):
                    send_to_process(member, info)
            elif self._guest.wait_status is None:
                send_to_process(self._guest, info)

    def terminate(self, *, tree: bool = False) -> None:
        """Send SIGTERM."""
        self.send_signal(host_signal.SIGTERM, tree=tree)

    def kill(self, *, tree: bool = False) -> None:
        """Send SIGKILL."""
        self.send_signal(host_signal.SIGKILL, tree=tree)

    # -- what it has used, during its life and after --------------------------------------------------------

    @property
    def cpu_time(self) -> CpuTime:
        """Seconds of CPU time, user and system, without children."""
        with kernel_lock:
            return cpu_time_of(self._guest)

    @property
    def peak_memory(self) -> int:
        """The most bytes that it has had in memory at once, shared ones included."""
        with kernel_lock:
            return usage_of_process(self._guest).peak_resident

    def resize(self, columns: int, rows: int) -> None:
        """The terminal has another size, in characters. ValueError without a terminal, or for impossible sizes."""
        self._streams.resize(columns, rows)

    def hang_up(self) -> None:
        """Take the terminal away: the program and its session get SIGHUP. ValueError without one."""
        if self._streams.pty is None:
            raise ValueError("the program has no terminal")
        self._streams.close()

    # -- for Linux -----------------------------------------------------------------------------------------

    def finish(self, failure: BaseException | None) -> None:
        """The last thread has gone. On the loop."""
        status = self._guest.wait_status or 0
        signal = status & 0x7F
        self.returncode = -signal if signal else status >> 8 & 0xFF
        self._streams.process_ended()
        if failure is None:
            self.ended.set_result(None)
        else:
            error = InternalError(f"aionoah failed while it ran process {self.pid}: {failure!r}")
            error.__cause__ = failure
            self.ended.set_exception(error)
            self.ended.exception()  # nobody may be waiting

    async def converse(self, talk: "Conversation") -> None:
        """communicate(), its results being kept in `talk` as far as it came."""
        await asyncio.gather(
            self._feed(talk.input), _drain(self.stdout, talk.output), _drain(self.stderr, talk.errors)
        )
        await self.wait()

    def close_streams(self) -> "list[asyncio.Future[None]]":
        """Close the pipes at once, read or not; the futures say when they are."""
        return self._streams.close()

    async def _feed(self, data: bytes | None) -> None:
        if self.stdin is None or (data is None and self._streams.pty is not None):
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # as subprocess does
            if data:
                self.stdin.write(data)
            await self.stdin.drain()
        if self._streams.pty is not None:  # closing a terminal is hanging up
            self.stdin.write_eof()
            return
        self.stdin.close()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await self.stdin.wait_closed()


class Conversation:
    """What is said to a process and what it answers."""

    def __init__(self, input: bytes | None) -> None:  # noqa: A002 - as in subprocess
        self.input = input
        self.output: list[bytes] = []
        self.errors: list[bytes] = []

    def results(self, process: Process) -> tuple[bytes | None, bytes | None]:
        """What communicate() returns: None for what is no PIPE."""
        out = None if process.stdout is None else b"".join(self.output)
        return out, None if process.stderr is None else b"".join(self.errors)


async def _drain(reader: asyncio.StreamReader | None, pieces: list[bytes]) -> None:
    while reader is not None and (piece := await reader.read(_PIECE)):
        pieces.append(piece)


def _guest_signal(number: int) -> int:
    """Linux's number for a signal of the host: the one of the same name, or the real-time signal itself."""
    if SIG.RTMIN <= number <= SIG.RTMAX:
        return number
    name = host_signal.Signals(number).name.removeprefix("SIG")
    if not hasattr(SIG, name):
        raise ValueError(f"Linux has no SIG{name}")
    return int(getattr(SIG, name))


def ignored_signals(*, restore: bool) -> frozenset[int]:
    """Linux's numbers of what the application ignores, which its children inherit. `restore`: but for those that Python
    itself ignores, as subprocess.Popen has it.
    """
    restored = {"SIGPIPE", "SIGXFZ", "SIGXFSZ"} if restore else ()
    return frozenset(
        _guest_signal(each)
        for each in host_signal.Signals
        if each.name not in restored
        and hasattr(SIG, each.name.removeprefix("SIG"))
        and host_signal.getsignal(each) is host_signal.SIG_IGN
    )


async def finished(futures: "Iterable[asyncio.Future[Any]]") -> bool:
    """Wait until all are done, whatever they say, even if cancelled meanwhile; returns whether that was so."""
    pending = set(futures)
    was_cancelled = False
    while pending := {future for future in pending if not future.done()}:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError:
            was_cancelled = True
    return was_cancelled


class PipeProtocol(asyncio.StreamReaderProtocol):
    """Says when its pipe has been closed. A writer's has a reader too: it gives the writer its flow control."""

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self.closed: asyncio.Future[None] = loop.create_future()

    def eof_received(self) -> bool:
        super().eof_received()
        return False  # close: nothing more will come, and nothing can be sent back

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.closed.set_result(None)


class Streams:
    """The three standard descriptors of a new guest, and our ends of their pipes.

    `guest_fds` are host descriptors for 0, 1 and 2, to be closed by whoever takes them. One of the application's own that is closed
    is replaced by one that fails the guest in the same way.
    """

    pty: "Pty | None" = None  # what stands for the descriptors that are not in `guest_fds`

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        self._loop = loop
        self._limit = limit
        self._pipes: list[tuple[asyncio.BaseTransport, PipeProtocol]] = []
        self._copies: dict[int, int] = {}  # of the application's descriptors
        self.guest_fds: list[int] = []
        self.passed: dict[int, int] = {}  # the guest's number → a host descriptor, as in `guest_fds`
        self._owned: set[int] = set()
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None

    async def open(
        self,
        stdin: Redirection,
        stdout: Redirection,
        stderr: Redirection,
        passed: Iterable[int] = (),
    ) -> None:
        """Raises OSError, ValueError."""
        self._pass(passed)
        if STDOUT in (stdin, stdout):
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
            if stderr == STDOUT:
                self.guest_fds.append(self.guest_fds[1])
            else:
                await self._open_errors(stderr)
        except BaseException:
            self.close()
            raise

    async def _open_errors(self, stderr: Redirection) -> None:
        if stderr == PIPE:
            self.stderr = await self._pipe_from_guest()
        else:
            self._give(stderr, 2)

    def resize(self, columns: int, rows: int) -> None:  # noqa: ARG002
        raise ValueError("the program has no terminal")

    def process_ended(self) -> None:
        """The program has ended, its children perhaps not."""

    @property
    def is_open(self) -> bool:
        """Whether a pipe of ours is."""
        return not all(protocol.closed.done() for _, protocol in self._pipes)

    def close(self) -> "list[asyncio.Future[None]]":
        """Close our ends, what is in them being lost, and what the guest did not take.

        The loop does it a little later: the futures say when.
        """
        for transport, protocol in self._pipes:
            if protocol.closed.done():
                continue  # asyncio's transports do not survive a second end
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
            else:
                transport.close()
        self.release_guest_ends()
        return [protocol.closed for _, protocol in self._pipes]

    def release_guest_ends(self) -> None:
        """The guest has its own descriptors of them now, or will never have."""
        while self._owned:
            os.close(self._owned.pop())

    def _give(self, what: Redirection, fd: int) -> None:
        if what == DEVNULL:
            self._own(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
        elif what is not None:
            self._copy(what if isinstance(what, int) else what.fileno())
        elif _is_open(fd):
            self._copy(fd)
        else:
            self._own(open_useless(fd))

    def _pass(self, fds: Iterable[int]) -> None:
        """Those beside the first three, which `open` is about."""
        try:
            self.passed = {fd: self._copy_of(fd) for fd in fds if not 0 <= fd <= 2}
        except BaseException:
            self.close()
            raise

    def _copy(self, fd: int) -> None:
        self.guest_fds.append(self._copy_of(fd))

    def _copy_of(self, fd: int) -> int:
        """A descriptor of our own: the application may close its one before the guest has started."""
        if fd not in self._copies:
            self._copies[fd] = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
            self._owned.add(self._copies[fd])
        return self._copies[fd]

    async def _pipe_to_guest(self) -> asyncio.StreamWriter:
        reading, writing = os.pipe()
        self._own(reading)
        protocol = PipeProtocol(asyncio.StreamReader(loop=self._loop), self._loop)
        pipe = _PipeEnd(writing, self._loop)
        transport = await self._connect(self._loop.connect_write_pipe(lambda: protocol, pipe))
        return asyncio.StreamWriter(transport, protocol, None, self._loop)

    async def _pipe_from_guest(self) -> asyncio.StreamReader:
        reading, writing = os.pipe()
        self._own(writing)
        reader = asyncio.StreamReader(limit=self._limit, loop=self._loop)
        protocol = PipeProtocol(reader, self._loop)
        pipe = _PipeEnd(reading, self._loop)
        await self._connect(self._loop.connect_read_pipe(lambda: protocol, pipe))
        return reader

    async def _connect(self, connecting: Coroutine[Any, Any, tuple[T, PipeProtocol]]) -> T:
        """The transport of a pipe. Not to be cancelled half-way, when nobody would close the pipe."""
        connected = asyncio.ensure_future(connecting)
        was_cancelled = await finished([connected])
        self._pipes.append(connected.result())
        if was_cancelled:
            raise asyncio.CancelledError
        return connected.result()[0]

    def _own(self, fd: int) -> None:
        self._owned.add(fd)
        self.guest_fds.append(fd)


class _PipeEnd:
    """A descriptor for a transport. asyncio's close it by this object; libuv's close it themselves, and uvloop calls
    `close` too, when the number may already be another thread's.
    """

    def __init__(self, fd: int, loop: asyncio.AbstractEventLoop) -> None:
        self._fd = fd
        self._is_ours = isinstance(loop, asyncio.BaseEventLoop)

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        if self._is_ours:
            self._is_ours = False
            os.close(self._fd)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
