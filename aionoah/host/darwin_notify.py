"""News of the host's files, as macOS has it: EVFILT_VNODE of a kqueue. linux_notify.py describes it.

A kqueue tells that a directory's entries have changed, not which: its listing is compared with the one before, so
that what was made and removed between two looks is not seen, and a move is a removal and a creation. Nothing
is told of opening, reading and closing.
"""

import os
import select
from typing import Any, Final

from aionoah.abi.inotify import IN
from aionoah.host.linux_notify import HostEvent

_VNODE: Final = -4  # EVFILT_VNODE
_ADD: Final = 0x0001 | 0x0020  # EV_ADD | EV_CLEAR
_DELETED: Final = 0x01  # NOTE_DELETE
_WRITTEN: Final = 0x02 | 0x04  # NOTE_WRITE | NOTE_EXTEND
_ATTRIBUTES: Final = 0x08 | 0x10  # NOTE_ATTRIB | NOTE_LINK
_RENAMED: Final = 0x20
_REVOKED: Final = 0x40
_ALL: Final = _DELETED | _WRITTEN | _ATTRIBUTES | _RENAMED | _REVOKED
_MANY: Final = 256


class _Watched:
    """A descriptor of ours for a file; of a directory also what is in it."""

    def __init__(self, fd: int, mask: int) -> None:
        self.fd = os.dup(fd)
        self.mask = mask
        self.names = self.list()

    def list(self) -> dict[bytes, bool] | None:
        """Names, and whether they are directories; None if it is none itself."""
        try:
            with os.scandir(self.fd) as found:
                return {os.fsencode(each.name): each.is_dir(follow_symlinks=False) for each in found}
        except NotADirectoryError:
            return None


class HostNotifier:
    def __init__(self) -> None:
        self._queue: Any = select.kqueue()  # type: ignore[attr-defined]
        self._watched: dict[int, _Watched] = {}

    def fileno(self) -> int:
        return int(self._queue.fileno())

    def watch(self, fd: int, mask: int) -> int:
        status = os.fstat(fd)
        for wd, watched in self._watched.items():
            known = os.fstat(watched.fd)
            if (known.st_dev, known.st_ino) == (status.st_dev, status.st_ino):
                watched.mask = mask
                return wd
        watched = _Watched(fd, mask)
        event = select.kevent(watched.fd, _VNODE, _ADD, _ALL)  # type: ignore[attr-defined]
        self._queue.control([event], 0, 0)
        self._watched[watched.fd] = watched
        return watched.fd

    def forget(self, wd: int) -> None:
        os.close(self._watched.pop(wd).fd)  # which ends its place in the queue

    def read(self) -> list[HostEvent]:
        events: list[HostEvent] = []
        while found := self._queue.control(None, _MANY, 0):
            for each in found:
                watched = self._watched.get(each.ident)
                if watched is not None:
                    seen = events_of(watched.names, watched.list(), each.fflags)
                    watched.names = watched.list()
                    events += [HostEvent(each.ident, m, 0, n) for m, n in seen if m & watched.mask]
        return events

    def close(self) -> None:
        for watched in self._watched.values():
            os.close(watched.fd)
        self._queue.close()


def events_of(
    before: dict[bytes, bool] | None, now: dict[bytes, bool] | None, flags: int
) -> list[tuple[int, bytes]]:
    """What inotify would have said, as masks and names, for a file whose entries were and are these."""
    events: list[tuple[int, bytes]] = []
    if flags & _WRITTEN and now is None:
        events.append((IN.MODIFY, b""))
    for one, other, event in ((before, now, IN.DELETE), (now, before, IN.CREATE)):
        for name, is_directory in (one or {}).items():
            if (other or {}).get(name) is not is_directory:
                events.append((event | IN.ISDIR * is_directory, name))
    kinds = ((_ATTRIBUTES, IN.ATTRIB), (_RENAMED, IN.MOVE_SELF), (_DELETED | _REVOKED, IN.DELETE_SELF))
    events += [(event, b"") for bits, event in kinds if flags & bits]
    return events
