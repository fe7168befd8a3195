"""How long what is written may live: whose word it is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.trees import IS_LINUX, Tree

from aionoah.abi.fcntl import RWH, O
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.fs.write_hints import hint_of, set_hint


@pytest.fixture(params=["tmpfs", "hostfs"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tree]:
    if request.param == "hostfs" and not IS_LINUX:
        pytest.skip("only Linux has them")
    made = Tree(TmpFileSystem() if request.param == "tmpfs" else HostFileSystem(str(tmp_path)))
    made.write(b"file", b"")
    yield made
    made.namespace.release()


def test_a_hint_is_the_files(tree: Tree) -> None:
    one, other = tree.open(b"file", O.RDWR), tree.open(b"file")
    assert hint_of(one) == RWH.NOT_SET
    set_hint(one, RWH.LONG)
    assert hint_of(other) == RWH.LONG
    one.drop()
    other.drop()
