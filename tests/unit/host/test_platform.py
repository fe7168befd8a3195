"""The modules of the two hosts: the same functions, and what those of this host do."""

import errno
import fcntl
import inspect
import os
import pty
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType

import pytest

from aionoah.abi.fcntl import FALLOC, RENAME, SEEK
from aionoah.host import darwin, linux, platform

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="calls of Linux")


def failing(*numbers: int) -> AbstractContextManager[object]:
    """An OSError with one of these numbers is expected."""
    return pytest.raises(OSError, match="|".join(rf"\[Errno {number}\]" for number in numbers))


@pytest.fixture
def file() -> Iterator[int]:
    fd = platform.anonymous_file("test")
    yield fd
    os.close(fd)


@pytest.fixture(
    params=[linux, darwin] if sys.platform == "linux" else [darwin], ids=lambda m: m.__name__[13:]
)
def module(request: pytest.FixtureRequest) -> ModuleType:
    """Either module, where its calls exist on this host."""
    return request.param


def test_both_have_the_same_functions() -> None:
    assert linux.__all__ == darwin.__all__
    for name in filter(lambda name: callable(getattr(linux, name)), linux.__all__):
        assert inspect.signature(getattr(linux, name)) == inspect.signature(getattr(darwin, name)), name


def test_the_platform_is_this_host() -> None:
    assert platform.__name__ == f"aionoah.host.{'darwin' if sys.platform == 'darwin' else 'linux'}"


# -- descriptors ----------------------------------------------------------------------------------------


@ON_LINUX
def test_a_pipe_is_opened_anew() -> None:
    reader, writer = os.pipe()
    again = linux.open_nonblocking(reader)
    assert (os.get_blocking(reader), os.get_blocking(again)) == (True, False)
    assert not os.get_inheritable(again)
    with pytest.raises(BlockingIOError):
        os.read(again, 1)
    os.write(writer, b"x")
    assert os.read(again, 1) == b"x"
    for fd in (reader, writer, again):
        os.close(fd)


@ON_LINUX
def test_the_writing_end_of_a_pipe_is_opened_anew() -> None:
    reader, writer = os.pipe()
    again = linux.open_nonblocking(writer)
    assert not os.get_blocking(again)
    os.write(again, b"y")
    assert os.read(reader, 1) == b"y"
    os.close(reader)
    orphan = linux.open_nonblocking(writer)  # nobody reads: only a duplicate can be had
    with pytest.raises(BrokenPipeError):
        os.write(orphan, b"z")
    for fd in (writer, again, orphan):
        os.close(fd)


@ON_LINUX
def test_a_terminal_is_opened_anew_but_its_master_is_not() -> None:
    master, slave = pty.openpty()
    again, same = linux.open_nonblocking(slave), linux.open_nonblocking(master)
    assert (os.get_blocking(slave), os.get_blocking(again)) == (True, False)
    assert os.ttyname(again) == os.ttyname(slave)
    os.write(slave, b"x")
    assert os.read(same, 1) == b"x"
    for fd in (master, slave, again, same):
        os.close(fd)


def test_a_socket_is_duplicated(module: ModuleType) -> None:
    left, right = socket.socketpair()
    again = module.open_nonblocking(left.fileno())
    right.send(b"x")
    assert os.read(again, 1) == b"x"
    assert not os.get_inheritable(again)
    os.close(again)
    left.close()
    right.close()


def test_a_file_keeps_its_position(file: int, module: ModuleType) -> None:
    again = module.open_nonblocking(file)
    os.write(file, b"abc")
    assert os.lseek(again, 0, os.SEEK_CUR) == 3
    os.close(again)


def test_pipes_do_not_block(module: ModuleType) -> None:
    reader, writer = module.pipe()
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    assert not os.get_blocking(writer)
    assert not os.get_inheritable(reader)
    assert not os.get_inheritable(writer)
    os.close(reader)
    os.close(writer)


def test_anonymous_files_have_no_name(module: ModuleType) -> None:
    fd = module.anonymous_file("some/thing")
    status = os.fstat(fd)
    assert (status.st_nlink, status.st_size) == (0, 0)
    assert not os.get_inheritable(fd)
    os.write(fd, b"abc")
    assert os.pread(fd, 3, 0) == b"abc"
    os.close(fd)


def test_pollable(file: int, tmp_path: Path, module: ModuleType) -> None:
    reader, writer = os.pipe()
    directory = os.open(tmp_path, os.O_RDONLY)
    assert [module.is_pollable(fd) for fd in (file, directory, reader)] == [False, False, True]
    for fd in (reader, writer, directory):
        os.close(fd)


# -- names ------------------------------------------------------------------------------------------------


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "folder").mkdir()
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@ON_LINUX
def test_path_open_names_the_link_itself(directory: int) -> None:
    fd = linux.path_open(b"link", directory, directory=False)
    assert os.readlink("", dir_fd=fd) == "file"
    with pytest.raises(OSError, match="Bad file"):
        os.read(fd, 1)
    os.close(fd)


@ON_LINUX
def test_path_open_of_directories_only(directory: int) -> None:
    os.close(linux.path_open(b"folder", directory, directory=True))
    for name, number in ((b"file", errno.ENOTDIR), (b"link", errno.ENOTDIR), (b"none", errno.ENOENT)):
        with failing(number):
            linux.path_open(name, directory, directory=True)


def test_rename_replaces(directory: int, module: ModuleType) -> None:
    module.rename(directory, b"file", directory, b"link", 0)
    assert sorted(os.listdir(directory)) == ["folder", "link"]


@ON_LINUX
def test_rename_with_flags(directory: int) -> None:
    with pytest.raises(FileExistsError):
        linux.rename(directory, b"file", directory, b"link", RENAME.NOREPLACE)
    linux.rename(directory, b"file", directory, b"folder", RENAME.EXCHANGE)
    assert os.stat("folder", dir_fd=directory).st_size == 3
    linux.rename(directory, b"folder", directory, b"new", RENAME.NOREPLACE)
    assert "new" in os.listdir(directory)


def test_rename_flags_of_nobody(directory: int, module: ModuleType) -> None:
    with failing(errno.EINVAL):
        module.rename(directory, b"file", directory, b"other", 0x100)


def test_rename_flags_of_macos() -> None:
    assert darwin.rename_flags(RENAME.EXCHANGE) == 2
    assert darwin.rename_flags(RENAME.NOREPLACE) == 4
    with failing(errno.EINVAL):
        darwin.rename_flags(RENAME.NOREPLACE | RENAME.EXCHANGE)


# -- contents ---------------------------------------------------------------------------------------------


def test_copy_range(file: int, module: ModuleType) -> None:
    target = platform.anonymous_file("target")
    os.write(file, b"0123456789")
    assert module.copy_range(file, 2, target, 1, 4) == 4
    assert os.pread(target, 100, 0) == b"\x002345"
    assert module.copy_range(file, 10, target, 0, 4) == 0
    assert os.lseek(file, 0, os.SEEK_CUR) == 10
    os.close(target)


@ON_LINUX
def test_fallocate(file: int) -> None:
    linux.fallocate(file, 0, 0, 10000)
    assert os.fstat(file).st_size == 10000
    linux.fallocate(file, FALLOC.KEEP_SIZE, 0, 20000)
    assert os.fstat(file).st_size == 10000
    os.pwrite(file, b"x" * 8192, 0)
    linux.fallocate(file, FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, 0, 4096)
    assert os.pread(file, 8192, 0) == bytes(4096) + b"x" * 4096


@ON_LINUX
@pytest.mark.parametrize(("mode", "length"), [(0x100, 1), (0, 0), (0, -1), (FALLOC.PUNCH_HOLE, 1)])
def test_fallocate_fails_as_the_call_does(file: int, mode: int, length: int) -> None:
    with failing(errno.EINVAL, errno.EOPNOTSUPP):
        linux.fallocate(file, mode, 0, length)


@ON_LINUX
def test_fallocate_takes_offsets_beyond_32_bits(file: int) -> None:
    linux.fallocate(file, 0, 5 << 32, 1)
    assert os.fstat(file).st_size == (5 << 32) + 1


@pytest.mark.parametrize(
    ("mode", "size", "requests"),
    [
        (0, 5000, [(42, struct.pack("Iiqqq", 4, 3, 0, 5000, 0))]),
        (FALLOC.KEEP_SIZE, 0, [(42, struct.pack("Iiqqq", 4, 3, 0, 5000, 0))]),
        (FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, 0, [(99, struct.pack("IIqq", 0, 0, 1000, 4000))]),
    ],
)
def test_fallocate_of_macos(
    file: int, mode: int, size: int, requests: list[tuple[int, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, bytes]] = []
    monkeypatch.setattr(fcntl, "fcntl", lambda _fd, request, data: seen.append((request, data)))
    darwin.fallocate(file, mode, 1000, 4000)
    assert seen == requests
    assert os.fstat(file).st_size == size


def test_fallocate_of_macos_refuses_the_rest(file: int) -> None:
    with failing(errno.EOPNOTSUPP):
        darwin.fallocate(file, FALLOC.ZERO_RANGE, 0, 1)


def test_whence(file: int) -> None:
    os.ftruncate(file, 100)
    assert os.lseek(file, 10, platform.host_whence(SEEK.END)) == 110
    assert os.lseek(file, 0, platform.host_whence(SEEK.HOLE)) in {0, 100}
    assert [darwin.host_whence(whence) for whence in (SEEK.SET, SEEK.CUR, SEEK.END)] == [0, 1, 2]
    assert darwin.host_whence(77) == 77


# -- the rest ---------------------------------------------------------------------------------------------


def test_total_memory(module: ModuleType) -> None:
    assert module.total_memory() > 64 << 20
    assert module.total_memory() % 4096 == 0


def test_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "name").touch()
    is_same = (tmp_path / "NAME").exists()
    assert platform.folds_case(os.fsencode(tmp_path)) == is_same
    assert not linux.folds_case(b"/proc"), "which knows no flags"
    monkeypatch.setattr(os, "pathconf", lambda _path, _number: 0)
    assert darwin.folds_case(b"/")


# -- processes ------------------------------------------------------------------------------------------


def test_the_end_of_a_process() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert platform.wait_for_end(child.pid, 0)
    assert child.poll() is None
    child.communicate(b"\n")
    assert not platform.wait_for_end(child.pid, 1000)
    child = subprocess.Popen([sys.executable, "-c", ""])
    assert platform.wait_for_end(child.pid, 1000)
    assert child.wait(0) == 0
