"""The line discipline: what becomes of bytes between the keyboard and the program that reads them.

Pure logic: bytes go in by `receive`, and `peek` says what a read gets of them; what is shown and signalled goes to the
Line that it belongs to. Source: termios(3); Linux drivers/tty/n_tty.c.
"""

import re
from typing import Final, Protocol

from aionoah.abi.signal import SIG
from aionoah.abi.termios import CC, VDISABLE, Iflag, Lflag
from aionoah.terminal.characters import CONTROLS, CR, NL, TAB, TO_LOWER
from aionoah.terminal.echo import Echo
from aionoah.terminal.erasing import Eraser
from aionoah.terminal.output import Output
from aionoah.terminal.queue import END_OF_FILE, SIZE, InputQueue
from aionoah.terminal.settings import Settings

_COOKED: Final = (
    Iflag.ISTRIP | Iflag.IUCLC | Iflag.IGNCR | Iflag.ICRNL | Iflag.INLCR | Iflag.IXON | Iflag.PARMRK,
    Lflag.ICANON | Lflag.ISIG | Lflag.ECHO,
)
_MARK: Final = 0xFF  # what PARMRK doubles


class Line(Protocol):
    """What a line discipline belongs to: one side of a pty."""

    is_stopped: bool  # output is, by a STOP character or TCOOFF

    def room(self) -> int:
        """Bytes that `transmit` takes now; 0 while output is stopped."""
        ...

    def transmit(self, data: bytes) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def signal(self, number: int, *, flushes: bool) -> None:
        """A signal for the foreground, and then all that waits in either direction is thrown away."""
        ...


class LineDiscipline:
    """N_TTY."""

    def __init__(self, settings: Settings, line: Line) -> None:
        self._line = line
        self.queue = InputQueue()
        self.output = Output(settings)
        self.echo = Echo(self.output, line.room, line.transmit)
        self._eraser = Eraser(self.queue, self.echo)
        self._is_next_literal = False
        self._apply(settings)

    # -- settings -----------------------------------------------------------------------------------------

    def change(self, settings: Settings) -> None:
        """Everything else that a change of settings does is the caller's (n_tty_set_termios)."""
        old = self.settings
        if (old.lflag ^ settings.lflag) & (Lflag.ICANON | Lflag.EXTPROC):
            self.queue.regroup(is_canonical=settings.is_canonical)
            self._eraser.is_erasing = False
            self._is_next_literal = False
        self.output.change(settings)
        self._apply(settings)

    def _apply(self, settings: Settings) -> None:
        self.settings = settings
        self._iflag, self._lflag, self._keys = settings.iflag, settings.lflag, settings.keys
        self._eraser.change(settings)
        self.is_canonical = settings.is_canonical
        iflag, lflag = _COOKED
        self._is_raw = not (settings.iflag & iflag or settings.lflag & lflag)
        special = bytes(sorted(self._special_characters()))
        self._special = re.compile(b"[" + re.escape(special) + b"]") if special else None
        self._strips = bool(settings.iflag & Iflag.ISTRIP)
        self._lowers = bool(settings.iflag & Iflag.IUCLC and settings.lflag & Lflag.IEXTEN)

    def _special_characters(self) -> set[int]:
        """Those that cannot simply be put into the queue; NUL is never one."""
        iflag, lflag, keys = self._iflag, self._lflag, self._keys
        chosen: list[int] = []
        if iflag & (Iflag.IGNCR | Iflag.ICRNL):
            chosen.append(CR)
        if iflag & Iflag.INLCR or lflag & Lflag.ICANON:
            chosen.append(NL)
        if iflag & Iflag.PARMRK:
            chosen.append(_MARK)
        if lflag & Lflag.ICANON:
            chosen += (keys[CC.ERASE], keys[CC.KILL], keys[CC.EOF], keys[CC.EOL])
            if lflag & Lflag.IEXTEN:
                chosen += (keys[CC.WERASE], keys[CC.LNEXT], keys[CC.EOL2])
                chosen += (keys[CC.REPRINT],) if lflag & Lflag.ECHO else ()
        if iflag & Iflag.IXON:
            chosen += (keys[CC.START], keys[CC.STOP])
        if lflag & Lflag.ISIG:
            chosen += (keys[CC.INTR], keys[CC.QUIT], keys[CC.SUSP])
        return set(chosen) - {VDISABLE}

    # -- reading ------------------------------------------------------------------------------------------

    @property
    def reads_lines(self) -> bool:
        return self.is_canonical and not self._lflag & Lflag.EXTPROC

    @property
    def available(self) -> int:
        """Bytes that a program may read now, marks of EOF among them; the mode decides how many at once."""
        return self.queue.lines if self.reads_lines else len(self.queue)

    @property
    def readable(self) -> int:
        """FIONREAD."""
        return self.queue.readable if self.reads_lines else len(self.queue)

    def peek(self, limit: int) -> tuple[bytes, int]:
        """What a read of `limit` bytes gives, if anything is available, and how many it takes away."""
        if self.reads_lines:
            count, taken = self.queue.line(limit)
            return bytes(self.queue.data[:count]), taken
        data = bytes(self.queue.data[:limit])
        if self.is_canonical and len(self.queue) == 1 and data == self._keys[CC.EOF : CC.EOF + 1]:
            return b"", 1  # EXTPROC: a lone EOF is the end, though nobody has edited
        return data, len(data)

    def flush(self) -> None:
        """Throw away what has not been read (n_tty_flush_buffer). Its echo, if that is held back, comes all the same."""
        self.queue.clear()
        self._eraser.is_erasing = False

    # -- receiving ----------------------------------------------------------------------------------------

    def receive(self, data: bytes | bytearray | memoryview) -> int:
        """Take bytes from the keyboard; returns how many there was room for.

        A line that is being edited takes any number, so that it can be ended or erased; those beyond
        4095 replace one another.
        """
        done = 0
        while done < len(data):
            room = self._room()
            if room <= 0:
                if not self.is_canonical or self.queue.lines:
                    break
                if room < 0:
                    self.queue.data.pop()
                room = 1
            part = bytes(data[done : done + room])
            self._receive(part)
            done += len(part)
        return done

    def _room(self) -> int:
        room = SIZE - len(self.queue)
        if self._iflag & Iflag.PARMRK:
            room = -(-room // 3)
        return room - 1

    def _receive(self, data: bytes) -> None:
        preprocesses = self._strips or self._lowers
        if self._is_raw or (self._lflag & Lflag.EXTPROC and not preprocesses):
            self.queue.data += data
            return
        if self._strips:
            data = bytes(char & 0x7F for char in data)
        if self._lowers:
            data = data.translate(TO_LOWER)
        if self._lflag & Lflag.EXTPROC:
            self.queue.data += data
        else:
            self._edit(data)
        if self._lflag & (Lflag.ECHO | Lflag.ECHONL):
            self.echo.show_all()

    def _edit(self, data: bytes) -> None:
        position = 0
        while position < len(data):
            if self._is_next_literal:
                self._is_next_literal = False
                self._restart_by_any()
                self._put(data[position])
                position += 1
                continue
            found = self._special.search(data, position) if self._special is not None else None
            end = found.start() if found is not None else len(data)
            if end > position:
                self._put_ordinary(data[position:end])
            if found is not None:
                self._receive_special(data[end])
                end += 1
            position = end

    def _put_ordinary(self, data: bytes) -> None:
        """A run of characters that mean nothing."""
        self._restart_by_any()
        if not self._lflag & Lflag.ECHO:
            self.queue.data += data
            return
        for char in data:
            self._echo_typed(char)
            self.queue.data.append(char)

    def _restart_by_any(self) -> None:
        if self._line.is_stopped and self._iflag & Iflag.IXON and self._iflag & Iflag.IXANY:
            self._line.start()
            self.echo.show_marked()

    def _put(self, char: int) -> None:
        """A character of the line, echoed."""
        if self._lflag & Lflag.ECHO:
            self._echo_typed(char)
        if char == _MARK and self._iflag & Iflag.PARMRK:
            self.queue.data.append(char)
        self.queue.data.append(char)

    def _echo_typed(self, char: int) -> None:
        self._eraser.finish()
        if len(self.queue) == self.queue.lines:
            self.echo.begin_line()
        self.echo_char(char)
        self.echo.commit()

    def echo_char(self, char: int) -> None:
        if self._lflag & Lflag.ECHOCTL and char in CONTROLS and char != TAB:
            self.echo.escaped(char)
        else:
            self.echo.raw(char)

    # -- characters that mean something -------------------------------------------------------------------

    def _receive_special(self, char: int) -> None:
        if self._iflag & Iflag.IXON and self._controls_flow(char):
            return
        if self._lflag & Lflag.ISIG and self._raises_signal(char):
            return
        self._restart_by_any()
        if char == CR:
            if self._iflag & Iflag.IGNCR:
                return
            if self._iflag & Iflag.ICRNL:
                char = NL
        elif char == NL and self._iflag & Iflag.INLCR:
            char = CR
        if self.is_canonical and self._edits(char):
            return
        if char == NL and self._lflag & Lflag.ECHO:
            self._eraser.finish()
            self.echo.raw(NL)
            self.echo.commit()
            self.queue.data.append(NL)
        else:
            self._put(char)

    def _controls_flow(self, char: int) -> bool:
        if char == self._keys[CC.START]:
            self._line.start()
            self.echo.show_marked()
        elif char == self._keys[CC.STOP]:
            self._line.stop()
        else:
            return False
        return True

    def _raises_signal(self, char: int) -> bool:
        keys = self._keys
        for key, number in ((CC.INTR, SIG.INT), (CC.QUIT, SIG.QUIT), (CC.SUSP, SIG.TSTP)):
            if char == keys[key]:
                self._line.signal(number, flushes=not self._lflag & Lflag.NOFLSH)
                if self._iflag & Iflag.IXON:
                    self._line.start()
                if self._lflag & Lflag.ECHO:
                    self.echo_char(char)
                    self.echo.commit()
                else:
                    self.echo.show_marked()
                return True
        return False

    def _edits(self, char: int) -> bool:
        """Whether a character does something to the line that is being edited, in canonical mode."""
        keys, extended = self._keys, bool(self._lflag & Lflag.IEXTEN)
        if char in (keys[CC.ERASE], keys[CC.KILL]) or (char == keys[CC.WERASE] and extended):
            self._eraser.erase(char, self.echo_char)
            self.echo.commit()
        elif char == keys[CC.LNEXT] and extended:
            self._quote_next()
        elif char == keys[CC.REPRINT] and extended and self._lflag & Lflag.ECHO:
            self._reprint(char)
        elif char == NL:
            if self._lflag & (Lflag.ECHO | Lflag.ECHONL):
                self.echo.raw(NL)
                self.echo.commit()
            self.queue.put_end(NL)
        elif char == keys[CC.EOF]:
            self.queue.put_end(END_OF_FILE)
        elif char == keys[CC.EOL] or (char == keys[CC.EOL2] and extended):
            self._end_line(char)
        else:
            return False
        return True

    def _end_line(self, char: int) -> None:
        if self._lflag & Lflag.ECHO:
            if len(self.queue) == self.queue.lines:
                self.echo.begin_line()
            self.echo_char(char)
            self.echo.commit()
        if char == _MARK and self._iflag & Iflag.PARMRK:
            self.queue.data.append(char)
        self.queue.put_end(char)

    def _quote_next(self) -> None:
        self._is_next_literal = True
        if self._lflag & Lflag.ECHO:
            self._eraser.finish()
            if self._lflag & Lflag.ECHOCTL:
                self.echo.raw(ord("^"))
                self.echo.raw(ord("\b"))
                self.echo.commit()

    def _reprint(self, char: int) -> None:
        self._eraser.finish()
        self.echo_char(char)
        self.echo.raw(NL)
        for typed in self.queue.data[self.queue.lines :]:
            self.echo_char(typed)
        self.echo.commit()
