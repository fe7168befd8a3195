"""Random sequences of operations on our trees and on the real kernel: same results, same trees."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from fakes.trees import EXCHANGE, IS_LINUX, OURSELVES, Native, Tree, outcome, own_tmpfs, snapshot
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aionoah.abi.fcntl import O
from aionoah.abi.stat import S
from aionoah.fs.hostfs import HostFileSystem

pytestmark = pytest.mark.skipif(not IS_LINUX, reason="Linux is the oracle")

NAMES = [b"a", b"b", b"c", b"d"]
# No link leads upwards, so that no path leads out of the directory that is the kernel's root here.
TARGETS = [b"a", b"b", b"a/b", b"b/c", b"a/", b"missing", b"c/d/a"]


def stays_inside(path: bytes) -> bool:
    """Whether `..` never has more levels to leave than were entered."""
    depth = 0
    for part in path.split(b"/"):
        depth += -1 if part == b".." else 1 if part not in (b"", b".") else 0
        if depth < 0:
            return False
    return True


paths = (
    st.builds(
        lambda parts, slash: b"/".join(parts) + slash,
        st.lists(st.sampled_from([*NAMES, *NAMES, b".", b".."]), min_size=1, max_size=4),
        st.sampled_from([b"", b"", b"", b"/"]),
    )
    .filter(stays_inside)
    .filter(lambda path: path.strip(b"/.") or path == b".")
)
flags = st.sampled_from(
    [
        O.RDONLY,
        O.WRONLY,
        O.RDWR | O.CREAT,
        O.WRONLY | O.CREAT | O.EXCL,
        O.CREAT,
        O.RDONLY | O.TRUNC,
        O.WRONLY | O.CREAT | O.TRUNC,
        O.DIRECTORY,
        O.DIRECTORY | O.NOFOLLOW,
        O.NOFOLLOW,
        O.CREAT | O.NOFOLLOW,
        O.CREAT | O.DIRECTORY,
        O.PATH | O.NOFOLLOW,
        O.RDWR,
        O.ACCMODE,
    ]
)
operations = st.one_of(
    st.tuples(st.just("mkdir"), paths),
    st.tuples(st.just("mkdir"), st.sampled_from([b"a", b"b", b"a/b", b"b/c"])),
    st.tuples(st.just("rmdir"), paths),
    st.tuples(st.just("unlink"), paths),
    st.tuples(st.just("symlink"), st.sampled_from(TARGETS), paths),
    st.tuples(st.just("link"), paths, paths),
    st.tuples(st.just("rename"), paths, paths, st.sampled_from([0, 0, 0, 1, EXCHANGE, 3, 8])),
    st.tuples(st.just("write"), paths, st.binary(max_size=20)),
    st.tuples(st.just("try_open"), paths, flags),
    st.tuples(st.just("mknod"), paths, st.sampled_from([S.IFREG | 0o600, S.IFSOCK | 0o600, S.IFDIR | 0o700])),
    st.tuples(st.just("readlink"), paths),
    st.tuples(st.just("facts"), paths),
    st.tuples(st.just("names"), paths),
    st.tuples(st.just("truncate"), paths, st.integers(0, 40)),
)


@pytest.fixture(params=["tmpfs", "hostfs"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Pair:
    """One of our trees and one of the kernel, both empty."""

    def __init__(self, kind: str) -> None:
        self.top = Path(mkdtemp(prefix="aionoah-"))
        (self.top / "theirs").mkdir()
        (self.top / "ours").mkdir()
        self.theirs = Native(self.top / "theirs")
        host = HostFileSystem(str(self.top / "ours")) if kind == "hostfs" else None
        self.ours = Tree(host or own_tmpfs(), OURSELVES)

    def both(self, name: str, *arguments: Any) -> tuple[Any, Any]:
        return outcome(getattr(self.ours, name), *arguments), outcome(getattr(self.theirs, name), *arguments)

    def close(self) -> None:
        self.ours.namespace.release()
        self.theirs.close()
        shutil.rmtree(self.top)


@pytest.fixture
def pair(kind: str) -> Iterator[Pair]:
    made = Pair(kind)
    yield made
    made.close()


@pytest.mark.parametrize("kind", ["tmpfs", "hostfs"])
@settings(max_examples=250, deadline=None)
@given(st.lists(operations, min_size=1, max_size=25))
@example([("mkdir", b"a"), ("rename", b"a", b"a/b", 0)])
@example([("mkdir", b"a"), ("mkdir", b"a/b"), ("rename", b"a/b", b"a", 0)])
@example([("write", b"a", b"x"), ("link", b"a", b"b"), ("rename", b"a", b"b", 0)])
@example([("symlink", b"missing", b"a"), ("write", b"a", b"x"), ("names", b".")])
@example([("symlink", b"a/", b"b"), ("write", b"a", b"x"), ("facts", b"b"), ("try_open", b"b", O.CREAT)])
def test_random_operations_end_as_on_linux(kind: str, steps: list[tuple[Any, ...]]) -> None:
    pair = Pair(kind)
    previous = os.umask(0o022)
    try:
        for step in steps:
            ours, theirs = pair.both(*step)
            assert ours == theirs, step
        assert snapshot(pair.ours) == snapshot(pair.theirs)
    finally:
        os.umask(previous)
        pair.close()
