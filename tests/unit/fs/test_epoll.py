"""epoll files over counters, pipes of the host, and each other."""

import contextlib
import os
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from fakes.expect import fails

from aionoah.abi.epoll import Epoll
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll
from aionoah.abi.socket import SOCK
from aionoah.fs.devices import NullDevice
from aionoah.fs.epoll import Entry, EpollFile, Interest, can_wait_for
from aionoah.fs.eventfd import EventFile
from aionoah.fs.file import File
from aionoah.fs.pipe import open_pipe
from aionoah.fs.stdio import HostStreamFile
from aionoah.host.edges import HostEdges
from aionoah.host.waiting import Source, Waiter
from aionoah.memory.buffer import KernelBuffer
from aionoah.net.network import Network
from aionoah.net.unix.creation import new_unix_pair


@pytest.fixture
def edges() -> Iterator[HostEdges]:
    edges = HostEdges()
    yield edges
    edges.close()


@pytest.fixture
def epoll(edges: HostEdges) -> EpollFile:
    return EpollFile(edges)


def add(epoll: EpollFile, file: File, events: int = Poll.IN, fd: int = 3, data: int = 0) -> None:
    epoll.add(file, fd, Interest(Epoll(events), data))


def look(epoll: EpollFile, limit: int = 10) -> list[tuple[int, int]]:
    """Report what is ready: descriptors and events."""
    found = epoll.look(limit)
    epoll.report(found)
    return [(entry.fd, events) for entry, events in found]


def put(file: File) -> None:
    file.write_nowait(KernelBuffer((1).to_bytes(8, "little")))


def drain(file: File) -> None:
    file.read_nowait(KernelBuffer(bytearray(8)))


class Counter:
    """A listener that counts."""

    def __init__(self) -> None:
        self.news = 0

    def notify(self) -> None:
        self.news += 1


class Teller(EventFile):
    """Looking at it brings news of others, as looking at an epoll file does."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__(O(O.RDWR))
        self._tell = tell

    def poll(self) -> Poll:
        self._tell()
        return super().poll()


# -- ways of reporting ----------------------------------------------------------------------------------------


def test_level_triggered(epoll: EpollFile) -> None:
    file = EventFile(O(O.RDWR))
    add(epoll, file)
    assert look(epoll) == []
    put(file)
    assert look(epoll) == [(3, Poll.IN)]
    assert look(epoll) == [(3, Poll.IN)]
    drain(file)
    assert look(epoll) == []
    assert not epoll._ready  # later looks cost nothing
    put(file)
    assert look(epoll) == [(3, Poll.IN)]


def test_edge_triggered(epoll: EpollFile) -> None:
    file = EventFile(O(O.RDWR), 5, is_semaphore=True)
    add(epoll, file, Epoll.ET | Poll.IN)
    assert look(epoll) == [(3, Poll.IN)]  # what is there already counts
    assert look(epoll) == []
    drain(file)  # a reader hears nothing of reads
    assert look(epoll) == []
    put(file), put(file)
    assert look(epoll) == [(3, Poll.IN)]
    assert look(epoll) == []


def test_an_edge_that_has_gone_is_not_reported(epoll: EpollFile) -> None:
    file = EventFile(O(O.RDWR))
    add(epoll, file, Epoll.ET | Poll.IN)
    put(file)
    drain(file)
    assert look(epoll) == []


def test_one_shot(epoll: EpollFile) -> None:
    file = EventFile(O(O.RDWR), 1)
    add(epoll, file, Epoll.ONESHOT | Poll.IN)
    assert look(epoll) == [(3, Poll.IN)]
    put(file)
    assert look(epoll) == []
    assert not epoll._ready
    epoll.modify(file, 3, Interest(Epoll(Epoll.ONESHOT | Poll.IN), 0))
    assert look(epoll) == [(3, Poll.IN)]
    assert look(epoll) == []


def test_errors_are_always_wanted(epoll: EpollFile) -> None:
    reader, writer = open_pipe()
    add(epoll, reader, 0, fd=4)
    writer.drop()
    assert look(epoll) == [(4, Poll.HUP)]
    reader.drop()


def test_the_ready_take_turns(epoll: EpollFile) -> None:
    for fd in range(4):
        add(epoll, EventFile(O(O.RDWR), 1), fd=fd)
    assert [look(epoll, 1)[0][0] for _ in range(6)] == [0, 1, 2, 3, 0, 1]
    assert [fd for fd, _ in look(epoll, 3)] == [2, 3, 0]


def test_what_has_not_been_reported_stays(epoll: EpollFile) -> None:
    add(epoll, EventFile(O(O.RDWR), 1), Epoll.ET | Poll.IN)
    assert len(epoll.look(5)) == 1
    assert look(epoll) == [(3, Poll.IN)]


# -- entries --------------------------------------------------------------------------------------------------


def test_errors_of_entries(epoll: EpollFile) -> None:
    file, interest = EventFile(O(O.RDWR)), Interest(Epoll(Poll.IN), 0)
    fails(Errno.ENOENT, epoll.remove, file, 3)
    fails(Errno.ENOENT, epoll.modify, file, 3, interest)
    epoll.add(file, 3, interest)
    fails(Errno.EEXIST, epoll.add, file, 3, interest)
    epoll.add(file, 4, interest)
    epoll.remove(file, 3)
    fails(Errno.ENOENT, epoll.remove, file, 3)


def test_exclusive_entries(epoll: EpollFile, edges: HostEdges) -> None:
    file = EventFile(O(O.RDWR), 1)
    exclusive = Interest(Epoll(Poll.IN | Epoll.EXCLUSIVE), 0)
    fails(Errno.EINVAL, epoll.add, EpollFile(edges), 3, exclusive)
    fails(Errno.EINVAL, epoll.add, file, 3, Interest(Epoll(exclusive.events | Epoll.ONESHOT), 0))
    epoll.add(file, 3, exclusive)
    fails(Errno.EINVAL, epoll.modify, file, 3, exclusive)
    fails(Errno.EINVAL, epoll.modify, file, 3, Interest(Epoll(Poll.IN), 0))
    assert look(epoll) == [(3, Poll.IN)]


def test_entries_end_with_the_last_reference(epoll: EpollFile) -> None:
    file = EventFile(O(O.RDWR), 1)
    add(epoll, file, fd=3), add(epoll, file, fd=4)
    file.hold()
    file.drop()
    assert len(look(epoll)) == 2
    file.drop()
    assert look(epoll) == []
    assert not epoll._entries
    add(epoll, EventFile(O(O.RDWR), 1), fd=3)  # the number is free for another


def test_nothing_listens_after_the_end(epoll: EpollFile) -> None:
    file = EventFile(O(O.RDWR), 1)
    add(epoll, file)
    epoll.drop()
    assert not file.dependents
    assert len(file._readable) == 0
    put(file)


def test_changing_what_is_wanted(epoll: EpollFile) -> None:
    file = EventFile(O(O.RDWR), 1)
    add(epoll, file, Poll.IN)
    epoll.modify(file, 3, Interest(Epoll(Poll.OUT), 9))
    found = epoll.look(5)
    assert [(entry.interest.data, events) for entry, events in found] == [(9, Poll.OUT)]
    epoll.modify(file, 3, Interest(Epoll(0), 9))
    assert look(epoll) == []


def test_which_files_can_be_waited_for(tmp_path: os.PathLike[str]) -> None:
    assert can_wait_for(EventFile(O(O.RDWR)))
    assert not can_wait_for(NullDevice(O(O.RDWR)))
    path = os.path.join(tmp_path, "file")
    fd = os.open(path, os.O_CREAT | os.O_RDWR)
    file = HostStreamFile(fd)
    assert not can_wait_for(file)
    file.drop()
    os.close(fd)


# -- who waits ------------------------------------------------------------------------------------------------


def test_one_waiter_is_woken_at_a_time(epoll: EpollFile) -> None:
    file = EventFile(O(O.RDWR))
    add(epoll, file)
    first, second = Counter(), Counter()
    epoll.waiting.add(first)
    epoll.waiting.add(second)
    put(file)
    assert (first.news, second.news) == (1, 0)
    epoll.waiting.remove(first)
    epoll.wake_next()
    assert second.news == 1
    epoll.waiting.remove(second)
    drain(file)
    look(epoll)
    epoll.waiting.add(first)
    epoll.wake_next()  # nothing is left
    assert first.news == 1


def test_adding_what_is_ready_wakes(epoll: EpollFile) -> None:
    waiter = Counter()
    epoll.waiting.add(waiter)
    add(epoll, EventFile(O(O.RDWR), 1))
    assert waiter.news == 1


# -- nesting --------------------------------------------------------------------------------------------------


def test_an_epoll_file_is_readable_when_something_in_it_is(epoll: EpollFile, edges: HostEdges) -> None:
    outer, file = EpollFile(edges), EventFile(O(O.RDWR))
    add(outer, epoll, fd=5)
    add(epoll, file)
    assert look(outer) == []
    waiter = Counter()
    outer.waiting.add(waiter)
    put(file)
    assert waiter.news == 1
    assert look(outer) == [(5, Poll.IN)]
    assert epoll.poll() == Poll.IN | Poll.RDNORM
    drain(file)
    assert look(outer) == []
    assert epoll.poll() == 0


def chained(edges: HostEdges, count: int) -> list[EpollFile]:
    """Epoll files, each of which contains the one before it."""
    files = [EpollFile(edges) for _ in range(count)]
    for inner, outer in pairwise(files):
        add(outer, inner)
    return files


def test_circles(edges: HostEdges) -> None:
    files = chained(edges, 3)
    fails(Errno.ELOOP, add, files[0], files[2])
    fails(Errno.ELOOP, add, files[0], files[0])


def test_long_chains(edges: HostEdges) -> None:
    files = chained(edges, 5)
    fails(Errno.ELOOP, add, EpollFile(edges), files[-1])
    fails(Errno.ELOOP, add, files[0], EpollFile(edges))
    lower, upper = chained(edges, 3), chained(edges, 3)
    fails(Errno.ELOOP, add, upper[0], lower[-1])
    add(upper[0], lower[1])


# -- descriptors of the host ----------------------------------------------------------------------------------


def test_a_pipe_of_the_host(epoll: EpollFile, edges: HostEdges) -> None:
    reader, writer = os.pipe()
    file = HostStreamFile(reader)
    os.close(reader)
    add(epoll, file, Poll.IN)
    assert look(epoll) == []
    waiter = Counter()
    epoll.waiting.add(waiter)
    os.write(writer, b"ab")
    edges.dispatch()
    assert waiter.news == 1
    assert look(epoll) == [(3, Poll.IN)]
    edges.dispatch()
    assert waiter.news == 1  # nothing new: nobody is disturbed
    assert look(epoll) == [(3, Poll.IN)]
    file.read_nowait(KernelBuffer(bytearray(8)))
    assert look(epoll) == []
    os.close(writer)
    edges.dispatch()
    assert look(epoll) == [(3, Poll.HUP)]
    file.drop()
    assert not edges._watched


def test_edges_of_a_pipe_of_the_host(epoll: EpollFile, edges: HostEdges) -> None:
    reader, writer = os.pipe()
    file = HostStreamFile(reader)
    os.close(reader)
    add(epoll, file, Epoll.ET | Poll.IN)
    for _ in range(2):
        os.write(writer, b"ab")
        edges.dispatch()
        assert look(epoll) == [(3, Poll.IN)]
        edges.dispatch()
        assert look(epoll) == []
    epoll.drop()
    assert not edges._watched
    file.drop()
    os.close(writer)


@pytest.mark.parametrize("mode", [Epoll.ET, Epoll.ONESHOT])
def test_the_same_wish_again_tells_the_host_nothing(
    mode: int, epoll: EpollFile, edges: HostEdges, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    file = HostStreamFile(reader)
    os.close(reader)
    add(epoll, file, mode | Poll.IN)
    monkeypatch.setattr(edges, "watch", None)
    monkeypatch.setattr(edges, "forget", None)
    for _ in range(2):
        epoll.modify(file, 3, Interest(Epoll(mode | Poll.IN), 0))
        assert look(epoll) == []
        os.write(writer, b"ab")
        edges.dispatch()
        assert look(epoll) == [(3, Poll.IN)]
        assert look(epoll) == []
        epoll.modify(file, 3, Interest(Epoll(mode | Poll.IN), 0))
        assert look(epoll) == [(3, Poll.IN)]  # what is there counts again
        file.read_nowait(KernelBuffer(bytearray(8)))
    monkeypatch.undo()
    file.drop()
    assert not edges._watched
    os.close(writer)


def test_what_the_loop_has_not_told_yet(epoll: EpollFile, edges: HostEdges) -> None:
    """A program that has made two descriptors ready sees both, and each once."""
    pipes = [os.pipe() for _ in range(2)]
    files = [HostStreamFile(reader) for reader, _ in pipes]
    for number, file in enumerate(files):
        add(epoll, file, Epoll.ET | Poll.IN, fd=number)
    for _, writer in pipes:
        os.write(writer, b"ab")
    assert sorted(look(epoll)) == [(0, Poll.IN), (1, Poll.IN)]
    edges.dispatch()
    assert look(epoll) == []
    for file, ends in zip(files, pipes, strict=True):
        file.drop()
        for fd in ends:
            os.close(fd)


def test_a_host_descriptor_that_is_always_ready(epoll: EpollFile) -> None:
    fd = os.open(os.devnull, os.O_RDONLY)
    file = HostStreamFile(fd)
    fails(Errno.EPERM, add, epoll, file)
    assert not epoll._entries
    file.drop()
    os.close(fd)


# -- exclusive entries ----------------------------------------------------------------------------------------


def exclusive(edges: HostEdges, file: File, events: int = Poll.IN) -> EpollFile:
    epoll = EpollFile(edges)
    add(epoll, file, events | Epoll.EXCLUSIVE)
    return epoll


def asleep(epoll: EpollFile) -> Waiter:
    waiter = Waiter(Source(), None)
    epoll.waiting.add(waiter)
    return waiter


def test_of_exclusive_entries_one_sleeper_is_woken_for_each_thing(edges: HostEdges) -> None:
    file = EventFile(O(O.RDWR))
    epolls = [exclusive(edges, file) for _ in range(4)]
    sleepers = [asleep(epoll) for epoll in epolls[1:]]
    put(file)
    assert [sleeper.is_woken for sleeper in sleepers] == [True, False, False]
    put(file)
    assert [sleeper.is_woken for sleeper in sleepers] == [True, True, False]
    assert look(epolls[0]) == [(3, Poll.IN)]  # it was busy, and learns of it when it looks
    assert look(epolls[3]) == []


def test_other_entries_are_told_beside_an_exclusive_one(edges: HostEdges, epoll: EpollFile) -> None:
    file = EventFile(O(O.RDWR))
    sleepers = [asleep(exclusive(edges, file)) for _ in range(2)]
    add(epoll, file)
    sleepers.append(asleep(epoll))
    put(file)
    assert [sleeper.is_woken for sleeper in sleepers] == [True, False, True]


def test_who_ends_before_it_has_looked_leaves_its_news_to_the_next(edges: HostEdges) -> None:
    file = EventFile(O(O.RDWR))
    epolls = [exclusive(edges, file) for _ in range(2)]
    sleepers = [asleep(epoll) for epoll in epolls]
    put(file)
    assert [sleeper.is_woken for sleeper in sleepers] == [True, False]
    epolls[0].drop()
    assert sleepers[1].is_woken


def test_what_one_edge_has_brought_is_passed_on(edges: HostEdges) -> None:
    reading, writing = os.pipe()
    file = HostStreamFile(reading)
    epolls = [exclusive(edges, file) for _ in range(3)]
    os.write(writing, b"two things")
    sleepers = [asleep(epoll) for epoll in epolls]
    edges.dispatch()
    assert [sleeper.is_woken for sleeper in sleepers] == [True, False, False]
    assert file.crowd is not None
    file.crowd.pass_on()
    assert not sleepers[1].is_woken  # somebody is on the way
    assert look(epolls[0]) == [(3, Poll.IN)]
    file.crowd.pass_on()
    assert [sleeper.is_woken for sleeper in sleepers] == [True, True, False]
    os.read(reading, 100)
    assert look(epolls[1]) == []
    file.crowd.pass_on()
    assert not sleepers[2].is_woken
    os.close(writing)
    file.drop()


def test_an_exclusive_entry_that_wants_something_else_is_passed_over(edges: HostEdges) -> None:
    file = EventFile(O(O.RDWR))
    writes, reads = exclusive(edges, file, Poll.OUT), exclusive(edges, file)
    look(writes)
    sleepers = [asleep(writes), asleep(reads)]
    put(file)
    assert sleepers[1].is_woken


# -- what happens while it looks ------------------------------------------------------------------------------


def test_news_while_looking(epoll: EpollFile) -> None:
    others = [EventFile(O(O.RDWR)) for _ in range(3)]
    teller = Teller(lambda: [put(other) for other in others] and None)
    for fd, file in enumerate([teller, *others]):
        add(epoll, file, fd=fd)
    for other in others:
        drain(other)
    assert look(epoll) == []
    teller.write_nowait(KernelBuffer((1).to_bytes(8, "little")))
    assert [fd for fd, _ in look(epoll)] == [0]
    assert [fd for fd, _ in look(epoll)] == [1, 2, 3, 0]


def test_an_entry_ends_while_looking(epoll: EpollFile) -> None:
    gone = EventFile(O(O.RDWR))
    teller = Teller(gone.drop)
    add(epoll, gone, fd=0)
    put(gone)
    epoll._entries[teller, 1] = entry = Entry(epoll, teller, 1, Interest(Epoll(Poll.IN), 0))
    epoll.is_ready(entry)
    assert [fd for fd, _ in look(epoll)] == [0]
    assert not epoll._ready


# -- edges of those who write ---------------------------------------------------------------------------------


def test_a_pipe_has_room_again(epoll: EpollFile) -> None:
    """Only once it has been full: other reads are no news to whoever writes."""
    reader, writer = open_pipe()
    add(epoll, writer, Poll.OUT | Epoll.ET)
    assert look(epoll) == [(3, Poll.OUT)]
    writer.write_nowait(KernelBuffer(b"some"))
    reader.read_nowait(KernelBuffer(bytearray(9)))
    assert look(epoll) == []
    writer.write_nowait(KernelBuffer(bytes(1 << 16)))
    assert look(epoll) == []
    reader.read_nowait(KernelBuffer(bytearray(4096)))
    assert look(epoll) == [(3, Poll.OUT)]


@pytest.mark.parametrize("kind", [SOCK.STREAM, SOCK.DGRAM, SOCK.SEQPACKET])
def test_what_comes_is_no_news_to_who_sends(kind: int, epoll: EpollFile) -> None:
    one, other = new_unix_pair(Network(), kind, 0, 0)
    add(epoll, one, Poll.OUT | Poll.RDHUP | Epoll.ET)
    add(epoll, one, Poll.OUT | Poll.IN | Epoll.ET, fd=4)
    assert [fd for fd, _ in look(epoll)] == [3, 4]
    other.write_nowait(KernelBuffer(b"x"))
    assert look(epoll) == [(4, Poll.IN | Poll.OUT)]
    other.drop()
    assert {fd for fd, _ in look(epoll)} == {3, 4}


@pytest.mark.parametrize(
    ("width", "added_before", "added_after"), [(5, 30, 30), (23, 523, 550), (30, 530, 916)]
)
def test_not_too_many_ways_out(width: int, added_before: int, added_after: int, edges: HostEdges) -> None:
    """Two layers of epoll files, each of one in each of the other: 500 ways from a file lead through both. How many
    entries Linux takes, if the file is added before all others or after them.
    """
    for is_last, expected in ((False, added_before), (True, added_after)):
        file, lower, upper = (
            EventFile(O(O.RDWR)),
            *([EpollFile(edges) for _ in range(width)] for _ in range(2)),
        )
        links: list[tuple[EpollFile, File]] = [(one, file) for one in lower]
        nested: list[tuple[EpollFile, File]] = [(outer, inner) for outer in upper for inner in lower]
        added = 0
        with contextlib.suppress(LinuxError):
            for fd, (epoll, target) in enumerate([*nested, *links] if is_last else [*links, *nested]):
                add(epoll, target, fd=fd)
                added += 1
        assert added == expected
        assert sum(len(each._entries) for each in (*lower, *upper)) == added
