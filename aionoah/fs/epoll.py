"""Waiting for many files at once: epoll(7), Linux fs/eventpoll.c.

An entry listens to the wait queues of its file, and to edges of the host's descriptor behind it. Whatever
happens there only puts the entry on the ready list; what has happened is asked of the file when somebody
looks. A level-triggered entry stays on the list until a look finds nothing; an edge-triggered one leaves it
when it is reported. So a look costs as much as there are entries that may be ready.
"""

from collections import Counter
from typing import Final, NamedTuple

from aionoah.abi.epoll import Epoll
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll
from aionoah.fs.anonymous import AnonymousFile
from aionoah.fs.device_numbers import internal_device
from aionoah.fs.epoll_crowd import Crowd
from aionoah.fs.file import File
from aionoah.host.edges import HostEdges
from aionoah.host.errors import host_errors
from aionoah.host.waiting import Source, Waiter, WaitQueue

_MODES: Final = Epoll.ET | Epoll.ONESHOT | Epoll.EXCLUSIVE | Epoll.WAKEUP  # how to report, not what
_ALWAYS: Final = Poll.ERR | Poll.HUP
_EXCLUSIVE_VALID: Final = Poll.IN | Poll.OUT | _ALWAYS | Epoll.WAKEUP | Epoll.ET | Epoll.EXCLUSIVE
_MOST_NESTED: Final = 4  # links of a chain of epoll files (EP_MAX_NESTS)
_MOST_PATHS: Final = (1000, 500, 100, 50, 10)  # from a file to outermost epoll files, by how many are passed


class Interest(NamedTuple):
    """What a program wants to know about a file, and the word by which it wants to be told."""

    events: Epoll
    data: int


class Entry:
    """One descriptor of an epoll file. It does not keep its file open, and ends with it."""

    __slots__ = ("_source", "container", "fd", "file", "interest", "is_exclusive", "wanted")

    def __init__(self, epoll: "EpollFile", file: File, fd: int, interest: Interest) -> None:
        self.container = epoll
        self.file = file
        self.fd = fd
        self._source = Source()
        self.set_interest(interest)

    def set_interest(self, interest: Interest) -> None:
        self.interest = interest
        self.wanted = interest.events & ~_MODES  # nothing once its one shot has been fired
        self.is_exclusive = bool(interest.events & Epoll.EXCLUSIVE)

    def events(self) -> int:
        """What has happened of what is wanted."""
        return self.file.poll() & self.wanted if self.wanted else 0

    # -- listening ----------------------------------------------------------------------------------------

    def listen(self) -> None:
        """EPERM for a descriptor of the host that cannot be waited for."""
        if self.is_exclusive:
            if self.file.crowd is None:
                self.file.crowd = Crowd(self.file, self.container.edges)
            self.file.crowd.add(self)
            return
        self._listen_to(self.file.source(Poll(self.wanted)))

    def change(self, interest: Interest) -> None:
        """Be told of something else, of an entry that is not exclusive; EPERM as `listen`."""
        self.set_interest(interest)
        source = self.file.source(Poll(self.wanted))
        if not source.is_like(self._source):  # telling the host takes long
            self.stop_listening()
            self._listen_to(source)

    def _listen_to(self, source: Source) -> None:
        for fd in source.descriptors:
            with host_errors():
                self.container.edges.watch(
                    fd, self, reading=fd in source.readable, writing=fd in source.writable
                )
        for queue in source.queues:
            queue.add(self)
        self._source = source

    def stop_listening(self) -> None:
        if self.is_exclusive:
            if self.file.crowd is not None:
                self.file.crowd.remove(self)
            return
        for queue in self._source.queues:
            queue.remove(self)
        for fd in self._source.descriptors:
            self.container.edges.forget(fd, self)
        self._source = Source()

    def notify(self) -> None:
        """Something has happened to the file."""
        if self.wanted:
            self.container.is_ready(self)

    def take_news(self) -> bool:
        """As `notify`, of an exclusive entry: whether a call that slept has been woken."""
        return bool(self.wanted) and self.container.is_ready(self)

    def has_been_looked_at(self) -> None:
        """Of an exclusive entry."""
        if self.file.crowd is not None:
            self.file.crowd.has_looked(self)

    def file_released(self) -> None:
        self.container.discard(self)

    def source_will_change(self) -> None:
        self.stop_listening()

    def source_has_changed(self) -> None:
        self.listen()
        self.notify()


class EpollFile(AnonymousFile):
    """A set of entries, by file and descriptor, and a list of those that may be ready."""

    label = b"eventpoll"

    def __init__(self, edges: HostEdges) -> None:
        super().__init__(O(O.RDWR))
        self.edges = edges
        self.waiting = WaitQueue()  # calls, of which one is woken at a time
        self._polled = WaitQueue()  # poll and other epoll files
        self._entries: dict[tuple[File, int], Entry] = {}
        self._ready: dict[Entry, None] = {}

    def release(self) -> None:
        for entry in list(self._entries.values()):
            self.discard(entry)

    # -- entries ------------------------------------------------------------------------------------------

    def add(self, file: File, fd: int, interest: Interest) -> None:
        """EPERM for what is always ready, EEXIST, EINVAL, ELOOP."""
        if Epoll.EXCLUSIVE in interest.events and (
            isinstance(file, EpollFile) or interest.events.outside(_EXCLUSIVE_VALID)
        ):
            raise LinuxError(Errno.EINVAL)
        if isinstance(file, EpollFile):
            self._check_nesting(file)
        if (file, fd) in self._entries:
            raise LinuxError(Errno.EEXIST)
        entry = Entry(self, file, fd, _with_errors(interest))
        entry.listen()
        self._entries[file, fd] = entry
        if file.dependents is None:
            file.dependents = {}
        file.dependents[entry] = None
        if (isinstance(file, EpollFile) or self.containers) and not _has_few_paths(file, set()):
            self.discard(entry)
            raise LinuxError(Errno.EINVAL)
        self._look_at(entry)

    def modify(self, file: File, fd: int, interest: Interest) -> None:
        """ENOENT; EINVAL for an exclusive entry, or to make it one."""
        if Epoll.EXCLUSIVE in interest.events:
            raise LinuxError(Errno.EINVAL)
        entry = self._find(file, fd)
        if Epoll.EXCLUSIVE in entry.interest.events:
            raise LinuxError(Errno.EINVAL)
        entry.change(_with_errors(interest))
        self._look_at(entry)

    def remove(self, file: File, fd: int) -> None:
        """ENOENT."""
        self.discard(self._find(file, fd))

    def discard(self, entry: Entry) -> None:
        entry.stop_listening()
        del self._entries[entry.file, entry.fd]
        self._ready.pop(entry, None)
        if entry.file.dependents is not None:
            entry.file.dependents.pop(entry, None)

    def _find(self, file: File, fd: int) -> Entry:
        try:
            return self._entries[file, fd]
        except KeyError:
            raise LinuxError(Errno.ENOENT) from None

    def target(self, fd: int, index: int) -> File:
        """The file of the entry for a descriptor; other files have had the same number before. ENOENT."""
        files = [file for file, number in self._entries if number == fd]
        if index >= len(files):
            raise LinuxError(Errno.ENOENT)
        return files[index]

    def _check_nesting(self, inner: "EpollFile") -> None:
        """ELOOP for a circle, and for a chain that becomes too long."""
        links = _links_below(inner, self, {}) + 1 + _links_above(self, {})
        if links > _MOST_NESTED:
            raise LinuxError(Errno.ELOOP)

    @property
    def nested(self) -> list["EpollFile"]:
        """Epoll files among the entries."""
        return [entry.file for entry in self._entries.values() if isinstance(entry.file, EpollFile)]

    @property
    def targets(self) -> list[File]:
        return [entry.file for entry in self._entries.values()]

    @property
    def containers(self) -> list["EpollFile"]:
        """Epoll files that this one is an entry of."""
        return containers_of(self)

    # -- readiness ----------------------------------------------------------------------------------------

    def is_ready(self, entry: Entry) -> bool:
        """An entry says that something has happened. Whether that has woken a call."""
        self._ready[entry] = None
        self._polled.wake()
        return self.wake_next()

    def _look_at(self, entry: Entry) -> None:
        if entry.events():
            self.is_ready(entry)

    def look(self, limit: int) -> list[tuple[Entry, int]]:
        """At most `limit` entries for which something has happened, and what; none is reported yet.

        What has happened at the host until now counts, even if the loop has had no time to say so. Looking at an
        epoll file within this one may bring further news.
        """
        self.edges.collect()
        found: list[tuple[Entry, int]] = []
        for entry in tuple(self._ready):
            events = entry.events()
            if entry.is_exclusive:
                entry.has_been_looked_at()
            if not events:
                self._ready.pop(entry, None)
                continue
            found.append((entry, events))
            if len(found) == limit:
                break
        return found

    def report(self, found: list[tuple[Entry, int]]) -> None:
        """The program has been told: level-triggered entries go to the end of the list, others leave it."""
        for entry, _ in found:
            if entry not in self._ready:  # it ended while others were looked at
                continue
            del self._ready[entry]
            events = entry.interest.events
            if events & Epoll.ONESHOT:
                entry.set_interest(Interest(Epoll(events & _MODES), entry.interest.data))
            elif not events & Epoll.ET:
                self._ready[entry] = None

    def wake_next(self) -> bool:
        """Wake one more call that waits, if there may be something for it; whether there was one. Whoever ends
        waiting, for whatever reason, calls this: it may have been woken for something that it has left.
        """
        if self._ready:
            for waiter in self.waiting:
                if not (isinstance(waiter, Waiter) and waiter.is_woken):
                    waiter.notify()
                    return True
        return False

    def fdinfo(self) -> bytes:
        lines = []
        for entry in self._entries.values():
            found = entry.file.attributes()
            fields = (
                entry.fd,
                entry.interest.events,
                entry.interest.data,
                entry.file.offset,
                found.ino,
                internal_device(found.dev),
            )
            lines.append(b"tfd: %8d events: %8x data: %16x  pos:%d ino:%x sdev:%x\n" % fields)
        return b"".join(lines)

    def poll(self) -> Poll:
        return Poll(Poll.IN | Poll.RDNORM if self.look(1) else 0)

    def seek(self, offset: int, whence: int) -> int:  # noqa: ARG002 - noop_llseek
        """Seeking is allowed and does nothing."""
        return 0

    def source(self, events: Poll) -> Source:  # noqa: ARG002 - it can only become readable
        return Source(self._polled)


def _with_errors(interest: Interest) -> Interest:
    return Interest(Epoll(interest.events | _ALWAYS), interest.data)


def can_wait_for(file: File) -> bool:
    """Whether a file has a poll of its own: others are always ready, and epoll refuses them (EPERM)."""
    return type(file).poll is not File.poll and (not file.is_seekable or file.is_waited_for)


def _links_below(epoll: EpollFile, forbidden: EpollFile, known: dict[EpollFile, int]) -> int:
    """The longest chain from an epoll file into what it contains; ELOOP if `forbidden` is there."""
    if epoll is forbidden:
        raise LinuxError(Errno.ELOOP)
    if epoll not in known:
        below = (_links_below(inner, forbidden, known) + 1 for inner in epoll.nested)
        known[epoll] = max(below, default=0)
    return known[epoll]


def _links_above(epoll: EpollFile, known: dict[EpollFile, int]) -> int:
    """The longest chain of epoll files that contain this one."""
    if epoll not in known:
        above = (_links_above(outer, known) + 1 for outer in epoll.containers)
        known[epoll] = max(above, default=0)
    return known[epoll]


def containers_of(file: File) -> list[EpollFile]:
    """Epoll files that a file is an entry of."""
    return [entry.container for entry in file.dependents or () if isinstance(entry, Entry)]


def _has_few_paths(file: File, known: set[object]) -> bool:
    """Whether news of a file, and of all below an epoll file, spread on no more ways than Linux lets them
    (reverse_path_check): every way is gone each time. `known`: epoll files that have been looked at, and containers.
    """
    containers = tuple(containers_of(file))
    what = file if isinstance(file, EpollFile) else containers
    if what in known:
        return True
    known.add(what)
    if isinstance(file, EpollFile):
        return all(_has_few_paths(target, known) for target in file.targets)
    paths = Counter(containers)
    for limit in _MOST_PATHS:
        ended = 0
        above: Counter[EpollFile] = Counter()
        for epoll, count in paths.items():
            outer = epoll.containers
            ended += 0 if outer else count
            for each in outer:
                above[each] += count
        if ended > limit:
            return False
        paths = above
    return True
