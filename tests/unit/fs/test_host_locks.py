"""Locks of guests against those of other programs of the host, which an open file description of our own stands for."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.trees import Tree

from aionoah.abi.fcntl import O
from aionoah.fs.file import File
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.locks import (
    LAST,
    HostConflict,
    RecordLock,
    WholeLock,
    forget_locks,
    forget_record_locks,
    locks_of,
)
from aionoah.host import platform

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Python knows no such locks of other hosts")


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    (tmp_path / "file").write_bytes(b"contents")
    opened = Tree(HostFileSystem(str(tmp_path))).open(b"file", O.RDWR)
    yield opened
    opened.drop()


@pytest.fixture
def other(tmp_path: Path, file: File) -> Iterator[int]:
    """Another program's descriptor."""
    fd = os.open(tmp_path / "file", os.O_RDWR)
    yield fd
    os.close(fd)


def taken(fd: int, start: int, length: int) -> bool:
    """Whether another program finds a range locked."""
    return platform.range_holder(fd, start, length, exclusive=True) is not None


def test_flock_both_ways(file: File, other: int) -> None:
    locks = locks_of(file.inode)
    wanted = WholeLock(True, 1, None, file.lock_descriptor())
    fcntl.flock(other, fcntl.LOCK_SH)
    with pytest.raises(HostConflict):
        locks.lock_whole(file, wanted)
    fcntl.flock(other, fcntl.LOCK_UN)
    locks.lock_whole(file, wanted)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    forget_locks(file)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_record_locks_both_ways(file: File, other: int) -> None:
    locks, owner = locks_of(file.inode), object()
    platform.lock_range(other, fcntl.LOCK_EX, 0, 4)
    wanted = RecordLock(owner, True, 2, 9, 1)
    with pytest.raises(HostConflict):
        locks.lock_record(wanted, file)
    holder = locks.host_conflict(file, wanted)
    assert holder is not None
    assert holder[:3] == (True, 0, 4)
    locks.lock_record(wanted._replace(start=4), file)
    assert taken(other, 5, 1)
    assert not taken(other, 10, 1)
    locks.unlock_record(owner, 6, 9)
    assert taken(other, 5, 1)
    assert not taken(other, 6, 1)
    forget_record_locks(owner, file)
    assert not taken(other, 0, 0)


def test_two_guests_are_two_to_the_host(file: File, other: int) -> None:
    """And the end of one's locks is not the end of the other's."""
    locks, one, two = locks_of(file.inode), object(), object()
    locks.lock_record(RecordLock(one, False, 0, 3, 1), file)
    locks.lock_record(RecordLock(two, False, 2, LAST, 2), file)
    forget_record_locks(one, file)
    assert not taken(other, 0, 2)
    assert taken(other, 2, 1)
    forget_record_locks(two, file)
    assert not taken(other, 0, 0)


def test_locks_of_a_description(file: File, other: int) -> None:
    locks = locks_of(file.inode)
    locks.lock_record(RecordLock(file, True, 0, LAST, -1), file)
    holder = platform.range_holder(other, 0, 0, exclusive=False)
    assert holder == (True, 0, 0, True)
    forget_locks(file)
    assert not taken(other, 0, 0)


def test_a_process_of_the_host(file: File, tmp_path: Path) -> None:
    """A process does not meet its own record locks: so it takes another one."""
    script = "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX, 1, 3); print(flush=True); input()"
    command = [sys.executable, "-c", script, str(tmp_path / "file")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        holder = locks_of(file.inode).host_conflict(file, RecordLock(object(), True, 0, LAST, 1))
        assert holder == (True, 3, 1, False)
