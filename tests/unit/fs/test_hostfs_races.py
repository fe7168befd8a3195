"""Another program of the host changes names while we walk: nothing outside may ever be reached."""

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes.trees import Tree, outcome, user

from aionoah.abi.errno import LinuxError
from aionoah.abi.fcntl import RENAME, O
from aionoah.abi.stat import S
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.overlay import OverlayFileSystem
from aionoah.fs.path import stat
from aionoah.host import platform

ROUNDS = 2000
INNOCENT = {"ok", "ENOENT", "ENOTDIR", "ELOOP", "ESTALE", "EACCES", "ENXIO"}


@pytest.fixture
def top(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("outside")
    made = tmp_path / "top"
    (made / "real").mkdir(parents=True)
    (made / "real/file").write_text("inside")
    return made


@contextmanager
def swapping(directory: Path) -> Iterator[None]:
    """Let another thread exchange the entries `a` and `b` all the time."""
    stop = threading.Event()
    fd = os.open(directory, os.O_RDONLY)

    def work() -> None:
        while not stop.is_set():
            platform.rename(fd, b"a", fd, b"b", int(RENAME.EXCHANGE))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        os.close(fd)


def as_link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def as_file(path: Path) -> None:
    path.write_text("inside")


def rounds(seen: set[str]) -> Iterator[int]:
    """Enough of them, the first "ok" being among them, whoever is quick."""
    for count in itertools.count():
        if count >= ROUNDS and "ok" in seen:
            return
        yield count


def contents_seen(tree: Tree, path: bytes) -> tuple[str, bytes]:
    try:
        return "ok", tree.read(path)
    except LinuxError as error:
        return error.errno.name, b""


@pytest.mark.parametrize("target", ["../outside", "real"])
def test_a_directory_that_becomes_a_link(top: Path, target: str) -> None:
    """The link is text to us: it leads somewhere in our tree, or nowhere."""
    tree = Tree(HostFileSystem(str(top)))
    (top / "a").mkdir()
    (top / "a/file").write_text("inside")
    (top / "b").symlink_to(target)
    seen: set[str] = set()
    with swapping(top):
        for _ in rounds(seen):
            status, data = contents_seen(tree, b"a/file")
            seen.add(status)
            assert data in (b"", b"inside")
    assert seen <= INNOCENT
    tree.namespace.release()


def test_a_file_that_becomes_a_link(top: Path) -> None:
    tree = Tree(HostFileSystem(str(top)))
    (top / "a").write_text("inside")
    (top / "b").symlink_to("../outside/file")
    seen: set[str] = set()
    with swapping(top):
        for _ in rounds(seen):
            status, data = contents_seen(tree, b"a")
            seen.add(status)
            assert data in (b"", b"inside")
            for name, *arguments in (("truncate", 6), ("chmod", 0o600)):
                seen.add(outcome(getattr(tree, str(name)), b"a", *arguments) or "ok")
    assert seen <= INNOCENT
    assert (top.parent / "outside/file").read_text() == "outside"
    assert (top.parent / "outside/file").stat().st_mode & 0o777 != 0o600
    tree.namespace.release()


# -- the same, one step at a time, so that every gap is surely hit ------------------------------------------


def test_a_name_between_lookup_and_opening(top: Path) -> None:
    tree = Tree(HostFileSystem(str(top)))
    found = tree.walk(b"real/file")
    os.link(top / "real/file", top / "kept")  # so that nothing else gets its number
    for replace in (as_link_to("../../outside/file"), as_file, os.mkfifo, lambda path: path.mkdir()):
        (top / "real/fresh").unlink(missing_ok=True)
        replace(top / "real/fresh")
        if (top / "real/fresh").is_dir():
            (top / "real/file").unlink()
        (top / "real/fresh").rename(top / "real/file")
        assert outcome(found.inode.open, O(O.RDONLY), found) == "ESTALE"
        assert outcome(found.inode.open, O(O.RDWR), found) == "ESTALE"
        assert outcome(found.inode.attributes) == "ESTALE"
    (top / "real/file").rmdir()
    assert outcome(found.inode.attributes) == "ENOENT"


def test_a_name_between_lookup_and_a_change(top: Path) -> None:
    from aionoah.fs.inode import Change

    tree = Tree(HostFileSystem(str(top)))
    found = tree.walk(b"real/file")
    (top / "real/file").unlink()
    (top / "real/file").symlink_to("../../outside/file")
    for change in (Change(mode=0o777), Change(uid=5), Change(size=0), Change(mtime_ns=1)):
        assert outcome(found.inode.change, change) == "ESTALE"
    assert (top.parent / "outside/file").read_text() == "outside"


def test_permissions_are_those_of_the_file_that_is_opened(top: Path) -> None:
    tree = Tree(HostFileSystem(str(top)))
    top.chmod(0o755)
    (top / "real").chmod(0o755)
    (top / "real/file").chmod(0o644)
    with tree.acting_as(user(7)):
        found = tree.walk(b"real/file")
        (top / "real/file").chmod(0o600)  # after the check, before the opening
        assert outcome(found.inode.open, O(O.RDONLY), found) == "ESTALE"
        assert outcome(tree.try_open, b"real/file", O.RDONLY) == "EACCES"


def test_a_directory_between_lookup_and_entering(top: Path) -> None:
    tree = Tree(HostFileSystem(str(top)))
    found = tree.walk(b"real")
    (top / "real").rename(top / "moved")
    (top / "real").symlink_to("../outside")
    assert outcome(found.inode.lookup, b"file") == "ESTALE"
    (top / "real").unlink()
    (top / "real").mkdir()
    assert outcome(found.inode.lookup, b"file") == "ESTALE"
    assert outcome(tree.walk, b"real/file") == "ENOENT"


def test_a_link_between_lookup_and_reading_it(top: Path) -> None:
    tree = Tree(HostFileSystem(str(top)))
    (top / "link").symlink_to("real")
    found = tree.walk(b"link", follow=False)
    (top / "link").unlink()
    (top / "link").write_text("no link")
    assert outcome(found.inode.readlink) == "ESTALE"
    assert tree.facts(b"link")[0] & S.IFMT == S.IFREG


def test_a_directory_that_is_open_can_be_used_wherever_it_goes(top: Path) -> None:
    """As after a bind mount: what was reached stays reachable, and `..` stays ours."""
    tree = Tree(HostFileSystem(str(top)))
    tree.context.cwd = tree.walk(b"real")
    assert tree.read(b"file") == b"inside"
    (top / "real").rename(top.parent / "outside/real")
    assert tree.read(b"file") == b"inside"
    assert tree.walk(b"..") is tree.root
    assert outcome(tree.walk, b"../../outside") == "ENOENT"


def test_attributes_that_may_be_old_are_asked_anew(top: Path) -> None:
    """A lookup's attributes serve for the very next check; a place that was not looked up is asked."""
    tree = Tree(HostFileSystem(str(top)))
    tree.context.cwd = tree.walk(b"real")
    mounted = HostFileSystem(str(top / "real"))
    tree.namespace.mount(mounted, b"/mounted")
    (top / "real").chmod(0o700)
    with tree.acting_as(user(7)):
        for path in (b"file", b"./file", b"/real/../real/file", b"/mounted/file"):
            assert outcome(tree.walk, path) == "EACCES", path
        assert outcome(tree.open, b"/mounted") == "EACCES"
    for path in (b".", b"/real", b"/mounted", b"/mounted/.", b"/real/../real"):
        assert stat(tree.context, tree.context.cwd, path)[1].mode == S.IFDIR | 0o700, path
    (top / "real/file").write_text("longer than before")
    assert stat(tree.context, tree.context.cwd, b"file")[1].size == 18


def test_ten_thousand_openings_below_an_overlay(top: Path, tmp_path: Path) -> None:
    """A component of a lower directory is swapped with a link out of it all the while."""
    (tmp_path / "upper").mkdir()
    upper = HostFileSystem(str(tmp_path / "upper"))
    tree = Tree(OverlayFileSystem([HostFileSystem(str(top))], upper))
    (top / "a").mkdir()
    (top / "a/file").write_text("inside")
    (top / "b").symlink_to("../outside")
    seen = set()
    with swapping(top):
        for number in range(10_000):
            if number % 100 == 50:
                outcome(tree.write, b"a/copied%d" % number, b"x")
            seen.add(contents_seen(tree, b"a/file"))
    assert {status for status, _ in seen} <= INNOCENT
    assert {data for _, data in seen} <= {b"", b"inside"}
    assert sorted(path.name for path in (tmp_path / "outside").iterdir()) == ["file"]
