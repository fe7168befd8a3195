"""A program's terminal as the application has it: the master of a pty, as an asyncio stream.

The guest's end is in terminal/; no descriptor of the host is involved.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aionoah.abi.errno import LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.ioctl import Winsize
from aionoah.abi.termios import CC, VDISABLE, Termios
from aionoah.fs.file import WouldBlock
from aionoah.host.waiting import kernel_lock
from aionoah.memory.buffer import KernelBuffer
from aionoah.subprocess import PIPE, STDOUT, PipeProtocol, Redirection, Streams
from aionoah.terminal import job_control
from aionoah.terminal.files import MasterFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from aionoah.process.kernel import Kernel
    from aionoah.terminal.pty import Pty

_HIGH_WATER: Final = 65536  # bytes that wait for the guest before the application is asked to pause
_MAX_SIZE: Final = 65535  # of a window, in characters
_PIECE: Final = 65536
_MUCH: Final = 32  # bytes at once: more than the echo of a key
_PAUSE: Final = 0.001  # seconds until the next look after much
_LONGEST_PAUSE: Final = 0.008  # if there is much every time: nobody sees screens that quickly
_PRESSING: Final = 8192  # bytes that are not left waiting for the end of a pause


class Terminal(NamedTuple):
    """A terminal for a program: its size, in characters, and what it is set to at first.

    `termios`: the 36 bytes that Linux's TCGETS gives; None for what a new terminal is set to.
    """

    columns: int = 80
    rows: int = 24
    termios: bytes | None = None

    def checked(self) -> "Terminal":
        """ValueError for a size that no terminal can have; 0 means that nobody knows."""
        if not (0 <= self.columns <= _MAX_SIZE and 0 <= self.rows <= _MAX_SIZE):
            raise ValueError(f"a terminal has from 0 to {_MAX_SIZE} columns and rows")
        if self.termios is not None and len(self.termios) != Termios.SIZE:
            raise ValueError(f"termios has {Termios.SIZE} bytes")
        return self


class TerminalStreams(Streams):
    """The standard streams of a program on a terminal: the slave of a pty, and its master for us."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, limit: int, kernel: "Kernel", terminal: Terminal, uid: int
    ) -> None:
        """LinuxError if there are too many terminals."""
        super().__init__(loop, limit)
        self._kernel = kernel
        with kernel_lock:
            self._master = MasterFile(kernel, O(O.RDWR), None, uid)
            self.pty: Pty = self._master.pty
            self.pty.is_locked = False
            self.pty.size = Winsize(terminal.rows, terminal.columns, 0, 0)
            if terminal.termios is not None:
                slave = self.pty.slave
                slave.change(slave.settings.changed_by_termios(Termios.unpack(terminal.termios)))

    async def open(
        self,
        stdin: Redirection,
        stdout: Redirection,
        stderr: Redirection,
        passed: Iterable[int] = (),
    ) -> None:
        """Standard error may go elsewhere. ValueError, OSError."""
        self._pass(passed)
        reader = asyncio.StreamReader(limit=self._limit, loop=self._loop)
        protocol = PipeProtocol(reader, self._loop)
        self._transport = MasterTransport(self._loop, self._master, protocol)
        self._pipes.append((self._transport, protocol))
        if stdin not in (None, PIPE) or stdout not in (None, PIPE):
            self.close()
            raise ValueError("stdin and stdout are the terminal")
        try:
            if stderr is not None and stderr != STDOUT:
                await self._open_errors(stderr)
        except BaseException:
            self.close()
            raise
        self.stdout = reader
        self.stdin = asyncio.StreamWriter(self._transport, protocol, None, self._loop)

    def resize(self, columns: int, rows: int) -> None:
        Terminal(columns, rows).checked()
        with kernel_lock:
            job_control.resize(self._kernel, self.pty, Winsize(rows, columns, 0, 0))

    def process_ended(self) -> None:
        self._transport.process_ended()


class _Flag:
    """Tells the loop that a queue has been woken, once until it has looked. Where `look` says that there was much,
    more is coming: the next look is a little later, and then later still, so that a program that writes line by line is
    not held up by us; unless so many bytes wait (`waiting`) that it will be held up by them.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, look: "Callable[[], bool]", waiting: "Callable[[], int]"
    ) -> None:
        self._loop = loop
        self._look = look
        self._waiting = waiting
        self._is_set = False
        self._is_pausing = False
        self._pause = _PAUSE
        self._next: asyncio.TimerHandle | None = None

    def notify(self) -> None:
        if not self._is_set or (self._is_pausing and self._waiting() >= _PRESSING):
            self._is_set, self._is_pausing = True, False
            with contextlib.suppress(RuntimeError):  # the application has closed its loop
                self._loop.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        with kernel_lock:
            self._is_set = self._is_pausing = False
        if not self._look():
            self._pause = _PAUSE
            return
        with kernel_lock:
            self._is_set = self._is_pausing = True
        self._next = self._loop.call_later(self._pause, self._run)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)


class MasterTransport(asyncio.Transport):
    """A pty's master, for asyncio's streams. What the guest writes when the terminal is full waits there."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, master: MasterFile, protocol: asyncio.Protocol
    ) -> None:
        super().__init__()
        self._loop = loop
        self._master = master
        self._protocol = protocol
        self._waiting = bytearray()  # for the guest
        self._is_paused = False
        self._has_paused_protocol = False
        self._is_over = False  # the program has ended
        self._has_eof = False
        self._is_closing = False
        self._readable = _Flag(
            loop, self._read, lambda: master.side.discipline.available + len(master.side.incoming)
        )
        self._writable = _Flag(loop, self._flush, lambda: 0)
        with kernel_lock:
            master.side.readable.add(self._readable)
            master.side.writable.add(self._writable)
        protocol.connection_made(self)

    # -- reading ------------------------------------------------------------------------------------------

    def _read(self) -> bool:
        """Pass on what is there; whether it was much."""
        size = 0
        while not self._is_paused and not self._is_closing and not self._has_eof:
            data = self._take()
            if not data:
                break
            size += len(data)
            self._protocol.data_received(data)
        return size > _MUCH

    def _take(self) -> bytes:
        """What the guest has written, nothing if there is nothing yet, or if nobody has it open (EIO).

        The session's leader was the program: with it the terminal ends, whoever else may have it open.
        """
        pieces: list[bytes] = []
        size = 0
        buffer = bytearray(4096)
        with kernel_lock:
            while size < _PIECE:
                try:
                    count = self._master.read_nowait(KernelBuffer(buffer))
                except (WouldBlock, LinuxError):
                    if not pieces and self._is_over:
                        self._loop.call_soon(self._end_of_file)
                    break
                pieces.append(bytes(buffer[:count]))
                size += count
        return b"".join(pieces)

    def _end_of_file(self) -> None:
        if not self._has_eof and not self._is_closing:
            self._has_eof = True
            self._protocol.eof_received()
            self.close()

    def process_ended(self) -> None:
        self._is_over = True
        self._read()

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._loop.call_soon(self._read)

    def is_reading(self) -> bool:
        return not self._is_paused and not self._is_closing

    # -- writing ------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._is_closing:
            return
        self._waiting += data
        self._flush()
        if len(self._waiting) > _HIGH_WATER and not self._has_paused_protocol:
            self._has_paused_protocol = True
            self._protocol.pause_writing()

    def _flush(self) -> bool:
        if self._waiting and not self._is_closing:
            with kernel_lock, contextlib.suppress(WouldBlock):
                while self._waiting:
                    piece = KernelBuffer(bytes(self._waiting[:_PIECE]))
                    del self._waiting[: self._master.write_nowait(piece)]
        if self._has_paused_protocol and len(self._waiting) <= _HIGH_WATER // 4:
            self._has_paused_protocol = False
            self._protocol.resume_writing()
        return False

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Type the character that ends a file, ^D mostly."""
        end = self._master.pty.slave.settings.keys[CC.EOF]
        if end != VDISABLE:
            self.write(bytes((end,)))

    def get_write_buffer_size(self) -> int:
        return len(self._waiting)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The limits are fixed."""

    # -- the end ------------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        """Hang up: the program's session gets SIGHUP."""
        if self._is_closing:
            return
        self._is_closing = True
        with kernel_lock:
            self._master.side.readable.remove(self._readable)
            self._master.side.writable.remove(self._writable)
            self._master.drop()
        self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - asyncio's signature
        return self._master.pty.name.decode() if name == "peername" else default

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)  # noqa: S101 - a stream's
        self._protocol = protocol
