"""Manifests, lists of them, and configurations: JSON that a registry has sent, or an archive holds, checked."""

import json
from typing import Any, Final, NamedTuple

from aionoah.images import ImageError
from aionoah.images.reference import checked_digest

INDEX_TYPES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_LAYER_TYPES: Final = (
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
)
_MAX_LAYERS: Final = 500
_SHELL: Final = ("/bin/sh", "-c")
_SECOND: Final = 1_000_000_000  # nanoseconds, in which times are given
_MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}  # as Go calls them → as Linux does


class Descriptor(NamedTuple):
    """What another document says of a blob."""

    digest: str
    size: int
    media_type: str = ""


class Manifest(NamedTuple):
    config: Descriptor
    layers: tuple[Descriptor, ...]


class Healthcheck(NamedTuple):
    """How to find out whether a program that runs is well (Docker's image specification 1.2). Times in seconds."""

    words: tuple[str, ...]  # a program and its arguments: status 0 is well
    interval: float = 30.0
    timeout: float = 30.0
    start_period: float = 0.0  # from the start: failures do not count yet
    retries: int = 3  # failures in a row that are needed


class Config(NamedTuple):
    """How an image wants to be run (image-spec, config.md)."""

    architecture: str
    diff_ids: tuple[str, ...]
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    user: str = ""
    workdir: str = ""
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""  # a name with or without SIG, or a number
    healthcheck: Healthcheck | None = None


def parse_json(data: bytes, what: str) -> dict[str, Any]:
    """An object. ImageError for anything else."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ImageError(f"the {what} is no JSON object")
    return found


def media_type(found: dict[str, Any], header: str = "") -> str:
    """What a document is, by itself or else by what the registry says of it."""
    return str(found.get("mediaType") or header.partition(";")[0].strip())


def is_index(found: dict[str, Any], header: str = "") -> bool:
    kind = media_type(found, header)
    return kind in INDEX_TYPES or (kind not in MANIFEST_TYPES and "manifests" in found)


def choose(index: dict[str, Any], architecture: str) -> Descriptor:
    """The manifest of a list that is for Linux on an architecture. ImageError if there is none."""
    offered = []
    for entry in _objects(index.get("manifests"), "list of manifests"):
        platform = entry.get("platform")
        system = platform.get("os") if isinstance(platform, dict) else "linux"
        machine = platform.get("architecture") if isinstance(platform, dict) else None
        if system == "linux" and machine is not None and _MACHINES.get(str(machine)) == architecture:
            return _descriptor(entry)
        offered.append(f"{system}/{machine}"[:40])
    if len(offered) == 1 and offered[0] == "linux/None":
        return _descriptor(index["manifests"][0])
    raise ImageError(f"the image is not for {architecture} but {', '.join(offered[:20]) or 'nothing'}")


def parse_manifest(found: dict[str, Any], header: str = "") -> Manifest:
    kind = media_type(found, header)
    if found.get("schemaVersion") != 2 or (kind and kind not in MANIFEST_TYPES):
        raise ImageError(f"the manifest is of the unknown type {kind or found.get('schemaVersion')!r}")
    layers = tuple(map(_descriptor, _objects(found.get("layers"), "list of layers")))
    for layer in layers:
        if layer.media_type not in _LAYER_TYPES:
            raise ImageError(f"a layer is of the unknown type {layer.media_type[:80]!r}")
    if not 0 < len(layers) <= _MAX_LAYERS:
        raise ImageError(f"the image has {len(layers)} layers")
    return Manifest(_descriptor(found.get("config")), layers)


def parse_config(found: dict[str, Any]) -> Config:
    if found.get("os") != "linux":
        raise ImageError(f"the image is for {str(found.get('os'))[:40]}, not for Linux")
    machine = str(found.get("architecture"))[:40]
    if machine not in _MACHINES:
        raise ImageError(f"the image is for {machine}, which aionoah does not run")
    rootfs = found.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    run = found.get("config") or {}
    if not isinstance(run, dict) or not isinstance(diff_ids, list):
        raise ImageError("the image's configuration makes no sense")
    volumes = run.get("Volumes") or {}
    return Config(
        _MACHINES[machine],
        tuple(map(checked_digest, diff_ids)),
        entrypoint=_words(run.get("Entrypoint")),
        command=_words(run.get("Cmd")),
        environment=_words(run.get("Env")),
        user=_word(run.get("User") or ""),
        workdir=_word(run.get("WorkingDir") or ""),
        volumes=_words(list(volumes)),
        stop_signal=_word(run.get("StopSignal") or ""),
        healthcheck=_healthcheck(run.get("Healthcheck"), _words(run.get("Shell")) or _SHELL),
    )


def _healthcheck(found: object, shell: tuple[str, ...]) -> Healthcheck | None:
    """None if the image has none, or says that it wants none."""
    if not found:
        return None
    if not isinstance(found, dict):
        raise ImageError("the image's health check makes no sense")
    kind, *words = _words(found.get("Test")) or ("NONE",)
    if kind == "NONE":
        return None
    if kind not in ("CMD", "CMD-SHELL") or not words:
        raise ImageError("the image's health check makes no sense")
    usual = Healthcheck(())
    return Healthcheck(
        (*shell, *words) if kind == "CMD-SHELL" else tuple(words),
        _number(found.get("Interval")) / _SECOND or usual.interval,
        _number(found.get("Timeout")) / _SECOND or usual.timeout,
        _number(found.get("StartPeriod")) / _SECOND,
        _number(found.get("Retries")) or usual.retries,
    )


def _number(found: object) -> int:
    """0 if there is none."""
    if found is None:
        return 0
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found < 1 << 63:
        raise ImageError("the image's health check makes no sense")
    return found


def _descriptor(found: object) -> Descriptor:
    size = found.get("size") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ImageError("a manifest names something without saying its size")
    return Descriptor(checked_digest(found.get("digest")), size, str(found.get("mediaType", "")))


def _objects(found: object, what: str) -> list[dict[str, Any]]:
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ImageError(f"the {what} makes no sense")
    return found


def _words(found: object) -> tuple[str, ...]:
    if found is None:
        return ()
    if not isinstance(found, list):
        raise ImageError("the image's configuration makes no sense")
    return tuple(map(_word, found))


def _word(found: object) -> str:
    if not isinstance(found, str) or "\0" in found:
        raise ImageError("the image's configuration makes no sense")
    return found
