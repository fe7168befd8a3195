"""What becomes of the files of packages."""

import gzip
import os
import tarfile
from pathlib import Path

import pytest
import zstandard
from harness.debian import File, deb, directory, link_to

from aionoah.bootstrap import BootstrapError
from aionoah.bootstrap.unpacking import FirstStage


def unpacked(place: Path, files: dict[str, File], **options: object) -> Path:
    return unpacked_data(place, deb(files, **options))  # type: ignore[arg-type]


def unpacked_data(place: Path, data: bytes) -> Path:
    package, top = place / "package.deb", place / "tree"
    package.write_bytes(data)
    top.mkdir(exist_ok=True)
    with FirstStage(top, "amd64") as tree:
        tree.unpack(package, "package.deb")
    return top


def test_usr_is_merged(place: Path) -> None:
    files: dict[str, File] = {
        "./": directory,
        "./bin/": directory,
        "./bin/tool": b"#!",
        "./lib64": link_to("usr/lib64"),
        "./lib64/ld.so": b"elf",
        "./usr/bin/again": link_to("./bin/tool", tarfile.LNKTYPE),
        "./etc/file": b"text",
        "./library/x": b"",
    }
    top = unpacked(place, files)
    assert {name: os.readlink(top / name) for name in ("bin", "sbin", "lib", "lib64")} == {
        name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")
    }
    assert (top / "usr/bin/tool").read_bytes() == b"#!"
    assert os.path.samefile(top / "usr/bin/again", top / "usr/bin/tool")
    assert (top / "usr/lib64/ld.so").read_bytes() == b"elf"
    assert (top / "library/x").exists()
    assert (top / "usr/bin/tool").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize(
    ("kind", "pack"),
    [("", bytes), (".gz", gzip.compress), (".zst", zstandard.ZstdCompressor().compress)],
)
def test_compressions(place: Path, kind: str, pack: object) -> None:
    assert (unpacked(place, {"./file": b"text"}, kind=kind, pack=pack) / "file").read_bytes() == b"text"


@pytest.mark.parametrize(
    "files",
    [
        {"../outside": b"x"},
        {"./a/../../outside": b"x"},
        {"/etc/outside": b"x"},
        {"./link": link_to("/tmp"), "./link/outside": b"x"},
        {"./hard": link_to("../../outside", tarfile.LNKTYPE)},
    ],
)
def test_nothing_leads_out(place: Path, files: dict[str, File]) -> None:
    with pytest.raises(BootstrapError, match=r"package\.deb cannot be unpacked: "):
        unpacked(place, files)
    assert sorted(path.name for path in place.iterdir()) == ["package.deb", "tree"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "package.deb"),
        (b"!<arch>\n", "has no data.tar"),
        (deb({}, kind=".rar"), "unknown way .rar"),
        (deb({}, pack=lambda _: b"nonsense"), "package.deb cannot be unpacked"),
        (deb({"./file": b"x" * 100_000})[:-200], "package.deb cannot be unpacked"),
    ],
)
def test_broken_packages(place: Path, data: bytes, sentence: str) -> None:
    with pytest.raises(BootstrapError, match=sentence):
        unpacked_data(place, data)


def test_files_of_no_package(place: Path) -> None:
    top = place / "tree"
    top.mkdir()
    with FirstStage(top, "arm64") as tree:
        tree.file("etc/file", "text", 0o600)
        tree.directory("srv/x")
        tree.link("etc/link", "../srv")
    assert (top / "etc/file").read_text() == "text"
    assert (top / "etc/link/x").is_dir()
    assert not (top / "lib64").is_symlink()
