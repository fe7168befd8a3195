"""The log: what comes out is what went in, whatever happens in between."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aionoah.instances import logs
from aionoah.instances.logs import LogReader, LogWriter, Record, parse_line, parse_since, selected


def texts(reader: LogReader, stream: str = "stdout") -> bytes:
    records = [each for each in reader.new() if each.stream == stream]
    return b"".join(each.text + b"\n" * each.is_whole for each in records)


@given(st.lists(st.binary(max_size=50), max_size=10))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_come_back(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    directory = tmp_path_factory.mktemp("log") / "log"
    writer = LogWriter(directory, 1 << 20)
    for piece in pieces:
        writer.write("stdout", piece)
    writer.close()
    reader = LogReader(directory)
    assert texts(reader) == b"".join(pieces)
    reader.close()


def test_long_lines_and_streams(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "log", 1 << 22)
    writer.write("stdout", b"x" * 100_000 + b"\ny")
    writer.write("stderr", b"error\n")
    writer.say("a sentence")
    records = list(LogReader(tmp_path / "log").new())
    assert b"".join(each.text for each in records[:7]) == b"x" * 100_000
    assert [(each.stream, each.is_whole, each.text) for each in records[7:]] == [
        ("stdout", False, b"y"),
        ("stderr", True, b"error"),
        ("aionoah", True, b"a sentence"),
    ]
    writer.close()


def test_the_oldest_goes(tmp_path: Path) -> None:
    """And a reader that keeps up sees all of it."""
    writer = LogWriter(tmp_path / "log", 40_000)
    reader = LogReader(tmp_path / "log")
    seen = b""
    for number in range(1000):
        writer.write("stdout", b"%04d %s\n" % (number, b"x" * 60))
        if number % 10 == 0:
            seen += texts(reader)
    seen += texts(reader)
    assert [int(line[:4]) for line in seen.splitlines()] == list(range(1000))
    assert sum(path.stat().st_size for path in (tmp_path / "log").iterdir()) <= 40_000
    late = LogReader(tmp_path / "log")
    numbers = [int(line[:4]) for line in texts(late).splitlines()]
    assert numbers == list(range(numbers[0], 1000))
    assert len(numbers) > 200
    slow = LogReader(tmp_path / "log")
    records = slow.new()
    first = next(records)
    for _ in range(1000):
        writer.write("stdout", b"later %s\n" % (b"x" * 60))
    rest = [each.text[:5] for each in records]  # the open file to its end, then what is still there
    numbers = [int(text) for text in rest if text != b"later"]
    assert numbers == list(range(int(first.text[:4]) + 1, numbers[-1] + 1))
    assert set(rest[len(numbers) :]) == {b"later"}
    for each in (reader, late, slow, writer):
        each.close()


def test_a_log_goes_on_after_a_kill_in_the_middle_of_a_line(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "log", 1 << 20)
    writer.write("stdout", b"one\n")
    writer.close()
    path = tmp_path / "log" / "00000001.log"
    with path.open("ab") as file:
        file.write(b"2026-01-01T00:00:00.000000000Z stdo")
    writer = LogWriter(tmp_path / "log", 1 << 20)
    writer.write("stdout", b"two\n")
    writer.close()
    assert texts(LogReader(tmp_path / "log")) == b"one\ntwo\n"


def test_a_full_disk_loses_lines_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = LogWriter(tmp_path / "log", 1 << 20)
    writer.write("stdout", b"before\n")
    write = os.write

    def full(fd: int, data: bytes) -> int:
        if len(data) > 10:
            return write(fd, data[:10])  # the last bytes there are
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(logs.os, "write", full)
    writer.write("stdout", b"lost\n")
    writer.write("stderr", b"lost too\n")
    monkeypatch.setattr(logs.os, "write", write)
    writer.write("stdout", b"after\n")
    writer.write("stdout", b"more\n")
    writer.close()
    found = [(each.stream, each.text) for each in LogReader(tmp_path / "log").new()]
    assert found == [
        ("stdout", b"before"),
        ("aionoah", b"14 bytes of output are lost: No space left on device"),
        ("stdout", b"after"),
        ("stdout", b"more"),
    ]


def record(time: bytes, text: bytes, *, is_whole: bool = True, stream: str = "stdout") -> Record:
    return Record(time, stream, is_whole, text)


def test_tail_and_since() -> None:
    records = [
        record(b"1", b"a"),
        record(b"2", b"b", is_whole=False),
        record(b"3", b"x", stream="stderr"),
        record(b"4", b"c"),
        record(b"5", b"d"),
    ]

    def chosen(tail: int | None, since: bytes | None = None) -> str:
        return b"".join(each.text for each in selected(iter(records), tail=tail, since=since)).decode()

    assert chosen(None) == "abxcd"
    assert chosen(0) == ""
    assert chosen(1) == "d"
    assert chosen(3) == "bcxd"
    assert chosen(9) == "abcxd"
    assert chosen(None, b"3") == "xcd"
    assert chosen(1, b"9") == ""


@pytest.mark.parametrize(
    "line", [b"", b"x", b"a b c d", b"t stdout X text", b"t other F text", b"t stdout F"]
)
def test_lines_that_are_none(line: bytes) -> None:
    assert parse_line(line) is None


def test_times() -> None:
    now = 1_700_000_000_000_000_000
    assert parse_since("10m", now) == b"2023-11-14T22:03:20.000000000Z"
    assert parse_since("1.5h", now) == b"2023-11-14T20:43:20.000000000Z"
    assert parse_since("1700000000", now) == b"2023-11-14T22:13:20.000000000Z"
    assert parse_since("2023-11-14T22:13:20+00:00", now) == b"2023-11-14T22:13:20.000000000Z"


@pytest.mark.parametrize("text", ["", "m", "soon", "xm", "-", "9" * 40, "9" * 30 + "d"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        parse_since(text, 0)
