"""poll, ppoll, select, pselect6."""

from collections.abc import Callable, Iterator
from struct import pack, unpack
from time import monotonic_ns
from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import AT_FDCWD, O
from aionoah.abi.poll import Poll
from aionoah.abi.signal import SIG, signal_bit
from aionoah.signals.generate import send_to_task
from aionoah.signals.info import from_user
from aionoah.syscalls.results import Suspended

HERE = AT_FDCWD
WILD = 8
ALL = Poll.IN | Poll.PRI | Poll.OUT | Poll.RDNORM | Poll.RDBAND | Poll.WRNORM | Poll.WRBAND | Poll.RDHUP
MASK = signal_bit(SIG.USR1)


def new_pipe(k: Any) -> tuple[int, int]:
    fds = k.space(8)
    assert k.call("pipe2", fds, 0) == 0
    data = k.get(fds, 8)
    return int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")


def poll_array(k: Any, *entries: tuple[int, int]) -> int:
    return int(k.put(b"".join(pack("<ihh", fd, events, 0x7777) for fd, events in entries)))


def revents(k: Any, address: int, count: int) -> list[int]:
    return [unpack("<ihH", k.get(address + 8 * index, 8))[2] for index in range(count)]


def timespec(k: Any, seconds: int, nanoseconds: int) -> int:
    return int(k.put(pack("<qq", seconds, nanoseconds)))


# -- poll -------------------------------------------------------------------------------------------------


def test_readiness(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        empty, full, broken, ended = (new_pipe(k) for _ in range(4))
        k.call("write", full[1], k.put(b"x"), 1)
        k.call("close", broken[0])
        k.call("close", ended[1])
        events = [k.call("eventfd2", count, 0) for count in (0, 1)]
        make(k, b"file")
        files = [k.call("openat", HERE, b"file", flags, 0) for flags in (O.RDWR, O.RDONLY, O.PATH)]
        fds = [*empty, *full, broken[1], ended[0], *events, *files, 999, -1, -2]
        for wanted in (ALL, Poll.IN, Poll.OUT, 0):
            array = poll_array(k, *((fd, wanted) for fd in fds))
            yield k.call("ppoll", array, len(fds), timespec(k, 0, 0), None, 0), revents(k, array, len(fds))
            for fd in fds:
                array = poll_array(k, (fd, wanted))
                yield k.call("ppoll", array, 1, timespec(k, 0, 0), None, 0), revents(k, array, 1)

    same(script)


def test_refused_polls(same: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        array, zero = poll_array(k, (-1, 1)), timespec(k, 0, 0)
        yield k.call("ppoll", WILD, 1, zero, None, 0), k.call("ppoll", WILD, 0, zero, None, 0)
        yield k.call("ppoll", array, 1 << 31, zero, None, 0)
        for seconds, nanoseconds in ((-1, 0), (0, -1), (0, 1_000_000_000)):
            yield k.call("ppoll", array, 1, timespec(k, seconds, nanoseconds), None, 0)
        yield k.call("ppoll", array, 1, WILD, None, 0), k.call("ppoll", array, 1, zero, k.space(8), 4)
        yield k.call("ppoll", array, 1, zero, WILD, 8), k.call("ppoll", array, 1, zero, k.space(8), 8)

    same(script)


def test_sleeping_until_one_is_ready(guest: Any) -> None:
    reader, writer = new_pipe(guest)
    counter = guest.call("eventfd2", 0, 0)
    array = poll_array(guest, (reader, Poll.IN), (counter, Poll.IN), (999, Poll.IN))
    assert guest.call("poll", array, 3, -1) == 1  # a descriptor that is not open ends the wait
    sleeping = guest.start("poll", array, 2, -1)
    assert isinstance(sleeping, Suspended)
    assert sleeping.waiter.deadline_ns is None
    guest.call("write", writer, guest.put(b"x"), 1)
    assert sleeping.waiter.is_woken
    assert guest.resume(sleeping) == 1
    assert revents(guest, array, 2) == [Poll.IN, 0]


def test_a_timeout(guest: Any) -> None:
    reader, _ = new_pipe(guest)
    array = poll_array(guest, (reader, Poll.IN))
    assert guest.call("poll", array, 1, 0) == 0
    before = monotonic_ns()
    sleeping = guest.start("poll", array, 1, 1000)
    assert isinstance(sleeping, Suspended)
    deadline_ns = sleeping.waiter.deadline_ns
    assert before + 1_000_000_000 <= deadline_ns <= monotonic_ns() + 1_000_000_000
    sleeping.coroutine.close()
    sleeping = guest.start("poll", None, 0, 1)
    while isinstance(sleeping, Suspended):  # spurious wake-ups until the time has passed
        sleeping = guest.resume(sleeping)
    assert sleeping == 0


def test_files_live_on_while_they_are_watched(guest: Any) -> None:
    reader, writer = new_pipe(guest)
    sleeping = guest.start("poll", poll_array(guest, (reader, Poll.IN)), 1, -1)
    assert isinstance(sleeping, Suspended)
    guest.call("close", reader)
    assert guest.call("write", writer, guest.put(b"x"), 1) == 1
    assert guest.resume(sleeping) == 1
    assert guest.call("write", writer, guest.put(b"x"), 1) is Errno.EPIPE


def interrupted(guest: Any, sleeping: Suspended) -> Errno:
    with pytest.raises(LinuxError) as caught:
        guest.resume(sleeping, LinuxError(Errno.ERESTARTSYS))
    return caught.value.errno


def test_a_signal_ends_the_wait(guest: Any) -> None:
    reader, _ = new_pipe(guest)
    array = poll_array(guest, (reader, Poll.IN))
    sleeping = guest.start("poll", array, 1, -1)
    assert isinstance(sleeping, Suspended)
    assert interrupted(guest, sleeping) is Errno.ERESTART_RESTARTBLOCK
    assert revents(guest, array, 1) == [0x7777]


def test_after_a_stop_the_time_that_was_left_counts(guest: Any) -> None:
    """A poll that was begun anew each time would never end."""
    reader, writer = new_pipe(guest)
    array = poll_array(guest, (reader, Poll.IN))
    sleeping = guest.start("poll", array, 1, 1000)
    deadline_ns = sleeping.waiter.deadline_ns
    assert interrupted(guest, sleeping) is Errno.ERESTART_RESTARTBLOCK
    again = guest.start("restart_syscall")
    assert again.waiter.deadline_ns == deadline_ns
    assert guest.call("write", writer, guest.put(b"x"), 1) == 1
    assert guest.resume(again) == 1


def test_a_mask_for_the_wait(guest: Any) -> None:
    signals = guest.task.signals
    signals.set_mask(MASK)
    reader, _ = new_pipe(guest)
    array = poll_array(guest, (reader, Poll.IN))
    sleeping = guest.start("ppoll", array, 1, None, guest.put(bytes(8)), 8)
    assert isinstance(sleeping, Suspended)
    assert (signals.mask, signals.saved_mask) == (0, MASK)
    assert interrupted(guest, sleeping) is Errno.ERESTARTNOHAND
    assert signals.saved_mask == MASK  # whoever delivers the signal puts it back


def test_the_mask_comes_back_with_a_result(guest: Any) -> None:
    signals = guest.task.signals
    signals.set_mask(MASK)
    _, writer = new_pipe(guest)
    array = poll_array(guest, (writer, Poll.OUT))
    assert guest.call("ppoll", array, 1, None, guest.put(bytes(8)), 8) == 1
    assert (signals.mask, signals.saved_mask) == (MASK, None)


def test_a_signal_that_was_blocked_until_now(guest: Any) -> None:
    signals = guest.task.signals
    signals.set_mask(MASK)
    send_to_task(guest.task, from_user(SIG.USR1, 1, 0))
    reader, writer = new_pipe(guest)
    ready, waiting = poll_array(guest, (writer, Poll.OUT)), poll_array(guest, (reader, Poll.IN))
    assert guest.call("ppoll", ready, 1, None, guest.put(bytes(8)), 8) == 1
    with pytest.raises(LinuxError) as caught:
        guest.start("ppoll", waiting, 1, None, guest.put(bytes(8)), 8)
    assert caught.value.errno is Errno.ERESTARTNOHAND


@pytest.mark.parametrize("call", ["poll", "select"])
def test_a_signal_comes_before_the_end_of_no_time(guest: Any, call: str) -> None:
    reader, writer = new_pipe(guest)
    send_to_task(guest.task, from_user(SIG.USR1, 1, 0))

    def start(fd: int, wanted: Poll) -> Any:
        if call == "poll":
            return guest.start("ppoll", poll_array(guest, (fd, wanted)), 1, timespec(guest, 0, 0), None, 0)
        fds = guest.put(pack("<Q", 1 << fd))
        sets = (fds, None) if wanted is Poll.IN else (None, fds)
        return guest.start("pselect6", fd + 1, *sets, None, timespec(guest, 0, 0), None)

    with pytest.raises(LinuxError) as caught:
        start(reader, Poll.IN)
    assert caught.value.errno is Errno.ERESTARTNOHAND
    assert start(writer, Poll.OUT) == 1


def test_what_is_left_of_the_time(guest: Any) -> None:
    reader, writer = new_pipe(guest)
    timeout = timespec(guest, 100, 0)
    sleeping = guest.start("ppoll", poll_array(guest, (reader, Poll.IN)), 1, timeout, None, 0)
    assert isinstance(sleeping, Suspended)
    guest.call("write", writer, guest.put(b"x"), 1)
    assert guest.resume(sleeping) == 1
    seconds, nanoseconds = unpack("<qq", guest.get(timeout, 16))
    assert 0 < seconds * 1_000_000_000 + nanoseconds < 100_000_000_000


# -- select -----------------------------------------------------------------------------------------------


def bits(k: Any, *fds: int) -> int:
    return int(k.put(sum(1 << fd for fd in fds).to_bytes(128, "little")))


def members(k: Any, address: int, fds: list[int]) -> list[bool]:
    """Which of the descriptors are in the set."""
    word = int.from_bytes(k.get(address, 128), "little")
    return [bool(word >> fd & 1) for fd in fds]


def test_three_sets(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        empty, full, broken, ended = (new_pipe(k) for _ in range(4))
        k.call("write", full[1], k.put(b"x"), 1)
        k.call("close", broken[0])
        k.call("close", ended[1])
        fds = [*empty, *full, broken[1], ended[0], k.call("eventfd2", 1, 0), make(k, b"file")]
        sets = [bits(k, *fds) for _ in range(3)]
        yield k.call("pselect6", max(fds) + 1, *sets, timespec(k, 0, 0), None)
        yield [members(k, address, fds) for address in sets]
        one = bits(k, *fds)
        yield k.call("pselect6", max(fds) + 1, None, one, None, timespec(k, 0, 0), None), members(k, one, fds)

    same(script)


def test_refused_selects(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd, zero = make(k, b"file"), timespec(k, 0, 0)
        path = k.call("openat", HERE, b"file", O.PATH, 0)
        yield k.call("pselect6", -1, None, None, None, zero, None)
        closed = k.call("dup", fd)
        k.call("close", closed)
        yield k.call("pselect6", closed + 1, bits(k, closed), None, None, zero, None)
        yield k.call("pselect6", path + 1, bits(k, path), None, None, zero, None)
        yield k.call("pselect6", fd, bits(k, fd), None, None, zero, None)
        yield (
            k.call("pselect6", 64, WILD, None, None, zero, None),
            k.call("pselect6", 0, WILD, None, None, zero, None),
        )
        yield k.call("pselect6", 64, bits(k), None, k.edge - 4, zero, None)
        yield k.call("pselect6", 0, None, None, None, timespec(k, 0, -1), None)
        yield k.call("pselect6", 0, None, None, None, zero, WILD)
        yield k.call("pselect6", 0, None, None, None, zero, k.put(pack("<QQ", WILD, 8)))
        yield k.call("pselect6", 0, None, None, None, zero, k.put(pack("<QQ", WILD, 4)))
        yield k.call("pselect6", 0, None, None, None, zero, k.put(pack("<QQ", 0, 4)))

    same(script)


def test_the_older_select(guest: Any) -> None:
    reader, writer = new_pipe(guest)
    ready, timeout = bits(guest, reader), guest.put(pack("<qq", 100, 1_500_000))
    before = monotonic_ns()
    sleeping = guest.start("select", writer + 1, ready, None, None, timeout)
    assert isinstance(sleeping, Suspended)
    assert sleeping.waiter.deadline_ns - before >= 101_500_000_000
    guest.call("write", writer, guest.put(b"x"), 1)
    assert guest.resume(sleeping) == 1
    assert members(guest, ready, [reader, writer]) == [True, False]
    seconds, microseconds = unpack("<qq", guest.get(timeout, 16))
    assert 0 < seconds <= 101
    assert microseconds < 1_000_000
    assert guest.call("select", 0, None, None, None, guest.put(pack("<qq", 0, -1))) is Errno.EINVAL


def test_descriptors_beyond_the_table_are_not_looked_at(guest: Any) -> None:
    assert guest.call("select", 1024, bits(guest, 1000), None, None, guest.put(bytes(16))) == 0
    assert guest.call("select", 1024, bits(guest, 63), None, None, guest.put(bytes(16))) is Errno.EBADF
