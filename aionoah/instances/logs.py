"""What an instance's program has said: lines with time and stream, in numbered files, the oldest of which go.

Each line is `TIME STREAM P|F TEXT`, as Kubernetes' container runtimes write them; P is a part of a line that goes on.
A reader goes from file to file by their numbers, so nothing is ever renamed under it.
"""

import contextlib
import os
import re
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

_FILES: Final = 4  # that the size is divided among
_LONGEST: Final = 16384  # bytes of text in one line of a file
_NUMBERED: Final = re.compile(r"\d{8}\.log")
STREAMS: Final = ("stdout", "stderr", "aionoah")


class Record(NamedTuple):
    time: bytes  # RFC 3339, in UTC, nanoseconds
    stream: str
    is_whole: bool  # with it the line ends
    text: bytes


class LogWriter:
    """Never fails: what cannot be written is counted, and told once it can be."""

    def __init__(self, directory: Path, size: int) -> None:
        """`size`: bytes that are kept, about. OSError."""
        directory.mkdir(mode=0o700, exist_ok=True)
        self._directory = directory
        self._file_size = max(size // _FILES, 4096)
        self._fd = -1
        self._number = 0
        self._size = 0
        self._lost = 0
        self._why = ""
        self._open((_numbers(directory) or [1])[-1])

    def close(self) -> None:
        os.close(self._fd)

    def write(self, stream: str, data: bytes) -> None:
        """Some output, of any length; its last line may be only a part."""
        stamp = _stamp(time.time_ns())
        head = b"%b %b " % (stamp, stream.encode())
        lines = b"".join(b"%b%b %b\n" % (head, b"F" if end else b"P", part) for part, end in _pieces(data))
        if self._lost:
            note = f"{self._lost} bytes of output are lost: {self._why}".encode()
            lines = b"%b aionoah F %b\n%b" % (stamp, note, lines)
        try:
            self._append(lines)
        except OSError as error:
            self._lost += len(data)
            self._why = error.strerror or str(error)
        else:
            self._lost = 0

    def say(self, sentence: str) -> None:
        """Something of our own."""
        self.write("aionoah", sentence.encode("utf-8", "replace") + b"\n")

    def _append(self, lines: bytes) -> None:
        """All of them or none. OSError."""
        if self._size and self._size + len(lines) > self._file_size:
            self._open(self._number + 1)
        written = 0
        try:
            while written < len(lines):
                written += os.write(self._fd, lines[written:])
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
            raise
        self._size += written

    def _open(self, number: int) -> None:
        """Go on to another file, or back to the last one, whose last line a kill may have cut."""
        path = _path(self._directory, number)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._number = fd, number
        self._size = os.fstat(fd).st_size
        if self._size and os.pread(fd, 1, self._size - 1) != b"\n":
            with contextlib.suppress(OSError):
                self._size += os.write(fd, b"\n")
        for old in _numbers(self._directory):
            if old <= number - _FILES:
                with contextlib.suppress(OSError):
                    _path(self._directory, old).unlink()


class LogReader:
    """What is there, then what is new at each further call."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._number = 0
        self._file: deque[int] = deque()  # the open one, if any
        self._rest = b""

    def close(self) -> None:
        while self._file:
            os.close(self._file.pop())

    def new(self) -> Iterator[Record]:
        """OSError."""
        while True:
            if not self._file and not self._advance():
                return
            while data := os.read(self._file[0], 1 << 20):
                *lines, self._rest = (self._rest + data).split(b"\n")
                yield from filter(None, map(parse_line, lines))
            if not self._advance():
                return

    def _advance(self) -> bool:
        """Go on to the next file if there is one: then nothing is added to the last any more, which was read to its
        end, or is so now.
        """
        later = [number for number in _numbers(self._directory) if number > self._number]
        if not later:
            return False
        if self._file and (data := os.read(self._file[0], 1 << 20)):
            os.lseek(self._file[0], -len(data), os.SEEK_CUR)  # came between the two looks
            return True
        try:
            fd = os.open(_path(self._directory, later[0]), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # we were slow
            return bool(later[1:]) and self._advance()
        self.close()
        self._file.append(fd)
        self._number, self._rest = later[0], b""
        return True


def selected(records: Iterator[Record], *, tail: int | None, since: bytes | None) -> Iterator[Record]:
    """The last `tail` lines, and nothing that is older than `since`, a time as records have it."""
    if since is not None:
        records = (record for record in records if record.time >= since)
    if tail is None:
        yield from records
        return
    kept: deque[list[Record]] = deque(maxlen=tail)
    open_lines: dict[str, list[Record]] = {}
    for record in records:
        if record.stream not in open_lines:
            open_lines[record.stream] = []
            kept.append(open_lines[record.stream])
        open_lines[record.stream].append(record)
        if record.is_whole:
            del open_lines[record.stream]
    for line in kept:
        yield from line


def parse_line(line: bytes) -> Record | None:
    """None for what a kill has cut, or somebody else has written."""
    parts = line.split(b" ", 3)
    if len(parts) != 4 or parts[2] not in (b"P", b"F"):
        return None
    stream = parts[1].decode("ascii", "replace")
    return Record(parts[0], stream, parts[2] == b"F", parts[3]) if stream in STREAMS else None


def parse_since(text: str, now_ns: int) -> bytes:
    """A time as records have it, of `10m` (s, m, h, d ago), seconds since the epoch, or a date by ISO 8601 (local
    time if it does not say). ValueError.
    """
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if text[-1:] in units:
        return _stamp(now_ns - int(float(text[:-1]) * units[text[-1]] * 1e9))
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return _stamp(int(float(text) * 1e9))
    return _stamp(int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1e9))


def _stamp(time_ns: int) -> bytes:
    seconds, rest = divmod(time_ns, 1_000_000_000)
    try:
        return b"%b.%09dZ" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode(), rest)
    except (OverflowError, OSError):
        raise ValueError("this is no time") from None


def _pieces(data: bytes) -> Iterator[tuple[bytes, bool]]:
    """Lines, and whether they end here; long ones in parts."""
    *whole, rest = data.split(b"\n")
    for line in whole:
        start = 0
        while len(line) - start > _LONGEST:
            yield line[start : start + _LONGEST], False
            start += _LONGEST
        yield line[start:], True
    for start in range(0, len(rest), _LONGEST):
        yield rest[start : start + _LONGEST], False


def _numbers(directory: Path) -> list[int]:
    try:
        return sorted(int(name[:8]) for name in os.listdir(directory) if _NUMBERED.fullmatch(name))  # noqa: PTH208
    except FileNotFoundError:
        return []


def _path(directory: Path, number: int) -> Path:
    return directory / f"{number:08}.log"
