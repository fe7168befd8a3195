"""The host's side of frames: how much address space is reserved, and what a refusal becomes."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.hypervisor import frames as module
from aionoah.hypervisor.frames import HostFrames
from aionoah.hypervisor.protocols import PAGE_SIZE

native = module.lib
MOST_MAPPINGS = int(Path("/proc/sys/vm/max_map_count").read_text())


class Library:
    """The C core on a host that reserves no more than `largest` bytes."""

    def __init__(self, largest: int) -> None:
        self.largest = largest
        self.asked: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(native, name)

    def frames_open(self, count: int, limit: int) -> Any:
        self.asked.append(count * PAGE_SIZE)
        return native.frames_open(count, limit) if count * PAGE_SIZE <= self.largest else module.ffi.NULL


def test_the_region_is_halved_until_the_host_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(1 << 33)
    monkeypatch.setattr(module, "lib", library)
    with closing(HostFrames(64 << 20)) as frames:
        assert len(frames.memory) == 1 << 33
        assert frames.limit == (64 << 20) // PAGE_SIZE
    assert library.asked == [1 << power for power in range(38, 32, -1)]


def test_too_little_address_space(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(1 << 20)
    monkeypatch.setattr(module, "lib", library)
    with pytest.raises(MemoryError, match="1 GiB"):
        HostFrames(64 << 20)
    assert library.asked[-1] == 1 << 30


def test_a_real_limit_on_address_space() -> None:
    """As `ulimit -v` sets it."""
    import subprocess
    import sys

    code = (
        "import resource; from aionoah.hypervisor.frames import HostFrames;"
        "resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30)); f = HostFrames(1 << 26);"
        "n = f.allocate(3); f.view(n, 3)[:] = b'x' * 12288; print(len(f.memory) >> 30, f.in_use); f.drop(n, 3)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    size, in_use = map(int, done.stdout.split())
    assert 1 <= size <= 4
    assert in_use >= 3


def test_an_empty_machine_holds_no_memory() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_SIZE

    HostFrames(1 << 30).close()
    before = resident()
    with closing(HostFrames(1 << 36)):
        assert resident() - before < 8 << 20


def test_what_is_dropped_goes_back_to_the_host() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_SIZE

    with closing(HostFrames(256 << 20)) as frames:
        before = resident()
        first = frames.allocate(16384)
        frames.view(first, 16384)[:] = b"x" * (64 << 20)
        assert resident() - before > 48 << 20
        frames.drop(first, 16384)
        assert resident() - before < 16 << 20


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOMEM, MemoryError), (errno.ENODEV, OSError)])
def test_a_file_that_cannot_be_mapped(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    class Refusing(Library):
        def frames_allocate_file(self, *_: object) -> int:
            module.ffi.errno = number
            return 0

    with closing(HostFrames(1 << 20)) as frames:
        monkeypatch.setattr(module, "lib", Refusing(1 << 40))
        with pytest.raises(kind) as caught:
            frames.allocate_file(0, 0, 1, shared=True, writable=True)
        if isinstance(caught.value, OSError):
            assert caught.value.errno == number
        monkeypatch.undo()


def test_a_descriptor_that_is_closed() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    with closing(HostFrames(1 << 20)) as frames:
        with pytest.raises(OSError, match="Bad file descriptor"):
            frames.allocate_file(reading, 0, 1, shared=True, writable=True)
        assert frames.allocate(1), "nothing was lost"


def host_mappings() -> int:
    return Path("/proc/self/maps").read_bytes().count(b"\n")


@pytest.fixture
def mapped(tmp_path: Path) -> Iterator[int]:
    """A descriptor of a file of many pages, all of them x."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * PAGE_SIZE)
    os.truncate(path, MOST_MAPPINGS * 2 * PAGE_SIZE)
    fd = os.open(path, os.O_RDWR)
    yield fd
    os.close(fd)


def test_files_take_no_more_of_the_hosts_mappings_than_their_share(mapped: int) -> None:
    """Or guests could leave the application none for its threads and its memory."""
    before = host_mappings()
    with closing(HostFrames(1 << 20)) as frames:
        found: list[int] = []
        with contextlib.suppress(MemoryError):
            found.extend(
                frames.allocate_file(mapped, i % 2 * PAGE_SIZE, 1, shared=True, writable=True)
                for i in range(MOST_MAPPINGS)
            )
        assert len(found) < MOST_MAPPINGS
        assert MOST_MAPPINGS // 4 < host_mappings() < MOST_MAPPINGS * 7 // 8
        for first in found:
            frames.drop(first, 1)
        assert host_mappings() < before + 20
        assert frames.allocate_file(mapped, 0, 1, shared=True, writable=True)


def test_holes_in_a_mapped_file_count_too(mapped: int) -> None:
    before = host_mappings()
    with closing(HostFrames(1 << 20)) as frames:
        first = frames.allocate_file(mapped, 0, MOST_MAPPINGS * 2, shared=True, writable=True)
        for i in range(0, MOST_MAPPINGS * 2, 2):
            frames.drop(first + i, 1)
        assert MOST_MAPPINGS // 4 < host_mappings() < MOST_MAPPINGS * 7 // 8
        for i in range(1, MOST_MAPPINGS * 2, 2):
            frames.drop(first + i, 1)
        assert host_mappings() < before + 20
        again = frames.allocate(16)
        assert again < first + 16, "all of it can be had again"
        assert bytes(frames.view(again, 16)) == bytes(16 * PAGE_SIZE)
        assert frames.in_use == 16
    assert os.pread(mapped, PAGE_SIZE, 0) == b"x" * PAGE_SIZE


@contextmanager
def most_borders(room: int) -> Iterator[None]:
    before, native.frames_most_borders = native.frames_most_borders, room
    yield
    native.frames_most_borders = before


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 9), st.integers(0, 99)), max_size=60), st.integers(0, 30)
)
def test_frames_of_files_become_empty_ones(steps: list[tuple[bool, int, int]], room: int) -> None:
    """Allocated and dropped piecemeal, whatever number of mappings may be had."""
    with tempfile.TemporaryFile() as file, closing(HostFrames(1 << 20)) as frames, most_borders(room):
        file.truncate(100 * PAGE_SIZE)
        held: list[int] = []
        for is_allocation, count, where in steps:
            if is_allocation:
                with contextlib.suppress(MemoryError):
                    shared = bool(where % 2)
                    first = frames.allocate_file(
                        file.fileno(), where * PAGE_SIZE, count, shared=shared, writable=True
                    )
                    held += range(first, first + count)
            elif held:
                frames.drop(held.pop(where % len(held)), 1)
        for frame in held:
            frames.drop(frame, 1)
        assert frames.in_use == 0
        assert frames.native.borders == 0
        first = frames.allocate(200)
        assert first == 1
        assert bytes(frames.view(first, 200)) == bytes(200 * PAGE_SIZE)
