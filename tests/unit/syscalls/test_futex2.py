"""futex_waitv, futex_wait, futex_wake and futex_requeue, compared with the host's kernel where it has them."""

import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fakes.machine import FakeMachine
from fakes.threads import ARENA, World

import aionoah.syscalls.futex2  # noqa: F401 - registers the calls
from aionoah.abi.errno import Errno
from aionoah.abi.futex import FUTEX2, FUTEX_WAITV_MAX
from aionoah.abi.time import CLOCK
from aionoah.abi.x86_64 import X86_64
from aionoah.process.task import Task
from aionoah.syscalls.dispatch import SyscallTable
from aionoah.syscalls.results import Suspended

WILD = 8
U32, PRIVATE = FUTEX2.SIZE_U32, FUTEX2.PRIVATE
WORD, SECOND, VECTOR = ARENA, ARENA + 64, ARENA + 128


def past(kernel: Any) -> int:
    return int(kernel.put(struct.pack("<qq", 1, 0)))


def vector(*entries: tuple[int, int, int, int]) -> bytes:
    """Entries are value, address, flags and what is reserved."""
    return b"".join(struct.pack("<QQII", *entry) for entry in entries)


@pytest.fixture
def modern(oracle: Any) -> None:
    """The host's kernel may be older than the calls."""
    if oracle.call("futex_wake", WILD, 1, 1, U32) is Errno.ENOSYS:
        pytest.skip("the host's kernel has no futex_wake")


@pytest.mark.parametrize(
    "flags", [0, U32, U32 | PRIVATE, FUTEX2.SIZE_U8, FUTEX2.SIZE_U64, U32 | 16, 1 << 31 | U32]
)
def test_wake_and_wait(flags: int, same: Callable[..., None], modern: None) -> None:
    def script(kernel: Any) -> Iterator[object]:
        word, soon = kernel.put(struct.pack("<I", 7)), past(kernel)
        for address in (word, word + 1, WILD, 0):
            for mask in (0, 1, 0xFFFF_FFFF, 1 << 32, -1):
                for count in (0, 1, -1):
                    yield kernel.call("futex_wake", address, mask, count, flags)
                for value in (7, 8, 7 | 1 << 32):
                    yield kernel.call("futex_wait", address, value, mask, flags, soon, CLOCK.MONOTONIC)
        for clock in (CLOCK.REALTIME, CLOCK.MONOTONIC, CLOCK.BOOTTIME, 99, -1):
            for timeout in (soon, WILD, kernel.put(struct.pack("<qq", 0, -1))):
                yield kernel.call("futex_wait", word, 7, 1, flags, timeout, clock)
            yield kernel.call("futex_wait", word, 8, 1, flags, 0, clock)

    same(script)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"value": 8},
        {"value": 5 | 1 << 32},
        {"reserved": 1},
        {"flags": FUTEX2.SIZE_U16},
        {"flags": U32 | 0x40},
        {"shift": 2},
        {"address": WILD},
        {"address": WILD, "flags": U32 | PRIVATE},
        {"address": 1 << 63},
    ],
)
def test_vectors(change: dict[str, int], same: Callable[..., None], modern: None) -> None:
    def script(kernel: Any) -> Iterator[object]:
        words = kernel.put(struct.pack("<I", 7)), kernel.put(struct.pack("<I", 5))
        address = change.get("address", words[1] + change.get("shift", 0))
        second = change.get("value", 5), address, change.get("flags", U32), change.get("reserved", 0)
        entries = kernel.put(vector((7, words[0], U32, 0), second))
        soon = past(kernel)
        yield kernel.call("futex_waitv", entries, 2, 0, soon, CLOCK.REALTIME)
        yield kernel.call("futex_waitv", entries, 1, 0, soon, CLOCK.MONOTONIC)
        yield kernel.call("futex_waitv", entries, 2, 0, soon, CLOCK.TAI)
        yield kernel.call("futex_waitv", entries, 2, 1, soon, CLOCK.REALTIME)
        for counts in ((1, 1), (0, 0), (-1, 1), (1, -1)):
            yield kernel.call("futex_requeue", entries, 0, *counts)
        yield kernel.call("futex_requeue", entries, 1, 1, 1)

    same(script)


def test_bad_vectors(same: Callable[..., None], modern: None) -> None:
    def script(kernel: Any) -> Iterator[object]:
        one = (7, kernel.put(struct.pack("<I", 7)), U32, 0)
        many = kernel.put(vector(*[one] * (FUTEX_WAITV_MAX + 1)))
        soon = past(kernel)
        for count in (0, 1, FUTEX_WAITV_MAX, FUTEX_WAITV_MAX + 1, 1 << 31, -1):
            yield kernel.call("futex_waitv", many, count, 0, soon, CLOCK.MONOTONIC)
        for address in (0, WILD, kernel.edge, kernel.edge - 24):
            yield kernel.call("futex_waitv", address, 2, 0, soon, CLOCK.MONOTONIC)
            yield kernel.call("futex_requeue", address, 0, 1, 1)

    same(script)


class Threads:
    """Two threads and a vector of two words."""

    def __init__(self, machine: FakeMachine) -> None:
        self.world = World(machine)
        self.main = self.world.process()
        self.other = self.world.thread(self.main)
        self.table = SyscallTable(X86_64)
        self.main.memory.write(VECTOR, vector((0, WORD, U32 | PRIVATE, 0), (0, SECOND, U32 | PRIVATE, 0)))

    def call(self, task: Task, name: str, *words: int) -> Any:
        arguments = [*words, *[0] * (6 - len(words))]
        return self.table.call(task, task.architecture.syscall_numbers[name], arguments)

    def resume(self, call: object) -> Any:
        assert isinstance(call, Suspended)
        return self.table.step(call.coroutine)


@pytest.fixture
def threads(machine: FakeMachine) -> Iterator[Threads]:
    made = Threads(machine)
    yield made
    made.world.close()


@pytest.mark.parametrize(
    ("addresses", "index"), [((WORD,), 0), ((SECOND,), 1), ((WORD, SECOND), 1), ((SECOND, WORD), 1)]
)
def test_the_last_word_that_was_woken(addresses: tuple[int, ...], index: int, threads: Threads) -> None:
    call = threads.call(threads.other, "futex_waitv", VECTOR, 2, 0, 0, 0)
    for address in addresses:
        assert threads.call(threads.main, "futex_wake", address, 1, 1, U32 | PRIVATE) == 1
    assert threads.resume(call) == index
    assert len(threads.world.kernel.futexes) == 0


def test_masks_and_kinds(threads: Threads) -> None:
    call = threads.call(threads.other, "futex_wait", WORD, 0, 6, U32, 0, 0)
    for mask, flags, woken in ((1, U32, 0), (6, U32 | PRIVATE, 0), (2, U32, 1)):
        assert threads.call(threads.main, "futex_wake", WORD, mask, 1, flags) == woken
    assert threads.resume(call) == 0


def test_nobody_is_woken_by_zero(threads: Threads) -> None:
    call = threads.call(threads.other, "futex_wait", WORD, 0, 6, U32, 0, 0)
    assert threads.call(threads.main, "futex_wake", WORD, 2, 0, U32) == 0
    assert threads.call(threads.main, "futex_wake", WORD, 2, -1 & 0xFFFF_FFFF, U32) == 1
    assert threads.resume(call) == 0


def test_requeue(threads: Threads) -> None:
    third = threads.world.thread(threads.main)
    calls = [
        threads.call(task, "futex_wait", WORD, 0, 0xFFFF_FFFF, U32 | PRIVATE, 0, 0)
        for task in (threads.other, third)
    ]
    assert threads.call(threads.main, "futex_requeue", VECTOR, 0, 1, 1) == 2
    assert threads.call(threads.main, "futex_wake", SECOND, 1, 9, U32 | PRIVATE) == 1
    assert [threads.resume(call) for call in calls] == [0, 0]
