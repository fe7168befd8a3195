"""Hearing of changes to guests' files, for `linux.files`: inotify(7) from the application's side."""

from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from aionoah.abi.fcntl import O
from aionoah.abi.inotify import IN, InotifyEvent
from aionoah.files import join
from aionoah.fs import file as open_files
from aionoah.fs import operations
from aionoah.fs.inotify import InotifyFile
from aionoah.memory.buffer import KernelBuffer

if TYPE_CHECKING:
    from aionoah.files import Files, GuestPath
    from aionoah.fs.context import FsContext
    from aionoah.fs.path import Dentry

_KINDS: Final = {
    IN.CREATE: "created",
    IN.MODIFY: "modified",
    IN.ATTRIB: "attributes",
    IN.CLOSE_WRITE: "written",
    IN.DELETE: "removed",
    IN.DELETE_SELF: "removed",
    IN.MOVED_FROM: "moved away",
    IN.MOVED_TO: "moved here",
    IN.MOVE_SELF: "moved away",
    IN.Q_OVERFLOW: "overflow",
    IN.IGNORED: "gone",
}
_WANTED: Final = sum(kind for kind in _KINDS if kind not in (IN.Q_OVERFLOW, IN.IGNORED))
_ROOM: Final = 1 << 14


class Change(NamedTuple):
    """Something that has happened.

    `kind` is "created", "modified" (written to), "written" (closed after writing), "attributes", "removed", "moved
    away", "moved here", "overflow" (more has happened than was kept) or "gone" (nothing more will come).
    """

    kind: str
    path: str
    is_directory: bool
    cookie: int
    """The same for the two halves of a move, else 0."""


class Watch:
    """`async with linux.files.watch(path) as changes`, and then `async for change in changes`."""

    def __init__(self, files: "Files", paths: "tuple[GuestPath, ...]") -> None:
        self._files, self._paths = files, paths
        self._file: InotifyFile | None = None
        self._watched: dict[int, GuestPath] = {}
        self._ready: deque[Change] = deque()

    async def __aenter__(self) -> Self:
        self._file = file = InotifyFile(O(0), self._files.kernel.inotify_limits, 0)
        try:
            for path in self._paths:

                def add(context: "FsContext", start: "Dentry", name: bytes) -> int:
                    return file.add(operations.walk(context, start, name), IN(_WANTED))

                self._watched[await self._files.perform(path, add)] = path
        except BaseException:
            await self._close(file)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        file, self._file = self._file, None
        if file is not None:
            await self._close(file)

    async def _close(self, file: InotifyFile) -> None:
        await self._files.run("", file.drop)

    def __aiter__(self) -> AsyncIterator[Change]:
        return self

    async def __anext__(self) -> Change:
        while not self._ready:
            await self._read()
        return self._ready.popleft()

    async def _read(self) -> None:
        file = self._file
        if file is None:
            raise ValueError("the watch has ended")
        buffer = bytearray(_ROOM)
        count: int = await self._files.run("", lambda: open_files.read(file, KernelBuffer(buffer)))
        position = 0
        while position < count:
            event = InotifyEvent.unpack(bytes(buffer[position : position + InotifyEvent.SIZE]))
            position += InotifyEvent.SIZE
            name = bytes(buffer[position : position + event.len]).rstrip(b"\0")
            position += event.len
            self._take(event, name)

    def _take(self, event: InotifyEvent, name: bytes) -> None:
        kind = next((text for bit, text in _KINDS.items() if event.mask & bit), None)
        if kind is None:
            return
        path = join(self._watched.get(event.wd, ""), name.decode(errors="surrogateescape"))
        path = path if name else path.rstrip("/") or path
        self._ready.append(Change(kind, path, bool(event.mask & IN.ISDIR), event.cookie))
