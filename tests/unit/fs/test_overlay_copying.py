"""Copying large files up without the kernel lock."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.trees import Tree, outcome

from aionoah.abi.errno import Errno, LinuxError
from aionoah.fs import overlay_copy, overlay_copying
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.overlay import OverlayFileSystem
from aionoah.host import copying
from aionoah.host.application import answered, answered_here
from aionoah.host.waiting import Waiter, kernel_lock

SIZE = 100_000


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(overlay_copy, "LARGE", SIZE // 2)
    (tmp_path / "upper").mkdir()
    (tmp_path / "lower").mkdir()
    (tmp_path / "lower/file").write_bytes(bytes(range(250)) * (SIZE // 250))
    (tmp_path / "lower/file").chmod(0o640)
    return tmp_path


@pytest.fixture
def tree(place: Path) -> Iterator[Tree]:
    upper = HostFileSystem(str(place / "upper"))
    made = Tree(OverlayFileSystem([HostFileSystem(str(place / "lower"))], upper))
    yield made
    made.namespace.release()


class Gate:
    """Copying goes on when it is opened."""

    def __init__(self) -> None:
        self.is_reached, self.is_open = threading.Event(), threading.Event()
        self.count = 0
        self.error: OSError | None = None

    def __call__(self, source: int, target: int, size: int, is_stopped: Callable[[], bool]) -> None:
        self.count += 1
        self.is_reached.set()
        assert self.is_open.wait(200)
        if self.error is not None:
            os.write(target, b"half")
            raise self.error
        copying.copy_contents(source, target, size, is_stopped)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    made = Gate()
    monkeypatch.setattr(overlay_copying, "copy_contents", made)
    return made


def in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []

    def work() -> None:
        with kernel_lock:
            results.append(outcome(answered_here, call))

    thread = threading.Thread(target=work)
    thread.start()
    return thread, results


def test_others_go_on_meanwhile(tree: Tree, place: Path, gate: Gate) -> None:
    threads = [in_thread(lambda: tree.write(b"file", b"new")) for _ in range(2)]
    assert gate.is_reached.wait(200)
    with kernel_lock:
        tree.write(b"small", b"x")
        assert tree.read(b"file")[:3] == b"\0\1\2"
        assert os.listdir(place / "upper") != ["file"]
    gate.is_open.set()
    for thread, results in threads:
        thread.join()
        assert results == [3]
    assert gate.count == 1  # both waited for one copy
    expected = b"new" + (place / "lower/file").read_bytes()[3:]
    assert (place / "upper/file").read_bytes() == tree.read(b"file") == expected
    assert (place / "upper/file").stat().st_mode & 0o777 == 0o640
    assert os.listdir(place / "upper" / OverlayFileSystem.WORK.decode()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_an_error_leaves_what_was_there(tree: Tree, place: Path, gate: Gate, number: int) -> None:
    gate.error = OSError(number, "provoked")
    gate.is_open.set()
    thread, results = in_thread(lambda: tree.chmod(b"file", 0o600))
    thread.join()
    assert results == [errno.errorcode[number]]
    assert not (place / "upper/file").exists()
    assert os.listdir(place / "upper" / OverlayFileSystem.WORK.decode()) == []
    assert (tree.stat(b"file").size, tree.stat(b"file").mode & 0o777) == (SIZE, 0o640)
    gate.error = None
    thread, results = in_thread(lambda: tree.chmod(b"file", 0o600))
    thread.join()
    assert results == [None]
    assert tree.read(b"file") == (place / "lower/file").read_bytes()


def test_who_is_killed_stops_it(tree: Tree, place: Path, gate: Gate) -> None:
    with kernel_lock:
        call = answered(lambda: tree.write(b"file", b"new"))
        assert isinstance(call.send(None), Waiter)
        (under_way,) = overlay(tree).copies.values()
        assert isinstance(call.throw(LinuxError(Errno.ERESTARTSYS)), Waiter)  # a signal does not
        call.close()
        assert not overlay(tree).copies
    gate.is_open.set()
    while under_way.is_under_way:
        with kernel_lock:  # taken by the end of the copying
            pass
    del under_way
    assert os.listdir(place / "upper" / OverlayFileSystem.WORK.decode()) == []
    assert not (place / "upper/file").exists()


def test_a_file_that_is_emptied_meanwhile_stays_empty(tree: Tree, place: Path, gate: Gate) -> None:
    thread, results = in_thread(lambda: tree.chmod(b"file", 0o600))
    assert gate.is_reached.wait(200)
    with kernel_lock:
        tree.truncate(b"file", 0)
    gate.is_open.set()
    thread.join()
    assert results == [None]
    assert tree.stat(b"file").size == 0
    assert tree.stat(b"file").mode & 0o777 == 0o600
    assert os.listdir(place / "upper" / OverlayFileSystem.WORK.decode()) == []


def test_a_file_that_always_grows_is_copied_once(
    tree: Tree, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0

    def copy(source: int, target: int, size: int, is_stopped: Callable[[], bool]) -> None:
        nonlocal count
        count += 1
        assert count < 10
        with (place / "lower/file").open("ab") as log:
            log.write(b"line")
        copying.copy_contents(source, target, size, is_stopped)

    monkeypatch.setattr(overlay_copying, "copy_contents", copy)
    thread, results = in_thread(lambda: tree.chmod(b"file", 0o600))
    thread.join()
    assert results == [None]
    assert count == 1
    assert tree.read(b"file") == (place / "lower/file").read_bytes()[:SIZE]


def overlay(tree: Tree) -> OverlayFileSystem:
    filesystem = tree.namespace.mounts[0].filesystem
    assert isinstance(filesystem, OverlayFileSystem)
    return filesystem
