"""Fetching an image from a registry: several layers at a time, each unpacked as soon as it is whole."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from aionoah.images import ImageError
from aionoah.images.archive import Limits
from aionoah.images.layers import unpack_layer
from aionoah.images.manifest import (
    Config,
    Descriptor,
    Manifest,
    choose,
    is_index,
    parse_config,
    parse_json,
    parse_manifest,
)
from aionoah.images.reference import Reference
from aionoah.images.store import Record, Store

if TYPE_CHECKING:
    from aionoah.images.registry import Registry

_DOWNLOADS: Final = 3  # at once


class Progress(Protocol):
    """Who shows how far something has come. Called on several threads."""

    def begin(self, total: int) -> None:
        """So many bytes are to come."""

    def came(self, count: int) -> None:
        """Some have come; fewer than none if they were useless."""


def pull(
    store: Store,
    reference: Reference,
    architecture: str,
    progress: Progress,
    *,
    limits: Limits | None = None,
    plain_http: bool = False,
) -> Record:
    """Fetch what the store has not. ImageError; then whole layers stay, and a second try goes on from there."""
    from aionoah.images.registry import Registry  # noqa: PLC0415 - an extra; and this module can be tested without

    store.collect()
    with store.adding(), closing(Registry(reference, plain_http=plain_http)) as registry:
        data, manifest, raw_config, config = _documents(registry, architecture)
        if config.architecture != architecture:
            raise ImageError(f"{reference} is for {config.architecture}, not for {architecture}")
        if len(config.diff_ids) != len(manifest.layers):
            raise ImageError(
                f"{reference} has {len(manifest.layers)} layers, and digests of {len(config.diff_ids)}"
            )
        missing = {
            diff_id: layer
            for diff_id, layer in zip(config.diff_ids, manifest.layers, strict=True)
            if not store.has_layer(diff_id)
        }
        progress.begin(sum(layer.size for layer in missing.values()))
        _fetch_layers(store, registry, missing, progress, limits or Limits())
        return finish(store, str(reference), data, raw_config, config)


def finish(store: Store, name: str, manifest: bytes, raw_config: bytes, config: Config) -> Record:
    """Enter an image whose layers are all there."""
    try:
        record = Record(
            name,
            config.architecture,
            store.put_blob(manifest),
            store.put_blob(raw_config),
            config.diff_ids,
            sum(map(store.layer_size, dict.fromkeys(config.diff_ids))),
            int(time.time()),
        )
        store.put(record)
    except OSError as error:
        raise ImageError(f"{name} cannot be stored: {error.strerror}") from None
    return record


def _documents(registry: "Registry", architecture: str) -> tuple[bytes, Manifest, bytes, Config]:
    data, kind = registry.manifest()
    found = parse_json(data, "manifest")
    if is_index(found, kind):
        data, kind = registry.manifest(choose(found, architecture).digest)
        found = parse_json(data, "manifest")
    manifest = parse_manifest(found, kind)
    raw_config = registry.document(manifest.config)
    return data, manifest, raw_config, parse_config(parse_json(raw_config, "configuration"))


def _fetch_layers(
    store: Store, registry: "Registry", missing: dict[str, Descriptor], progress: Progress, limits: Limits
) -> None:
    def fetch(diff_id: str, layer: Descriptor) -> tuple[str, Path]:
        path = store.download_path(layer.digest)
        try:
            registry.download(layer, path, progress.came)
        except OSError as error:
            raise ImageError(f"{layer.digest} cannot be stored: {error.strerror}") from None
        return diff_id, path

    with _workers(registry) as pool:
        coming = [pool.submit(fetch, diff_id, layer) for diff_id, layer in missing.items()]
        try:
            for done in as_completed(coming):
                diff_id, path = done.result()
                unpack_layer(store, path, diff_id, limits)
                path.unlink(missing_ok=True)
        except BaseException:
            registry.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _workers(registry: "Registry") -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(_DOWNLOADS, thread_name_prefix="download") as pool:
        try:
            yield pool
        finally:
            registry.stop.set()
