"""Edges of descriptors, and what an event loop watches for us."""

import os
import select
import socket
import sys
import time
from collections.abc import Iterator

import pytest

from aionoah.host.edges import HostEdges
from aionoah.host.events import ClockWatch, EdgePoller, HostTimer


class Counter:
    def __init__(self) -> None:
        self.news = 0

    def notify(self) -> None:
        self.news += 1


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    pair = os.pipe()
    yield pair
    for fd in pair:
        os.close(fd)


@pytest.fixture
def edges() -> Iterator[HostEdges]:
    edges = HostEdges()
    yield edges
    edges.close()


def is_readable(fd: int, seconds: float = 0) -> bool:
    return bool(select.select([fd], [], [], seconds)[0])


def test_a_number_that_is_used_again(edges: HostEdges, pipe: tuple[int, int]) -> None:
    """Somebody has closed a descriptor that another sleeps for."""
    old, new = Counter(), Counter()
    reading, writing = os.pipe()
    edges.watch(reading, old, reading=True)
    os.close(reading)
    os.close(writing)
    os.write(pipe[1], b"x")
    os.dup2(pipe[0], reading)
    edges.watch(reading, new, reading=True)
    edges.dispatch()
    assert new.news == 1
    os.close(reading)
    edges.forget(reading, new)
    edges.forget(reading, old)


def test_urgent_data_is_no_data() -> None:
    """Or a sleeper for data would wake again and again."""
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, socket.create_connection(listener.getsockname()) as here, listener.accept()[0] as there:
        every, data = HostEdges(), HostEdges(only_data=True)
        counters = Counter(), Counter()
        for edges, counter in zip((every, data), counters, strict=True):
            edges.watch(here.fileno(), counter, reading=True)
        there.send(b"!", socket.MSG_OOB)
        while not counters[0].news:
            every.dispatch()
        data.dispatch()
        assert counters[1].news == 0
        there.send(b"x")
        while not counters[1].news:
            data.dispatch()
        every.close()
        data.close()


# -- HostEdges ------------------------------------------------------------------------------------------------


def test_each_edge_is_told_once(edges: HostEdges, pipe: tuple[int, int]) -> None:
    counter = Counter()
    edges.watch(pipe[0], counter, reading=True)
    edges.dispatch()
    assert counter.news == 0
    for expected in (1, 2):
        os.write(pipe[1], b"x")
        edges.dispatch()
        edges.dispatch()
        assert counter.news == expected


def test_what_is_ready_already_counts(edges: HostEdges, pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"x")
    counter = Counter()
    edges.watch(pipe[0], counter, reading=True)
    edges.dispatch()
    assert counter.news == 1


def test_only_those_who_want_to_know(edges: HostEdges) -> None:
    import socket

    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader, writer = Counter(), Counter()
        edges.watch(ours.fileno(), writer, writing=True)
        edges.dispatch()
        assert writer.news == 1
        edges.watch(ours.fileno(), reader, reading=True)
        edges.dispatch()
        assert reader.news == 0
        edges.forget(ours.fileno(), writer)
        theirs.send(b"x")
        edges.dispatch()
        assert reader.news == 1
        edges.forget(ours.fileno(), reader)
        edges.forget(ours.fileno(), reader)
        assert not edges._watched


def test_regular_files_are_refused(edges: HostEdges, tmp_path: os.PathLike[str]) -> None:
    fd = os.open(os.path.join(tmp_path, "file"), os.O_CREAT | os.O_RDWR)
    with pytest.raises(PermissionError):
        edges.watch(fd, Counter(), reading=True)
    assert not edges._watched
    os.close(fd)


def test_the_loop_hears_of_the_poller_once(pipe: tuple[int, int]) -> None:
    opened: list[int] = []
    edges = HostEdges(opened.append)
    assert opened == []
    edges.watch(pipe[0], Counter(), reading=True)
    edges.watch(pipe[1], Counter(), writing=True)
    assert len(opened) == 1
    assert is_readable(opened[0])
    edges.dispatch()
    assert not is_readable(opened[0])
    edges.close()
    edges.close()


# -- the host's own -------------------------------------------------------------------------------------------


def test_an_edge_poller_changes_its_mind(pipe: tuple[int, int]) -> None:
    poller = EdgePoller()
    poller.watch(pipe[1], reading=True, writing=False, is_new=True)
    assert poller.ready() == []
    poller.watch(pipe[1], reading=False, writing=True, is_new=False)
    assert poller.ready() == [(pipe[1], False, True)]
    poller.forget(pipe[1])
    assert poller.ready() == []
    poller.close()


def test_a_timer_becomes_readable_in_time() -> None:
    timer = HostTimer()
    deadline_ns = time.monotonic_ns() + 3_000_000
    timer.set(deadline_ns)
    assert is_readable(timer.fileno(), 200)
    assert time.monotonic_ns() >= deadline_ns
    timer.acknowledge()
    assert not is_readable(timer.fileno())
    timer.acknowledge()
    timer.set(0)  # long ago
    assert is_readable(timer.fileno(), 200)
    timer.set(time.monotonic_ns() + 10**12)
    assert not is_readable(timer.fileno())
    timer.close()


def test_nobody_sets_the_clock() -> None:
    watch = ClockWatch()
    assert not is_readable(watch.fileno())
    assert not watch.acknowledge()
    watch.close()


@pytest.mark.skipif(sys.platform == "darwin", reason="tells of kqueues instead")
def test_the_other_host_can_be_imported() -> None:
    from aionoah.host import darwin_events

    assert {"HostTimer", "ClockWatch", "EdgePoller"} <= vars(darwin_events).keys()
