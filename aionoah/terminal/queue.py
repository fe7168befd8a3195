"""What has been typed and not yet read: a queue of bytes, of which whole lines may be taken."""

from collections import deque
from typing import Final

SIZE: Final = 4096  # N_TTY_BUF_SIZE
END_OF_FILE: Final = 0  # what an EOF character leaves in the queue, marked as the end of a line


class InputQueue:
    """What has come and not been taken. Up to `lines` it is whole lines, behind that the one that is being edited."""

    __slots__ = ("_ends", "_tail", "data", "lines")

    def __init__(self) -> None:
        self.data = bytearray()
        self.lines = 0  # bytes of whole lines; in raw mode 0
        self._ends: deque[int] = deque()  # where lines end, counted as `_tail` is
        self._tail = 0  # bytes ever taken

    def __len__(self) -> int:
        return len(self.data)

    @property
    def readable(self) -> int:
        """Bytes of whole lines (FIONREAD), the marks of EOF aside; a full ring of Linux's counts them, too."""
        if self.lines == SIZE:
            return SIZE
        marks = sum(self.data[end - self._tail] == END_OF_FILE for end in self._ends)
        return self.lines - marks

    def put_end(self, char: int) -> None:
        """The last character of a line, or END_OF_FILE."""
        self._ends.append(self._tail + len(self.data))
        self.data.append(char)
        self.lines = len(self.data)

    def clear(self) -> None:
        self.data.clear()
        self._ends.clear()
        self.lines = 0

    def regroup(self, *, is_canonical: bool) -> None:
        """The mode has changed: what is there is one line now, or none."""
        self._ends.clear()
        self.lines = len(self.data) if is_canonical else 0
        if self.lines:
            self._ends.append(self._tail + self.lines - 1)

    def line(self, limit: int) -> tuple[int, int]:
        """How many of the first `limit` bytes a read in canonical mode gives, and how many it takes away.

        An EOF behind the bytes that are asked for goes with them, so that it is not taken for another one.
        """
        end = self._ends[0] - self._tail if self._ends else len(self.data)
        if not self._ends or end > limit:
            count = min(limit, end)
            return count, count
        is_mark = self.data[end] == END_OF_FILE
        if end == limit:
            return limit, limit + is_mark
        return end + (not is_mark), end + 1

    def take(self, count: int) -> None:
        """The first bytes have been read."""
        del self.data[:count]
        self._tail += count
        self.lines = max(self.lines - count, 0)
        while self._ends and self._ends[0] < self._tail:
            self._ends.popleft()
