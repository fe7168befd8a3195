"""EPOLLEXCLUSIVE: of all epoll files that wait for one file in this way, news wakes one (epoll_ctl(2)).

Linux walks the exclusive waiters of a file in order of their coming, until it has found one that sleeps in epoll_wait;
those on the way know of the news too, as they are busy and will look. It walks anew for each thing that happens,
while we may hear of two connections by one edge of the host's descriptor. So a process that has accepted one
passes on what is left.
"""

from typing import TYPE_CHECKING, Protocol

from aionoah.abi.poll import Poll
from aionoah.host.edges import HostEdges
from aionoah.host.errors import host_errors
from aionoah.host.waiting import Source

if TYPE_CHECKING:
    from aionoah.fs.file import File


class Member(Protocol):
    """An exclusive entry of an epoll file."""

    @property
    def wanted(self) -> int:
        """Events of Poll."""
        ...

    def take_news(self) -> bool:
        """Whether this has woken somebody who slept."""
        ...


class Crowd:
    """All exclusive entries of one file: one listener for them all."""

    def __init__(self, file: "File", edges: HostEdges) -> None:
        self._file = file
        self._edges = edges
        self._members: dict[Member, None] = {}
        self._woken: set[Member] = set()  # and not seen looking since
        self._wanted = 0
        self._source = Source()

    def add(self, member: Member) -> None:
        """EPERM for a descriptor of the host that cannot be waited for."""
        if member.wanted & ~self._wanted:
            wanted = self._wanted | member.wanted
            self._stop_listening()
            self._listen(wanted)
        self._members[member] = None

    def remove(self, member: Member) -> None:
        """What one was woken for and has not looked at is another's."""
        del self._members[member]
        was_woken = member in self._woken
        self._woken.discard(member)
        if not self._members:
            self._stop_listening()
        elif was_woken:
            self.notify()

    def has_looked(self, member: Member) -> None:
        self._woken.discard(member)

    def notify(self) -> None:
        """Something has happened to the file. Which of what it is ready for is new is not known: so one is woken
        for each thing.
        """
        events: int = self._wanted if self._file.polls_of_caller else self._file.poll()
        for member in self._members:
            if events & member.wanted and member.take_news():
                self._woken.add(member)
                events &= ~member.wanted

    def pass_on(self) -> None:
        """Somebody has taken some of the news: is there more, and nobody on the way to it?"""
        if not self._woken:
            self.notify()

    def _listen(self, wanted: int) -> None:
        source = self._file.source(Poll(wanted))
        for fd in source.descriptors:
            with host_errors():
                self._edges.watch(fd, self, reading=fd in source.readable, writing=fd in source.writable)
        for queue in source.queues:
            queue.add(self)
        self._source, self._wanted = source, wanted

    def _stop_listening(self) -> None:
        for queue in self._source.queues:
            queue.remove(self)
        for fd in self._source.descriptors:
            self._edges.forget(fd, self)
        self._source, self._wanted = Source(), 0
