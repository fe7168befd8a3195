"""A dict of bytes as a file system: the application sees what guests write, and the reverse."""

import errno
from collections.abc import MutableMapping
from time import time
from typing import Any, Final, cast

from aionoah.fs.python.protocol import FileSystem, Stat

Tree = MutableMapping[str, Any]
"""Names to contents (bytes, bytearray, str) or to further such mappings, which are directories."""

_DIRECTORY_MODE: Final = 0o755
_FILE_MODE: Final = 0o644


class DictFileSystem(FileSystem):
    """What guests do to it is done to the dict.

    A bytearray is written in place, at once. Everything else is replaced by bytes when a file that was written
    to is closed or synced; until then guests see what they wrote, and the application what was there before.
    New files appear in the dict as b"" when they are made. Modes and times are kept beside the dict.

    The application may change the dict whenever it likes; a file that a guest is writing wins.
    """

    is_quick = True
    type_name = "dict"

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._unwritten: dict[str, bytearray] = {}
        self._modes: dict[str, int] = {}
        self._times: dict[str, float] = {}

    def _find(self, path: str) -> Any:  # noqa: ANN401 - whatever the application put there
        found: Any = self.tree
        for name in path.split("/")[1:]:
            if name and not isinstance(found, MutableMapping):
                raise NotADirectoryError(errno.ENOTDIR, path)
            if name and name not in found:
                raise FileNotFoundError(errno.ENOENT, path)
            found = found[name] if name else found
        return found

    def _place(self, path: str) -> tuple[Tree, str]:
        """The mapping that a path's last name is in, or would be."""
        above, _, name = path.rpartition("/")
        directory = self._find(above or "/")
        if not isinstance(directory, MutableMapping):
            raise NotADirectoryError(errno.ENOTDIR, path)
        return directory, name

    def _contents(self, path: str) -> bytes | bytearray:
        if path in self._unwritten:
            return self._unwritten[path]
        found = self._find(path)
        if isinstance(found, str):
            return found.encode()
        if not isinstance(found, bytes | bytearray):
            raise TypeError(f"{path} is neither bytes nor a mapping: {found!r:.100}")
        return found

    def _writable(self, path: str) -> bytearray:
        """What is written to: the application's bytearray, or ours until it is closed."""
        contents = self._contents(path)
        self._times[path] = time()
        if not isinstance(contents, bytearray):
            contents = self._unwritten[path] = bytearray(contents)
        return contents

    # -- looking ---------------------------------------------------------------------------------------------

    def stat(self, path: str) -> Stat:
        mtime = self._times.get(path)
        if isinstance(self._find(path), MutableMapping):
            return Stat("directory", mode=self._modes.get(path, _DIRECTORY_MODE), mtime=mtime)
        mode = self._modes.get(path, _FILE_MODE)
        return Stat("file", len(self._contents(path)), mode, mtime)

    def listdir(self, path: str) -> list[str]:
        return list(self._find(path))

    def read(self, path: str, offset: int, size: int) -> bytes:
        return bytes(memoryview(self._contents(path))[offset : offset + size])

    # -- writing ---------------------------------------------------------------------------------------------

    def write(self, path: str, offset: int, data: bytes) -> None:
        contents = self._writable(path)
        if len(contents) < offset:
            contents.extend(bytes(offset - len(contents)))
        contents[offset : offset + len(data)] = data

    def truncate(self, path: str, size: int) -> None:
        contents = self._writable(path)
        del contents[size:]
        contents.extend(bytes(size - len(contents)))

    def flush(self, path: str) -> None:
        if path in self._unwritten:
            directory, name = self._place(path)
            directory[name] = bytes(self._unwritten.pop(path))

    def _add(self, path: str, value: object, mode: int) -> None:
        directory, name = self._place(path)
        if name in directory:
            raise FileExistsError(errno.EEXIST, path)
        directory[name] = value
        self._modes[path], self._times[path] = mode, time()

    def create(self, path: str, mode: int) -> None:
        self._add(path, b"", mode)

    def mkdir(self, path: str, mode: int) -> None:
        self._add(path, {}, mode)

    def remove(self, path: str) -> None:
        directory, name = self._place(path)
        self._find(path)
        del directory[name]
        self._forget(path)

    def rmdir(self, path: str) -> None:
        if self._find(path):
            raise OSError(errno.ENOTEMPTY, path)
        self.remove(path)

    def _forget(self, path: str) -> None:
        for known in (self._unwritten, self._modes, self._times):
            cast("dict[str, object]", known).pop(path, None)

    def rename(self, path: str, new_path: str) -> None:
        directory, name = self._place(path)
        value = self._find(path)
        new_directory, new_name = self._place(new_path)
        replaced = new_directory.get(new_name)
        if isinstance(replaced, MutableMapping) and replaced:
            raise OSError(errno.ENOTEMPTY, new_path)
        self._forget(new_path)
        del directory[name]
        new_directory[new_name] = value
        for known in (self._unwritten, self._modes, self._times):
            _move(cast("dict[str, object]", known), path, new_path)

    def chmod(self, path: str, mode: int) -> None:
        self._modes[path] = mode

    def utime(self, path: str, atime: float | None, mtime: float | None) -> None:  # noqa: ARG002 - not kept
        if mtime is not None:
            self._times[path] = mtime


def _move(known: dict[str, object], path: str, new_path: str) -> None:
    """Rename what is kept of a path and of all below it."""
    for old in [old for old in known if old == path or old.startswith(path + "/")]:
        known[new_path + old[len(path) :]] = known.pop(old)
