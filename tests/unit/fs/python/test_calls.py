"""What a file system in Python says is not believed."""

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import RENAME, O
from aionoah.abi.stat import DT, S
from aionoah.fs.context import FsContext
from aionoah.fs.inode import NOW, Change
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.opening import open_file
from aionoah.fs.path import walk
from aionoah.fs.python.callables import CallableFileSystem, Device, TextFile
from aionoah.fs.python.calls import Caller, checked_count, checked_data, checked_names, checked_stat
from aionoah.fs.python.dictionary import DictFileSystem
from aionoah.fs.python.inode import PythonFileSystem
from aionoah.fs.python.protocol import FileSystem, Stat
from aionoah.fs.python.showing import filesystem_for
from aionoah.memory.buffer import KernelBuffer
from aionoah.process.credentials import Credentials

OPEN = O(O.RDWR | O.LARGEFILE)


def fails(errno: Errno) -> Any:
    return pytest.raises(LinuxError, match=f"^{errno.name}$")


class Scripted(FileSystem):
    """Says whatever a test wants."""

    def __init__(self, **says: Any) -> None:
        self.says = says

    def _say(self, what: str) -> Any:
        value = self.says[what]
        if isinstance(value, BaseException):
            raise value
        return value

    def stat(self, path: str) -> Any:
        return Stat("directory") if path == "/" else self._say("stat")

    def listdir(self, path: str) -> Any:
        return self._say("listdir")

    def read(self, path: str, offset: int, size: int) -> Any:
        return self._say("read")

    def write(self, path: str, offset: int, data: bytes) -> Any:
        return self._say("write")

    def readlink(self, path: str) -> Any:
        return self._say("readlink")

    def space(self) -> Any:
        return self._say("space")


def root_of(**says: Any) -> Any:
    return PythonFileSystem(Scripted(**says)).root


@pytest.mark.parametrize(
    ("raised", "errno"),
    [
        (FileNotFoundError(), Errno.ENOENT),
        (FileNotFoundError("without a number"), Errno.ENOENT),
        (PermissionError(1, "with one"), Errno.EPERM),
        (PermissionError("without"), Errno.EACCES),
        (TimeoutError(), Errno.ETIMEDOUT),
        (OSError(28, "full"), Errno.ENOSPC),
        (OSError("what?"), Errno.EIO),
        (ZeroDivisionError(), Errno.EIO),
        (NotImplementedError(), Errno.EIO),
    ],
)
def test_errors(raised: BaseException, errno: Errno) -> None:
    with fails(errno):
        root_of(stat=raised).lookup(b"name")


def test_what_is_no_oserror_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "aionoah.fs"), fails(Errno.EIO):
        root_of(stat=ZeroDivisionError("really")).lookup(b"name")
    assert "really" in caplog.text


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        7,
        "file",
        ("file", 5),
        Stat("socket"),
        Stat(size=-1),
        Stat(size="5"),
        Stat(mtime="now"),
        Stat(uid=-1),
        Stat(uid=1 << 32),
        Stat(gid=(1 << 32) - 1),
        Stat(ino=1 << 63),
    ],  # type: ignore[arg-type]
)
def test_stat_nonsense(nonsense: Any) -> None:
    with fails(Errno.EIO):
        checked_stat(nonsense, read_only=False)


@pytest.mark.parametrize(
    "nonsense", [None, 7, "abc", b"abc", [b"a"], [""], ["."], ["a/b"], ["a\0"], ["x" * 256]]
)
def test_listdir_nonsense(nonsense: Any) -> None:
    with fails(Errno.EIO):
        checked_names(nonsense)


@pytest.mark.parametrize("nonsense", [None, 7, "text", b"too long"])
def test_read_nonsense(nonsense: Any) -> None:
    with fails(Errno.EIO):
        checked_data(nonsense, 4)


@pytest.mark.parametrize("nonsense", ["1", -1, 5, 1.0])
def test_write_nonsense(nonsense: Any) -> None:
    with fails(Errno.EIO):
        checked_count(nonsense, 4)


@pytest.mark.parametrize("nonsense", [None, b"bytes", "a\0b", "\ud800"])
def test_readlink_nonsense(nonsense: Any) -> None:
    link = root_of(stat=Stat("link"), readlink=nonsense).lookup(b"l")
    with fails(Errno.EIO):
        link.readlink()


@pytest.mark.parametrize(
    "nonsense", [None, (1,), (1, 2, 3), (-1, 0), (1.5, 0), ("a", 0), 7, ValueError("none")]
)
def test_space_nonsense(nonsense: Any) -> None:
    with fails(Errno.EIO):
        root_of(space=nonsense).filesystem.status()


def test_results_that_make_sense(tmp_path: Path) -> None:
    assert checked_names(["a", "\udcff", "a"]) == [b"a", b"\xff"]
    assert bytes(checked_data(bytearray(b"abc"), 3)) == b"abc"
    assert checked_count(None, 4) == 4
    found = checked_stat(os.lstat(tmp_path), read_only=True)
    assert found.mode == S.IFDIR | 0o700
    assert found.ino == tmp_path.stat().st_ino
    assert checked_stat(Stat(), read_only=True).mode == S.IFREG | 0o444
    assert checked_stat(Stat(), read_only=False).mode == S.IFREG | 0o644


def test_what_is_not_there_is_refused() -> None:
    class Nothing(FileSystem):
        pass

    filesystem = PythonFileSystem(Nothing())
    root = filesystem.root
    assert filesystem.is_read_only
    for errno, act in (
        (Errno.ENOENT, lambda: root.lookup(b"a")),
        (Errno.EIO, root.listing),
        (Errno.EROFS, lambda: root.mkdir(b"a", 0o755, 0, 0)),
        (Errno.EROFS, lambda: root.unlink(b"a")),
        (Errno.EPERM, lambda: root.change(Change(mode=0o700))),
        (Errno.EPERM, lambda: root.mknod(b"a", S.IFIFO, 0, 0, 0)),
        (Errno.EPERM, lambda: root.link(b"a", root)),
        (Errno.EINVAL, root.readlink),
    ):
        with fails(errno):
            act()
    assert Caller(Scripted(), None).is_read_only is False


# -- through the path operations ------------------------------------------------------------------------------


@pytest.fixture
def tree() -> dict[str, Any]:
    return {"a": b"contents", "d": {"x": b"1"}}


@pytest.fixture
def context(tree: dict[str, Any]) -> FsContext:
    namespace = MountNamespace.of(PythonFileSystem(DictFileSystem(tree)))
    return FsContext(namespace.root, Credentials(0, 0))


def opened(context: FsContext, path: bytes, flags: int = OPEN, mode: int = 0o644) -> Any:
    return open_file(context, context.root, path, O(flags), mode)


def test_files(context: FsContext, tree: dict[str, Any]) -> None:
    file = opened(context, b"/a")
    buffer = bytearray(20)
    assert file.read_nowait(KernelBuffer(buffer)) == 8
    assert file.write_nowait(KernelBuffer(b"!")) == 1
    assert file.attributes().size == 9
    file.flush()
    assert tree["a"] == b"contents!"
    file.truncate(2)
    file.drop()  # without close
    assert tree["a"] == b"co"


def test_names(context: FsContext, tree: dict[str, Any]) -> None:
    root = context.root.inode
    names = [(name, kind) for _, kind, name in root.listing()]
    assert names == [(b".", DT.DIR), (b"..", DT.DIR), (b"a", DT.UNKNOWN), (b"d", DT.UNKNOWN)]
    held = walk(context, context.root, b"/d/x")
    root.rename(b"d", root, b"e", 0)
    assert held.inode.attributes().size == 1  # it has gone along
    with fails(Errno.EINVAL):
        root.rename(b"a", root, b"e", RENAME.EXCHANGE)
    root.unlink(b"a")
    assert list(tree) == ["e"]
    made = root.mkdir(b"n", 0o700, 0, 0)
    assert made.attributes().mode == S.IFDIR | 0o700
    made.change(Change(mode=0o755, atime_ns=NOW, mtime_ns=5_000_000_000))
    assert made.attributes().mtime_ns == 5_000_000_000


def test_mapping_shows_a_copy(context: FsContext) -> None:
    file = opened(context, b"/a", O.RDONLY)
    shown = file.for_mapping(shared=True)
    assert os.pread(shown.mapping().fd, 20, 0) == b"contents"
    assert file.for_mapping(shared=False) is shown
    other = opened(context, b"/a")
    with fails(Errno.ENODEV):
        other.for_mapping(shared=True)
    other.pwrite(KernelBuffer(b"more"), 8)
    again = file.for_mapping(shared=False)
    assert os.pread(again.mapping().fd, 20, 0) == b"contentsmore"
    file.drop()


# -- functions ------------------------------------------------------------------------------------------------


def opened_node(node: Any, flags: int = OPEN) -> Any:
    filesystem = filesystem_for(node, None)
    assert isinstance(filesystem, CallableFileSystem)
    place = MountNamespace.of(filesystem).root
    return filesystem.root.open(O(flags), place)


def test_a_device() -> None:
    taken: list[bytes] = []
    device = Device(lambda size: b"ab"[:size], taken.append)  # type: ignore[arg-type]
    file = opened_node(device)
    buffer = bytearray(1)
    assert (file.read_nowait(KernelBuffer(buffer)), buffer) == (1, b"a")
    assert file.write_nowait(KernelBuffer(b"out")) == 3
    assert taken == [b"out"]
    assert file.attributes().mode == S.IFCHR | 0o666
    with fails(Errno.EINVAL):
        opened_node(Device()).read_nowait(KernelBuffer(buffer))
    with fails(Errno.EINVAL):
        opened_node(Device()).write_nowait(KernelBuffer(b"x"))


def test_a_text() -> None:
    texts = iter(["first", "second"])
    file = opened_node(TextFile(lambda: next(texts)))
    buffer = bytearray(3)
    assert file.read_nowait(KernelBuffer(buffer)) == 3
    assert file.read_nowait(KernelBuffer(buffer)) == 2  # of the same text
    assert file.seek(0, 0) == 0
    file.read_nowait(KernelBuffer(buffer))
    assert buffer == b"sec"
    assert file.attributes().mode == S.IFREG | 0o444
    with fails(Errno.EIO):
        file.write_nowait(KernelBuffer(b"x"))
    with fails(Errno.EINVAL):
        file.seek(0, 2)
    with fails(Errno.EIO):
        opened_node(TextFile(lambda: 5)).read_nowait(KernelBuffer(buffer))  # type: ignore[arg-type, return-value]


def test_what_cannot_be_mounted() -> None:
    with pytest.raises(TypeError, match="neither a path nor a file system"):
        filesystem_for(5, None)
