"""Watches: what guests do, what the host's programs do, and none of it twice. (The order of events of every operation
is compared with Linux in tests/guest/programs/inotify.c.)
"""

import os
import sys
from pathlib import Path

import pytest
from fakes.trees import Tree, outcome

from aionoah.abi.epoll import Epoll
from aionoah.abi.errno import LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.inotify import IN, IN_ALL_EVENTS, InotifyEvent
from aionoah.abi.poll import Poll
from aionoah.fs import notify
from aionoah.fs.epoll import EpollFile, Interest
from aionoah.fs.file import File, WouldBlock
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.hostwatch import OBSERVERS
from aionoah.fs.inotify import InotifyFile
from aionoah.fs.inotify_limits import InotifyLimits
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.host.edges import HostEdges
from aionoah.memory.buffer import KernelBuffer

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="other hosts tell less")


def events(file: InotifyFile) -> list[tuple[int, str, bytes]]:
    """What is there to be read: watch, events, name."""
    data = bytearray(65536)
    try:
        length = file.read_nowait(KernelBuffer(data))
    except WouldBlock:
        return []
    found, position = [], 0
    while position < length:
        event = InotifyEvent.unpack(data, position)
        position += InotifyEvent.SIZE
        name = bytes(data[position : position + event.len]).rstrip(b"\0")
        position += event.len
        found.append((event.wd, "|".join(IN(event.mask).names()), name))
    return found


def write(file: File, data: bytes) -> None:
    file.write_nowait(KernelBuffer(data))
    notify.modified(file)


@pytest.fixture
def limits() -> InotifyLimits:
    return InotifyLimits()


@pytest.fixture
def inotify(limits: InotifyLimits) -> InotifyFile:
    file = InotifyFile(O(O.NONBLOCK), limits, 0)
    yield file
    file.drop()
    assert not OBSERVERS
    assert not notify.WATCHES


@pytest.fixture(params=["memory", "host"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    return Tree(TmpFileSystem() if request.param == "memory" else HostFileSystem(str(tmp_path)))


def test_a_guest_is_told_once(inotify: InotifyFile, tree: Tree) -> None:
    tree.mkdir(b"d")
    assert inotify.add(tree.walk(b"d"), IN_ALL_EVENTS) == 1
    file = tree.open(b"d/f", O.CREAT | O.RDWR)
    write(file, b"1")
    write(file, b"2")
    file.drop()
    tree.unlink(b"d/f")
    assert events(inotify) == [
        (1, "CREATE", b"f"),
        (1, "OPEN", b"f"),
        (1, "MODIFY", b"f"),
        (1, "CLOSE_WRITE", b"f"),
        (1, "DELETE", b"f"),
    ]
    assert events(inotify) == []


@on_linux
def test_the_hosts_programs_are_seen(inotify: InotifyFile, tmp_path: Path) -> None:
    tree = Tree(HostFileSystem(str(tmp_path)))
    inotify.add(tree.walk(b"."), IN_ALL_EVENTS & ~IN.ACCESS)
    (tmp_path / "mine").write_bytes(b"text")
    (tmp_path / "mine").rename(tmp_path / "yours")
    tree.open(b"guests", O.CREAT | O.WRONLY).drop()
    (tmp_path / "yours").unlink()
    assert events(inotify) == [
        (1, "CREATE", b"mine"),
        (1, "OPEN", b"mine"),
        (1, "MODIFY", b"mine"),
        (1, "CLOSE_WRITE", b"mine"),
        (1, "MOVED_FROM", b"mine"),
        (1, "MOVED_TO", b"yours"),
        (1, "CREATE", b"guests"),
        (1, "OPEN", b"guests"),
        (1, "CLOSE_WRITE", b"guests"),
        (1, "DELETE", b"yours"),
    ]


@on_linux
def test_the_end_of_a_directory_of_the_host_is_told(inotify: InotifyFile, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    tree = Tree(HostFileSystem(str(tmp_path)))
    inotify.add(tree.walk(b"d"), IN_ALL_EVENTS)
    outcome(tree.stat, b"d/nothing")  # opens it again
    assert events(inotify) == []  # lets it go
    (tmp_path / "d").rmdir()
    assert events(inotify) == [(1, "DELETE_SELF", b""), (1, "IGNORED", b"")]


@on_linux
def test_news_of_the_host_makes_it_readable(inotify: InotifyFile, tmp_path: Path) -> None:
    """Also for an epoll that was there before the first watch on a file of the host."""
    epoll = EpollFile(HostEdges())
    epoll.add(inotify, 3, Interest(Epoll(Epoll.IN), 7))
    tree = Tree(HostFileSystem(str(tmp_path)))
    inotify.add(tree.walk(b"."), IN.CREATE)
    assert not inotify.poll()
    assert inotify.source(Poll(Poll.IN)).readable
    assert not epoll.poll()
    (tmp_path / "new").touch()
    epoll.edges.dispatch()
    assert epoll.poll() & Poll.IN
    assert inotify.poll() & Poll.IN
    assert inotify.available() == InotifyEvent.SIZE * 2
    epoll.drop()
    epoll.edges.close()


def test_a_mount_of_the_same_directory_tells_too(inotify: InotifyFile, tmp_path: Path) -> None:
    one, other = Tree(HostFileSystem(str(tmp_path))), Tree(HostFileSystem(str(tmp_path)))
    inotify.add(one.walk(b"."), IN.CREATE)
    other.mkdir(b"new")
    assert events(inotify) == [(1, "CREATE|ISDIR", b"new")]


def test_limits(limits: InotifyLimits, inotify: InotifyFile) -> None:
    tree = Tree(TmpFileSystem())
    limits.instances, limits.watches, limits.queued_events = 1, 2, 3
    assert outcome(InotifyFile, O(0), limits, 0) == "EMFILE"
    InotifyFile(O(0), limits, 1).drop()
    InotifyFile(O(0), limits, 1).drop()
    for name in (b"a", b"b", b"c"):
        tree.mkdir(name)
    assert inotify.add(tree.walk(b"a"), IN.CREATE) == 1
    assert inotify.add(tree.walk(b"b"), IN.CREATE) == 2
    assert outcome(inotify.add, tree.walk(b"c"), IN.CREATE) == "ENOSPC"
    inotify.remove(2)
    assert events(inotify) == [(2, "IGNORED", b"")]
    for name in (b"a/1", b"a/2", b"a/3", b"a/4", b"a/5"):
        tree.mkdir(name)
    assert [name for _, _, name in events(inotify)] == [b"1", b"2", b"3", b""]
    assert inotify.add(tree.walk(b"c"), IN.CREATE) == 3


def test_an_overflow_is_told(limits: InotifyLimits, inotify: InotifyFile) -> None:
    tree = Tree(TmpFileSystem())
    inotify.add(tree.walk(b"."), IN.CREATE)
    limits.queued_events = 1
    for name in (b"1", b"2", b"3"):
        tree.mkdir(name)
    assert events(inotify) == [(1, "CREATE|ISDIR", b"1"), (-1, "Q_OVERFLOW", b"")]


def test_an_unmounted_file_system_is_told(inotify: InotifyFile) -> None:
    tree = Tree(TmpFileSystem())
    inotify.add(tree.walk(b"."), IN.CREATE)
    notify.unmounted(tree.root.inode.filesystem)
    assert events(inotify) == [(1, "UNMOUNT", b""), (1, "IGNORED", b"")]


def test_too_little_room(inotify: InotifyFile) -> None:
    tree = Tree(TmpFileSystem())
    inotify.add(tree.walk(b"."), IN.CREATE)
    tree.mkdir(b"new")
    assert outcome(inotify.read_nowait, KernelBuffer(bytearray(16))) == "EINVAL"
    with pytest.raises(LinuxError):
        inotify.remove(7)
    assert b"inotify wd:1 ino:" in inotify.fdinfo()
    assert len(events(inotify)) == 1


@on_linux
def test_what_the_host_forbids_to_watch_is_watched_for_guests(
    inotify: InotifyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr("aionoah.host.linux_notify.HostNotifier.watch", refuse)
    tree = Tree(HostFileSystem(str(tmp_path)))
    inotify.add(tree.walk(b"."), IN.CREATE)
    tree.mkdir(b"new")
    assert events(inotify) == [(1, "CREATE|ISDIR", b"new")]
