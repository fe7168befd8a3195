"""A dict as a file system, against a model: a real directory."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aionoah.fs.python.dictionary import DictFileSystem

NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: "/" + "/".join(names))
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), PATHS),
        st.tuples(st.just("mkdir"), PATHS),
        st.tuples(st.just("remove"), PATHS),
        st.tuples(st.just("rmdir"), PATHS),
        st.tuples(st.just("write"), PATHS, st.integers(0, 9), st.binary(max_size=5)),
        st.tuples(st.just("truncate"), PATHS, st.integers(0, 9)),
    ),
    max_size=25,
)


class Model:
    """The same on a directory of the host."""

    def __init__(self, top: Path) -> None:
        self.top = str(top)

    def create(self, path: str) -> None:
        os.close(os.open(self.top + path, os.O_CREAT | os.O_EXCL))

    def mkdir(self, path: str) -> None:
        os.mkdir(self.top + path)

    def remove(self, path: str) -> None:
        os.remove(self.top + path)

    def rmdir(self, path: str) -> None:
        os.rmdir(self.top + path)

    def write(self, path: str, offset: int, data: bytes) -> None:
        with open(self.top + path, "r+b") as file:
            os.pwrite(file.fileno(), data, offset) if data else None

    def truncate(self, path: str, size: int) -> None:
        with open(self.top + path, "r+b") as file:
            file.truncate(size)

    def tree(self, path: str = "") -> dict[str, Any]:
        found = {}
        for name in sorted(os.listdir(self.top + path)):
            below = f"{path}/{name}"
            is_directory = os.path.isdir(self.top + below)
            found[name] = self.tree(below) if is_directory else Path(self.top + below).read_bytes()
        return found


def perform(target: Any, name: str, *args: Any) -> str:
    try:
        getattr(target, name)(*args)
    except OSError as error:
        return type(error).__name__
    return "done"


def on_dictionary(target: DictFileSystem, name: str, path: str, *args: Any) -> str:
    """With the checks that the kernel makes before it asks a file system."""
    try:
        is_directory = target.stat(path).kind == "directory"
    except OSError:
        is_directory = False
    if name == "rmdir" and not is_directory and perform(target, "stat", path) == "done":
        return "NotADirectoryError"
    if name in ("remove", "write", "truncate") and is_directory:
        return "IsADirectoryError"
    more = (0o755,) if name in ("create", "mkdir") else args
    if name == "write" and args == (args[0], b"") and perform(target, "stat", path) == "done":
        return "done"
    result = perform(target, name, path, *more)
    if result == "done" and name in ("write", "truncate"):
        target.flush(path)
    return result


@settings(deadline=None, max_examples=60)
@given(operations=OPERATIONS)
def test_like_a_directory(operations: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    model, tree = Model(tmp_path_factory.mktemp("model")), dict[str, Any]()
    target = DictFileSystem(tree)
    for operation in operations:
        assert on_dictionary(target, *operation) == perform(model, *operation), operation
    assert dict(sorted_tree(tree)) == model.tree()


def sorted_tree(tree: dict[str, Any]) -> dict[str, Any]:
    return {
        name: sorted_tree(tree[name]) if isinstance(tree[name], dict) else tree[name] for name in sorted(tree)
    }


def test_bytes_are_replaced_when_flushed() -> None:
    tree = {"a": b"old"}
    target = DictFileSystem(tree)
    target.write("/a", 3, b"er")
    assert tree == {"a": b"old"}
    assert target.read("/a", 0, 9) == b"older"
    assert target.stat("/a").size == 5
    target.flush("/a")
    assert tree == {"a": b"older"}
    target.flush("/a")


def test_a_bytearray_is_written_in_place() -> None:
    array = bytearray(b"abc")
    target = DictFileSystem({"a": array})
    target.write("/a", 5, b"X")
    assert array == b"abc\0\0X"
    target.truncate("/a", 1)
    assert array == b"a"


def test_text_is_read_and_becomes_bytes() -> None:
    tree: dict[str, Any] = {"a": "é"}
    target = DictFileSystem(tree)
    assert target.read("/a", 0, 9) == "é".encode()
    target.truncate("/a", 0)
    target.flush("/a")
    assert tree == {"a": b""}


def test_rename_takes_everything_along() -> None:
    tree: dict[str, Any] = {"d": {"f": b"1"}, "full": {"x": b""}}
    target = DictFileSystem(tree)
    target.chmod("/d/f", 0o700)
    target.utime("/d/f", None, 5.0)
    target.write("/d/f", 1, b"2")
    target.rename("/d", "/e")
    assert (target.stat("/e/f").mode, target.read("/e/f", 0, 9)) == (0o700, b"12")
    target.flush("/e/f")
    assert tree["e"] == {"f": b"12"}
    with pytest.raises(OSError, match="full"):
        target.rename("/e", "/full")


def test_what_is_no_contents() -> None:
    with pytest.raises(TypeError):
        DictFileSystem({"a": 5}).read("/a", 0, 1)
