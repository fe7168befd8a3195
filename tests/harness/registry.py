"""A small registry of images on loopback, which can be made to misbehave; and images to put into it."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from harness.http_server import Handler, serving_http

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tarball(*members: tuple[str, Any], **headers: Any) -> bytes:
    """Files of bytes, executable ones in bin/; other members as functions that change a TarInfo. A name with a slash
    at its end: a directory.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, **headers) as archive:
        for name, what in members:
            member = tarfile.TarInfo(name)
            member.mode = 0o755 if name.startswith("bin/") else 0o644
            if name.endswith("/"):
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            contents = what if isinstance(what, bytes) else b""
            member.size = len(contents)
            if callable(what):
                what(member)
            archive.addfile(member, io.BytesIO(contents))
    return packed.getvalue()


class Image:
    """Documents and blobs of an image of some layers (uncompressed archives)."""

    def __init__(self, *layers: bytes, architecture: str = "amd64", **config: Any) -> None:
        self.layers = layers
        self.packed = [gzip.compress(layer, 1) for layer in layers]
        self.config = json.dumps(
            {
                "os": "linux",
                "architecture": architecture,
                "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
                "config": config,
            }
        ).encode()
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": descriptor(self.config, CONFIG),
                "layers": [descriptor(layer, LAYER) for layer in self.packed],
            }
        ).encode()

    def blobs(self) -> dict[str, bytes]:
        return {digest_of(data): data for data in (self.config, *self.packed)}


def descriptor(data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data), **more}


class FakeRegistry:
    """`hook` may answer a request itself: it gets the handler and returns whether it has."""

    def __init__(self) -> None:
        self.manifests: dict[str, tuple[bytes, str]] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []  # path and Range
        self.token: str | None = None
        self.hook: Callable[[Any], bool] = lambda _handler: False
        self.address = ""

    def put(self, tag: str, image: Image) -> None:
        self.blobs |= image.blobs()
        for name in (tag, digest_of(image.manifest)):
            self.manifests[name] = (image.manifest, MANIFEST)

    def put_index(self, tag: str, images: dict[str, Image]) -> None:
        entries = []
        for architecture, image in images.items():
            self.put(digest_of(image.manifest), image)
            platform = {"os": "linux", "architecture": architecture}
            entries.append(descriptor(image.manifest, MANIFEST, platform=platform))
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        self.manifests[tag] = (index, INDEX)

    @property
    def name(self) -> str:
        return f"{self.address}/team/image"

    def blob_requests(self) -> list[tuple[str, str]]:
        return [each for each in self.requests if "/blobs/" in each[0]]


class _Handler(Handler):
    registry: FakeRegistry

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        registry = self.registry
        registry.requests.append((self.path, self.headers.get("Range", "")))
        if registry.hook(self):
            return
        _, _, rest = self.path.partition("/team/image/")
        kind, _, name = rest.partition("/")
        if self.path.startswith("/token?"):
            self.reply(200, json.dumps({"token": registry.token}).encode())
        elif registry.token and self.headers.get("Authorization") != f"Bearer {registry.token}":
            challenge = f'Bearer realm="http://{registry.address}/token",service="s",scope="repository:team/image:pull"'
            self.reply(401, WWW_Authenticate=challenge)
        elif kind == "manifests" and name in registry.manifests:
            data, media_type = registry.manifests[name]
            self.reply(200, data, Content_Type=media_type, Docker_Content_Digest=digest_of(data))
        elif kind == "blobs" and name in registry.blobs:
            self._blob(registry.blobs[name])
        else:
            self.reply(404, b"{}")

    def _blob(self, data: bytes) -> None:
        wanted = self.headers.get("Range")
        if wanted is None:
            self.reply(200, data)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        self.reply(206, data[start:], Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}")


@contextmanager
def serving() -> Iterator[FakeRegistry]:
    registry = FakeRegistry()
    handler = type("Handler", (_Handler,), {"registry": registry})
    with serving_http(handler) as address:
        registry.address = address
        yield registry
