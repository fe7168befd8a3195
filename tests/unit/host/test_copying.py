"""The contents of files of the host."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from aionoah.host import copying
from aionoah.host.copying import copy_contents


@pytest.fixture(params=["inside the host", "through memory"])
def files(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[int]]:
    if request.param == "through memory":

        def refuse(*_: int) -> int:
            raise OSError(errno.EXDEV, "not between these")

        monkeypatch.setattr(copying.platform, "copy_range", refuse)
    opened = [os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in ("source", "target")]
    yield opened
    for fd in opened:
        os.close(fd)


def test_holes_stay_holes(files: list[int]) -> None:
    source, target = files
    os.pwrite(source, b"data" * 5000, 1 << 20)
    os.pwrite(source, b"end", 3 << 20)
    os.ftruncate(source, 5 << 20)
    copy_contents(source, target, 5 << 20, lambda: False)
    assert os.pread(target, 6 << 20, 0) == os.pread(source, 6 << 20, 0)
    assert os.fstat(target).st_blocks * 512 < 1 << 20


def test_no_data_and_nothing(files: list[int]) -> None:
    source, target = files
    copy_contents(source, target, 0, lambda: False)
    assert os.fstat(target).st_size == 0
    os.ftruncate(source, 1 << 20)
    copy_contents(source, target, 1 << 20, lambda: False)
    assert os.fstat(target).st_size == 1 << 20


def test_it_can_be_stopped(files: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = files
    monkeypatch.setattr(copying, "_STEP", 4096)
    os.pwrite(source, b"x" * 40960, 0)
    answers = iter([False, False, True])
    with pytest.raises(InterruptedError):
        copy_contents(source, target, 40960, lambda: next(answers))
    assert os.fstat(target).st_size == 2 * 4096


def test_a_file_that_becomes_shorter(files: list[int]) -> None:
    source, target = files
    os.pwrite(source, b"short", 0)
    copy_contents(source, target, 5000, lambda: False)
    assert os.pread(target, 100, 0).rstrip(b"\0") == b"short"
    assert os.fstat(target).st_size == 5000
