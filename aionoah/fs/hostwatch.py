"""Watches on files of the host: what the host's own programs do to them, and not what guests do.

A guest's changes are told by the VFS (notify.py), for every file system alike. The host tells of the calls by
which we make them too, and at once: so each such call is put between two looks into the host's queue. What
the first look finds is others' doing; what the second one finds about the very files of the call is our own, and
is dropped. (So is what another program does to the same file within those microseconds.) That an inode has gone is
always taken from the host, who alone knows.
"""

import functools
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

from aionoah.abi.errno import LinuxError
from aionoah.abi.inotify import IN, IN_ALL_EVENTS
from aionoah.fs import lending
from aionoah.host.errors import host_errors

if TYPE_CHECKING:
    from aionoah.fs.hostfs_inode import HostInode
    from aionoah.fs.hostfs_xattrs import HostAttributed
    from aionoah.host.linux_notify import HostEvent

P = ParamSpec("P")
T = TypeVar("T")
HI = TypeVar("HI", bound="HostAttributed")

OBSERVERS: "Final[dict[HostWatches, None]]" = {}
"""All that watch something of the host's. Calls look whether it is empty, and do nothing more then."""

HELD: "Final[set[HostInode]]" = set()
"""Watched directories that are open again: the host would not tell of their end."""

_ALWAYS: Final = IN.DELETE_SELF | IN.IGNORED | IN.Q_OVERFLOW | IN.UNMOUNT
_OF_NAMES: Final = IN.ATTRIB | IN.MOVE_SELF  # what an inode goes through when its name changes


class HostWatches:
    """The watches of one guest's inotify descriptor on files of the host."""

    def __init__(self, deliver: "Callable[[HostEvent], None]") -> None:
        """`deliver` is called with each event that is others' doing. LinuxError."""
        from aionoah.host.notify import HostNotifier  # noqa: PLC0415 - slow to import, and few watch files

        self._deliver = deliver
        with host_errors():
            self._notifier = HostNotifier()
        self._identities: dict[int, Hashable] = {}  # by the host's number of the watch
        self._late: list[HostEvent] = []
        lending.forget()
        OBSERVERS[self] = None

    def fileno(self) -> int:
        return self._notifier.fileno()

    def watch(self, fd: int, identity: Hashable, mask: int) -> int:
        """LinuxError: ENOSPC, EACCES. Returns the host's number of the watch."""
        self.drain()
        with host_errors():
            wd = self._notifier.watch(fd, mask & IN_ALL_EVENTS | IN.DELETE_SELF)
        self._identities[wd] = identity
        return wd

    def forget(self, wd: int) -> None:
        if self._identities.pop(wd, None) is not None:
            try:
                with host_errors():
                    self._notifier.forget(wd)
            except LinuxError:
                return  # it has ended by itself

    def close(self) -> None:
        OBSERVERS.pop(self, None)
        self._notifier.close()

    def look(self) -> None:
        """As drain, for a reader who may sleep afterwards."""
        while HELD:
            HELD.pop().let_go()
        self.drain()

    def drain(self) -> None:
        """Deliver what has happened."""
        late, self._late = self._late, []
        with host_errors():
            events = late + self._notifier.read()
        for event in events:
            self._deliver(event)

    def drop(self, touched: "_Touched") -> None:
        """Deliver what has happened, but what is our own doing. Ends of inodes come after what the VFS tells."""
        with host_errors():
            events = self._notifier.read()
        for event in events:
            if event.mask & _ALWAYS:
                self._late.append(event)
            elif not touched.explains(event, self._identities.get(event.wd)):
                self._deliver(event)


class _Touched:
    """What calls of ours may change."""

    def __init__(self) -> None:
        self.inodes: set[Hashable] = set()
        self.names: set[bytes] = set()
        self.changes_names = False

    def explains(self, event: "HostEvent", identity: Hashable) -> bool:
        if event.name:
            return event.name in self.names and identity in self.inodes
        return identity in self.inodes or (self.changes_names and not event.mask & ~(_OF_NAMES | IN.ISDIR))


def as_own(method: Callable[Concatenate[HI, P], T]) -> Callable[Concatenate[HI, P], T]:
    """A method of a host inode whose host calls are a guest's doing."""

    @functools.wraps(method)
    def unobserved(self: HI, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if not OBSERVERS:
            return method(self, *args, **kwargs)
        with OwnDoing(self, *args):
            return method(self, *args, **kwargs)

    return unobserved


_NOTHING: Final = nullcontext()


def own_doing(inode: "HostInode") -> AbstractContextManager[None]:
    """The context of host calls that a guest makes on an open file."""
    return OwnDoing(inode) if OBSERVERS else _NOTHING


class OwnDoing:
    """The context of host calls on an inode and, for a directory, on names in it. What lies within is part of it."""

    _outermost: "OwnDoing | None" = None

    def __init__(self, inode: "HostAttributed", *others: Any) -> None:  # noqa: ANN401 - a method's arguments
        """`others`: names, inodes, and what else the method that makes the calls is given."""
        self._inodes = [inode, *(each for each in others if hasattr(each, "identity"))]
        self._names = [each for each in others if isinstance(each, bytes)]
        self._touched = _Touched()

    def __enter__(self) -> None:
        outer = OwnDoing._outermost
        if outer is None:
            OwnDoing._outermost = outer = self
            for each in list(OBSERVERS):
                each.drain()
        touched = outer._touched
        parents = [each.directory for each in self._inodes if each.directory is not None]
        touched.inodes.update(each.identity for each in (*self._inodes, *parents))
        touched.names.update(self._names, (each.name for each in self._inodes))
        touched.changes_names |= bool(self._names)

    def __exit__(self, *_: object) -> None:
        if OwnDoing._outermost is self:
            OwnDoing._outermost = None
            for each in list(OBSERVERS):
                each.drop(self._touched)
