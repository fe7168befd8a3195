"""Whoever has a file open has it still when its names are gone, though he only has its place."""

import os
from pathlib import Path

import pytest
from fakes.trees import Tree, outcome, read_all

from aionoah.abi.fcntl import O
from aionoah.fs.directory import PathFile
from aionoah.fs.file import File
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.opening import open_dentry
from aionoah.fs.overlay import OverlayFileSystem


@pytest.fixture
def host(tmp_path: Path) -> Tree:
    return Tree(HostFileSystem(str(tmp_path)))


@pytest.fixture
def overlay(tmp_path: Path) -> Tree:
    for name in ("lower", "upper"):
        (tmp_path / name).mkdir()
    (tmp_path / "lower/f").write_text("below")
    layers = [HostFileSystem(str(tmp_path / name)) for name in ("lower", "upper")]
    return Tree(OverlayFileSystem(layers[:1], layers[1]))


def contents(tree: Tree, place: File) -> bytes:
    assert place.dentry is not None
    file = open_dentry(tree.context, place.dentry, O(O.RDONLY))
    try:
        return read_all(file)
    finally:
        file.drop()


def test_a_place_stays_the_same_file(host: Tree) -> None:
    host.write(b"f", b"first")
    place = host.open(b"f", O.PATH)
    assert isinstance(place, PathFile)
    host.unlink(b"f")
    host.write(b"f", b"second")  # which would get the number of the first
    assert place.attributes().nlink == 0
    assert contents(host, place) == b"first"
    place.drop()


def test_no_descriptor_is_left(host: Tree) -> None:
    host.write(b"f", b"text")
    before = len(os.listdir("/proc/self/fd"))
    places = [host.open(b"f", O.PATH) for _ in range(3)]
    assert len(os.listdir("/proc/self/fd")) == before + 3
    for place in places:
        place.drop()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("flags", [O.RDONLY, O.PATH])
def test_a_copy_is_kept_for_those_who_opened_the_original(overlay: Tree, flags: int) -> None:
    file = overlay.open(b"f", flags)
    overlay.chmod(b"f", 0o600)
    overlay.unlink(b"f")
    found = file.attributes()
    assert (found.mode & 0o777, found.nlink) == (0o600, 0)
    assert contents(overlay, file) == b"below"
    assert outcome(overlay.stat, b"f") == "ENOENT"
    file.drop()


def test_the_host_removes_an_open_directory(host: Tree, tmp_path: Path) -> None:
    host.mkdir(b"d")
    directory = host.open(b"d", O.RDONLY | O.DIRECTORY)
    (tmp_path / "d").rmdir()
    assert directory.attributes().nlink == 0
    assert outcome(directory.listing) == "ENOENT"  # which readdir(3) takes for its end
    directory.drop()
