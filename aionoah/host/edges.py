"""Listeners of host descriptors: told when one becomes ready, once for each time that it does.

A level-triggered event loop would have to be told again and again to look at a descriptor, and not to. Edges
need no arming: what is ready stays known to whoever has been told, until it has looked and found nothing.
"""

from collections.abc import Callable

from aionoah.host.events import EdgePoller
from aionoah.host.waiting import Listener


class _Watched:
    """One descriptor: who wants to know when it can be read, and when it can be written."""

    __slots__ = ("readers", "writers")

    def __init__(self) -> None:
        self.readers: dict[Listener, None] = {}
        self.writers: dict[Listener, None] = {}


class HostEdges:
    """All watched descriptors of one instance. Called under the kernel lock, on any thread."""

    def __init__(self, on_open: Callable[[int], None] | None = None, *, only_data: bool = False) -> None:
        """`on_open` is given a descriptor, before the first watch: `dispatch` is to be called whenever it can
        be read. `only_data`: urgent data, and the end of a peer's writing, do not count.
        """
        self._on_open = on_open
        self._only_data = only_data
        self._poller: EdgePoller | None = None
        self._watched: dict[int, _Watched] = {}

    def watch(self, fd: int, listener: Listener, *, reading: bool = False, writing: bool = False) -> None:
        """Notify a listener of edges; one that is there already counts. OSError EPERM for regular files."""
        watched = self._watched.get(fd)
        new = watched or _Watched()
        is_reading, is_writing = reading or bool(new.readers), writing or bool(new.writers)
        self._open().watch(fd, reading=is_reading, writing=is_writing, is_new=watched is None)
        self._watched[fd] = new
        if reading:
            new.readers[listener] = None
        if writing:
            new.writers[listener] = None

    def forget(self, fd: int, listener: Listener) -> None:
        """End what `watch` began. While the descriptor is still open."""
        watched = self._watched.get(fd)
        if watched is None or self._poller is None:
            return
        watched.readers.pop(listener, None)
        watched.writers.pop(listener, None)
        if not watched.readers and not watched.writers:
            del self._watched[fd]
            self._poller.forget(fd)

    def dispatch(self) -> None:
        """Notify the listeners of all descriptors that have become ready."""
        for fd, can_read, can_write in self._open().ready():
            watched = self._watched.get(fd)
            if watched is None:
                continue
            chosen = (watched.readers if can_read else {}) | (watched.writers if can_write else {})
            for listener in chosen:
                listener.notify()

    def collect(self) -> None:
        """Do now what whoever waits for the descriptor of `on_open` would do soon."""
        if self._watched:
            self.dispatch()

    def _open(self) -> EdgePoller:
        if self._poller is None:
            self._poller = EdgePoller(only_data=self._only_data)
            if self._on_open is not None:
                self._on_open(self._poller.fileno())
        return self._poller

    def close(self) -> None:
        if self._poller is not None:
            self._poller.close()
            self._poller = None
            self._watched.clear()
