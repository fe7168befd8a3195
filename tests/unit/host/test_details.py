"""What the hosts tell of files beyond stat."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aionoah.abi.stat import STATX_ATTR
from aionoah.host import darwin_details, linux_details

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="calls of Linux")


def opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


@ON_LINUX
def test_birth_time_is_what_stat_says(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    fd = os.open(tmp_path / "file", os.O_PATH)
    found = linux_details.details(fd)
    os.close(fd)
    told = subprocess.run(["stat", "-c", "%W", tmp_path / "file"], capture_output=True, check=True)
    expected = int(told.stdout)
    assert (found.birth_ns or 0) // 1_000_000_000 == expected


@ON_LINUX
@pytest.mark.skipif(shutil.which("chattr") is None or os.geteuid() != 0, reason="needs root and chattr")
def test_attributes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    if subprocess.run(["chattr", "+a", path], capture_output=True, check=False).returncode:
        pytest.skip("the file system knows no such attribute")
    try:
        fd = opened(path)
        found = linux_details.details(fd)
        os.close(fd)
    finally:
        subprocess.run(["chattr", "-a", path], check=True)
    assert found.attributes == STATX_ATTR.APPEND
    assert found.known_attributes & STATX_ATTR.APPEND


@ON_LINUX
def test_handles_stand_for_one_file(tmp_path: Path) -> None:
    handles = []
    for name in ("a", "b"):
        (tmp_path / name).touch()
    os.link(tmp_path / "a", tmp_path / "c")
    for name in ("a", "b", "c"):
        fd = opened(tmp_path / name)
        handles.append(linux_details.file_handle(fd))
        os.close(fd)
    assert handles[0] == handles[2] != handles[1]


@ON_LINUX
def test_what_has_no_handle_says_so() -> None:
    fd = opened(Path("/proc/self/status"))
    with pytest.raises(OSError, match=f"Errno {errno.EOPNOTSUPP}"):
        linux_details.file_handle(fd)
    os.close(fd)


@ON_LINUX
def test_the_file_system_has_a_number(tmp_path: Path) -> None:
    fd = opened(tmp_path)
    try:
        found = linux_details.filesystem_uuid(fd)
    except OSError as error:
        pytest.skip(f"no such question: {error}")
    finally:
        os.close(fd)
    assert len(found) == 16


def test_darwin_has_them_in_stat() -> None:
    class Status:
        st_birthtime = 12.5
        st_flags = 0x00020005

    found = darwin_details.details_of(Status())
    assert found.birth_ns == 12_500_000_000
    assert found.attributes == STATX_ATTR.IMMUTABLE | STATX_ATTR.APPEND | STATX_ATTR.NODUMP
    assert darwin_details.details_of(object()).birth_ns is None
