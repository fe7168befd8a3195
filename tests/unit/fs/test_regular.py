"""Open regular files, ours and the host's, against a file of the kernel."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fakes.trees import IS_LINUX, Tree, outcome
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aionoah.abi.fcntl import FALLOC, SEEK, O
from aionoah.fs.host_io import read_at, write_at
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.python.callables import CallableFileSystem, TextFile
from aionoah.fs.regular import MAX_OFFSET, RegularFile
from aionoah.fs.synthetic import Directory, SyntheticFileSystem, Text
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.memory.buffer import KernelBuffer

sizes = st.one_of(st.integers(0, 40), st.sampled_from([4095, 4096, 4097, 8192, 20000]))
steps = st.one_of(
    st.tuples(st.just("read"), sizes),
    st.tuples(st.just("write"), sizes),
    st.tuples(st.just("pread"), sizes, sizes),
    st.tuples(st.just("pwrite"), sizes, sizes),
    st.tuples(st.just("seek"), st.integers(-50, 9000), st.integers(0, 4)),
    st.tuples(st.just("truncate"), sizes),
)


def pattern(size: int) -> bytes:
    return bytes(range(1, 251)) * (size // 250) + bytes(range(1, size % 250 + 1))


class OurFile:
    def __init__(self, file: Any) -> None:
        self.file = file

    def read(self, size: int) -> bytes:
        data = bytearray(size)
        return bytes(data[: self.file.read_nowait(KernelBuffer(data))])

    def pread(self, size: int, offset: int) -> bytes:
        data = bytearray(size)
        return bytes(data[: self.file.pread(KernelBuffer(data), offset)])

    def write(self, size: int) -> int:
        return int(self.file.write_nowait(KernelBuffer(pattern(size))))

    def pwrite(self, size: int, offset: int) -> int:
        return int(self.file.pwrite(KernelBuffer(pattern(size)), offset))

    def seek(self, offset: int, whence: int) -> int:
        return int(self.file.seek(offset, whence))

    def truncate(self, size: int) -> None:
        self.file.truncate(size)


class TheirFile:
    def __init__(self, fd: int) -> None:
        self.fd = fd

    def read(self, size: int) -> bytes:
        return os.read(self.fd, size)

    def pread(self, size: int, offset: int) -> bytes:
        return os.pread(self.fd, size, offset)

    def write(self, size: int) -> int:
        return os.write(self.fd, pattern(size))

    def pwrite(self, size: int, offset: int) -> int:
        return os.pwrite(self.fd, pattern(size), offset)

    def seek(self, offset: int, whence: int) -> int:
        return os.lseek(self.fd, offset, whence)

    def truncate(self, size: int) -> None:
        os.ftruncate(self.fd, size)


@pytest.mark.skipif(not IS_LINUX, reason="Linux is the oracle")
@pytest.mark.parametrize("appends", [0, int(O.APPEND)], ids=["plain", "append"])
@pytest.mark.parametrize("kind", ["tmpfs", "hostfs"])
@settings(max_examples=150, deadline=None)
@given(st.lists(steps, min_size=1, max_size=20))
@example([("pwrite", 1, 0), ("write", 0), ("read", 1)])
@example([("write", 10), ("seek", 5000, 0), ("write", 3), ("seek", 0, 3), ("seek", 0, 4), ("seek", 4200, 3)])
def test_random_reads_and_writes_are_those_of_linux(
    kind: str, appends: int, actions: list[tuple[Any, ...]]
) -> None:
    with TemporaryDirectory(dir="/dev/shm") as top:  # a tmpfs too: holes have the size of a page there
        tree = Tree(TmpFileSystem() if kind == "tmpfs" else HostFileSystem(top))
        file = tree.open(b"ours", O.RDWR | O.CREAT | appends)
        fd = os.open(f"{top}/theirs", os.O_RDWR | os.O_CREAT | appends)
        mine, theirs = OurFile(file), TheirFile(fd)
        try:
            for name, *arguments in actions:
                expected = outcome(getattr(theirs, name), *arguments)
                assert outcome(getattr(mine, name), *arguments) == expected, (name, arguments)
            assert mine.pread(1 << 17, 0) == theirs.pread(1 << 17, 0)
            assert file.attributes().size == os.fstat(fd).st_size
        finally:
            os.close(fd)
            file.drop()
            tree.namespace.release()


@pytest.fixture(params=["tmpfs", "hostfs"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tree]:
    made = Tree(TmpFileSystem() if request.param == "tmpfs" else HostFileSystem(str(tmp_path)))
    yield made
    made.namespace.release()


def test_positions_have_limits(tree: Tree) -> None:
    file = tree.open(b"f", O.RDWR | O.CREAT)
    file.write_nowait(KernelBuffer(b"abc"))
    assert file.is_seekable
    assert file.seek(
        MAX_OFFSET if isinstance(tree.root.mount.filesystem, TmpFileSystem) else 1 << 40, SEEK.SET
    )
    assert outcome(file.seek, -1, SEEK.SET) == "EINVAL"
    assert outcome(file.seek, -4, SEEK.END) == "EINVAL"
    assert outcome(file.seek, 0, 9) == "EINVAL"
    assert outcome(file.seek, 3, SEEK.DATA) == "ENXIO"
    assert outcome(file.seek, -1, SEEK.HOLE) == "ENXIO"
    assert outcome(file.seek, MAX_OFFSET, SEEK.END) == "EINVAL"
    file.drop()


def test_a_file_without_known_holes_is_all_data() -> None:
    class Solid(RegularFile):
        def size(self) -> int:
            return 10

    file = Solid(O(O.RDWR))
    assert file.seek(3, SEEK.DATA) == 3
    assert file.seek(3, SEEK.HOLE) == 10
    assert outcome(file.seek, 10, SEEK.DATA) == "ENXIO"


def test_append_can_be_switched_on_and_off(tree: Tree) -> None:
    file = tree.open(b"f", O.RDWR | O.CREAT | O.APPEND)
    file.write_nowait(KernelBuffer(b"abc"))
    file.seek(0, SEEK.SET)
    file.write_nowait(KernelBuffer(b"def"))
    file.flags = O(file.flags & ~O.APPEND)
    file.pwrite(KernelBuffer(b"X"), 0)
    file.flags = O(file.flags | O.APPEND)
    file.pwrite(KernelBuffer(b"Y"), 0)
    assert tree.read(b"f") == b"XbcdefY"
    file.drop()


def test_holes_can_be_made_and_room_taken(tree: Tree) -> None:
    file = tree.open(b"f", O.RDWR | O.CREAT)
    file.write_nowait(KernelBuffer(b"x" * 12288))
    file.allocate(FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, 4096, 4096)
    assert tree.read(b"f") == b"x" * 4096 + bytes(4096) + b"x" * 4096
    file.allocate(0, 0, 16384)
    assert file.attributes().size == 16384
    file.allocate(FALLOC.KEEP_SIZE, 0, 32768)
    assert file.attributes().size == 16384
    assert file.attributes().blocks >= 32768 // 512
    file.drop()


def test_a_mapping_shows_the_file(tree: Tree) -> None:
    import mmap

    file = tree.open(b"f", O.RDWR | O.CREAT)
    file.write_nowait(KernelBuffer(b"before"))
    mapping = file.mapping()
    with mmap.mmap(mapping.fd, 6) as pages:
        assert pages[:] == b"before"
        pages[:3] = b"AFT"
        assert tree.read(b"f") == b"AFTore"
        file.pwrite(KernelBuffer(b"er"), 3)
        assert pages[:] == b"AFTere"
    file.sync(data_only=True)
    file.sync(data_only=False)
    file.drop()


def test_the_first_change_takes_privilege_away_once(tree: Tree) -> None:
    file = tree.open(b"f", O.RDWR | O.CREAT)
    assert isinstance(file, RegularFile)
    for change in (
        lambda: file.write_nowait(KernelBuffer(b"x")),
        lambda: file.pwrite(KernelBuffer(b"x"), 0),
        lambda: file.truncate(0),
    ):
        calls: list[int] = []
        file.before_write = lambda calls=calls: calls.append(1)  # type: ignore[misc]
        change()
        change()
        assert calls == [1]
    file.drop()


class Scattered:
    """A buffer of many parts."""

    def __init__(self, data: bytearray, step: int) -> None:
        view = memoryview(data)
        self.parts = [view[start : start + step] for start in range(0, len(view), step)]
        self.length = len(data)

    def segments(self, limit: int | None = None) -> list[memoryview]:
        return self.parts if limit is None else self.parts[: limit // len(self.parts[0])]


def test_many_parts_go_in_one_call(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(pattern(5000))
    fd = os.open(path, os.O_RDWR)
    data = bytearray(5000)
    assert read_at(fd, Scattered(data, 5), 0) == 5000  # type: ignore[arg-type]
    assert data == pattern(5000)
    assert read_at(fd, Scattered(data, 5), 2000) == 3000  # type: ignore[arg-type]
    assert write_at(fd, Scattered(data, 5), 10) == 5000  # type: ignore[arg-type]
    assert path.read_bytes()[10:] == bytes(data)
    os.close(fd)


def test_errors_of_the_host_are_the_guests(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    assert outcome(read_at, fd, Scattered(bytearray(10), 2), 7) == "EISDIR"
    assert outcome(write_at, fd, Scattered(bytearray(10), 2), 7) == "EBADF"
    os.close(fd)


def test_positions_that_no_offset_can_say() -> None:
    nodes = Directory({b"text": Text(lambda _owner: b"text")})
    computed = SyntheticFileSystem(nodes, None, type_name=b"test", magic=1, device=1, block_size=1)
    tree = Tree(computed)
    files = [tree.open(b"text"), tree.open(b"/")]
    tree.namespace.mount(CallableFileSystem(TextFile(lambda: "text")), b"/text")
    for file in (*files, tree.open(b"text")):
        assert file.seek(MAX_OFFSET, SEEK.SET) == MAX_OFFSET
        assert outcome(file.seek, 1, SEEK.CUR) == "EINVAL"
        assert outcome(file.seek, -MAX_OFFSET - 1, SEEK.CUR) == "EINVAL"
        assert outcome(file.seek, 0, SEEK.END) == "EINVAL"
        assert file.seek(-MAX_OFFSET, SEEK.CUR) == 0
