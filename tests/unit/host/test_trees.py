"""Removing trees that programs have made to be hard to remove."""

import os
import subprocess
from pathlib import Path

import pytest

from aionoah.host.trees import remove_tree

DEPTH = 1100  # more than Python's stack


def make_deep(top: Path) -> None:
    fd = os.open(top, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir("inner", dir_fd=fd)
        inner = os.open("inner", os.O_RDONLY, dir_fd=fd)
        os.close(os.open("file", os.O_CREAT, dir_fd=fd))
        os.close(fd)
        fd = inner
    os.close(fd)


def test_a_deep_one(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "aionoah-removed-0/x").mkdir(parents=True)  # names that are taken
    (top / "aionoah-removed-1").write_text("")
    make_deep(top)
    (tmp_path / "kept").write_text("kept")
    (top / "link").symlink_to(tmp_path)
    remove_tree(str(top))
    assert os.listdir(tmp_path) == ["kept"]


def test_modes_do_not_matter(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "a/b/c").mkdir(parents=True)
    (top / "a/b/file").write_text("text")
    for path in ("a/b/file", "a/b/c", "a/b", "a", "."):
        (top / path).chmod(0)
    remove_tree(os.fsencode(top))
    assert os.listdir(tmp_path) == []


def test_what_is_not_there(tmp_path: Path) -> None:
    remove_tree(str(tmp_path / "missing"))
    (tmp_path / "file").write_text("no directory")
    remove_tree(str(tmp_path / "file"))
    assert os.listdir(tmp_path) == ["file"]


def test_flags_do_not_matter(tmp_path: Path) -> None:
    """As a guest may set them that root runs: `chattr +i`."""
    top = tmp_path / "top"
    (top / "a/b").mkdir(parents=True)
    (top / "a/b/file").write_text("text")
    (top / "file").write_text("text")
    for flag, path in (("+i", "a/b/file"), ("+i", "a/b"), ("+a", "a"), ("+i", "file")):
        if subprocess.run(["chattr", flag, top / path], capture_output=True, check=False).returncode:
            remove_tree(str(top))
            pytest.skip("no such flags here, or not for us")
    remove_tree(str(top))
    assert os.listdir(tmp_path) == []
