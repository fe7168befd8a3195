"""One side of a pseudo-terminal: a line discipline, the bytes on their way to it, and flow control.

Each side writes into the other's `incoming`, from which its discipline takes what it has room for.
Source: Linux drivers/tty/pty.c, n_tty.c, tty_ioctl.c.
"""

from collections.abc import Callable
from typing import Final

from aionoah.abi.poll import Poll
from aionoah.abi.termios import CC, TIOCPKT, VDISABLE, Iflag, Lflag
from aionoah.host.waiting import WaitQueue
from aionoah.terminal.discipline import LineDiscipline
from aionoah.terminal.settings import Settings

INCOMING_LIMIT: Final = 16384  # bytes on their way: what Linux's buffers hold of short writes


class Tty:
    """A side. `link` is the other one; whoever makes a pair sets it."""

    link: "Tty"

    def __init__(self, settings: Settings) -> None:
        self.discipline = LineDiscipline(settings, self)
        self.incoming = bytearray()
        self._is_receiving = False
        self.is_stopped = False
        self.is_stopped_by_call = False  # TCOOFF: no character starts it again
        self.is_packet = False  # reads begin with a byte that says what has happened (TIOCPKT)
        self.news = 0  # bits of TIOCPKT that the other side has not read yet
        self.is_other_closed = False
        self.is_exclusive = False  # others cannot open it (TIOCEXCL)
        self.readable = WaitQueue()
        self.writable = WaitQueue()
        self.raise_signal: Callable[[int], None] = _nobody  # in the foreground process group

    @property
    def settings(self) -> Settings:
        return self.discipline.settings

    def change(self, settings: Settings) -> None:
        """TCSETS: both the discipline and the other side see it."""
        old = self.settings
        settings = settings.for_pty()
        if self.link.is_packet:
            self._tell_change(old, settings)
        self.discipline.change(settings)
        if old.iflag & Iflag.IXON and not settings.iflag & Iflag.IXON:
            self.start()
            self.discipline.echo.show_marked()
        self.receive()
        self.writable.wake()
        self.readable.wake()

    def _tell_change(self, old: Settings, new: Settings) -> None:
        if old.has_usual_flow_control != new.has_usual_flow_control:
            self.news &= ~(TIOCPKT.DOSTOP | TIOCPKT.NOSTOP)
            self.news |= TIOCPKT.DOSTOP if new.has_usual_flow_control else TIOCPKT.NOSTOP
        if (old.lflag | new.lflag) & Lflag.EXTPROC:
            self.news |= TIOCPKT.IOCTL
        if self.news:
            self.link.readable.wake()

    # -- bytes from the other side ------------------------------------------------------------------------

    def receive(self) -> None:
        """Let the discipline take what it has room for."""
        had = self.discipline.available
        taken = 0
        if self.incoming:
            self._is_receiving = True
            taken = self.discipline.receive(self.incoming)
            self._is_receiving = False
            del self.incoming[:taken]
            if taken:
                self.link.receive()  # the echo
        if self.discipline.available > had:
            self.readable.wake()
        if taken and len(self.incoming) < INCOMING_LIMIT:
            self.link.writable.wake()

    def peek(self, limit: int) -> tuple[bytes, int]:
        """What a read gives now, and how many bytes `take` is then to be told."""
        return self.discipline.peek(limit)

    def take(self, count: int) -> None:
        self.discipline.queue.take(count)
        self.receive()

    # -- bytes to the other side (Line) -------------------------------------------------------------------

    def room(self) -> int:
        return 0 if self.is_stopped else max(INCOMING_LIMIT - len(self.link.incoming), 0)

    def transmit(self, data: bytes) -> None:
        """An echo stays on its way while input is being dealt with, and a signal character throws it away."""
        self.link.incoming += data
        if not self._is_receiving:
            self.link.receive()

    def write(self, data: bytes) -> int:
        """Write as a program does; returns how many bytes there was room for."""
        self.discipline.echo.show_marked()
        done = 0
        while done < len(data) and (room := self.room()):
            if self.discipline.output.is_processed:
                count, written = self.discipline.output.process(data[done:], room)
                if not count:
                    break
            else:
                written = data[done : done + room]
                count = len(written)
            self.transmit(written)
            done += count
        return done

    # -- flow control and flushing (Line) -----------------------------------------------------------------

    def stop(self) -> None:
        if not self.is_stopped:
            self.is_stopped = True
            self._tell(TIOCPKT.STOP, instead_of=TIOCPKT.START)

    def start(self) -> None:
        if self.is_stopped and not self.is_stopped_by_call:
            self.is_stopped = False
            self._tell(TIOCPKT.START, instead_of=TIOCPKT.STOP)
            self.writable.wake()

    def _tell(self, bit: int, *, instead_of: int = 0) -> None:
        if self.link.is_packet:
            self.news = self.news & ~instead_of | bit
            self.link.readable.wake()

    def signal(self, number: int, *, flushes: bool) -> None:
        self.raise_signal(number)
        if flushes:
            self.discipline.echo.forget()
            self.flush_output()
            self.flush_input(incoming=False)

    def flush_input(self, *, incoming: bool = True) -> None:
        """Throw away what has not been read; `incoming` too what the discipline has not seen (TCIFLUSH)."""
        if incoming:
            self.incoming.clear()
        self.discipline.flush()
        self._tell(TIOCPKT.FLUSHREAD)
        self.link.writable.wake()

    def flush_output(self) -> None:
        """Throw away what the other side has not taken in yet (TCOFLUSH)."""
        self.link.incoming.clear()
        self._tell(TIOCPKT.FLUSHWRITE)
        self.writable.wake()

    def suspend_output(self) -> None:
        """TCOOFF."""
        self.is_stopped_by_call = True
        self.stop()

    def resume_output(self) -> None:
        """TCOON."""
        if self.is_stopped_by_call:
            self.is_stopped_by_call = False
            self.start()

    def send_flow_character(self, key: int) -> None:
        """TCIOFF, TCION: the STOP or START character, to the other side; not while TCOOFF holds."""
        char, was_stopped = self.settings.keys[key], self.is_stopped
        if char == VDISABLE:
            return
        self.start()
        if not self.is_stopped:
            self.transmit(bytes((char,)))
        if was_stopped:
            self.stop()

    # -- what there is ------------------------------------------------------------------------------------

    def poll(self) -> int:
        """Readiness, in bits of Poll, of a side that is open."""
        settings, mask = self.settings, 0
        wanted = 1 if settings.keys[CC.TIME] or self.discipline.reads_lines else settings.keys[CC.MIN] or 1
        if self.discipline.available >= wanted:
            mask |= Poll.IN | Poll.RDNORM
        if self.is_packet and self.link.news:
            mask |= Poll.PRI | Poll.IN | Poll.RDNORM
        if self.is_other_closed:
            mask |= Poll.HUP
        if self.room():
            mask |= Poll.OUT | Poll.WRNORM
        return mask


def _nobody(_number: int) -> None:
    """Nobody has been told whom to signal."""
