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


def _with_holes(size: int, *, is_cut: bool = False) -> bytes:
    """A file of GNU's old form that is nothing but a hole. `is_cut`: its map goes on, where nothing is."""
    member = tarfile.TarInfo("x")
    member.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[386:482] = b"0" * 11 + b"\0" + b"0" * 11 + b"\0" + bytes(72)
    header[482:495] = bytes((is_cut,)) + b"%011o\0" % size
    header[148:156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 8 * 32)
    return bytes(header)


def test_holes_count(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "layer"
    path.write_bytes(_with_holes(6 << 20) + bytes(1024))
    with pytest.raises(ImageError, match="larger than 1048576 bytes"):
        unpack_layer(store, path, None, Limits(size=1 << 20))
    digest = unpack_layer(store, path, None, Limits(size=8 << 20))
    assert (store.layer_path(digest) / "x").read_bytes() == bytes(6 << 20)


def test_a_map_of_holes_that_is_cut(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "layer"
    path.write_bytes(_with_holes(5, is_cut=True))
    with pytest.raises(ImageError, match="ends within a header"):
        unpack_layer(store, path, None, Limits())


def _endless_map() -> bytes:
    member = tarfile.TarInfo("x")
    member.size = 8 << 20
    form = {"major": "1", "minor": "0", "name": "x", "realsize": "5"}
    member.pax_headers = {f"GNU.sparse.{key}": value for key, value in form.items()}
    return member.tobuf(tarfile.PAX_FORMAT) + (b"9999999\n" + b"9\n" * (4 << 20))


def _many_headers(kind: bytes) -> bytes:
    members = []
    for number in range(10):
        member = tarfile.TarInfo(f"x{number}")
        record = b"600000 key%d=" % number
        member.type, member.size = kind, 600_000
        members.append(member.tobuf(tarfile.USTAR_FORMAT) + record.ljust(599_999, b"v") + b"\n" + bytes(64))
    return b"".join(members) + tarfile.TarInfo("y").tobuf() + bytes(1024)


@pytest.mark.parametrize(
    "archive",
    [_endless_map(), _many_headers(tarfile.XHDTYPE), _many_headers(tarfile.XGLTYPE)],
    ids=["holes", "own", "for all"],
)
def test_headers_without_end(archive: bytes) -> None:
    with pytest.raises(ImageError, match="headers"):
        list(entries(Contents(io.BytesIO(archive), Limits()), Limits()))


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
