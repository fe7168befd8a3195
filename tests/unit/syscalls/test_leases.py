"""Leases, as the program that has one and those in its way see them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import AT_FDCWD, LCK, F, O
from aionoah.abi.signal import SIG
from aionoah.fs import leases
from aionoah.fs.leases import LEASES
from aionoah.syscalls.results import Suspended

HERE = AT_FDCWD
SECOND_NS = 1_000_000_000


def opened(kernel: Any, flags: int) -> Any:
    return kernel.call("openat", HERE, b"file", flags, 0)


@pytest.fixture
def holder(guest: Any, make: Callable[..., int]) -> int:
    """A descriptor that has a read lease."""
    guest.call("close", make(guest, b"file", b"text"))
    fd = opened(guest, O.RDONLY)
    assert guest.call("fcntl", fd, F.SETLEASE, LCK.RDLCK) == 0
    return int(fd)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The time as leases see it, in nanoseconds."""
    now = [SECOND_NS]
    monkeypatch.setattr(leases, "monotonic_ns", lambda: now[0])
    monkeypatch.setattr("aionoah.host.application.monotonic_ns", lambda: now[0])
    return now


def test_who_may_have_one(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        writer = make(k, b"file")
        reader = opened(k, O.RDONLY)
        for kind in (LCK.RDLCK, LCK.WRLCK, LCK.UNLCK, 3, -1, 1 << 32 | LCK.WRLCK):
            yield [k.call("fcntl", fd, F.SETLEASE, kind) for fd in (writer, reader)]
        k.call("close", reader)
        for kind in (LCK.RDLCK, LCK.WRLCK, LCK.RDLCK, LCK.UNLCK, LCK.UNLCK):
            yield k.call("fcntl", writer, F.SETLEASE, kind), k.call("fcntl", writer, F.GETLEASE, 0)
        k.call("close", writer)
        readers = [opened(k, O.RDONLY), opened(k, O.RDONLY)]
        for kind in (LCK.RDLCK, LCK.WRLCK):
            yield [k.call("fcntl", fd, F.SETLEASE, kind) for fd in readers]
        k.call("close", opened(k, O.RDONLY))
        k.call("close", readers[0])
        yield k.call("fcntl", readers[1], F.SETLEASE, LCK.WRLCK)

    same(script)


def test_what_is_held_by_a_mapping_or_only_named(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        k.call("close", make(k, b"file", bytes(4096)))
        fd = opened(k, O.RDWR)
        address = k.call("mmap", None, 4096, 3, 1, fd, 0)
        k.call("close", fd)
        fd = opened(k, O.RDONLY)
        yield k.call("fcntl", fd, F.SETLEASE, LCK.RDLCK)
        k.call("munmap", address, 4096)
        opened(k, O.PATH)
        yield k.call("fcntl", fd, F.SETLEASE, LCK.WRLCK)

    same(script)


def test_who_does_not_want_to_wait(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        k.call("close", make(k, b"file", b"text"))
        fd = opened(k, O.RDONLY)
        k.call("fcntl", fd, F.SETSIG, 0)
        k.call("fcntl", fd, F.SETLEASE, LCK.WRLCK)
        k.call("fcntl", fd, F.SETOWN, 0)
        yield opened(k, O.RDONLY | O.NONBLOCK), k.call("fcntl", fd, F.GETLEASE, 0)
        yield opened(k, O.WRONLY | O.NONBLOCK), k.call("fcntl", fd, F.GETLEASE, 0)
        yield k.call("fcntl", fd, F.SETLEASE, LCK.RDLCK), k.call("fcntl", fd, F.GETLEASE, 0)
        yield opened(k, O.WRONLY | O.NONBLOCK), k.call("fcntl", fd, F.SETLEASE, LCK.WRLCK)
        yield k.call("fcntl", fd, F.SETLEASE, LCK.UNLCK), k.call("fcntl", fd, F.GETLEASE, 0)

    same(script)


@pytest.mark.parametrize("call", ["open", "truncate"])
def test_an_opener_waits_for_the_end(guest: Any, holder: int, call: str) -> None:
    if call == "open":
        waiting = guest.start("openat", HERE, b"file", O.WRONLY | O.TRUNC, 0)
    else:
        waiting = guest.start("truncate", b"file", 0)
    assert isinstance(waiting, Suspended)
    assert guest.task.signals.all_pending & 1 << (SIG.IO - 1)
    assert guest.call("fcntl", holder, F.GETLEASE, 0) == LCK.UNLCK
    assert guest.call("fcntl", holder, F.SETLEASE, LCK.WRLCK) is Errno.EAGAIN
    assert not waiting.waiter.is_woken
    size = guest.space(256)
    guest.call("fstat", holder, size)
    assert int.from_bytes(guest.get(size + 48, 8), "little") == 4
    assert guest.call("fcntl", holder, F.SETLEASE, LCK.UNLCK) == 0
    assert waiting.waiter.is_woken
    assert not isinstance(guest.resume(waiting), (Errno, Suspended))
    assert guest.call("pread64", holder, size, 4, 0) == 0


def test_a_holder_who_closes_gives_way(guest: Any, holder: int) -> None:
    waiting = guest.start("openat", HERE, b"file", O.WRONLY, 0)
    guest.call("close", holder)
    assert waiting.waiter.is_woken
    assert isinstance(guest.resume(waiting), int)
    assert not LEASES


def test_a_signal_ends_the_sleep_but_not_what_the_holder_has_to_do(guest: Any, holder: int) -> None:
    waiting = guest.start("openat", HERE, b"file", O.WRONLY, 0)
    with pytest.raises(LinuxError) as raised:
        guest.resume(waiting, LinuxError(Errno.ERESTARTSYS))
    assert raised.value.errno is Errno.ERESTARTSYS
    assert guest.call("fcntl", holder, F.GETLEASE, 0) == LCK.UNLCK
    (where,) = LEASES.values()
    assert not where.openers


def test_who_is_too_slow_loses_it(guest: Any, holder: int, clock: list[int]) -> None:
    guest.task.kernel.lease_limits.break_time = 5
    waiting = guest.start("openat", HERE, b"file", O.WRONLY, 0)
    assert waiting.waiter.deadline_ns == clock[0] + 5 * SECOND_NS
    clock[0] += 4 * SECOND_NS
    waiting = guest.resume(waiting)
    assert isinstance(waiting, Suspended)
    clock[0] += SECOND_NS
    assert isinstance(guest.resume(waiting), int)
    assert guest.call("fcntl", holder, F.GETLEASE, 0) == LCK.UNLCK
    assert guest.call("fcntl", holder, F.SETLEASE, LCK.UNLCK) is Errno.EAGAIN


def test_a_slow_writer_keeps_a_read_lease_when_somebody_reads(
    guest: Any, holder: int, clock: list[int]
) -> None:
    assert guest.call("fcntl", holder, F.SETLEASE, LCK.WRLCK) == 0
    waiting = guest.start("openat", HERE, b"file", O.RDONLY, 0)
    clock[0] += guest.task.kernel.lease_limits.break_time * SECOND_NS
    assert isinstance(guest.resume(waiting), int)
    assert guest.call("fcntl", holder, F.GETLEASE, 0) == LCK.RDLCK


def test_without_a_time_holders_have_for_ever(guest: Any, holder: int) -> None:
    guest.task.kernel.lease_limits.break_time = 0
    waiting = guest.start("openat", HERE, b"file", O.WRONLY, 0)
    assert waiting.waiter.deadline_ns is None
    assert guest.call("fcntl", holder, F.SETLEASE, LCK.UNLCK) == 0
    assert isinstance(guest.resume(waiting), int)


def test_there_may_be_none(guest: Any, make: Callable[..., int]) -> None:
    guest.task.kernel.lease_limits.are_enabled = 0
    fd = make(guest, b"file")
    assert guest.call("fcntl", fd, F.SETLEASE, LCK.WRLCK) is Errno.EINVAL
    assert not LEASES


def test_somebody_elses_file(same_in_child: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = make(k, b"file")
        k.call("setresuid", 1000, 1000, 1000)
        yield k.call("fcntl", fd, F.SETLEASE, LCK.WRLCK), k.call("fcntl", fd, F.SETLEASE, 9)

    same_in_child(script)
