"""Open terminals: the two kinds of open file descriptions over a pty.

Source: read(2), termios(3); Linux drivers/tty/n_tty.c (n_tty_read, n_tty_write, n_tty_poll), tty_io.c.
"""

from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll
from aionoah.abi.signal import SIG
from aionoah.abi.termios import CC, Lflag
from aionoah.fs.devices import CONSOLE, PTMX, TTY
from aionoah.fs.file import File, WouldBlock
from aionoah.host.waiting import Source, sleep_on
from aionoah.memory.buffer import Buffer
from aionoah.process.current import current_task
from aionoah.terminal import job_control
from aionoah.terminal.pty import Pty
from aionoah.terminal.tty import Tty

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry
    from aionoah.process.kernel import Kernel

_TENTH_NS: Final = 100_000_000  # the unit of VTIME
_MAX_WRITE: Final = 16384
_DATA: Final = b"\0"  # TIOCPKT_DATA
_HUNG_UP: Final = Poll.IN | Poll.OUT | Poll.ERR | Poll.HUP | Poll.RDNORM | Poll.WRNORM


class TerminalFile(File):
    """What both sides have."""

    is_stream = True
    reads_itself = True

    def __init__(self, pty: Pty, side: Tty, flags: O, dentry: "Dentry | None") -> None:
        super().__init__(flags, dentry)
        self.pty = pty
        self.side = side
        self._hang_ups = pty.hang_ups

    @property
    def is_master(self) -> bool:
        return self.side is self.pty.master

    @property
    def is_hung_up(self) -> bool:
        """Whether the terminal has gone from under this file: reads end, everything else fails."""
        return self._hang_ups != self.pty.hang_ups

    # -- reading ------------------------------------------------------------------------------------------

    async def read(self, dst: Buffer) -> int:
        """Read as the settings say: a line, or VMIN bytes at least, VTIME tenths of a second apart at most.

        Nothing is taken before it is all there; what has come when a signal or the time ends the wait is the
        result.
        """
        self.require_may_read()
        minimum, time_ns = self._patience()
        wanted = min(max(minimum, 1), dst.length)
        deadline_ns = monotonic_ns() + time_ns if not minimum else None
        seen = 0
        while not self._is_served(wanted):
            available = self.side.discipline.available
            if self.is_nonblocking or (deadline_ns is not None and monotonic_ns() >= deadline_ns):
                break
            if minimum and time_ns and available != seen:  # the time runs from the last byte on
                seen, deadline_ns = available, monotonic_ns() + time_ns
            try:
                await self._sleep_until(deadline_ns)
            except LinuxError as error:
                if error.errno is not Errno.ERESTARTSYS or wanted == 1 or not self.side.discipline.available:
                    raise  # what has come meanwhile is not for a program that a signal may end
                break
        try:
            return self.read_nowait(dst)
        except WouldBlock:
            if not minimum and not (time_ns and self.is_nonblocking):
                return 0
            raise LinuxError(Errno.EAGAIN) from None

    async def _sleep_until(self, deadline_ns: int | None) -> None:
        """Until there is news or the time has come. Unlike others, a read with a time is restarted (ERESTARTSYS)."""
        self.hold()
        try:
            await sleep_on(self.source(Poll(Poll.IN)), deadline_ns)
        finally:
            self.drop()

    def _patience(self) -> tuple[int, int]:
        """How many bytes a read waits for, and how long, in ns: from its beginning if it waits for none."""
        keys = self.side.settings.keys
        if self.side.discipline.is_canonical:
            return 1, 0
        return keys[CC.MIN], keys[CC.TIME] * _TENTH_NS

    def _is_served(self, wanted: int) -> bool:
        """Whether a read has nothing to wait for."""
        side = self.side
        available = side.discipline.available
        if not wanted or self.is_hung_up or side.is_other_closed or (side.is_packet and side.link.news):
            return True
        return available > 0 if side.discipline.reads_lines else available >= wanted

    def read_nowait(self, dst: Buffer) -> int:
        side = self.side
        if not dst.length or self.is_hung_up:
            return 0
        prefix = b""
        if side.is_packet:
            if side.link.news:
                dst.fill(bytes((side.link.news,)))
                side.link.news = 0
                return 1
            prefix = _DATA
        if not side.discipline.available:
            if side.is_other_closed:
                raise LinuxError(Errno.EIO)
            raise WouldBlock
        data, taken = side.peek(dst.length - len(prefix))
        done = dst.fill(prefix + data) if prefix or data else 0
        side.take(taken if done == len(prefix) + len(data) else max(done - len(prefix), 0))
        self.pty.touch(is_read=True)
        return done

    def require_may_read(self) -> None:
        """SIGTTIN from the background."""

    # -- writing ------------------------------------------------------------------------------------------

    def write_nowait(self, src: Buffer) -> int:
        if self.is_hung_up:
            raise LinuxError(Errno.EIO)
        self.require_may_write()
        if not src.length:
            return 0
        done = self.side.write(src.take(_MAX_WRITE))
        if not done:
            raise WouldBlock
        self.pty.touch(is_read=False)
        return done

    def require_may_write(self) -> None:
        """SIGTTOU from the background, with TOSTOP."""

    # -- readiness ----------------------------------------------------------------------------------------

    def poll(self) -> Poll:
        return Poll(_HUNG_UP if self.is_hung_up else self.side.poll())

    def source(self, events: Poll) -> Source:
        """Reads and writes apart, because edge-triggered readers do not want to hear of room."""
        reading = [self.side.readable] if events & (Poll.IN | Poll.RDNORM | Poll.PRI) else []
        writing = [self.side.writable] if events & (Poll.OUT | Poll.WRNORM) else []
        return Source(*reading, *writing) if reading or writing else Source(self.side.readable)

    def describe(self) -> bytes:
        return self.pty.name


class SlaveFile(TerminalFile):
    """/dev/pts/N."""

    def __init__(self, pty: Pty, flags: O, dentry: "Dentry | None", *, may_control: bool = True) -> None:
        """`may_control`: opening it may make it the controlling terminal. EIO if the pty is locked or gone."""
        pty.slave_opened()
        super().__init__(pty, pty.slave, flags, dentry)
        self._may_control = may_control

    def opened(self, flags: O) -> None:
        if self._may_control and O.NOCTTY not in flags and self.is_readable:
            job_control.opened(current_task().process, self.pty)

    def release(self) -> None:
        self.pty.slave_closed()

    def require_may_read(self) -> None:
        if not self.is_hung_up:
            job_control.require_foreground(current_task(), self.pty, SIG.TTIN)

    def require_may_write(self) -> None:
        if self.side.settings.lflag & Lflag.TOSTOP:
            job_control.require_foreground(current_task(), self.pty, SIG.TTOU)


class MasterFile(TerminalFile):
    """What opening /dev/ptmx gives, or what the application has of a terminal of its own."""

    def __init__(self, kernel: "Kernel", flags: O, dentry: "Dentry | None", uid: int) -> None:
        """A new pty of user `uid`; ENOSPC."""
        pty = kernel.ptys.new(uid)
        super().__init__(pty, pty.master, flags, dentry)
        self._kernel = kernel
        pty.slave.raise_signal = lambda number: job_control.signal_group(kernel, pty.foreground, number)

    def release(self) -> None:
        pty = self.pty
        pty.is_gone = True
        pty.slave.is_other_closed = True
        self._kernel.ptys.remove(pty)
        job_control.hang_up(self._kernel, pty)


def open_by_number(rdev: int, flags: O, dentry: "Dentry | None") -> File:
    """What the node of a TERMINAL device gives, wherever it lies."""
    return {TTY: _open_controlling, CONSOLE: _open_console, PTMX: open_master}[rdev](flags, dentry)


def _open_controlling(flags: O, dentry: "Dentry | None") -> File:
    """/dev/tty: ENXIO for a process without a controlling terminal (tty(4))."""
    terminal = current_task().process.terminal
    if terminal is None:
        raise LinuxError(Errno.ENXIO)
    return SlaveFile(terminal, flags, dentry, may_control=False)


def _open_console(flags: O, dentry: "Dentry | None") -> File:
    """/dev/console: ENODEV for an instance without one."""
    console = current_task().kernel.console
    if console is None or console.is_gone:
        raise LinuxError(Errno.ENODEV)
    return SlaveFile(console, flags, dentry, may_control=False)


def open_master(flags: O, dentry: "Dentry | None") -> MasterFile:
    """Open /dev/ptmx (ptmx(4))."""
    task = current_task()
    return MasterFile(task.kernel, flags, dentry, task.credentials.fsuid)
