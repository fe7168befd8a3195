"""The layer that ends with its instance, and what killed instances leave behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.trees import Tree, outcome

from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.overlay import OverlayFileSystem
from aionoah.fs.private_upper import PrivateUpper


def test_it_is_private_and_vanishes(tmp_path: Path) -> None:
    upper = PrivateUpper(str(tmp_path))
    upper.root.create(b"file", 0o644, 0, 0)
    assert upper.path.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == [upper.path]
    upper.release()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_one_left_goes_with_the_next(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from aionoah.fs.private_upper import PrivateUpper;"
        "PrivateUpper(sys.argv[1]).root.mkdir(b'dir', 0, 0, 0); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path], check=False)
    (left,) = tmp_path.iterdir()
    living = PrivateUpper(str(tmp_path))
    assert not left.exists()
    another = PrivateUpper(str(tmp_path))
    assert living.path.exists()
    for each in (living, another):
        each.release()


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "aionoah-new-young").mkdir()
    (tmp_path / "aionoah-upper-link").symlink_to(tmp_path)
    (tmp_path / "other").mkdir()
    if os.geteuid() == 0:
        (tmp_path / "aionoah-upper-theirs").mkdir()
        os.chown(tmp_path / "aionoah-upper-theirs", 4711, 4711)
    before = set(os.listdir(tmp_path))
    PrivateUpper(str(tmp_path)).release()
    assert set(os.listdir(tmp_path)) == before


def test_guests_do_not_see_where_it_is(tmp_path: Path) -> None:
    tree = Tree(OverlayFileSystem([HostFileSystem(str(tmp_path))], lambda: PrivateUpper(str(tmp_path))))
    tree.write(b"file", b"x")
    assert tree.names(b".") == [b"file"]
    (place,) = tmp_path.iterdir()
    assert outcome(tree.stat, os.fsencode(place.name)) == "ENOENT"


def test_nowhere_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        PrivateUpper(str(tmp_path / "missing"))
