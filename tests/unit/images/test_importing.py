"""Images from files: archives of docker, of OCI tools, and plain trees."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from harness.registry import MANIFEST, Image, descriptor, digest_of, tarball

from aionoah.images import ImageError
from aionoah.images.importing import import_tarball
from aionoah.images.store import Record, Store

LAYERS = tarball(("a", b"1")), tarball(("b", b"2"))
IMAGE = Image(*LAYERS, Cmd=["x"])


def blob_name(data: bytes) -> str:
    return "blobs/sha256/" + digest_of(data).removeprefix("sha256:")


def docker_archive(**changes: Any) -> bytes:
    entry = {
        "Config": "config.json",
        "RepoTags": ["one:1", "two"],
        "Layers": ["0/layer.tar", "1.tar"],
    } | changes
    members = [("manifest.json", json.dumps([entry]).encode()), ("config.json", IMAGE.config)]
    return tarball(*members, ("0/layer.tar", LAYERS[0]), ("1.tar", LAYERS[1]))


def oci_archive(**annotations: str) -> bytes:
    index = {"schemaVersion": 2, "manifests": [descriptor(IMAGE.manifest, MANIFEST, annotations=annotations)]}
    blobs = [(blob_name(data), data) for data in (IMAGE.manifest, IMAGE.config, *IMAGE.packed)]
    return tarball(("oci-layout", b"{}"), ("index.json", json.dumps(index).encode()), *blobs)


def enter(store: Store, tmp_path: Path, data: bytes, name: str | None = None, **options: Any) -> list[Record]:
    path = tmp_path / "archive.tar"
    path.write_bytes(data)
    return import_tarball(store, path, name, "x86_64", **options)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_docker_archives(store: Store, tmp_path: Path, pack: Any) -> None:
    records = enter(store, tmp_path, pack(docker_archive()))
    assert [record.name for record in records] == ["one:1", "two:latest"]
    assert records[0].layers == tuple(map(digest_of, LAYERS))
    assert store.blob(records[0].config) == IMAGE.config
    assert (store.layer_path(records[0].layers[1]) / "b").read_bytes() == b"2"


def test_oci_archives(store: Store, tmp_path: Path) -> None:
    (record,) = enter(store, tmp_path, oci_archive(), "mine")
    assert record.name == "mine:latest"
    assert record.manifest == digest_of(IMAGE.manifest)
    (named,) = enter(store, tmp_path, oci_archive(**{"org.opencontainers.image.ref.name": "host.org/x:y"}))
    assert named.name == "host.org/x:y"
    assert named.layers == record.layers


def test_trees(store: Store, tmp_path: Path) -> None:
    (record,) = enter(store, tmp_path, gzip.compress(LAYERS[0]), "tree")
    assert record.layers == (digest_of(LAYERS[0]),)
    assert json.loads(store.blob(record.config))["architecture"] == "amd64"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (LAYERS[0], None),
        (oci_archive(), None),
        (docker_archive(RepoTags=None), None),
        (docker_archive(RepoTags=["../x"]), None),
        (docker_archive(Layers=["0/layer.tar"]), None),
        (docker_archive(Layers=["0/layer.tar", "missing"]), None),
        (docker_archive(Layers=["1.tar", "0/layer.tar"]), None),
        (docker_archive(Config="/etc/passwd"), None),
        (docker_archive(Config=[]), None),
        (tarball(("manifest.json", b"{}")), None),
        (tarball(("manifest.json", b"[1]")), "x"),
        (tarball(("oci-layout", b""), ("index.json", b"[]")), "x"),
        (oci_archive().replace(IMAGE.config, IMAGE.config.replace(b"linux", b"minix")), "x"),
        (b"garbage" * 1000, "x"),
        (gzip.compress(LAYERS[0])[:-20], "x"),
        (tarball(("../x", b"")), "x"),
        (LAYERS[0], "No Name"),
    ],
)
def test_what_cannot_be_imported(store: Store, tmp_path: Path, data: bytes, name: str | None) -> None:
    with pytest.raises(ImageError) as caught:
        enter(store, tmp_path, data, name)
    assert "\n" not in str(caught.value)
    assert store.records() == []
    assert not list((store.place / "work").iterdir())


def test_a_file_that_is_no_archive_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=f"^{tmp_path}.* is no sound archive: "):
        enter(store, tmp_path, b"garbage" * 1000, "x")
