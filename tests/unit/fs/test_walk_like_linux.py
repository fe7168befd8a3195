"""Random trees with links that lead anywhere, and random paths: our walk against openat2(2), which can take
a directory for the root of all.
"""

import os
import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from fakes.trees import IS_LINUX, Native, Tree, outcome
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aionoah.abi.fcntl import RESOLVE, O
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.path import attributes, look, stat
from aionoah.fs.tmpfs import TmpFileSystem

pytestmark = pytest.mark.skipif(not IS_LINUX, reason="Linux is the oracle")

NAMES = [b"a", b"b", b"c"]
pieces = st.lists(st.sampled_from([*NAMES, *NAMES, b".", b"..", b""]), min_size=1, max_size=5)
paths = st.builds(
    lambda parts, front, back: front + b"/".join(parts) + back,
    pieces,
    st.sampled_from([b"", b"", b"/"]),
    st.sampled_from([b"", b"", b"/"]),
)
places = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(b"/".join)
entries = st.one_of(
    st.tuples(st.just("mkdir"), places),
    st.tuples(st.just("mkdir"), places),
    st.tuples(st.just("write"), places, st.just(b"x")),
    st.tuples(st.just("symlink"), paths.filter(bool), places),
    st.tuples(st.just("symlink"), paths.filter(bool), places),
)
resolves = st.sampled_from(
    [0, 0, 0, RESOLVE.BENEATH, RESOLVE.NO_SYMLINKS, RESOLVE.NO_XDEV, RESOLVE.NO_MAGICLINKS]
)


def numbered(tree: Tree | Native, names: dict[int, bytes], path: bytes = b".") -> dict[int, bytes]:
    """The path of every inode number."""
    own = tree.stat(path, follow=False).ino if isinstance(tree, Tree) else native_ino(tree, path)
    names.setdefault(own, path)
    if tree.facts(path, follow=False)[0] & 0o170000 == 0o040000:
        for name in tree.names(path):
            numbered(tree, names, path + b"/" + name)
    return names


def native_ino(tree: Native, path: bytes) -> int:
    return os.stat(path, dir_fd=tree.fd, follow_symlinks=False).st_ino


def ours(tree: Tree, names: dict[int, bytes], path: bytes, flags: int, resolve: int) -> bytes:
    """All ways of asking lead to the same, and again when the way is remembered."""
    start = tree.context.cwd
    found = {outcome(lambda: tree.walk(path, follow=not flags, resolve=resolve).inode.attributes().ino)}
    for _ in range(2):
        found.add(outcome(lambda: tree.walk(path, follow=not flags, resolve=resolve).inode.attributes().ino))
        found.add(outcome(lambda: stat(tree.context, start, path, follow=not flags, resolve=resolve)[1].ino))
        if not resolve:
            found.add(outcome(lambda: attributes(tree.context, start, path, follow=not flags).ino))
            found.add(outcome(lambda: look(tree.context, start, path, follow=not flags)[0].ino))
    assert len(found) == 1
    return names[tree.walk(path, follow=not flags, resolve=resolve).inode.attributes().ino]


def theirs(tree: Native, names: dict[int, bytes], path: bytes, flags: int, resolve: int) -> bytes:
    scoped = resolve if resolve & RESOLVE.BENEATH else resolve | RESOLVE.IN_ROOT
    fd = tree.open_beneath(path, flags, scoped)
    try:
        return names[os.fstat(fd).st_ino]
    finally:
        os.close(fd)


@pytest.mark.parametrize("kind", ["tmpfs", "hostfs"])
@settings(max_examples=300, deadline=None)
@given(
    st.lists(entries, min_size=2, max_size=12),
    st.lists(st.tuples(paths, st.sampled_from([0, O.NOFOLLOW]), resolves), min_size=1, max_size=8),
)
@example([("mkdir", b"a"), ("symlink", b"/../a/..", b"b")], [(b"b/../../b/a", 0, 0)])
@example([("symlink", b"b", b"a"), ("symlink", b"a", b"b")], [(b"a", 0, 0), (b"a/", O.NOFOLLOW, 0)])
def test_random_walks_lead_where_linux_goes(
    kind: str, made: list[tuple[Any, ...]], questions: list[tuple[bytes, int, int]]
) -> None:
    top = Path(mkdtemp(prefix="aionoah-"))
    native = Native(top)
    tree = Tree(TmpFileSystem() if kind == "tmpfs" else HostFileSystem(str(top)))
    try:
        for name, *arguments in made:
            # A creation must not go through a link, which might lead out of the kernel's directory.
            if any(tree_has_link(tree, arguments[-1 if name == "symlink" else 0])):
                continue
            outcome(getattr(native, name), *arguments)
            if kind == "tmpfs":
                outcome(getattr(tree, name), *arguments)
        here, there = numbered(tree, {}), numbered(native, {})
        for path, flags, resolve in questions:
            expected = outcome(theirs, native, there, path, flags, resolve)
            assert outcome(ours, tree, here, path, flags, resolve) == expected, path
    finally:
        tree.namespace.release()
        native.close()
        shutil.rmtree(top)


def tree_has_link(tree: Tree, path: bytes) -> list[bool]:
    """For each prefix of a path, whether a symbolic link stands there."""
    parts = path.split(b"/")
    prefixes = [b"/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return [
        isinstance(facts := outcome(tree.facts, prefix, follow=False), tuple)
        and facts[0] & 0o170000 == 0o120000
        for prefix in prefixes
    ]


@pytest.mark.parametrize("length", [39, 40, 41])
def test_forty_links_may_be_followed(length: int, tmp_path: Path) -> None:
    native, tree = Native(tmp_path), Tree(TmpFileSystem())
    for each in (native, tree):
        each.write(b"0", b"x")
        for number in range(length):
            each.symlink(b"%d" % number, b"%d" % (number + 1))
    expected = outcome(native.read, b"%d" % length)
    native.close()
    assert outcome(tree.read, b"%d" % length) == expected == (b"x" if length <= 40 else "ELOOP")
