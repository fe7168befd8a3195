"""Files of a mirror, over HTTP: kept by their digests, and gone on with where an earlier try was interrupted."""

import contextlib
import fcntl
import hashlib
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import requests
import urllib3

from aionoah.bootstrap import BootstrapError
from aionoah.images.pull import Progress

_CONNECT_TIMEOUT: Final = 10.0  # seconds
PATIENCE: Final = 30.0  # seconds that a mirror may say nothing
_PIECE: Final = 1 << 17  # bytes of a read
_LARGEST_DOCUMENT: Final = 16 << 20  # bytes
_TRIES: Final = 5  # of a download that stops in the middle, as long as each brings something
_DOWNLOADS: Final = 4  # at once
_FAILURES: Final = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError)


class Wanted(NamedTuple):
    """A file of the mirror."""

    path: str  # below the mirror's address
    size: int
    sha256: str


class Mirror:
    """Methods raise BootstrapError."""

    def __init__(self, address: str, cache: Path) -> None:
        self.address = address
        self._cache = cache
        self._session = requests.Session()
        self._stop = threading.Event()

    def close(self) -> None:
        self._session.close()

    def read(self, path: str) -> bytes:
        """A small file that is not to be kept."""
        data = b""
        with self._get(path, 0) as response:
            for piece in response.iter_content(_PIECE):
                data += piece
                if len(data) > _LARGEST_DOCUMENT:
                    raise BootstrapError(f"{self.address} sends {path} without end")
        return data

    def fetch_all(self, files: Iterable[Wanted], progress: Progress) -> dict[str, Path]:
        """Several at once; where they are now, by their paths on the mirror."""
        wanted = {file.path: file for file in files}
        progress.begin(sum(file.size for file in wanted.values()))
        with ThreadPoolExecutor(_DOWNLOADS, thread_name_prefix="download") as pool:
            coming = {pool.submit(self.fetch, file, progress): file.path for file in wanted.values()}
            try:
                return {coming[done]: done.result() for done in as_completed(coming)}
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def fetch(self, wanted: Wanted, progress: Progress) -> Path:
        """Where the file is, fetched unless it is there already."""
        path = self._cache / wanted.sha256
        partial = path.with_suffix(".part")
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            with partial.open("ab+") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # somebody else may be at it
                if path.exists():
                    progress.came(wanted.size)
                else:
                    self._complete(wanted, file, progress)
                    os.fsync(file.fileno())
                    partial.rename(path)
            partial.unlink(missing_ok=True)
        except OSError as error:
            raise BootstrapError(f"{partial} cannot be written: {error.strerror}") from None
        return path

    def _complete(self, wanted: Wanted, file: BinaryIO, progress: Progress) -> None:
        progress.came(min(file.tell(), wanted.size))
        for attempt in range(1, _TRIES + 1):
            before = file.tell()
            if before >= wanted.size:
                break
            try:
                self._append(wanted, file, progress)
            except BootstrapError:
                if attempt == _TRIES or file.tell() == before:
                    raise
        if file.tell() != wanted.size or _digest(file) != wanted.sha256:
            file.truncate(0)
            raise BootstrapError(
                f"{self.address} has sent something else than its signed list says of {wanted.path}"
            )

    def _append(self, wanted: Wanted, file: BinaryIO, progress: Progress) -> None:
        """What comes, until the file is whole. BootstrapError if the rest does not."""
        start = file.tell()
        with self._get(wanted.path, start) as response:
            if start and response.status_code != requests.codes.partial_content:
                progress.came(-start)
                file.truncate(0)
                start = 0
            while start < wanted.size and (piece := response.raw.read1(_PIECE)):
                if self._stop.is_set():
                    raise BootstrapError("stopped")
                file.write(piece)
                file.flush()
                start += len(piece)
                progress.came(len(piece))
        if start < wanted.size:
            raise BootstrapError(f"{self.address} has sent {start} bytes of {wanted.size} of {wanted.path}")

    @contextlib.contextmanager
    def _get(self, path: str, start: int) -> Iterator[requests.Response]:
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        timeout = _CONNECT_TIMEOUT, PATIENCE
        try:
            with self._session.get(
                f"{self.address}/{path}", headers=headers, timeout=timeout, stream=True
            ) as response:
                if not response.ok:
                    raise BootstrapError(f"{self.address} answers {response.status_code} for {path}")
                yield response
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
            raise BootstrapError(f"{self.address} does not answer") from None
        except requests.exceptions.ConnectionError:
            raise BootstrapError(f"{self.address} cannot be reached, or has stopped within {path}") from None
        except _FAILURES as error:
            raise BootstrapError(f"{self.address} cannot be used: {str(error).splitlines()[0]}") from None


def _digest(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()
