"""The store of images: a directory of this user, by default ~/.local/share/aionoah/images.

    index.json          what images there are
    blobs/HEX           manifests and configurations by the digest of their bytes
    layers/HEX/diff     a layer as a directory, by the digest of its uncompressed archive; `size` is beside it
    downloads/HEX       layers on their way here, perhaps not to their end
    work/               what is being made; renamed to its place when it is whole
    lock                held shared by whoever adds something, exclusively by whoever removes what nobody uses

Who runs an image holds shared locks on its layers, so they stay although the image is removed meanwhile.
"""

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from aionoah.host import platform
from aionoah.host.user_places import user_place
from aionoah.images import ImageError
from aionoah.images.reference import checked_digest, digest_of

_KEPT_DOWNLOADS: Final = 7 * 24 * 3600  # seconds: a pull that was interrupted goes on from there until then
_PLACES: Final = ("blobs", "layers", "downloads", "work")


class Record(NamedTuple):
    """An image. `layers` are digests of uncompressed archives, the lowest first; `size` is theirs in bytes."""

    name: str
    architecture: str  # "x86_64" or "aarch64"
    manifest: str
    config: str
    layers: tuple[str, ...]
    size: int
    pulled: int  # seconds since 1970


def default_home() -> Path:
    """Where images are, and packages of distributions. OSError if this user has no home."""
    return user_place("XDG_DATA_HOME", ".local/share")


class Store:
    def __init__(self, home: Path | None = None) -> None:
        self.place = (home or default_home()) / "images"

    # -- images -------------------------------------------------------------------------------------------

    def records(self) -> list[Record]:
        """All images, the newest first. ImageError if the index makes no sense."""
        path = self.place / "index.json"
        try:
            found = json.loads(path.read_bytes())
            return [_record(each) for each in found["images"]]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ImageError(f"{path} cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, KeyError) as error:
            raise ImageError(f"{path} makes no sense: {error}") from None

    def find(self, name: str, architecture: str | None, preferred: str) -> Record:
        """An image by name, and by architecture if one is asked for. ImageError."""
        found = {each.architecture: each for each in self.records() if each.name == name}
        if architecture is not None:
            found = {key: each for key, each in found.items() if key == architecture}
        if not found:
            wanted = "" if architecture is None else f" for {architecture}"
            raise ImageError(f"there is no image {name}{wanted}: `aionoah pull {name}` fetches it")
        return found.get(preferred) or next(iter(found.values()))

    def put(self, record: Record) -> None:
        """Add an image, in place of one of the same name and architecture."""
        key = record.name, record.architecture
        with self._changing() as records:
            records[:] = [record, *(each for each in records if (each.name, each.architecture) != key)]

    def remove(self, name: str) -> list[Record]:
        """Forget an image on all architectures; ImageError if there is none. What only it used goes too."""
        with self.adding(), self._changing() as records:  # what is written is not swept away meanwhile
            removed = [each for each in records if each.name == name]
            if not removed:
                raise ImageError(f"there is no image {name}; `aionoah images` lists them")
            records[:] = [each for each in records if each.name != name]
        self.collect()
        return removed

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[Record]]:
        self._make()
        with _locked(self.place / "index.lock", fcntl.LOCK_EX):
            records = self.records()
            yield records
            text = json.dumps({"version": 1, "images": [each._asdict() for each in records]}, indent=1)
            self._write(self.place / "index.json", text.encode())

    # -- what images consist of ---------------------------------------------------------------------------

    def blob(self, digest: str) -> bytes:
        """A manifest or configuration. ImageError if it is not there or not what it was."""
        try:
            data = self._path("blobs", digest).read_bytes()
        except OSError as error:
            raise ImageError(f"{digest} is missing from {self.place}: {error.strerror}") from None
        if digest_of(data) != digest:
            raise ImageError(f"{digest} in {self.place} is damaged: remove the image and pull it again")
        return data

    def put_blob(self, data: bytes) -> str:
        digest = digest_of(data)
        self._write(self._path("blobs", digest), data)
        return digest

    def download_path(self, digest: str) -> Path:
        return self._path("downloads", digest)

    def layer_path(self, diff_id: str) -> Path:
        return self._path("layers", diff_id) / "diff"

    def has_layer(self, diff_id: str) -> bool:
        return self.layer_path(diff_id).is_dir()

    def layer_size(self, diff_id: str) -> int:
        return int((self._path("layers", diff_id) / "size").read_text())

    @contextlib.contextmanager
    def new_layer(self) -> Iterator["NewLayer"]:
        """A directory that vanishes with the block unless it has become a layer."""
        made = Path(tempfile.mkdtemp(dir=self.place / "work"))
        try:
            yield NewLayer(self, made)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    @contextlib.contextmanager
    def held(self, record: Record) -> Iterator[list[Path]]:
        """The directories of an image's layers, the topmost first, which nobody removes meanwhile. ImageError."""
        with contextlib.ExitStack() as stack:
            for diff_id in record.layers:
                try:
                    stack.enter_context(_locked(self._path("layers", diff_id), fcntl.LOCK_SH))
                except OSError as error:
                    sentence = (
                        f"a layer of {record.name} is missing, {self.layer_path(diff_id)}: {error.strerror}"
                    )
                    raise ImageError(sentence) from None
            paths = [self.layer_path(diff_id) for diff_id in reversed(record.layers)]
            for path in paths:
                if not path.is_dir():  # removed before it was locked
                    raise ImageError(f"a layer of {record.name} is missing, {path}")
            yield paths

    def _path(self, place: str, digest: str) -> Path:
        return self.place / place / checked_digest(digest).removeprefix("sha256:")

    def _write(self, path: Path, data: bytes) -> None:
        """All of it or nothing."""
        fd, name = tempfile.mkstemp(dir=self.place / "work")
        try:
            with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).rename(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _make(self) -> None:
        """The directories, for this user alone."""
        try:
            self.place.mkdir(parents=True, mode=0o700, exist_ok=True)
            for name in _PLACES:
                (self.place / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise ImageError(f"{self.place} cannot be made: {error.strerror}") from None

    # -- garbage ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def adding(self) -> Iterator[None]:
        """Nothing that is in the store is removed meanwhile, whether an image has it or not."""
        self._make()
        with _locked(self.place / "lock", fcntl.LOCK_SH):
            yield

    def collect(self) -> None:
        """Remove what no image has, but for what is in use: that goes another time."""
        self._make()
        with (
            contextlib.suppress(BlockingIOError),
            _locked(self.place / "lock", fcntl.LOCK_EX | fcntl.LOCK_NB),
        ):
            records = self.records()
            blobs = {each.removeprefix("sha256:") for one in records for each in (one.manifest, one.config)}
            layers = {each.removeprefix("sha256:") for one in records for each in one.layers}
            for path in (self.place / "work").iterdir():
                _discard(path)
            for path in (self.place / "blobs").iterdir():
                if path.name not in blobs:
                    path.unlink()
            for path in (self.place / "layers").iterdir():
                if path.name not in layers:
                    self._discard_layer(path)
            for path in (self.place / "downloads").iterdir():
                if path.stat().st_mtime < time.time() - _KEPT_DOWNLOADS:
                    path.unlink()

    def _discard_layer(self, path: Path) -> None:
        """Renamed first, so that a kill leaves no half of it."""
        with contextlib.suppress(BlockingIOError), _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
            doomed = self.place / "work" / f"removed-{path.name}"
            path.rename(doomed)
            _discard(doomed)


class NewLayer(NamedTuple):
    store: Store
    path: Path

    def become(self, diff_id: str) -> None:
        """The layer of that digest, unless another process was faster. It is on the disk before it is there: a
        layer that has lost files with the power would never be unpacked again. OSError.
        """
        with _opened(self.path) as fd:
            platform.write_out(fd)
        target = self.store.layer_path(diff_id).parent
        try:
            self.path.rename(target)
        except OSError:
            if not target.is_dir():
                raise
        with _opened(target.parent) as fd:
            os.fsync(fd)


def _record(found: dict[str, Any]) -> Record:
    layers = tuple(checked_digest(each) for each in found["layers"])
    manifest, config = checked_digest(found["manifest"]), checked_digest(found["config"])
    name, architecture = str(found["name"]), str(found["architecture"])
    return Record(name, architecture, manifest, config, layers, int(found["size"]), int(found["pulled"]))


def _discard(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[int]:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    """A lock on a directory, or on a file that is made if need be. OSError, BlockingIOError with LOCK_NB."""
    flags = os.O_RDONLY if path.is_dir() or path.parent.name == "layers" else os.O_RDWR | os.O_CREAT
    fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, how)
        yield
    finally:
        os.close(fd)
