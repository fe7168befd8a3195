"""memfd_create and seals."""

from collections.abc import Iterator
from typing import Any

import pytest

from aionoah.abi.fcntl import F_SEAL, FALLOC, F, O
from aionoah.abi.mman import MFD

WILD = 8


def test_a_file_without_a_name(same: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd, status = k.call("memfd_create", b"name", MFD.CLOEXEC), k.space(256)
        yield (
            k.call("fcntl", fd, F.GETFD, 0),
            k.call("fcntl", fd, F.GETFL, 0),
            k.call("fcntl", fd, F.GET_SEALS, 0),
        )
        yield k.call("write", fd, k.put(b"data"), 4), k.call("lseek", fd, 0, 2), k.call("ftruncate", fd, 10)
        assert k.call("fstat", fd, status) == 0
        found = k.architecture.stat_struct.unpack(k.get(status, k.architecture.stat_struct.SIZE))
        yield found.st_mode, found.st_nlink, found.st_size, found.st_uid
        yield k.call("fcntl", fd, F.ADD_SEALS, F_SEAL.SEAL), k.call("fchmod", fd, 0o600)

    same(script)


def test_names_and_flags(same: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        for name in (b"", b"x" * 249, b"x" * 250, b"x" * 300, WILD):
            result = k.call("memfd_create", name, MFD.NOEXEC_SEAL)
            yield result if result < 0 else type(result)
        for flags in (1 << 10, MFD.EXEC | MFD.NOEXEC_SEAL):
            yield k.call("memfd_create", b"name", flags)

    same(script)


@pytest.mark.parametrize("seals", [*(1 << bit for bit in range(7)), 0x14, 0x20, 0])
def test_seals(same: Any, seals: int) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = k.call("memfd_create", b"name", MFD.ALLOW_SEALING)
        data = k.put(b"0123456789")
        k.call("write", fd, data, 10)
        yield k.call("fcntl", fd, F.ADD_SEALS, seals), k.call("fcntl", fd, F.GET_SEALS, 0)
        yield k.call("pwrite64", fd, data, 4, 2), k.call("pwrite64", fd, data, 4, 10)
        yield k.call("ftruncate", fd, 8), k.call("ftruncate", fd, 12), k.call("fallocate", fd, 0, 0, 20)
        yield k.call("fallocate", fd, FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, 0, 4), k.call("lseek", fd, 0, 2)
        yield k.call("fchmod", fd, 0o777), k.call("fchmod", fd, 0o666)
        yield k.call("fcntl", fd, F.ADD_SEALS, F_SEAL.GROW), k.call("fcntl", fd, F.GET_SEALS, 0)

    same(script)


def test_a_file_that_is_never_run(same: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = k.call("memfd_create", b"name", MFD.NOEXEC_SEAL)
        yield k.call("fcntl", fd, F.GET_SEALS, 0), k.call("fchmod", fd, 0o777), k.call("fchmod", fd, 0o600)
        yield k.call("fcntl", fd, F.ADD_SEALS, F_SEAL.WRITE)

    same(script)


def test_other_files_have_no_seals(same: Any, make: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        pair = k.space(8)
        k.call("pipe2", pair, O.CLOEXEC)
        fd = int.from_bytes(k.get(pair, 4), "little")
        yield k.call("fcntl", fd, F.GET_SEALS, 0), k.call("fcntl", fd, F.ADD_SEALS, 1)

    same(script)


def test_what_the_link_in_proc_says(guest: Any) -> None:
    fd = guest.call("memfd_create", b"name", 0)
    assert guest.task.files[fd].describe() == b"/memfd:name (deleted)"
