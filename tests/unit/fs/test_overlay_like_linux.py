"""Random sequences of operations on an overlay: same results and same trees as in a plain directory of the kernel."""

import os
import shutil
import stat
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from fakes.trees import EXCHANGE, IS_LINUX, OURSELVES, Native, Tree, outcome, own_tmpfs
from hypothesis import given, settings
from hypothesis import strategies as st

from aionoah.abi.fcntl import O
from aionoah.abi.stat import S
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.inode import FileSystem
from aionoah.fs.overlay import OverlayFileSystem

pytestmark = pytest.mark.skipif(not IS_LINUX, reason="Linux is the oracle")

NAMES = [b"a", b"b", b"a/a", b"a/b", b"b/a", b"b/b", b"a/b/a", b"a/b/b", b"b/a/b"]
paths = st.sampled_from(NAMES)
operations = st.one_of(
    st.tuples(st.just("mkdir"), paths),
    st.tuples(st.just("rmdir"), paths),
    st.tuples(st.just("unlink"), paths),
    st.tuples(st.just("symlink"), st.sampled_from([b"a", b"b", b"missing"]), paths),
    st.tuples(st.just("link"), paths, paths),
    st.tuples(st.just("rename"), paths, paths, st.sampled_from([0, 0, 0, 1, EXCHANGE])),
    st.tuples(st.just("write"), paths, st.binary(max_size=5)),
    st.tuples(st.just("try_open"), paths, st.sampled_from([O.RDWR, O.WRONLY | O.TRUNC, O.CREAT | O.EXCL])),
    st.tuples(st.just("mknod"), paths, st.just(S.IFSOCK | 0o600)),
    st.tuples(st.just("chmod"), paths, st.sampled_from([0o700, 0o755, 0o4711])),
    st.tuples(st.just("truncate"), paths, st.integers(0, 8)),
)
SETTLED = {"mkdir", "symlink", "link", "write", "mknod"}


class Trio:
    """A plain directory of the kernel, and a copy of it under an overlay."""

    def __init__(self, kind: str) -> None:
        self.top = Path(mkdtemp(prefix="aionoah-"))
        self.kind = kind
        for name in ("plain", "lower", "upper", "bottom"):
            (self.top / name).mkdir()
        self.plain = Native(self.top / "plain")
        self.lower = Native(self.top / "lower")
        self.bottom = Native(self.top / "bottom")
        self.ours: Tree | None = None

    def mount(self) -> Tree:
        upper: FileSystem = own_tmpfs() if self.kind == "tmpfs" else HostFileSystem(str(self.top / "upper"))
        lowers = [HostFileSystem(str(self.top / name)) for name in ("lower", "bottom")]
        self.ours = Tree(OverlayFileSystem(lowers, upper), OURSELVES)
        return self.ours

    def close(self) -> None:
        for each in (self.plain, self.lower, self.bottom):
            each.close()
        if self.ours is not None:
            self.ours.namespace.release()
        shutil.rmtree(self.top)


def facts_of(tree: Tree | Native, path: bytes = b".") -> dict[bytes, Any]:
    """As snapshot, but for the links of directories: an overlay does not count them."""
    found: dict[bytes, Any] = {}
    for name in tree.names(path):
        child = path + b"/" + name
        mode, links, uid, gid, size = tree.facts(child, follow=False)
        detail: Any = links, size
        if stat.S_ISDIR(mode):
            detail = facts_of(tree, child)
        elif stat.S_ISLNK(mode):
            detail = tree.readlink(child)
        elif stat.S_ISREG(mode):
            detail = links, size, tree.read(child)
        found[name] = mode, uid, gid, detail
    return found


@pytest.mark.parametrize("kind", ["tmpfs", "hostfs"])
@settings(max_examples=50, deadline=None)
@given(st.lists(operations, max_size=12), st.lists(operations, min_size=1, max_size=16))
def test_random_operations(kind: str, before: list[tuple[Any, ...]], after: list[tuple[Any, ...]]) -> None:
    """`before` makes what is below; a rename that must fail in an overlay is left out on both sides."""
    trio = Trio(kind)
    previous = os.umask(0o022)
    try:
        for name, *arguments in before:
            if name in SETTLED:
                expected = outcome(getattr(trio.plain, name), *arguments)
                assert outcome(getattr(trio.lower, name), *arguments) == expected
        ours = trio.mount()
        for step in after:
            name, *arguments = step
            got = outcome(getattr(ours, name), *arguments)
            if got != "EXDEV":
                assert got == outcome(getattr(trio.plain, name), *arguments), step
        expected_tree = facts_of(trio.plain)
        assert facts_of(ours) == expected_tree
    finally:
        os.umask(previous)
        trio.close()
