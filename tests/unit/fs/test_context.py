"""Which parts of a context tasks share."""

import pytest
from fakes.trees import Tree, user

from aionoah.fs.context import FsContext
from aionoah.fs.permissions import Identity
from aionoah.fs.tmpfs import TmpFileSystem


@pytest.fixture
def tree() -> Tree:
    made = Tree(TmpFileSystem())
    made.mkdir(b"a")
    return made


def test_a_context_begins_at_the_root(tree: Tree) -> None:
    context = FsContext(tree.root, user(7))
    assert context.cwd is context.root is tree.root
    assert context.umask == 0o022
    assert context.identity == Identity(7, 7)


def test_a_copy_goes_its_own_way(tree: Tree) -> None:
    parent = FsContext(tree.root, user(1), umask=0o077)
    child = parent.clone(user(2), share=False)
    assert child.umask == 0o077
    child.cwd = tree.walk(b"a")
    child.umask = 0
    assert parent.cwd is tree.root
    assert parent.umask == 0o077
    assert child.identity.uid == 2


def test_a_shared_context_moves_together_but_keeps_its_user(tree: Tree) -> None:
    parent = FsContext(tree.root, user(1))
    child = parent.clone(user(2), share=True)
    child.cwd = child.root = tree.walk(b"a")
    child.umask = 0o7027
    assert parent.cwd is parent.root is child.cwd
    assert parent.umask == 0o027
    assert (parent.identity.uid, child.identity.uid) == (1, 2)
    child.unshare()
    child.cwd = tree.root
    assert parent.cwd is tree.walk(b"a")
