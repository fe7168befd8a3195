"""flock and record locks."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import AT_FDCWD, LCK, LOCK, SEEK, F, Flock, O
from aionoah.process.descriptors import DescriptorTable
from aionoah.syscalls.results import Suspended

HERE = AT_FDCWD
WILD = 8


def again(k: Any, flags: int = O.RDWR) -> int:
    """The file, opened once more."""
    return int(k.call("openat", HERE, b"file", flags, 0))


def record(
    k: Any, kind: int = LCK.WRLCK, start: int = 0, length: int = 0, whence: int = SEEK.SET, pid: int = 0
) -> int:
    return int(k.put(Flock(kind, whence, start, length, pid).pack()))


def test_flock(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        one = make(k, b"file")
        two, copy = again(k), k.call("dup", one)
        for fd, operation in (
            *((one, LOCK.SH), (two, LOCK.SH), (one, LOCK.EX | LOCK.NB), (two, LOCK.UN), (one, LOCK.EX)),
            *((copy, LOCK.EX | LOCK.NB), (two, LOCK.SH | LOCK.NB), (copy, LOCK.UN), (two, LOCK.EX | LOCK.NB)),
        ):
            yield k.call("flock", fd, operation)
        for operation in (0, LOCK.NB, LOCK.SH | LOCK.EX, 16, 32):
            yield k.call("flock", one, operation), k.call("flock", 999, operation)
        yield k.call("flock", 999, LOCK.UN), k.call("flock", again(k, O.PATH), LOCK.SH)

    same(script)


def test_a_lock_ends_with_the_last_descriptor(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        one = make(k, b"file")
        two, copy = again(k), k.call("dup", one)
        yield k.call("flock", one, LOCK.EX), k.call("close", one)
        yield k.call("flock", two, LOCK.EX | LOCK.NB), k.call("close", copy)
        yield k.call("flock", two, LOCK.EX | LOCK.NB)

    same(script)


def test_waiting_for_a_flock(guest: Any, make: Callable[..., int]) -> None:
    one = make(guest, b"file")
    two = again(guest)
    guest.call("flock", one, LOCK.SH)
    sleeping = guest.start("flock", two, LOCK.EX)
    assert isinstance(sleeping, Suspended)
    assert guest.call("flock", one, LOCK.UN) == 0
    assert sleeping.waiter.is_woken
    assert guest.resume(sleeping) == 0
    assert guest.call("flock", one, LOCK.SH | LOCK.NB) is Errno.EAGAIN


def test_description_locks(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        one = make(k, b"file", b"0123456789")
        two = again(k)

        def lock(fd: int, *what: int) -> Any:
            return k.call("fcntl", fd, F.OFD_SETLK, record(k, *what))

        def query(fd: int, *what: int) -> Any:
            address = record(k, *what)
            return k.call("fcntl", fd, F.OFD_GETLK, address), k.get(address, 28)

        yield lock(one, LCK.WRLCK, 10, 20), lock(two, LCK.RDLCK, 0, 10), lock(two, LCK.RDLCK, 5, 6)
        yield (
            query(two, LCK.WRLCK),
            query(one, LCK.WRLCK),
            query(one, LCK.RDLCK),
            query(two, LCK.RDLCK, 30, 1),
        )
        yield query(one, LCK.UNLCK), query(two, LCK.UNLCK, 0, 5), query(two, LCK.UNLCK, 20, 5)
        yield lock(one, LCK.UNLCK, 15, 5), lock(two, LCK.WRLCK, 15, 5), lock(two, LCK.WRLCK, 14, 1)
        yield query(two, LCK.WRLCK), query(one, LCK.WRLCK)
        yield lock(one, LCK.RDLCK, 0, 0), lock(one, LCK.RDLCK, 20, 0), query(two, LCK.WRLCK, 25, 1)
        yield lock(one, LCK.WRLCK, -2, 1, SEEK.END), query(two, LCK.WRLCK, 8, 1)
        yield k.call("close", one), lock(two, LCK.WRLCK)

    same(script)


def test_process_locks_never_meet_their_own(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        one = make(k, b"file")
        two = again(k)
        yield k.call("fcntl", one, F.SETLK, record(k)), k.call("fcntl", two, F.SETLKW, record(k))
        address = record(k, pid=3)
        yield k.call("fcntl", two, F.GETLK, address), k.get(address, 28)
        yield k.call("fcntl", two, F.OFD_SETLK, record(k)), k.call("close", two)
        yield k.call("fcntl", again(k), F.OFD_SETLK, record(k))

    same(script)


def test_closing_any_descriptor_ends_process_locks(guest: Any, make: Callable[..., int]) -> None:
    one = make(guest, b"file")
    two, reader = again(guest), again(guest, O.RDONLY)
    assert guest.call("fcntl", one, F.SETLK, record(guest, LCK.WRLCK, 5, 5)) == 0
    assert guest.call("fcntl", two, F.OFD_SETLK, record(guest, LCK.WRLCK, 9, 1)) is Errno.EAGAIN
    address = record(guest)
    assert guest.call("fcntl", two, F.OFD_GETLK, address) == 0
    found = Flock.unpack(guest.get(address, Flock.SIZE))
    assert (found.type, found.start, found.len, found.pid) == (LCK.WRLCK, 5, 5, guest.task.process.pid)
    assert guest.call("close", reader) == 0
    assert guest.call("fcntl", two, F.OFD_SETLK, record(guest, LCK.WRLCK, 9, 1)) == 0


def test_another_process_is_in_the_way_and_waits(guest: Any, make: Callable[..., int]) -> None:
    fd = make(guest, b"file")
    first = guest.task.files
    assert guest.call("fcntl", fd, F.SETLK, record(guest)) == 0
    guest.task.files = first.fork()
    assert guest.call("fcntl", fd, F.SETLK, record(guest)) is Errno.EAGAIN
    sleeping = guest.start("fcntl", fd, F.SETLKW, record(guest))
    assert isinstance(sleeping, Suspended)
    first.close(fd)
    assert sleeping.waiter.is_woken
    assert guest.resume(sleeping) == 0


def test_a_descriptor_that_is_closed_while_waiting(guest: Any, make: Callable[..., int]) -> None:
    fd = make(guest, b"file")
    other: DescriptorTable = guest.task.files.fork()
    guest.call("fcntl", fd, F.SETLK, record(guest))
    guest.task.files, first = other, guest.task.files
    sleeping = guest.start("fcntl", fd, F.SETLKW, record(guest))
    assert isinstance(sleeping, Suspended)
    other.close(fd)
    first.close(fd)
    assert guest.resume(sleeping) is Errno.EBADF


@pytest.mark.parametrize("command", [F.SETLK, F.GETLK, F.OFD_SETLK, F.OFD_GETLK])
def test_refused_locks(same: Any, make: Callable[..., int], command: int) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = make(k, b"file", b"0123456789")
        k.call("lseek", fd, 4, SEEK.SET)
        big = (1 << 63) - 1
        for kind in (LCK.RDLCK, LCK.WRLCK, 7):
            for start, length, whence in (
                *((-1, 0, 0), (5, -6, 0), (5, -5, 0), (big, 1, 0), (big, 2, 0), (big, 0, 1)),
                *((-5, 1, 1), (-4, 1, 1), (-11, 1, 2), (0, 0, 3), (0, 0, -1)),
            ):
                yield (
                    kind,
                    start,
                    length,
                    whence,
                    k.call("fcntl", fd, command, record(k, kind, start, length, whence)),
                )
        yield k.call("fcntl", fd, command, WILD), k.call("fcntl", 999, command, WILD)
        for flags in (O.RDONLY, O.WRONLY, O.PATH):
            other = again(k, flags)
            yield [k.call("fcntl", other, command, record(k, kind)) for kind in (LCK.RDLCK, LCK.WRLCK)]

    same(script)


def test_description_locks_take_no_pid(same: Any, make: Callable[..., int]) -> None:
    def script(k: Any) -> Iterator[Any]:
        fd = make(k, b"file")
        for command in (F.OFD_SETLK, F.OFD_GETLK, F.SETLK):
            yield k.call("fcntl", fd, command, record(k, pid=1))

    same(script)
