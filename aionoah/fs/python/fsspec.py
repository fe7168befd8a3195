"""Any file system of fsspec (zip, memory, http, s3, …) as a file system of guests.

fsspec deals in whole objects: so a file that is written to is held in memory, and put in its place when it is
closed or synced.
"""

import threading
from collections import OrderedDict
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, Final

from aionoah.fs.python.protocol import FileSystem, Stat

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_OPEN_FILES: Final = 32  # that are kept for reading on, with what they have read ahead
_TIMES: Final = ("mtime", "LastModified", "last_modified", "updated", "modified", "created", "date_time")


class FsspecFileSystem(FileSystem):
    """`root` is a path in the fsspec file system: the directory that guests see. Methods run on threads."""

    def __init__(self, filesystem: "AbstractFileSystem", root: str = "") -> None:
        self._target = filesystem
        self._root = root.rstrip("/")
        protocol = filesystem.protocol
        self.type_name = f"fsspec.{protocol if isinstance(protocol, str) else protocol[0]}"
        self._lock = threading.Lock()
        self._readers: OrderedDict[str, tuple[IO[bytes], threading.Lock]] = OrderedDict()
        self._unwritten: dict[str, bytearray] = {}

    def _where(self, path: str) -> str:
        return self._root + path if self._root else path.lstrip("/")

    # -- looking ---------------------------------------------------------------------------------------------

    def stat(self, path: str) -> Stat:
        if path == "/":
            return Stat("directory")
        unwritten = self._unwritten.get(path)
        if unwritten is not None:
            return Stat(size=len(unwritten))
        found = self._target.info(self._where(path))
        if found.get("type") == "directory":
            return Stat("directory", mtime=_time(found))
        return Stat(size=int(found.get("size") or 0), mtime=_time(found))

    def listdir(self, path: str) -> list[str]:
        where = self._where(path).strip("/")
        listing = self._target.ls(self._where(path), detail=False)
        names = [name.rstrip("/").rpartition("/")[2] for name in listing if name.strip("/") != where]
        below = path.rstrip("/") + "/"
        names += [
            known[len(below) :] for known in list(self._unwritten) if known.rpartition("/")[0] + "/" == below
        ]
        return list(dict.fromkeys(name for name in names if name))

    def read(self, path: str, offset: int, size: int) -> bytes:
        unwritten = self._unwritten.get(path)
        if unwritten is not None:
            return bytes(unwritten[offset : offset + size])
        file, lock = self._reader(path)
        with lock:
            file.seek(offset)
            return file.read(size)

    def _reader(self, path: str) -> tuple[IO[bytes], threading.Lock]:
        with self._lock:
            known = self._readers.get(path)
            if known is not None:
                self._readers.move_to_end(path)
                return known
        opened = self._target.open(self._where(path), "rb"), threading.Lock()
        with self._lock:
            self._readers[path] = opened
            dropped = self._readers.popitem(last=False)[1] if len(self._readers) > _OPEN_FILES else None
        if dropped is not None:
            _close(*dropped)
        return opened

    def _changed(self, path: str) -> None:
        """What was read of a path is true no more."""
        with self._lock:
            known = self._readers.pop(path, None)
        if known is not None:
            _close(*known)

    # -- writing ---------------------------------------------------------------------------------------------

    def _contents(self, path: str) -> bytearray:
        with self._lock:
            known = self._unwritten.get(path)
        if known is not None:
            return known
        contents = bytearray(self._target.cat_file(self._where(path)))
        with self._lock:
            return self._unwritten.setdefault(path, contents)

    def create(self, path: str, mode: int) -> None:  # noqa: ARG002 - nothing has modes
        self._target.pipe_file(self._where(path), b"")

    def write(self, path: str, offset: int, data: bytes) -> None:
        contents = self._contents(path)
        if len(contents) < offset:
            contents.extend(bytes(offset - len(contents)))
        contents[offset : offset + len(data)] = data

    def truncate(self, path: str, size: int) -> None:
        if not size:
            with self._lock:
                self._unwritten[path] = bytearray()
            return
        contents = self._contents(path)
        del contents[size:]
        contents.extend(bytes(size - len(contents)))

    def flush(self, path: str) -> None:
        with self._lock:
            contents = self._unwritten.get(path)
        if contents is None:
            return
        self._target.pipe_file(self._where(path), bytes(contents))
        with self._lock:
            self._unwritten.pop(path, None)
        self._changed(path)

    def remove(self, path: str) -> None:
        with self._lock:
            self._unwritten.pop(path, None)
        self._changed(path)
        self._target.rm_file(self._where(path))

    def mkdir(self, path: str, mode: int) -> None:  # noqa: ARG002
        self._target.mkdir(self._where(path), create_parents=False)

    def rmdir(self, path: str) -> None:
        self._target.rmdir(self._where(path))

    def rename(self, path: str, new_path: str) -> None:
        self.flush(path)
        self._changed(path)
        self._changed(new_path)
        self._target.mv(self._where(path), self._where(new_path), recursive=True)

    def chmod(self, path: str, mode: int) -> None:
        """Objects have no permissions: accepted, as by every file system that has none and wants cp -p to work."""

    def utime(self, path: str, atime: float | None, mtime: float | None) -> None:
        """Objects have the time when they were written, and no other: accepted, so that cp and touch work."""

    def close(self) -> None:
        for opened in self._readers.values():
            _close(*opened)
        self._readers.clear()


def _close(file: IO[bytes], lock: threading.Lock) -> None:
    with lock:
        file.close()


def _time(found: dict[str, Any]) -> float | None:
    """When something was changed, in whichever of their ways the file system says so."""
    for name in _TIMES:
        value = found.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, tuple):  # zip: local time
            return datetime(*value).timestamp()  # noqa: DTZ001
    return None
