"""epoll calls, side by side with the host's kernel; and how they sleep."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import aionoah.syscalls.epoll
from aionoah.abi.epoll import EPOLL_CLOEXEC, EPOLL_CTL, Epoll
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import F
from aionoah.abi.poll import Poll
from aionoah.abi.signal import SIG, signal_bit
from aionoah.signals.info import from_user
from aionoah.syscalls.results import Suspended

ADD, DEL, MOD = EPOLL_CTL.ADD, EPOLL_CTL.DEL, EPOLL_CTL.MOD
WILD = 8
WORD = (1 << 64) - 1


def event(kernel: Any, events: int, data: int = 7) -> int:
    return int(kernel.put(kernel.architecture.epoll_event_struct(events, data).pack()))


def found(kernel: Any, address: int, count: Any) -> list[tuple[int, int]]:
    kind = kernel.architecture.epoll_event_struct
    data = kernel.get(address, kind.SIZE * 4)
    if not isinstance(count, int) or count > 4:
        return [count]
    entries = [kind.unpack(data, kind.SIZE * index) for index in range(count)]
    return [(entry.events, entry.data) for entry in entries]


def test_making_and_waiting(same: Callable[[Any], None]) -> None:
    def script(kernel: Any) -> Iterator[Any]:
        epoll, counter, room = (
            kernel.call("epoll_create1", 0),
            kernel.call("eventfd2", 1, 0),
            kernel.space(64),
        )
        yield kernel.call("epoll_wait", epoll, room, 4, 0)
        yield kernel.call("epoll_ctl", epoll, ADD, counter, event(kernel, Poll.IN | Poll.OUT, 1 << 63))
        yield found(kernel, room, kernel.call("epoll_wait", epoll, room, 4, 0))
        yield kernel.call("epoll_ctl", epoll, MOD, counter, event(kernel, Poll.OUT | Epoll.ONESHOT, 2))
        for name, *more in (("epoll_pwait", -1, 0, 8), ("epoll_pwait2", kernel.put(bytes(16)), 0, 8)):
            yield found(kernel, room, kernel.call(name, epoll, room, 4, *more))
        yield kernel.call("epoll_ctl", epoll, DEL, counter, WILD)
        yield kernel.call("epoll_ctl", epoll, DEL, counter, 0)

    same(script)


def test_errors_of_making(same: Callable[[Any], None]) -> None:
    def script(kernel: Any) -> Iterator[Any]:
        yield kernel.call("epoll_create", 0)
        yield kernel.call("epoll_create", -1)
        yield isinstance(kernel.call("epoll_create", 1), Errno)
        yield kernel.call("epoll_create1", 1)
        yield kernel.call("fcntl", kernel.call("epoll_create1", EPOLL_CLOEXEC), F.GETFD)
        yield kernel.call("fcntl", kernel.call("epoll_create1", 0), F.GETFD)

    same(script)


def test_errors_of_changing(same: Callable[[Any], None], make: Callable[..., int]) -> None:
    def script(kernel: Any) -> Iterator[Any]:
        epoll, counter = kernel.call("epoll_create1", 0), kernel.call("eventfd2", 1, 0)
        wanted, file = event(kernel, Poll.IN), make(kernel, b"file")
        for fd in (file, 999, epoll):
            yield kernel.call("epoll_ctl", epoll, ADD, fd, wanted)
        for operation in (MOD, DEL, 0, 99):
            yield kernel.call("epoll_ctl", epoll, operation, counter, wanted)
        yield kernel.call("epoll_ctl", counter, ADD, epoll, wanted)
        yield kernel.call("epoll_ctl", 999, ADD, counter, wanted)
        yield kernel.call("epoll_ctl", 999, ADD, counter, WILD)
        yield kernel.call("epoll_ctl", epoll, ADD, counter, WILD)
        for _ in range(2):
            yield kernel.call("epoll_ctl", epoll, ADD, counter, wanted)
        yield kernel.call("epoll_ctl", epoll, MOD, counter, event(kernel, Poll.IN | Epoll.EXCLUSIVE))

    same(script)


def test_errors_of_waiting(same: Callable[[Any], None]) -> None:
    def script(kernel: Any) -> Iterator[Any]:
        epoll, counter, room = (
            kernel.call("epoll_create1", 0),
            kernel.call("eventfd2", 1, 0),
            kernel.space(64),
        )
        yield kernel.call("epoll_ctl", epoll, ADD, counter, event(kernel, Poll.IN | Epoll.ET))
        for most in (0, -1, 0x7FFF_FFFF):
            yield kernel.call("epoll_wait", epoll, room, most, 0)
        for address in (WILD, 0, 1 << 63, kernel.edge):
            yield kernel.call("epoll_wait", epoll, address, 1, 0)
        yield found(kernel, room, kernel.call("epoll_wait", epoll, room, 4, 0))  # nothing has been lost
        for fd in (counter, 999):
            yield kernel.call("epoll_wait", fd, room, 4, 0)
        yield kernel.call("epoll_pwait", epoll, room, 4, 0, kernel.space(8), 4)
        yield kernel.call("epoll_pwait", epoll, room, 4, 0, WILD, 8)
        yield kernel.call("epoll_pwait2", epoll, room, 4, WILD, 0, 8)
        bad = (1).to_bytes(8, "little") + (10**9).to_bytes(8, "little")
        yield kernel.call("epoll_pwait2", epoll, room, 4, kernel.put(bad), 0, 8)

    same(script)


# -- sleeping -------------------------------------------------------------------------------------------------


@pytest.fixture
def armed(guest: Any) -> tuple[int, int, int]:
    """An epoll descriptor that waits for a counter, the counter, and room for an event."""
    epoll, counter = guest.call("epoll_create1", 0), guest.call("eventfd2", 0, 0)
    assert guest.call("epoll_ctl", epoll, ADD, counter, event(guest, Poll.IN)) == 0
    return epoll, counter, guest.space(64)


def sleeping(result: Any) -> Suspended:
    assert isinstance(result, Suspended)
    return result


def put(guest: Any, counter: int) -> None:
    assert guest.call("write", counter, guest.put((1).to_bytes(8, "little")), 8) == 8


def test_an_event_wakes(guest: Any, armed: tuple[int, int, int]) -> None:
    epoll, counter, room = armed
    call = sleeping(guest.start("epoll_wait", epoll, room, 4, -1))
    assert call.waiter.deadline_ns is None
    put(guest, counter)
    assert call.waiter.is_woken
    assert guest.resume(call) == 1
    assert found(guest, room, 1) == [(Poll.IN, 7)]


def test_whoever_is_interrupted_wakes_the_next(guest: Any, armed: tuple[int, int, int]) -> None:
    epoll, counter, room = armed
    first = sleeping(guest.start("epoll_wait", epoll, room, 4, -1))
    second = sleeping(guest.start("epoll_wait", epoll, room, 4, -1))
    put(guest, counter)
    assert (first.waiter.is_woken, second.waiter.is_woken) == (True, False)
    assert guest.resume(first, LinuxError(Errno.ERESTARTSYS)) is Errno.EINTR
    assert second.waiter.is_woken
    assert guest.resume(second) == 1


def test_a_closed_call_wakes_the_next(guest: Any, armed: tuple[int, int, int]) -> None:
    epoll, counter, room = armed
    first = sleeping(guest.start("epoll_wait", epoll, room, 4, -1))
    second = sleeping(guest.start("epoll_wait", epoll, room, 4, -1))
    put(guest, counter)
    first.coroutine.close()
    assert second.waiter.is_woken
    second.coroutine.close()


def test_the_file_lives_while_somebody_waits(guest: Any, armed: tuple[int, int, int]) -> None:
    epoll, counter, room = armed
    call = sleeping(guest.start("epoll_wait", epoll, room, 4, -1))
    assert guest.call("close", epoll) == 0
    put(guest, counter)
    assert guest.resume(call) == 1


def test_a_timeout(guest: Any, armed: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = [1_000]
    monkeypatch.setattr(aionoah.syscalls.epoll, "monotonic_ns", lambda: now_ns[0])
    epoll, _, room = armed
    call = sleeping(guest.start("epoll_wait", epoll, room, 4, 3))
    assert call.waiter.deadline_ns == 3_001_000
    call = sleeping(guest.resume(call))  # a wake-up for nothing
    now_ns[0] = 3_001_000
    assert guest.resume(call) == 0


def test_a_pending_signal(guest: Any, armed: tuple[int, int, int]) -> None:
    epoll, counter, room = armed
    mask = guest.put(signal_bit(SIG.USR1).to_bytes(8, "little"))
    guest.task.signals.pending.add(from_user(SIG.USR1, 1, 0))
    assert guest.call("epoll_wait", epoll, room, 4, -1) is Errno.EINTR
    assert guest.call("epoll_pwait", epoll, room, 4, 0, mask, 8) == 0
    assert guest.task.signals.saved_mask is None
    guest.task.signals.set_mask(signal_bit(SIG.USR1))
    assert guest.call("epoll_pwait", epoll, room, 4, -1, guest.space(8), 8) is Errno.EINTR
    assert guest.task.signals.saved_mask == signal_bit(SIG.USR1)  # its delivery puts it back
    guest.task.signals.restore_mask()
    put(guest, counter)
    assert guest.call("epoll_pwait", epoll, room, 4, -1, guest.space(8), 8) == 1
    assert guest.task.signals.mask == signal_bit(SIG.USR1)
