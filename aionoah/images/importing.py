"""Images from a file: what `docker save` and `skopeo copy` write (docker-archive, oci-archive), or just a tree."""

import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from aionoah.images import ImageError
from aionoah.images.archive import BROKEN, Contents, Entry, Limits
from aionoah.images.layers import unpack_stream
from aionoah.images.manifest import Config, choose, is_index, parse_config, parse_json, parse_manifest
from aionoah.images.pull import finish
from aionoah.images.reference import Reference, checked_digest, digest_of
from aionoah.images.store import Record, Store

_LARGEST_DOCUMENT: Final = 4 << 20  # bytes
_LONGEST_SEARCH: Final = 10_000  # entries: archives of images have few
_COPY: Final = 1 << 20  # bytes of a read
_GO_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def import_tarball(
    store: Store, path: Path, name: str | None, architecture: str, *, limits: Limits | None = None
) -> list[Record]:
    """Enter the images of an archive under the names it has for them, or the only one as `name`. ImageError."""
    store.collect()
    limits = limits or Limits()
    if name is not None:
        name = str(Reference.parse(name))
    try:
        with store.adding(), _plain(store, path, limits) as file:
            return _import(store, file, name, architecture, limits)
    except OSError as error:
        raise ImageError(f"{path} cannot be imported: {error.strerror}") from None
    except BROKEN as error:
        raise ImageError(f"{path} is no sound archive: {error}") from None


@contextmanager
def _plain(store: Store, path: Path, limits: Limits) -> Iterator[BinaryIO]:
    """The archive without its compression, for reading here and there."""
    with path.open("rb") as file, tempfile.TemporaryFile(dir=store.place / "work") as plain:
        contents = Contents(file, limits)
        if not contents.is_compressed:
            yield file
            return
        shutil.copyfileobj(cast("BinaryIO", contents), plain, _COPY)
        plain.seek(0)
        yield cast("BinaryIO", plain)


def _import(
    store: Store, file: BinaryIO, name: str | None, architecture: str, limits: Limits
) -> list[Record]:
    with tarfile.open(
        fileobj=file, mode="r:", tarinfo=Entry, encoding="utf-8", errors="surrogateescape"
    ) as archive:
        parts = _Parts(archive)
        if "manifest.json" in parts.members:
            return _import_docker(store, parts, name, limits)
        if "index.json" in parts.members and "oci-layout" in parts.members:
            return [_import_oci(store, parts, name, architecture, limits)]
    file.seek(0)
    return [_import_tree(store, file, name, architecture, limits)]


class _Parts:
    """The files of an image's archive."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self.members: dict[str, tarfile.TarInfo] = {}
        for _ in range(_LONGEST_SEARCH):
            member = archive.next()
            if member is None:
                break
            self.members[member.name.removeprefix("./")] = member

    def open(self, name: object) -> BinaryIO:
        member = self.members.get(name) if isinstance(name, str) else None
        try:
            file = None if member is None else self._archive.extractfile(member)
        except KeyError:  # a link to nothing
            file = None
        if file is None:
            raise ImageError(f"the archive has no {str(name)[:200]!r}")
        return cast("BinaryIO", file)

    def document(self, name: object) -> bytes:
        with self.open(name) as file:
            data = file.read(_LARGEST_DOCUMENT + 1)
        if len(data) > _LARGEST_DOCUMENT:
            raise ImageError(f"the archive's {name!r} is too large")
        return data

    def blob(self, digest: str) -> bytes:
        data = self.document(_blob_name(digest))
        if digest_of(data) != digest:
            raise ImageError(f"the archive's {digest} is damaged")
        return data


def _blob_name(digest: str) -> str:
    return "blobs/sha256/" + checked_digest(digest).removeprefix("sha256:")


def _import_docker(store: Store, parts: _Parts, name: str | None, limits: Limits) -> list[Record]:
    try:
        images = json.loads(parts.document("manifest.json"))
        found = [(each["Config"], each.get("RepoTags") or [], list(each["Layers"])) for each in images]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ImageError("the archive's 'manifest.json' makes no sense") from None
    if not found or (name is not None and len(found) != 1):
        raise ImageError(f"the archive has {len(found)} images, not one")
    records = []
    for where, tags, layers in found:
        raw_config = parts.document(where)
        config = parse_config(parse_json(raw_config, "configuration"))
        if len(layers) != len(config.diff_ids):
            raise ImageError(f"the archive has {len(layers)} layers, and digests of {len(config.diff_ids)}")
        names = [name] if name is not None else [str(Reference.parse(str(tag))) for tag in tags]
        if not names:
            raise ImageError("the archive does not say what its image is called: give it a NAME")
        for diff_id, layer in zip(config.diff_ids, layers, strict=True):
            _unpack(store, parts, layer, diff_id, limits)
        manifest = _manifest(raw_config, config.diff_ids)
        records += [finish(store, each, manifest, raw_config, config) for each in names]
    return records


def _import_oci(store: Store, parts: _Parts, name: str | None, architecture: str, limits: Limits) -> Record:
    index = parse_json(parts.document("index.json"), "index")
    if name is None:
        name = _name_in(index)
    digest = choose(index, architecture).digest
    data = parts.blob(digest)
    found = parse_json(data, "manifest")
    if is_index(found):
        data = parts.blob(choose(found, architecture).digest)
        found = parse_json(data, "manifest")
    manifest = parse_manifest(found)
    raw_config = parts.blob(manifest.config.digest)
    config = parse_config(parse_json(raw_config, "configuration"))
    if len(manifest.layers) != len(config.diff_ids):
        raise ImageError(
            f"the archive has {len(manifest.layers)} layers, and digests of {len(config.diff_ids)}"
        )
    for diff_id, layer in zip(config.diff_ids, manifest.layers, strict=True):
        _unpack(store, parts, _blob_name(layer.digest), diff_id, limits)
    return finish(store, name, data, raw_config, config)


def _name_in(index: dict[str, Any]) -> str:
    """What tools note in the index: a whole name, or a tag, which is not enough."""
    for each in index.get("manifests") or []:
        notes = each.get("annotations") if isinstance(each, dict) else None
        for key in ("io.containerd.image.name", "org.opencontainers.image.ref.name"):
            name = notes.get(key) if isinstance(notes, dict) else None
            if isinstance(name, str) and (":" in name or "/" in name):
                return str(Reference.parse(name))
    raise ImageError("the archive does not say what its image is called: give it a NAME")


def _unpack(store: Store, parts: _Parts, where: object, diff_id: str, limits: Limits) -> None:
    if not store.has_layer(diff_id):
        with parts.open(where) as file:
            unpack_stream(store, file, diff_id, limits)


def _import_tree(store: Store, file: BinaryIO, name: str | None, architecture: str, limits: Limits) -> Record:
    if name is None:
        raise ImageError("the archive is a tree of files: give it a NAME")
    diff_id = unpack_stream(store, file, None, limits)
    document = {
        "architecture": _GO_MACHINES[architecture],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    raw_config = json.dumps(document).encode()
    return finish(
        store, name, _manifest(raw_config, (diff_id,)), raw_config, Config(architecture, (diff_id,))
    )


def _manifest(raw_config: bytes, diff_ids: tuple[str, ...]) -> bytes:
    """One for an image that came without."""
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": 0}
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "size": len(raw_config)}
    document = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {**config, "digest": digest_of(raw_config)},
        "layers": [{**layer, "digest": diff_id} for diff_id in diff_ids],
    }
    return json.dumps(document).encode()
