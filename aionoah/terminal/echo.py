"""The echo: what is to be shown of what is typed, kept until there is room for it on the screen.

It is kept as operations, because how far a tab reaches is known only when it is written.
Source: Linux drivers/tty/n_tty.c (__process_echoes, commit_echoes).
"""

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final

from aionoah.terminal.characters import BACKSPACE
from aionoah.terminal.output import TAB_WIDTH, Output

_BLOCK: Final = 256  # bytes after which echoes are shown even while input is still coming
_LIMIT: Final = 4096 - (_BLOCK + 32)  # bytes that wait at most: the oldest are lost


class _Kind(Enum):
    PLAIN = 1  # a character, subject to OPOST
    ESCAPED = 2  # ^X
    RAW = 3  # the byte 0xff
    BACK = 4  # one column back, nothing shown
    BEGIN = 5  # the line that is being edited begins here
    TAB = 6  # rub out a tab; the argument says what is before it


_SIZES: Final = {_Kind.PLAIN: 1, _Kind.TAB: 3}  # in Linux's buffer; 2 for the others
_AFTER_TAB: Final = 0x80
_WRITTEN: Final = {_Kind.BACK: 0, _Kind.BEGIN: 0, _Kind.RAW: 1, _Kind.ESCAPED: 2}

Operation = tuple[_Kind, int]


class Echo:
    """Operations wait in the order in which they come. Showing writes them as far as there is room."""

    def __init__(self, output: Output, room: Callable[[], int], write: Callable[[bytes], None]) -> None:
        self._output = output
        self._room = room
        self._write = write
        self._waiting: deque[Operation] = deque()
        self._size = 0  # of all that wait, as Linux counts
        self._marked = 0  # of those that input has put in completely
        self._committed = 0  # of those that may be shown

    # -- adding -------------------------------------------------------------------------------------------

    def raw(self, char: int) -> None:
        """A character, control or not."""
        self._add(_Kind.RAW if char == 0xFF else _Kind.PLAIN, char)

    def escaped(self, char: int) -> None:
        """A control character, as ^X."""
        self._add(_Kind.ESCAPED, char)

    def back(self) -> None:
        self._add(_Kind.BACK, 0)

    def begin_line(self) -> None:
        self._add(_Kind.BEGIN, 0)

    def rub_out_tab(self, columns: int, *, is_after_tab: bool) -> None:
        """`columns`: those between the tab and the one before it, or the beginning of the line."""
        self._add(_Kind.TAB, columns % TAB_WIDTH | (_AFTER_TAB if is_after_tab else 0))

    def _add(self, kind: _Kind, argument: int) -> None:
        self._waiting.append((kind, argument))
        self._size += _SIZES.get(kind, 2)

    def forget(self) -> None:
        """A signal character flushes what has not been shown."""
        self._waiting.clear()
        self._size = self._marked = self._committed = 0

    # -- showing ------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """A character has been dealt with: show what there is if it has become much."""
        self._marked = self._size
        if self._size >= _BLOCK and self._size % _BLOCK <= self._committed % _BLOCK:
            self._committed = self._size
            self._show()

    def show_marked(self) -> None:
        """Before a program writes, or when output goes on."""
        if self._marked:
            self._committed = self._marked
            self._show()

    def show_all(self) -> None:
        """The input that has come has been dealt with."""
        if self._committed != self._size:
            self._committed = self._size
            self._show()

    def _show(self) -> None:
        room, shown = self._room(), bytearray()
        while self._committed:
            written = self._perform(*self._waiting[0], room - len(shown))
            if written is None:
                break
            shown += written
            self._drop()
        while self._committed >= _LIMIT:
            self._drop()
        if shown:
            self._write(bytes(shown))

    def _drop(self) -> None:
        size = _SIZES.get(self._waiting.popleft()[0], 2)
        self._size -= size
        self._marked = max(self._marked - size, 0)
        self._committed = max(self._committed - size, 0)

    def _perform(self, kind: _Kind, argument: int, room: int) -> bytes | None:
        """What an operation writes; None if there is no room for it."""
        output = self._output
        if kind is _Kind.PLAIN:
            if output.is_processed:
                return output.process_one(argument, room)
            return bytes((argument,)) if room else None
        if kind is _Kind.TAB:
            return self._back_over_tab(argument, room)
        if _WRITTEN[kind] > room:
            return None
        if kind is _Kind.BEGIN:
            output.canonical_column = output.column
        elif kind is _Kind.BACK:
            output.column = max(output.column - 1, 0)
        else:
            output.column += _WRITTEN[kind]
        return {_Kind.RAW: b"\xff", _Kind.ESCAPED: b"^%c" % (argument ^ 0x40)}.get(kind, b"")

    def _back_over_tab(self, argument: int, room: int) -> bytes | None:
        columns = argument if argument & _AFTER_TAB else argument + self._output.canonical_column
        count = TAB_WIDTH - columns % TAB_WIDTH
        if count > room:
            return None
        self._output.column = max(self._output.column - count, 0)
        return bytes((BACKSPACE,)) * count
