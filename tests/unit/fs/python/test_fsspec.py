"""fsspec's file systems shown to guests."""

import io
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aionoah.fs.python.fsspec import FsspecFileSystem

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def memory() -> Iterator[Any]:
    made = fsspec.filesystem("memory", skip_instance_cache=True)
    top = f"/{uuid.uuid4()}"
    made.makedirs(top + "/d")
    made.pipe(top + "/d/one", b"1111")
    yield made, top
    made.rm(top, recursive=True)


def test_reading(memory: Any) -> None:
    target = FsspecFileSystem(*memory)
    assert target.stat("/").kind == target.stat("/d").kind == "directory"
    assert target.stat("/d/one").size == 4
    assert target.listdir("/") == ["d"]
    assert target.listdir("/d") == ["one"]
    assert [target.read("/d/one", offset, 3) for offset in (0, 3, 9)] == [b"111", b"1", b""]
    with pytest.raises(FileNotFoundError):
        target.stat("/no")
    target.close()


def test_what_is_written_arrives_when_it_is_flushed(memory: Any) -> None:
    made, top = memory
    target = FsspecFileSystem(made, top)
    assert target.read("/d/one", 0, 9) == b"1111"  # and is kept open
    target.write("/d/one", 2, b"2")
    target.write("/d/one", 6, b"3")
    assert target.stat("/d/one").size == 7
    assert made.cat_file(top + "/d/one") == b"1111"
    target.flush("/d/one")
    assert made.cat_file(top + "/d/one") == b"1121\0\0" + b"3"
    assert target.read("/d/one", 0, 9) == b"1121\0\0" + b"3"
    target.close()


def test_making_and_removing(memory: Any) -> None:
    made, top = memory
    target = FsspecFileSystem(made, top)
    target.create("/new", 0o644)
    target.truncate("/new", 2)
    assert "new" in target.listdir("/")
    target.flush("/new")
    target.rename("/new", "/d/moved")
    assert made.cat_file(top + "/d/moved") == b"\0\0"
    target.remove("/d/moved")
    target.mkdir("/e", 0o755)
    target.rmdir("/e")
    assert target.listdir("/") == ["d"]


def test_a_zip_archive(tmp_path: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("top/file.txt", b"zipped")
    (tmp_path / "a.zip").write_bytes(data.getvalue())
    target = FsspecFileSystem(fsspec.filesystem("zip", fo=str(tmp_path / "a.zip")))
    assert target.listdir("/") == ["top"]
    assert target.stat("/top").kind == "directory"
    assert target.stat("/top/file.txt").mtime is not None
    assert target.read("/top/file.txt", 3, 9) == b"ped"
    assert target.type_name == "fsspec.zip"
    target.close()
