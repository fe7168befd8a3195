"""Whole directories of the host, read in the form of getdents64."""

import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aionoah.abi.dirent import PackedEntries
from aionoah.abi.stat import DT
from aionoah.host.directory import read_entries

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other hosts have their own form")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def read(fd: int, *hidden: int) -> PackedEntries:
    found = read_entries(fd, hidden)
    assert found is not None
    return found


def test_entries_have_numbers_kinds_and_names(tmp_path: Path, opened: int) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / ("n" * 255)).touch()
    kinds = {b"file": DT.REG, b"directory": DT.DIR, b"link": DT.LNK, b"n" * 255: DT.REG}
    expected = {
        (os.lstat(os.fsencode(tmp_path) + b"/" + name).st_ino, kind, name) for name, kind in kinds.items()
    }
    expected |= {(tmp_path.stat().st_ino, DT.DIR, b"."), (tmp_path.parent.stat().st_ino, DT.DIR, b"..")}
    assert set(read(opened).rows()) == expected


def test_a_large_directory_comes_in_one_piece(tmp_path: Path, opened: int) -> None:
    names = {b"%03d" % number + b"x" * 200 for number in range(1200)}  # more than fits into one reading
    for name in names:
        os.close(os.open(os.fsencode(tmp_path) + b"/" + name, os.O_CREAT))
    found = read(opened)
    assert {name for _, _, name in found.rows()} == names | {b".", b".."}
    data, position = found.part(0, 1 << 30)
    assert position == len(found) == 1202
    cookies = []
    while data:
        _, cookie, size = struct.unpack_from("<QqH", data)
        cookies.append(cookie)
        data = data[size:]
    assert cookies == list(range(1, 1203))


def test_what_is_hidden_is_left_out(tmp_path: Path, opened: int) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
    found = read(opened, (tmp_path / "b").stat().st_ino, 1 << 63)
    assert sorted(name for _, _, name in found.rows()) == [b".", b"..", b"a", b"c"]
    assert found.part(0, 1 << 20)[1] == 4


def test_a_device_is_for_others_to_look_at() -> None:
    fd = os.open("/dev", os.O_RDONLY | os.O_DIRECTORY)
    assert read_entries(fd, ()) is None
    os.close(fd)


def test_what_is_no_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    with pytest.raises(NotADirectoryError):
        read_entries(fd, ())
    os.close(fd)
