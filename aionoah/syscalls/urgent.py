"""SIGURG: the owner of a stream socket is told of urgent data, with O_ASYNC or without (socket(7), tcp(7); Linux
net/core/sock.c, sk_send_sigurg).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from aionoah.abi.poll import Poll
from aionoah.fs.file import File
from aionoah.host.errors import host_errors
from aionoah.host.waiting import Source

if TYPE_CHECKING:
    from aionoah.host.edges import HostEdges


class UrgentWatch:
    """Listens to one socket from its first F_SETOWN on, to its end."""

    def __init__(self, file: File, edges: "HostEdges", tell: Callable[[File], None]) -> None:
        self._file = file
        self._edges = edges
        self._tell = tell
        self._source = Source()
        if file.dependents is None:
            file.dependents = {}
        file.dependents[self] = None
        self.source_has_changed()

    def notify(self) -> None:
        """Something has come. Until it is read, urgent data is told of again with whatever else comes."""
        if self._file.poll() & Poll.PRI:
            self._tell(self._file)

    # -- as a dependent of the file -------------------------------------------------------------------------

    def file_released(self) -> None:
        self.source_will_change()
        if self._file.dependents is not None:
            self._file.dependents.pop(self, None)

    def source_will_change(self) -> None:
        for queue in self._source.queues:
            queue.remove(self)
        for fd in self._source.readable:
            self._edges.forget(fd, self)
        self._source = Source()

    def source_has_changed(self) -> None:
        self._source = self._file.source(Poll(Poll.PRI))
        for queue in self._source.queues:
            queue.add(self)
        for fd in self._source.readable:
            with host_errors():
                self._edges.watch(fd, self, reading=True)
