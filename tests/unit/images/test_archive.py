"""What is compressed, how, and what is broken."""

import gzip
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard
from harness.registry import digest_of, tarball
from hypothesis import given, settings
from hypothesis import strategies as st

from aionoah.images import ImageError
from aionoah.images.archive import BROKEN, Contents, Limits, entries
from aionoah.images.layers import unpack_layer
from aionoah.images.store import Store

LAYER = tarball(("a", b"1" * 5000), ("b/c", b"2"))


@pytest.mark.parametrize(
    "packed",
    [
        LAYER,
        gzip.compress(LAYER),
        gzip.compress(LAYER[:3000]) + gzip.compress(LAYER[3000:]) + bytes(100),
        zstandard.compress(LAYER),
        zstandard.compress(LAYER[:3000]) + zstandard.compress(LAYER[3000:]),
    ],
    ids=["plain", "gzip", "gzip members", "zstd", "zstd frames"],
)
def test_compressions(store: Store, tmp_path: Path, packed: bytes) -> None:
    path = tmp_path / "layer"
    path.write_bytes(packed)
    digest = unpack_layer(store, path, digest_of(LAYER), Limits())
    assert (store.layer_path(digest) / "b/c").read_bytes() == b"2"
    assert store.layer_size(digest) == len(LAYER)


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(LAYER)[:-300],
        zstandard.compress(LAYER)[:-20],
        gzip.compress(LAYER) + b"garbage",
        LAYER[:700],
        b"\x1f\x8b garbage",
        b"\x28\xb5\x2f\xfd garbage",
        b"<html>not found</html>" * 100,
        LAYER[:6144] + b"x" * 512 + LAYER[6656:],
        b"",
    ],
    ids=["gzip cut", "zstd cut", "gzip and more", "cut", "gzip", "zstd", "html", "header", "empty"],
)
def test_broken_ones(store: Store, tmp_path: Path, packed: bytes) -> None:
    path = tmp_path / "layer"
    path.write_bytes(packed)
    with pytest.raises(ImageError):
        unpack_layer(store, path, digest_of(LAYER), Limits())
    assert not list((store.place / "work").iterdir())
    assert not list((store.place / "layers").iterdir())


def test_another_layer_than_was_promised(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "layer"
    path.write_bytes(LAYER)
    with pytest.raises(ImageError, match="damaged"):
        unpack_layer(store, path, digest_of(b"other"), Limits())
    assert not store.has_layer(digest_of(LAYER))


def test_headers_do_not_fill_the_memory() -> None:
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, 1 << 33
    contents = Contents(io.BytesIO(member.tobuf(tarfile.GNU_FORMAT)), Limits())
    with pytest.raises(ImageError, match="header"):
        list(entries(contents, Limits()))


def test_a_bomb_is_not_inflated_far() -> None:
    bomb = io.BytesIO(gzip.compress(bytes(50 << 20)))
    contents = Contents(bomb, Limits(size=1 << 20))
    with pytest.raises(ImageError, match="larger"):
        contents.digest()
    assert contents.size <= 2 << 20


def test_a_full_disk(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "layer"
    path.write_bytes(LAYER)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(ImageError, match="No space left"):
            unpack_layer(store, path, None, Limits())
    assert not list((store.place / "work").iterdir())
    assert unpack_layer(store, path, None, Limits()) == digest_of(LAYER)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=600), st.integers(0, len(LAYER)), st.booleans())
def test_garbage_is_an_error_or_an_archive(garbage: bytes, where: int, is_pax: bool) -> None:
    data = bytearray(LAYER)
    data[where : where + len(garbage)] = garbage
    if is_pax:
        header = tarfile.TarInfo("x")
        header.type, header.size = tarfile.XHDTYPE, len(garbage)
        data = bytearray(header.tobuf(tarfile.USTAR_FORMAT) + garbage.ljust(1024, b"\0")) + LAYER
    try:
        for member, archive in entries(Contents(io.BytesIO(data), Limits()), Limits(entries=100)):
            if member.isreg() and (file := archive.extractfile(member)):
                file.read(10_000)
    except (ImageError, *BROKEN):
        pass


@pytest.mark.parametrize("form", ["gnu", "posix"])
def test_files_with_holes(store: Store, tmp_path: Path, form: str) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"tail")
    subprocess.run(["tar", "-S", f"--format={form}", "-cf", "x.tar", "sparse"], cwd=tmp_path, check=True)
    digest = unpack_layer(store, tmp_path / "x.tar", None, Limits())
    assert (store.layer_path(digest) / "sparse").read_bytes() == bytes(1 << 20) + b"tail"
