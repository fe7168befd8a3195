"""Overlays that programs mount: which directories can be layers, and what becomes of them."""

from pathlib import Path

import pytest
from fakes.trees import Tree, outcome

from aionoah.fs import mounting
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.hostfs_owners import Owners
from aionoah.fs.inode import FileSystem
from aionoah.fs.mount import Mount
from aionoah.fs.overlay_mount import new_overlay
from aionoah.fs.tmpfs import TmpFileSystem


class Tmp(TmpFileSystem):
    is_released = False

    def release(self) -> None:
        self.is_released = True
        super().release()


@pytest.fixture(params=["tmpfs", "hostfs"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    host = HostFileSystem(str(tmp_path), owners=Owners())
    made = Tree(TmpFileSystem() if request.param == "tmpfs" else host)
    for path in (b"l", b"l2", b"u", b"w", b"w/x", b"m", b"other", b"l/d"):
        made.mkdir(path)
    made.write(b"l/f", b"below")
    made.write(b"l/d/x", b"x")
    made.write(b"l2/g", b"lowest")
    made.namespace.mount(Tmp(), b"/other")
    return made


def mount(tree: Tree, options: bytes, at: bytes = b"m") -> Mount:
    made: FileSystem = new_overlay(options, tree.walk)
    return mounting.mount_new(tree.namespace, made, tree.walk(at), 0, b"o", options)


def unmount(tree: Tree, path: bytes) -> None:
    mounting.unmount(tree.namespace, tree.walk(path), 0, tree.root)


def test_layers_are_shown_and_kept_apart(tree: Tree) -> None:
    mount(tree, b"lowerdir=l:l2,upperdir=u,workdir=w")
    assert tree.names(b"m") == [b"d", b"f", b"g"]
    tree.write(b"m/f", b"above")
    tree.unlink(b"m/g")
    assert (tree.read(b"m/f"), tree.read(b"l/f"), tree.read(b"u/f")) == (b"above", b"below", b"above")
    assert tree.stat(b"u/g").rdev == 0
    assert tree.names(b"w") == [b"work", b"x"]
    assert tree.stat(b"m/d/x").dev != tree.stat(b"l/d/x").dev  # cp must not take them for one file
    unmount(tree, b"m")
    assert tree.names(b"m") == []


def test_an_upper_layer_can_be_mounted_again(tree: Tree) -> None:
    for text in (b"first", b"later"):
        mount(tree, b"lowerdir=l,upperdir=u,workdir=w")
        tree.write(b"m/f", text)
        unmount(tree, b"m")
    assert tree.read(b"u/f") == b"later"
    mount(tree, b"lowerdir=u:l")
    assert outcome(tree.write, b"m/f", b"x") == "EROFS"


def test_a_layer_stays_though_its_mount_goes(tree: Tree) -> None:
    tree.mkdir(b"other/l")
    tree.write(b"other/l/file", b"text")
    lower = tree.walk(b"other").mount.filesystem
    mount(tree, b"lowerdir=other/l,upperdir=u,workdir=w")
    unmount(tree, b"other")
    assert tree.read(b"m/file") == b"text"
    assert isinstance(lower, Tmp)
    assert not lower.is_released
    unmount(tree, b"m")
    assert lower.is_released


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (b"", "EINVAL"),
        (b"lowerdir=", "EINVAL"),
        (b"lowerdir=l", "EINVAL"),
        (b"upperdir=u,workdir=w", "EINVAL"),
        (b"lowerdir=l,upperdir=u", "EINVAL"),
        (b"lowerdir=l,workdir=w", "EINVAL"),
        (b"lowerdir=missing:l", "ENOENT"),
        (b"lowerdir=l/f:l", "EINVAL"),
        (b"lowerdir=l,upperdir=u,workdir=u", "EINVAL"),
        (b"lowerdir=l,upperdir=w/x,workdir=w", "EINVAL"),
        (b"lowerdir=l,upperdir=other,workdir=w", "EINVAL"),
        (b"lowerdir=l,upperdir=u,workdir=w,nonsense", "EINVAL"),
        (b"lowerdir=l,upperdir=u,workdir=w,index=maybe", "EINVAL"),
        (b"lowerdir=l,upperdir=u,workdir=missing", "ENOENT"),
        (b"lowerdir=u,upperdir=u,workdir=w", "ELOOP"),
        (b"lowerdir=l:l,upperdir=u,workdir=w", "ELOOP"),
        (b"lowerdir=:l,upperdir=u,workdir=w", "EINVAL"),
    ],
)
def test_what_is_refused(tree: Tree, options: bytes, expected: str) -> None:
    assert outcome(mount, tree, options) == expected


def test_names_with_separators(tree: Tree) -> None:
    tree.mkdir(b"a:b,c")
    tree.write(b"a:b,c/file", b"text")
    mount(tree, rb"lowerdir=a\:b\,c,upperdir=u,workdir=w,volatile")
    assert tree.read(b"m/file") == b"text"


def test_an_overlay_is_no_upper_layer(tree: Tree) -> None:
    mount(tree, b"lowerdir=l,upperdir=u,workdir=w")
    tree.mkdir(b"m/u")
    tree.mkdir(b"m/w")
    assert outcome(mount, tree, b"lowerdir=l2,upperdir=m/u,workdir=m/w", b"other") == "EINVAL"
    mount(tree, b"lowerdir=m/d:l2", b"other")
    assert tree.names(b"other") == [b"g", b"x"]
    assert outcome(mount, tree, b"lowerdir=other:l", b"u") == "EINVAL"  # the third would be one too many
