"""What is looked at without a walk is what a walk finds."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.trees import ROOT, Tree, outcome, user
from hypothesis import given
from hypothesis import strategies as st

from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.path import Dentry, attributes, look, stat, walk, walk_parent
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.fs.walking import Walk

NAMES = [
    b"dir",
    b"inner",
    b"closed",
    b"file",
    b"link",
    b"up",
    b"mounted",
    b"missing",
    b".",
    b"..",
    b"",
    b"x" * 256,
]


@pytest.fixture(scope="module")
def tree() -> Iterator[Tree]:
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        top.chmod(0o755)
        for directory in (top / "dir", top / "dir/inner", top / "dir/closed"):
            directory.mkdir()
            (directory / "file").touch()
            (directory / "link").symlink_to("file")
            (directory / "up").symlink_to("..")
        (top / "dir/closed").chmod(0o700)
        (top / "link").symlink_to("dir/inner")
        made = Tree(HostFileSystem(name))
        made.namespace.mount(TmpFileSystem(), b"/dir/mounted")
        yield made


PATHS = st.builds(
    lambda start, names: start + b"/".join(names),
    st.sampled_from([b"", b"/", b"/dir/", b"dir/inner/"]),
    st.lists(st.sampled_from(NAMES), max_size=4),
)


@given(path=PATHS, follow=st.booleans(), is_root=st.booleans(), starts_inside=st.booleans())
def test_both_ways_say_the_same(
    tree: Tree, path: bytes, *, follow: bool, is_root: bool, starts_inside: bool
) -> None:
    context, start = tree.context, tree.walk(b"/dir") if starts_inside else tree.root

    def slowly() -> Dentry:
        return Walk(context, start, path).finish(follow=follow)

    with tree.acting_as(ROOT if is_root else user(4711)):
        for _ in range(2):  # the second time by what the first one has left
            expected = outcome(slowly)
            if not isinstance(expected, Dentry):
                for ask in (walk, stat, attributes, look):
                    assert outcome(ask, context, start, path, follow=follow) == expected
                continue
            assert walk(context, start, path, follow=follow) is expected
            seen = expected.inode.attributes()
            assert stat(context, start, path, follow=follow) == (expected, seen)
            assert attributes(context, start, path, follow=follow) == seen
            found, near, is_itself = look(context, start, path, follow=follow)
            assert found == seen
            assert near.mount is expected.mount
            assert not is_itself or near is expected
            parent = walk_parent(context, start, path)
            if parent.is_ordinary and not parent.wants_directory and not follow:
                assert parent.directory.child(parent.name) is expected
