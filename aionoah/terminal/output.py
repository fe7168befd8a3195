"""What becomes of bytes on their way to the screen: OPOST, and the columns that it needs to know.

Source: termios(3); Linux drivers/tty/n_tty.c (do_output_char, process_output_block).
"""

from typing import Final

from aionoah.abi.termios import Iflag, Oflag
from aionoah.terminal.characters import BACKSPACE, CONTROLS, CR, NL, TAB, TO_UPPER, is_continuation
from aionoah.terminal.settings import Settings

TAB_WIDTH: Final = 8
_RARE: Final = Oflag.OLCUC | Oflag.OCRNL | Oflag.ONOCR | Oflag.ONLRET
_MAX_UNCOUNTED: Final = 4096


class Output:
    """The state of one terminal's output: the column, and where the line that is being edited begins."""

    def __init__(self, settings: Settings) -> None:
        self._column = 0
        self._canonical_column = 0
        self._uncounted = bytearray()  # written, and not yet looked at for columns: few ask for those
        self.change(settings)

    def change(self, settings: Settings) -> None:
        self._count()
        oflag = settings.oflag
        self.is_processed = bool(oflag & Oflag.OPOST)
        self._maps_newline = bool(oflag & Oflag.ONLCR)
        self._expands_tabs = oflag & Oflag.TABDLY == Oflag.XTABS
        self._is_plain = not (oflag & _RARE or self._expands_tabs)
        self._oflag = oflag
        self._is_utf8 = bool(settings.iflag & Iflag.IUTF8)

    # -- columns ------------------------------------------------------------------------------------------

    @property
    def column(self) -> int:
        self._count()
        return self._column

    @column.setter
    def column(self, value: int) -> None:
        self._count()
        self._column = value

    @property
    def canonical_column(self) -> int:
        self._count()
        return self._canonical_column

    @canonical_column.setter
    def canonical_column(self, value: int) -> None:
        self._count()
        self._canonical_column = value

    def _count(self) -> None:
        data, self._uncounted = self._uncounted, bytearray()
        for char in data:
            self._advance(char)

    def _advance(self, char: int) -> None:
        """The column after a character that is written as it is."""
        if char == NL:
            if self._maps_newline or self._oflag & Oflag.ONLRET:
                self._column = 0
            self._canonical_column = self._column
        elif char == CR:
            self._column = self._canonical_column = 0
        elif char == TAB:
            self._column += TAB_WIDTH - self._column % TAB_WIDTH
        elif char == BACKSPACE:
            self._column = max(self._column - 1, 0)
        elif char not in CONTROLS and not (self._is_utf8 and is_continuation(char)):
            self._column += 1

    # -- bytes --------------------------------------------------------------------------------------------

    def process(self, data: bytes, room: int) -> tuple[int, bytes]:
        """How many bytes of `data` find room on the way to the screen, and what becomes of them (OPOST)."""
        return self._process_block(data, room) if self._is_plain else self._process_each(data, room)

    def _process_block(self, data: bytes, room: int) -> tuple[int, bytes]:
        """Nothing but newlines is changed."""
        done = data[:room]
        result = done
        if self._maps_newline and NL in done:
            result = done.replace(b"\n", b"\r\n")
            if len(result) > room:
                cut = room - 1 if result[room] == NL else room  # \r\n stays together
                result = result[:cut]
                done = done[: cut - result.count(b"\n")]
        self._note(done)
        return len(done), result

    def _note(self, data: bytes) -> None:
        newline = data.rfind(b"\n") if self._maps_newline else -1
        if newline >= 0:  # whatever was before does not count any more
            self._uncounted.clear()
            self._column = self._canonical_column = 0
            data = data[newline + 1 :]
        self._uncounted += data
        if len(self._uncounted) > _MAX_UNCOUNTED:
            self._count()

    def _process_each(self, data: bytes, room: int) -> tuple[int, bytes]:
        result = bytearray()
        for position, char in enumerate(data):
            written = self.process_one(char, room - len(result))
            if written is None:
                return position, bytes(result)
            result += written
        return len(data), bytes(result)

    def process_one(self, char: int, room: int) -> bytes | None:
        """What is written for one character, perhaps nothing; None if there is no room for it."""
        if not room:
            return None
        written = self._written_for(char)
        if len(written) > room:
            return None
        if char == CR and written == b"\n":
            if self._oflag & Oflag.ONLRET:
                self.column = self.canonical_column = 0
        elif written:
            self._count()
            self._advance(written[0] if len(written) == 1 else char)
        return written

    def _written_for(self, char: int) -> bytes:
        if char == NL:
            return b"\r\n" if self._maps_newline else b"\n"
        if char == CR:
            if self._oflag & Oflag.ONOCR and not self.column:
                return b""
            return b"\n" if self._oflag & Oflag.OCRNL else b"\r"
        if char == TAB and self._expands_tabs:
            return b" " * (TAB_WIDTH - self.column % TAB_WIDTH)
        if self._oflag & Oflag.OLCUC and char not in CONTROLS:
            return TO_UPPER[char : char + 1]
        return bytes((char,))
