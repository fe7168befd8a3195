"""Seals on files in memory."""

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import F_SEAL, O
from aionoah.abi.stat import S
from aionoah.fs.inode import Change
from aionoah.fs.memfd import MemoryFile, create_memory_file
from aionoah.fs.mount import Mount
from aionoah.memory.buffer import KernelBuffer


def new(seals: int = 0, mode: int = 0o777) -> MemoryFile:
    file = create_memory_file(b"name", mode=mode, uid=1, gid=2, seals=0)
    file.write_nowait(KernelBuffer(b"0123456789"))
    file.memory_inode.add_seals(seals)
    return file


def refused(attempt: object) -> Errno:
    assert callable(attempt)
    with pytest.raises(LinuxError) as caught:
        attempt()
    return caught.value.errno


def test_a_new_file() -> None:
    file = new()
    attributes = file.attributes()
    assert (attributes.mode, attributes.uid, attributes.gid) == (S.IFREG | 0o777, 1, 2)
    assert (attributes.nlink, attributes.size) == (0, 10)
    assert file.dentry is None
    assert file.describe() == b"/memfd:name (deleted)"
    assert file.flags & O.ACCMODE == O.RDWR


def test_sizes() -> None:
    file = new(F_SEAL.SHRINK)
    file.truncate(12)
    assert refused(lambda: file.truncate(11)) is Errno.EPERM
    file = new(F_SEAL.GROW)
    file.truncate(8)
    assert refused(lambda: file.truncate(9)) is Errno.EPERM
    assert refused(lambda: file.allocate(0, 0, 9)) is Errno.EPERM
    assert refused(lambda: file.memory_inode.change(Change(size=9))) is Errno.EPERM


def test_a_write_that_would_grow_the_file_is_cut() -> None:
    file = new(F_SEAL.GROW)
    assert file.pwrite(KernelBuffer(b"abcdef"), 7) == 3
    assert refused(lambda: file.pwrite(KernelBuffer(b"abcdef"), 10)) is Errno.EPERM
    data = bytearray(16)
    assert file.pread(KernelBuffer(data), 0) == 10
    assert data[:10] == b"0123456abc"


@pytest.mark.parametrize("seal", [F_SEAL.WRITE, F_SEAL.FUTURE_WRITE])
def test_no_more_writing(seal: int) -> None:
    file = new(seal)
    assert refused(lambda: file.write_nowait(KernelBuffer(b"x"))) is Errno.EPERM


def test_seals_cover_who_opens_the_file_again() -> None:
    file = new(F_SEAL.WRITE)
    place = Mount(file.inode.filesystem, root=file.inode).root
    again = file.inode.open(O(O.RDWR), place)
    assert refused(lambda: again.write_nowait(KernelBuffer(b"x"))) is Errno.EPERM


def test_the_last_seal() -> None:
    inode = new(F_SEAL.SEAL).memory_inode
    assert refused(lambda: inode.add_seals(F_SEAL.GROW)) is Errno.EPERM
    assert refused(lambda: inode.add_seals(0x40)) is Errno.EINVAL
    assert inode.seals == F_SEAL.SEAL


def test_what_may_be_run() -> None:
    inode = new(F_SEAL.EXEC, mode=0o666).memory_inode
    assert inode.seals == F_SEAL.EXEC
    inode.change(Change(mode=0o600))
    assert refused(lambda: inode.change(Change(mode=0o700))) is Errno.EPERM
    sealed = new(F_SEAL.EXEC).memory_inode.seals  # what may be run must not change any more
    assert sealed == F_SEAL.EXEC | F_SEAL.SHRINK | F_SEAL.GROW | F_SEAL.WRITE | F_SEAL.FUTURE_WRITE
