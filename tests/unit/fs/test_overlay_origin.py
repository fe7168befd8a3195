"""Inode numbers in an upper layer that is mounted again, by us and by Linux's own overlay file system."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.trees import IS_LINUX, Tree, outcome

from aionoah.abi.stat import S
from aionoah.fs import overlay_origin
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.hostfs_owners import Owners
from aionoah.fs.overlay import OverlayFileSystem
from aionoah.host.file_details import file_handle

pytestmark = pytest.mark.skipif(not IS_LINUX, reason="handles of Linux")
PATHS = (b"f", b"d", b"d/x", b"d/e", b"d/e/y", b"link", b"new")


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    for name in ("upper", "work", "merged", "lower/d/e"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("f", "g", "d/x", "d/e/y", "one"):
        (tmp_path / "lower" / name).write_text(name)
    os.link(tmp_path / "lower/one", tmp_path / "lower/two")
    (tmp_path / "lower/link").symlink_to("f")
    fd = os.open(tmp_path / "lower/f", os.O_RDONLY)
    try:
        file_handle(fd)
    except OSError:
        pytest.skip("the file system has no handles")
    finally:
        os.close(fd)
    return tmp_path


def mounted(layers: Path) -> Tree:
    """Anew, as by another instance; a layer that is empty yet would be made by the first change."""
    upper = HostFileSystem(str(layers / "upper"), owners=Owners(), is_guests=True)
    return Tree(OverlayFileSystem([HostFileSystem(str(layers / "lower"))], upper))


def changed(layers: Path) -> Iterator[Tree]:
    """One in which files have been copied up, moved and made."""
    tree = mounted(layers)
    tree.write(b"f", b"changed")
    tree.chmod(b"d/e", 0o700)
    tree.write(b"d/x", b"changed")
    tree.rename(b"g", b"d/moved", 0)
    tree.write(b"new", b"new")
    yield tree
    tree.namespace.release()


def numbers(tree: Tree, *paths: bytes) -> dict[bytes, int]:
    return {path: tree.stat(path, follow=False).ino for path in paths}


def listed(tree: Tree, directory: bytes) -> dict[bytes, int]:
    return {entry.name: entry.ino for entry in tree.open(directory).entries() if entry.name != b".."}


def test_numbers_survive_the_instance(layers: Path) -> None:
    tree = mounted(layers)
    before = numbers(tree, *(path for path in PATHS if path != b"new"))
    tree.namespace.release()
    (tree,) = changed(layers)
    during = numbers(mounted(layers), *PATHS)
    assert {path: during[path] for path in before} == before
    again = mounted(layers)
    assert numbers(again, *PATHS) == during
    assert listed(again, b"d")[b"x"] == before[b"d/x"]
    assert listed(again, b".")[b"f"] == before[b"f"]
    assert again.read(b"f") == b"changed"
    again.namespace.release()


def test_a_file_that_has_moved_keeps_its_number_where_the_host_opens_handles(
    layers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = mounted(layers)
    before = tree.stat(b"g").ino
    tree.namespace.release()
    list(changed(layers))
    again = mounted(layers)
    assert (again.stat(b"d/moved").ino == before) is (os.geteuid() == 0)

    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(overlay_origin, "open_handle", refuse)
    unprivileged = mounted(layers)
    real = (layers / "upper/d/moved").stat().st_ino
    assert unprivileged.stat(b"d/moved").ino == real == listed(unprivileged, b"d")[b"moved"]


def test_another_file_in_its_place_is_not_the_original(layers: Path) -> None:
    list(changed(layers))
    (layers / "lower/f").rename(layers / "lower/aside")
    (layers / "lower/f").write_text("another")
    (layers / "lower/aside").unlink()
    tree = mounted(layers)
    assert tree.stat(b"f").ino == (layers / "upper/f").stat().st_ino


@pytest.mark.parametrize("noted", [b"", b"\0", b"\0\xfb\x1d\0\1", bytes(29), b"\0\xfb\xff" + bytes(40)])
def test_nonsense_is_ignored(layers: Path, noted: bytes) -> None:
    list(changed(layers))
    name = "trusted.overlay.origin" if os.geteuid() == 0 else "user.overlay.origin"
    os.setxattr(layers / "upper/f", name, noted)
    tree = mounted(layers)
    assert tree.stat(b"f").ino == (layers / "upper/f").stat().st_ino


def test_one_of_several_names_becomes_a_file_of_its_own(layers: Path) -> None:
    """As on Linux without an index: two files must not have one number."""
    tree = mounted(layers)
    tree.write(b"one", b"changed")
    tree.namespace.release()
    again = mounted(layers)
    assert again.stat(b"one").ino != again.stat(b"two").ino
    assert again.read(b"two") == b"one"


def test_numbers_of_removed_directories_mean_nothing(layers: Path) -> None:
    tree = mounted(layers)
    filesystem = tree.root.inode.filesystem
    assert isinstance(filesystem, OverlayFileSystem)
    before = len(filesystem.origins)
    for _ in range(3):
        tree.mkdir(b"new")
        tree.mkdir(b"new/inner")
        tree.rename(b"new/inner", b"inner")
        tree.rename(b"inner", b"new/inner")
        tree.mkdir(b"other")
        tree.rename(b"other", b"new/inner")
        tree.rmdir(b"new/inner")
        tree.rmdir(b"new")
    assert len(filesystem.origins) <= before + 1  # the root has been copied up


def by_linux(layers: Path, options: str, script: str) -> bytes:
    """What a script says in an overlay of Linux, which starts in its root."""
    script = (
        f"mount -t overlay none -o lowerdir=lower,upperdir=upper,workdir=work,{options} merged || exit 77; "
        f"(cd merged; {script})"
    )
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], cwd=layers, capture_output=True, check=False)
    if done.returncode == 77:
        pytest.skip("no such overlay file system here")
    return done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_directories_that_linux_has_renamed(layers: Path) -> None:
    (layers / "lower/d/e/deep").mkdir()
    (layers / "lower/d/e/deep/z").write_text("z")
    by_linux(
        layers,
        "redirect_dir=on",
        "mkdir new; mv d/e new/moved; mv d renamed; mv new/moved/deep new/moved/beside; echo 1 >d",
    )
    tree = mounted(layers)
    assert tree.names(b"new/moved") == [b"beside", b"y"]
    assert tree.read(b"new/moved/beside/z") == b"z"
    assert tree.read(b"renamed/x") == b"d/x"
    assert tree.names(b"renamed") == [b"x"]
    assert tree.read(b"d") == b"1\n"
    assert tree.stat(b"renamed").ino == (layers / "lower/d").stat().st_ino


@pytest.mark.parametrize(
    "redirect",
    [b"..", b"../../secret", b"/../../secret", b"/d/../../../secret", b"/.", b"/", b"//d", b"a\0b", b"d/e"],
)
def test_a_note_cannot_lead_out_of_the_layers(layers: Path, redirect: bytes) -> None:
    (layers.parent / "secret").mkdir(exist_ok=True)
    (layers / "upper/moved").mkdir()
    os.setxattr(layers / "upper/moved", "user.overlay.redirect", redirect)
    tree = mounted(layers)
    assert outcome(tree.names, b"moved") == "EINVAL"
    assert outcome(tree.read, b"moved/f") == "EINVAL"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_files_whose_data_linux_has_left_below(layers: Path) -> None:
    """Better none than empty ones."""
    by_linux(layers, "metacopy=on,redirect_dir=on", "chmod 600 f d/x; echo 1 >d/whole")
    tree = mounted(layers)
    assert outcome(tree.read, b"f") == "EIO"
    assert tree.names(b"d") == [b"e", b"whole", b"x"]
    assert tree.read(b"d/whole") == b"1\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_linux_reads_it_and_we_read_linux(layers: Path) -> None:
    tree = mounted(layers)
    before = numbers(tree, b"f", b"d", b"d/x", b"d/e", b"g")
    tree.namespace.release()
    list(changed(layers))
    told_text = by_linux(
        layers, "redirect_dir=off", "stat -c '%n %i' f d d/x d/e d/moved new; echo more >>d/e/y"
    )
    told = {name: int(ino) for name, _, ino in (line.partition(b" ") for line in told_text.splitlines())}
    expected = {name: ino for name, ino in before.items() if name != b"g"}
    assert {name: told[name] for name in expected} == expected
    assert told[b"d/moved"] == before[b"g"]
    ours = mounted(layers)
    assert ours.stat(b"d/e/y").ino == (layers / "lower/d/e/y").stat().st_ino
    assert (layers / "upper/d/e/y").exists()
    assert ours.read(b"d/e/y").endswith(b"more\n")
    assert ours.stat(b"d").mode & S.IFMT == S.IFDIR
