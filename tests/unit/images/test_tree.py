"""What becomes of a layer's entries; above all of those that nobody should have sent."""

import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.registry import tarball

from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.hostfs_owners import OVERRIDE, Owners
from aionoah.fs.overlay import OverlayFileSystem
from aionoah.images import ImageError
from aionoah.images.archive import Limits
from aionoah.images.layers import unpack_layer
from aionoah.images.store import Store

Unpack = Callable[..., Path]


@pytest.fixture
def unpack(store: Store, tmp_path: Path) -> Unpack:
    def call(*members: tuple[str, Any], **limits: int) -> Path:
        archive = tmp_path / "layer.tar"
        archive.write_bytes(tarball(*members))
        return store.layer_path(unpack_layer(store, archive, None, Limits(**limits)))

    return call


def be(kind: bytes, **fields: Any) -> Callable[[tarfile.TarInfo], None]:
    def change(member: tarfile.TarInfo) -> None:
        member.type = kind
        for name, value in fields.items():
            setattr(member, name, value)

    return change


def link(target: str) -> Callable[[tarfile.TarInfo], None]:
    return be(tarfile.LNKTYPE, linkname=target)


def symlink(target: str) -> Callable[[tarfile.TarInfo], None]:
    return be(tarfile.SYMTYPE, linkname=target)


def assert_nothing_is_left(store: Store) -> None:
    assert not list((store.place / "work").iterdir())
    assert not list((store.place / "layers").iterdir())


def test_files_directories_and_links(unpack: Unpack) -> None:
    layer = unpack(
        ("./", be(tarfile.DIRTYPE, mode=0o755)),
        ("./d/", be(tarfile.DIRTYPE, mode=0o750, mtime=1000)),
        ("d/file", b"text"),
        ("d/again", link("d/file")),
        ("d/away", symlink("/etc/passwd")),
        ("deep/er/file", b""),
        ("pipe", be(tarfile.FIFOTYPE, mode=0o622)),
    )
    assert (layer / "d/file").read_bytes() == b"text"
    assert (layer / "d/again").stat().st_ino == (layer / "d/file").stat().st_ino
    assert os.readlink(layer / "d/away") == "/etc/passwd"
    assert (layer / "d").stat().st_mtime == 1000
    assert stat.S_ISFIFO((layer / "pipe").lstat().st_mode)
    assert (layer / "deep/er/file").stat().st_size == 0


@pytest.mark.parametrize(
    "members",
    [
        [("/etc/passwd", b"")],
        [("../up", b"")],
        [("a/../../up", b"")],
        [("a/..", b"")],
        [("..", be(tarfile.DIRTYPE))],
        [("out", symlink("/tmp")), ("out/file", b"x")],
        [("out", symlink("..")), ("out/file", b"x")],
        [("d/", None), ("out", symlink("d")), ("out/", None)],
        [("out", symlink("/tmp")), ("out/.wh.x", b"")],
        [("x", link("/etc/passwd"))],
        [("x", link("../../etc/passwd"))],
        [("x", link("missing"))],
        [("d/", None), ("x", link("d"))],
        [("out", symlink("/etc")), ("x", link("out/passwd"))],
        [("x", link(""))],
        [("file", b""), ("file/below", b"")],
        [("d/file", b""), ("d", b"")],
        [(".wh...", b"")],
        [(".wh..", b"")],
        [(".wh.", b"")],
        [("x", be(b"Z"))],
        [("./", be(tarfile.REGTYPE))],
        [("x", be(tarfile.REGTYPE, uid=1 << 40))],
        [("x", be(tarfile.CHRTYPE, devmajor=1 << 20))],
        [("n" * 300, b"")],
        [("/".join(["n"] * 40) + "/" + "m" * 300, b"")],
    ],
    ids=str,
)
def test_what_leads_out_or_makes_no_sense(
    unpack: Unpack, store: Store, members: list[tuple[str, Any]]
) -> None:
    with pytest.raises(ImageError):
        unpack(*members)
    assert_nothing_is_left(store)


def test_a_hard_link_to_a_symbolic_link_is_one(unpack: Unpack) -> None:
    layer = unpack(("out", symlink("/etc/passwd")), ("x", link("out")))
    assert os.readlink(layer / "x") == "/etc/passwd"


def test_later_entries_replace_earlier_ones(unpack: Unpack) -> None:
    layer = unpack(
        ("a", symlink("/etc/passwd")),
        ("a", b"mine"),
        ("d/", None),
        ("d", b"file"),
        ("e", b"file"),
        ("empty/", None),
        ("empty", symlink("e")),
    )
    assert (layer / "a").read_bytes() == b"mine"
    assert not (layer / "a").is_symlink()
    assert (layer / "d").read_bytes() == b"file"
    assert (layer / "empty").is_symlink()


def test_bombs(unpack: Unpack, store: Store) -> None:
    with pytest.raises(ImageError, match="larger"):
        unpack(("a", bytes(200_000)), size=100_000)
    with pytest.raises(ImageError, match="entries"):
        unpack(*((f"{number}", b"") for number in range(20)), entries=10)
    assert_nothing_is_left(store)


def test_a_layer_cannot_fool_the_overlay(unpack: Unpack) -> None:
    """Attributes that mean something to it come from us alone."""

    def lie(member: tarfile.TarInfo) -> None:
        member.pax_headers = {
            "SCHILY.xattr.user.overlay.opaque": "y",
            "SCHILY.xattr.user.containers.override_stat": "0:0:4755:file",
            "SCHILY.xattr.user.aionoah.x": "y",
            "SCHILY.xattr.trusted.overlay.opaque": "y",
            "SCHILY.xattr.security.selinux": "y",
            "SCHILY.xattr.user.mine": "mine",
            "SCHILY.xattr.security.capability": "caps",
        }

    layer = unpack(("file", lie))
    names = set(os.listxattr(layer / "file")) - {OVERRIDE.decode(), "security.selinux"}
    assert names == {"user.mine", "user.aionoah.security.capability"}
    if OVERRIDE.decode() in os.listxattr(layer / "file"):
        assert os.getxattr(layer / "file", OVERRIDE) == b"0:0:0644:file"


# -- as guests see it -----------------------------------------------------------------------------------


def shown(*layers: Path) -> OverlayFileSystem:
    """The topmost first."""
    return OverlayFileSystem([HostFileSystem(str(layer), owners=Owners()) for layer in layers])


def names(overlay: OverlayFileSystem, path: str = "") -> set[bytes]:
    inode = overlay.root
    for part in filter(None, path.split("/")):
        inode = inode.lookup(part.encode())  # type: ignore[assignment]
    return {name for _, _, name in inode.listing()} - {b".", b".."}


def test_whiteouts_hide_what_is_below(unpack: Unpack) -> None:
    below = unpack(("a", b"1"), ("b", b"1"), ("d/x", b"1"), ("e/x", b"1"), ("f/x", b"1"), ("g/x", b"1"))
    above = unpack(
        (".wh.a", b""),
        ("d/", None),
        ("d/.wh..wh..opq", b""),
        ("d/y", b"2"),
        (".wh.e", b""),
        ("e/y", b"2"),
        ("f/y", b"2"),
        (".wh.f", b""),
        (".wh.b", b""),
        ("b", b"2"),
        (".wh..wh.plnk", b""),
        ("g/y", b"2"),
    )
    overlay = shown(above, below)
    assert names(overlay) == {b"b", b"d", b"e", b"f", b"g"}
    assert names(overlay, "d") == names(overlay, "e") == names(overlay, "f") == {b"y"}
    assert names(overlay, "g") == {b"x", b"y"}
    assert overlay.root.lookup(b"b").attributes().size == 1
    overlay.release()


def test_whiteouts_where_devices_are_forbidden(unpack: Unpack, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "mknod", refuse)
    below = unpack(("a", b"1"), ("d/x", b"1"), ("d/y", b"1"), ("d/z", b"1"))
    above = unpack((".wh.a", b""), ("d/.wh.x", b""), ("d/.wh.y", b""), ("d/empty", b""))
    overlay = shown(above, below)
    assert names(overlay) == {b"d"}
    assert names(overlay, "d") == {b"z", b"empty"}
    overlay.release()


def test_owners_modes_and_devices_are_those_of_the_layer(unpack: Unpack) -> None:
    layer = unpack(
        ("d/", be(tarfile.DIRTYPE, uid=5, gid=6, mode=0o2500)),
        ("d/file", be(tarfile.REGTYPE, uid=1234, gid=5678, mode=0o4040)),
        ("tty", be(tarfile.CHRTYPE, devmajor=4, devminor=300, mode=0o620, gid=5)),
        ("disk", be(tarfile.BLKTYPE, devmajor=8, devminor=1, mode=0o660)),
    )
    overlay = shown(layer)
    directory = overlay.root.lookup(b"d")
    found = {name: overlay.root.lookup(name).attributes() for name in (b"d", b"tty", b"disk")}
    file = directory.lookup(b"file").attributes()
    assert (found[b"d"].uid, found[b"d"].gid, found[b"d"].mode) == (5, 6, stat.S_IFDIR | 0o2500)
    assert (file.uid, file.gid, file.mode) == (1234, 5678, stat.S_IFREG | 0o4040)
    assert found[b"tty"].mode == stat.S_IFCHR | 0o620
    assert found[b"tty"].rdev == os.makedev(4, 300)
    assert found[b"disk"].mode == stat.S_IFBLK | 0o660
    assert stat.S_ISREG((layer / "tty").stat().st_mode)  # never a device of the host
    overlay.release()


def test_many_directories(unpack: Unpack) -> None:
    """More than are kept open."""
    layer = unpack(*((f"{number % 100}/{number}", b"x") for number in range(300)))
    assert sum(1 for path in layer.rglob("*") if path.is_file()) == 300
