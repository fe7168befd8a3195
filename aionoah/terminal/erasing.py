"""Erasing characters, words and the line, and making it visible (Linux drivers/tty/n_tty.c, eraser)."""

from collections.abc import Callable
from enum import Enum

from aionoah.abi.termios import CC, Iflag, Lflag
from aionoah.terminal.characters import CONTROLS, NL, TAB, WORD, is_continuation
from aionoah.terminal.echo import Echo
from aionoah.terminal.queue import InputQueue
from aionoah.terminal.settings import Settings

_VISIBLE_KILL = Lflag.ECHOK | Lflag.ECHOKE | Lflag.ECHOE


class _Extent(Enum):
    CHARACTER = 1
    WORD = 2
    LINE = 3


class Eraser:
    """Takes characters away from the end of the line that is being edited."""

    def __init__(self, queue: InputQueue, echo: Echo) -> None:
        self._queue = queue
        self._echo = echo
        self.is_erasing = False  # ECHOPRT has shown a \\ and no / yet

    def change(self, settings: Settings) -> None:
        self._lflag, self._keys = settings.lflag, settings.keys
        self._is_utf8 = bool(settings.iflag & Iflag.IUTF8)

    def finish(self) -> None:
        """Something else than erasing comes."""
        if self.is_erasing:
            self._echo.raw(ord("/"))
            self.is_erasing = False

    def erase(self, key: int, echo_char: Callable[[int], None]) -> None:
        """`key` is the ERASE, WERASE or KILL character."""
        queue, lflag = self._queue, self._lflag
        if len(queue) == queue.lines:
            return
        extent = (
            _Extent.CHARACTER
            if key == self._keys[CC.ERASE]
            else _Extent.WORD
            if key == self._keys[CC.WERASE]
            else _Extent.LINE
        )
        if extent is _Extent.LINE and not (lflag & Lflag.ECHO and lflag & _VISIBLE_KILL == _VISIBLE_KILL):
            self._drop_line(echo_char)
            return
        self._erase(extent, echo_char)
        if len(queue) == queue.lines and lflag & Lflag.ECHO:
            self.finish()

    def _drop_line(self, echo_char: Callable[[int], None]) -> None:
        """The line stays on the screen, and a new one begins."""
        del self._queue.data[self._queue.lines :]
        if self._lflag & Lflag.ECHO:
            self.finish()
            echo_char(self._keys[CC.KILL])
            if self._lflag & Lflag.ECHOK:
                self._echo.raw(NL)

    def _erase(self, extent: _Extent, echo_char: Callable[[int], None]) -> None:
        queue = self._queue
        has_seen_word = False
        while len(queue) > queue.lines:
            start = self._last_character()
            char = queue.data[start]
            if self._continues(char):  # its beginning has been read already
                return
            if extent is _Extent.WORD:
                if char in WORD:
                    has_seen_word = True
                elif has_seen_word:
                    return
            erased = bytes(queue.data[start:])
            del queue.data[start:]
            if self._lflag & Lflag.ECHO:
                self._show(erased, extent, echo_char)
            if extent is _Extent.CHARACTER:
                return

    def _last_character(self) -> int:
        """Where the last character begins, which may have several bytes."""
        start = len(self._queue) - 1
        while start > self._queue.lines and self._continues(self._queue.data[start]):
            start -= 1
        return start

    def _continues(self, char: int) -> bool:
        return self._is_utf8 and is_continuation(char)

    def _show(self, erased: bytes, extent: _Extent, echo_char: Callable[[int], None]) -> None:
        char, echo = erased[0], self._echo
        if self._lflag & Lflag.ECHOPRT:
            if not self.is_erasing:
                echo.raw(ord("\\"))
                self.is_erasing = True
            echo_char(char)
            for more in erased[1:]:
                echo.raw(more)
                echo.back()
        elif extent is _Extent.CHARACTER and not self._lflag & Lflag.ECHOE:
            echo_char(self._keys[CC.ERASE])
        elif char == TAB:
            self._rub_out_tab()
        else:
            width = 1 if char not in CONTROLS else 2 if self._lflag & Lflag.ECHOCTL else 0
            for part in b"\b \b" * width:
                echo.raw(part)

    def _rub_out_tab(self) -> None:
        columns = 0
        is_after_tab = False
        for char in reversed(self._queue.data[self._queue.lines :]):
            if char == TAB:
                is_after_tab = True
                break
            if char in CONTROLS:
                columns += 2 if self._lflag & Lflag.ECHOCTL else 0
            elif not self._continues(char):
                columns += 1
        self._echo.rub_out_tab(columns, is_after_tab=is_after_tab)
