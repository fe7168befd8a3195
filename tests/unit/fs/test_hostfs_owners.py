"""Owners, modes and devices that guests believe in."""

import os
from pathlib import Path

import pytest
from fakes.trees import Tree, outcome, user

from aionoah.abi.fcntl import O
from aionoah.abi.stat import S, makedev
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.hostfs_owners import Belief, Owners, parse

pytestmark = pytest.mark.skipif(
    not hasattr(os, "setxattr"), reason="Python knows no extended attributes here"
)
OVERRIDE = "user.containers.override_stat"


class Unprivileged(Owners):
    """As if another user ran us: nothing is given away on the host."""

    def __init__(self) -> None:
        super().__init__()
        self._uid, self._gid, self._groups = 4711, 4711, {4711}


def mounted(top: Path) -> Tree:
    return Tree(HostFileSystem(str(top), owners=Unprivileged(), is_guests=True))


@pytest.mark.parametrize(
    ("text", "kind", "belief"),
    [
        (b"1:2:0644:file", S.IFREG, Belief(1, 2, S.IFREG | 0o644)),
        (b"0:0:040755", S.IFDIR, Belief(0, 0, S.IFDIR | 0o755)),  # as libkrun and fuse-overlayfs write it
        (b"0:0:04755", S.IFREG, Belief(0, 0, S.IFREG | 0o4755)),
        (b"0:5:0620:char-5-300", S.IFREG, Belief(0, 5, S.IFCHR | 0o620, makedev(5, 300))),
        (b"0:6:0660:block-8-1", S.IFREG, Belief(0, 6, S.IFBLK | 0o660, makedev(8, 1))),
        (b"", S.IFREG, None),
        (b"a:b:c", S.IFREG, None),
        (b"1:2", S.IFREG, None),
        (b"0:0:0600:char-x", S.IFREG, None),
        (b"\xff:0:0", S.IFREG, None),
        (b"-1:0:0644", S.IFREG, None),  # nobody has such numbers
        (b"0:4294967295:0644", S.IFREG, None),
        (b"0:99999999999999999999:0644", S.IFDIR, None),
        (b"0:0:-0644", S.IFREG, None),
        (b"0:0:0600:char--1-300", S.IFREG, None),
        (b"0:0:0600:char-5-99999999999999999999", S.IFREG, None),
        (b"0:0:0120777", S.IFREG, None),  # a file with contents is no link
        (b"0:0:0130777", S.IFREG, None),
        (b"0:0:040755", S.IFREG, None),
    ],
)
def test_the_form(text: bytes, kind: int, belief: Belief | None) -> None:
    assert parse(text, kind) == belief
    if belief is not None:
        assert parse(belief.text(), kind) == belief


def test_what_links_and_fifos_cannot_carry_is_forgotten_with_them(tmp_path: Path) -> None:
    tree = mounted(tmp_path)
    filesystem = tree.root.inode.filesystem
    assert isinstance(filesystem, HostFileSystem)
    for name in (b"a", b"b", b"c"):
        tree.symlink(b"target", name)
        tree.mknod(name + b".fifo", S.IFIFO | 0o600)
    tree.walk(b"a.fifo").inode.set_xattr(b"security.x", b"value", 0)
    assert filesystem.remembers
    for name in (b"a", b"a.fifo", b"b.fifo"):
        tree.unlink(name)
    tree.rename(b"c", b"b")
    assert tree.readlink(b"b") == b"target"
    tree.write(b"file", b"x")
    tree.rename(b"file", b"c.fifo")
    assert filesystem.remembers
    tree.rename(b"c.fifo", b"b")
    assert not filesystem.remembers


def test_any_owner_and_mode(tmp_path: Path) -> None:
    tree = mounted(tmp_path)
    tree.write(b"file", b"text")
    tree.chown(b"file", 12, 34)
    tree.chmod(b"file", 0o6111)
    tree.mkdir(b"dir", 0o500)
    tree.chmod(b"dir", 0o2500)
    tree.symlink(b"file", b"link")
    tree.mknod(b"pipe", S.IFIFO | 0o620)
    assert tree.facts(b"file")[:4] == (S.IFREG | 0o6111, 1, 12, 34)
    assert tree.facts(b"dir")[0] == S.IFDIR | 0o2500
    status = (tmp_path / "file").stat()
    assert status.st_mode & 0o7777 == 0o711  # readable to us, and without power over anybody
    assert os.getxattr(tmp_path / "file", OVERRIDE) == b"12:34:06111:file"
    tree.namespace.release()
    again = mounted(tmp_path)
    assert again.facts(b"file")[:4] == (S.IFREG | 0o6111, 1, 12, 34)
    assert again.facts(b"dir")[0] == S.IFDIR | 0o2500
    assert again.walk(b"file").inode.list_xattrs() == []


def test_devices(tmp_path: Path) -> None:
    tree = mounted(tmp_path)
    tree.context.umask = 0
    tree.mknod(b"null", S.IFCHR | 0o666, makedev(1, 3))
    tree.mknod(b"disk", S.IFBLK | 0o600, makedev(8, 0))
    assert (tree.stat(b"null").mode, tree.stat(b"null").rdev) == (S.IFCHR | 0o666, makedev(1, 3))
    assert tree.write(b"null", b"swallowed", O.WRONLY) == 9
    assert (tmp_path / "null").read_bytes() == b""
    assert outcome(tree.open, b"disk") == "ENXIO"
    tree.unlink(b"null")
    tree.write(b"null", b"")
    assert tree.stat(b"null").mode == S.IFREG | 0o644


def test_what_is_true_is_not_written_down(tmp_path: Path) -> None:
    tree = Tree(HostFileSystem(str(tmp_path), owners=Owners()))
    tree.write(b"file", b"")
    tree.chown(b"file", os.geteuid(), os.getegid())
    tree.chmod(b"file", 0o440)
    assert os.listxattr(tmp_path / "file") == []
    assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o440


def test_beliefs_of_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    os.setxattr(tmp_path / "file", OVERRIDE, b"7:8:0640:file")
    tree = mounted(tmp_path)
    assert tree.facts(b"file")[:4] == (S.IFREG | 0o640, 1, 7, 8)
    os.setxattr(tmp_path / "file", OVERRIDE, b"9:8:0640:file")
    os.utime(tmp_path / "file")
    assert tree.facts(b"file")[2] == 9


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="extended attributes of Linux")
def test_attributes_of_what_carries_none_are_remembered(tmp_path: Path) -> None:
    """Links and FIFOs: the host has no place for them that guests could not reach."""
    tree = Tree(HostFileSystem(str(tmp_path), owners=Owners()))
    tree.symlink(b"target", b"link")
    tree.mknod(b"fifo", S.IFIFO | 0o600)
    for name in (b"link", b"fifo"):
        inode = tree.walk(name, follow=False).inode
        inode.set_xattr(b"trusted.note", b"1", 0)
        assert outcome(inode.set_xattr, b"trusted.note", b"2", 1) == "EEXIST"
        assert outcome(inode.set_xattr, b"trusted.other", b"2", 2) == "ENODATA"
        assert outcome(inode.set_xattr, b"user.note", b"2", 0) == "EPERM"
        again = tree.walk(name, follow=False).inode
        assert again.get_xattr(b"trusted.note") == b"1"
        assert again.list_xattrs() == [b"trusted.note"]
        again.remove_xattr(b"trusted.note")
        assert outcome(again.remove_xattr, b"trusted.note") == "ENODATA"
        assert outcome(again.get_xattr, b"trusted.note") in ("ENODATA", "EPERM")
        again.set_xattr(b"security.note", b"gone with the file", 0)
        tree.unlink(name)
    tree.symlink(b"target", b"link")
    assert tree.walk(b"link", follow=False).inode.list_xattrs() == []


def test_what_is_known_to_be_true_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(HostFileSystem(str(tmp_path), owners=Owners(is_ours_alone=True), is_guests=True))
    uid, gid = os.geteuid(), os.getegid()
    asked: list[object] = []
    real = os.getxattr

    def counted(*args: object, **kwargs: object) -> bytes:
        asked.append(args)
        return real(*args, **kwargs)  # type: ignore[arg-type]

    with tree.acting_as(user(uid, gid)):
        tree.write(b"file", b"")
    monkeypatch.setattr(os, "getxattr", counted)
    (tmp_path / "file").write_bytes(b"longer")  # as the guest's own writing changes it
    assert tree.stat(b"file").uid == uid
    assert not asked
    monkeypatch.undo()
    tree.mknod(b"device", S.IFCHR | 0o600, makedev(1, 3))
    assert tree.stat(b"device").rdev == makedev(1, 3)
    tree.unlink(b"device")
    with tree.acting_as(user(uid, gid)):
        tree.write(b"other", b"")  # which may well get its number
    assert tree.stat(b"other").mode & S.IFMT == S.IFREG
