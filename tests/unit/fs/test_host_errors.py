"""Errors of the host's disks reach programs as themselves, whichever call meets them."""

import errno
import os
from pathlib import Path

import pytest
from fakes.trees import Tree, outcome

from aionoah.abi.fcntl import O
from aionoah.fs import hostfs
from aionoah.fs.hostfs import HostFileSystem
from aionoah.memory.buffer import KernelBuffer

ERRORS = [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EROFS]


@pytest.mark.parametrize("number", ERRORS)
@pytest.mark.parametrize("call", ["preadv", "pwritev", "ftruncate", "fsync"])
def test_of_open_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, "provoked")

    (tmp_path / "file").write_bytes(b"text")
    file = Tree(HostFileSystem(str(tmp_path))).open(b"file", O.RDWR)
    buffer = KernelBuffer(bytearray(4))
    attempts = {
        "preadv": lambda: file.read_nowait(buffer),
        "pwritev": lambda: file.write_nowait(buffer),
        "ftruncate": lambda: file.truncate(2),
        "fsync": lambda: file.sync(data_only=False),
    }
    monkeypatch.setattr(os, call, fail)
    assert outcome(attempts[call]) == errno.errorcode[number]
    monkeypatch.undo()
    assert file.offset == 0
    assert (tmp_path / "file").read_bytes() == b"text"
    file.drop()


@pytest.mark.parametrize("number", ERRORS)
@pytest.mark.parametrize("operation", ["mkdir", "unlink", "symlink", "link", "rmdir"])
def test_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, number: int) -> None:
    """ESTALE too, which a walk tries again for a while."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "provoked")

    (tmp_path / "file").touch()
    (tmp_path / "dir").mkdir()
    tree = Tree(HostFileSystem(str(tmp_path)))
    arguments = {
        "mkdir": (b"new",),
        "unlink": (b"file",),
        "rmdir": (b"dir",),
        "symlink": (b"x", b"new"),
        "link": (b"file", b"new"),
    }
    monkeypatch.setattr(hostfs.os, operation, fail)
    assert outcome(getattr(tree, operation), *arguments[operation]) == errno.errorcode[number]
    monkeypatch.undo()
    assert tree.names(b".") == [b"dir", b"file"]
