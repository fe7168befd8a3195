"""futex(2): arguments as the host's kernel takes them, and sleeping with several threads of ours."""

import struct
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
from fakes.machine import FakeMachine
from fakes.threads import ARENA, World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aionoah.syscalls.futex
import aionoah.syscalls.process  # noqa: F401 - registers set_robust_list
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.futex import (
    FUTEX,
    FUTEX_CLOCK_REALTIME,
    FUTEX_OWNER_DIED,
    FUTEX_PRIVATE_FLAG,
    FUTEX_TID_MASK,
    FUTEX_WAITERS,
)
from aionoah.abi.mman import MAP, PROT
from aionoah.abi.x86_64 import X86_64
from aionoah.process.task import Task
from aionoah.syscalls.dispatch import SyscallTable
from aionoah.syscalls.results import Suspended

WILD = 8
NOBODY, STRANGER = 0x3FFF_FFF0, 0x3FFF_FFF1  # no threads
PRIVATE = FUTEX_PRIVATE_FLAG
REALTIME = FUTEX_CLOCK_REALTIME
WORD = ARENA
SECOND = ARENA + 64
TIMEOUT = ARENA + 128
OPERATIONS = sorted(FUTEX.members())
SAFE_WAITS = {FUTEX.WAIT, FUTEX.WAIT_BITSET, FUTEX.LOCK_PI, FUTEX.LOCK_PI2, FUTEX.WAIT_REQUEUE_PI}


def timespec(seconds: int, nanoseconds: int = 0) -> bytes:
    return struct.pack("<qq", seconds, nanoseconds)


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def numbered(word: bytes) -> object:
    """A word without the number of a thread that exists, which differs."""
    value = struct.unpack("<I", word)[0]
    tid = value & FUTEX_TID_MASK
    return value if tid in {0, STRANGER, NOBODY} else (value & ~FUTEX_TID_MASK, "tid")


# -- against the host's kernel: one thread, so nothing may sleep for ever --


@pytest.mark.parametrize("operation", [*OPERATIONS, 14, 15, 64, 127])
@pytest.mark.parametrize("flags", [0, PRIVATE, REALTIME, PRIVATE | REALTIME, 512])
def test_arguments(operation: int, flags: int, same: Callable[..., None]) -> None:
    def script(kernel: Any) -> Iterator[object]:
        call = kernel.call
        past, bad = kernel.put(timespec(0)), kernel.put(timespec(0, 10**9))
        needs_timeout = operation in SAFE_WAITS
        safe = past if needs_timeout else 2
        for value, expected in product((0, STRANGER, NOBODY), (0, STRANGER)):
            words = kernel.put(u32(value)), kernel.put(u32(STRANGER))
            for first, second in (
                words,
                words[::-1],
                (words[0], words[0]),
                (WILD, words[1]),
                (words[0], WILD),
            ):
                for fourth in (past, bad, WILD) if needs_timeout else (0, 1, -1, WILD):
                    yield call("futex", first, operation | flags, expected, fourth, second, expected)
            for third in (0, 1, 0xFFFF_FFFF):
                yield call("futex", words[0], operation | flags, value, safe, words[1], third)
            yield call("futex", words[0] + 1, operation | flags, value, safe, words[1], 1)
            yield call("futex", words[0], operation | flags, value, safe, words[1] + 2, 1)
            yield call("futex", kernel.edge, operation | flags, value, safe, words[1], 1)
            yield [numbered(kernel.get(word, 4)) for word in words]

    same(script)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    operation=st.integers(0, 15),
    flags=st.sampled_from([0, PRIVATE, REALTIME]),
    value=st.sampled_from([0, 1, 2, 0x7FFF_FFFF, 0xFFFF_FFFF]),
    third=st.integers(0, 0xFFFF_FFFF),
    count=st.sampled_from([0, 1, 0x7FFF_FFFF, 0x8000_0000, 1 << 32]),
    word=st.sampled_from([3, 0xFFFF_FFFF]),
)
def test_what_does_not_sleep(
    operation: int,
    flags: int,
    value: int,
    third: int,
    count: int,
    word: int,
    guest: Any,
    oracle: Any,
) -> None:
    if operation in {*SAFE_WAITS, FUTEX.TRYLOCK_PI, FUTEX.UNLOCK_PI}:
        return
    outcomes = []
    for kernel in (oracle, guest):
        kernel._next = getattr(kernel, "_start", ARENA)  # the same place each time
        words = kernel.put(u32(3)), kernel.put(u32(word))
        result = kernel.call("futex", words[0], operation | flags, value, count, words[1], third)
        outcomes.append((result, [kernel.get(address, 4) for address in words]))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("value", [0, NOBODY])
@pytest.mark.parametrize("bits", [0, FUTEX_WAITERS, FUTEX_OWNER_DIED, FUTEX_WAITERS | FUTEX_OWNER_DIED])
@pytest.mark.parametrize("operation", [FUTEX.LOCK_PI, FUTEX.LOCK_PI2, FUTEX.TRYLOCK_PI, FUTEX.UNLOCK_PI])
def test_words_of_locks(operation: int, bits: int, value: int, same: Callable[..., None]) -> None:
    def script(kernel: Any) -> Iterator[object]:
        word, past = kernel.put(u32(value | bits)), kernel.put(timespec(0))
        yield kernel.call("futex", word, operation, 0, past, 0, 0)
        after = struct.unpack("<I", kernel.get(word, 4))[0]
        yield (
            after & (FUTEX_WAITERS | FUTEX_OWNER_DIED),
            after in {value | bits, value | bits | FUTEX_WAITERS},
        )
        yield kernel.call("futex", word, FUTEX.UNLOCK_PI, 0, 0, 0, 0)
        if not value:
            yield kernel.get(word, 4)

    same(script)


@pytest.mark.parametrize("prot", [PROT.NONE, PROT.READ, PROT.READ | PROT.WRITE])
@pytest.mark.parametrize("flags", [MAP.PRIVATE, MAP.SHARED])
def test_rights(prot: int, flags: int, guest: Any, oracle: Any) -> None:
    """What a page allows decides whether it can have a futex."""
    outcomes = []
    for kernel, machine_mmap in ((oracle, _host_mmap), (guest, _guest_mmap)):
        address = machine_mmap(kernel, prot, flags | MAP.ANONYMOUS)
        past, word = kernel.put(timespec(0)), kernel.put(u32(NOBODY))
        outcomes.append(
            [
                kernel.call("futex", *arguments)
                for operation, flag in product(OPERATIONS, (0, PRIVATE))
                for arguments in (
                    (address, operation | flag, 1, past if operation in SAFE_WAITS else 0, word, 1),
                    (word, operation | flag, 1, past if operation in SAFE_WAITS else 0, address, 2),
                )
            ]
        )
    assert outcomes[0] == outcomes[1]


def _host_mmap(kernel: Any, prot: int, flags: int) -> int:
    return int(kernel._libc.mmap(None, 4096, prot, flags, -1, 0))


def _guest_mmap(kernel: Any, prot: int, flags: int) -> int:
    return int(kernel.task.memory.mmap(0, 4096, prot, flags))


# -- several threads of ours --


class Threads:
    """Makes calls for tasks; a call that sleeps comes back as Suspended."""

    def __init__(self, machine: FakeMachine) -> None:
        self.world = World(machine)
        self.main = self.world.process()
        self._table = SyscallTable(X86_64)

    def futex(self, task: Task, *words: int) -> int | Errno | Suspended:
        return self.call(task, "futex", *words)

    def call(self, task: Task, name: str, *words: int) -> int | Errno | Suspended:
        arguments = [word & (1 << 64) - 1 for word in words]
        arguments += [0] * (6 - len(arguments))
        return self._result(
            lambda: self._table.call(task, task.architecture.syscall_numbers[name], arguments)
        )

    def resume(self, call: object, thrown: Errno | None = None) -> int | Errno | Suspended:
        assert isinstance(call, Suspended)
        error = None if thrown is None else LinuxError(thrown)
        return self._result(lambda: self._table.step(call.coroutine, error))

    @staticmethod
    def _result(function: Callable[[], object]) -> int | Errno | Suspended:
        try:
            result = function()
        except LinuxError as error:  # ERESTART…
            return error.errno
        if isinstance(result, Suspended):
            return result
        assert isinstance(result, int)
        return Errno((1 << 64) - result) if result >> 63 else result


@pytest.fixture
def threads(machine: FakeMachine) -> Iterator[Threads]:
    made = Threads(machine)
    yield made
    made.world.close()


@pytest.fixture
def other(threads: Threads) -> Task:
    return threads.world.thread(threads.main)


def later(task: Task, seconds: int = 3600, clock: Callable[[], int] = time.monotonic_ns) -> int:
    """The address of an absolute time in the future."""
    task.memory.write(TIMEOUT, timespec(clock() // 10**9 + seconds))
    return TIMEOUT


class TestWaiting:
    def test_wait_and_wake(self, threads: Threads, other: Task) -> None:
        call = threads.futex(other, WORD, FUTEX.WAIT | PRIVATE, 0)
        assert isinstance(call, Suspended)
        assert threads.futex(threads.main, WORD, FUTEX.WAKE, 9) == 0  # of another kind
        assert threads.futex(threads.main, WORD, FUTEX.WAKE | PRIVATE, 9) == 1
        assert call.waiter.is_woken
        assert threads.resume(call) == 0

    @pytest.mark.parametrize("flag", [0, PRIVATE])
    def test_other_processes(self, flag: int, threads: Threads) -> None:
        """Private memory after fork has the same addresses and is something else."""
        child = threads.world.fork(threads.main)
        call = threads.futex(child, WORD, FUTEX.WAIT | flag, 0)
        assert threads.futex(threads.main, WORD, FUTEX.WAKE | flag, 9) == 0
        assert threads.futex(child, WORD, FUTEX.WAKE | flag, 9) == 1
        assert threads.resume(call) == 0

    def test_shared_memory_of_two_processes(self, threads: Threads) -> None:
        flags = MAP.SHARED | MAP.ANONYMOUS
        address = threads.main.memory.mmap(0, 4096, PROT.READ | PROT.WRITE, flags)
        child = threads.world.fork(threads.main)
        moved = child.memory.mremap(address, 4096, 4096, 3, ARENA + 0x10_0000)
        call = threads.futex(child, moved + 12, FUTEX.WAIT, 0)
        assert threads.futex(threads.main, address + 8, FUTEX.WAKE, 9) == 0
        assert threads.futex(threads.main, address + 12, FUTEX.WAKE | PRIVATE, 9) == 0
        assert threads.futex(threads.main, address + 12, FUTEX.WAKE, 9) == 1
        assert threads.resume(call) == 0

    def test_signals(self, threads: Threads, other: Task) -> None:
        call = threads.futex(other, WORD, FUTEX.WAIT, 0)
        assert threads.resume(call, Errno.ERESTARTSYS) is Errno.ERESTARTSYS
        assert other.signals.restart_block is None

    @pytest.mark.parametrize("operation", [FUTEX.WAIT, FUTEX.WAIT_BITSET, FUTEX.WAIT_BITSET | REALTIME])
    def test_a_signal_before_a_deadline(self, operation: int, threads: Threads, other: Task) -> None:
        """restart_syscall goes on until the same deadline, and looks at the word again."""
        clock = time.time_ns if operation & REALTIME else time.monotonic_ns
        timeout = later(other, clock=clock)
        if operation == FUTEX.WAIT:
            other.memory.write(timeout, timespec(3600))
        call = threads.futex(other, WORD, operation, 0, timeout, 0, 6)
        assert isinstance(call, Suspended)
        first = call.waiter.deadline_ns
        assert first is not None
        other.memory.write(timeout, timespec(1))
        for _ in range(2):
            assert threads.resume(call, Errno.ERESTARTSYS) is Errno.ERESTART_RESTARTBLOCK
            call = threads.call(other, "restart_syscall")
            assert isinstance(call, Suspended)
            assert call.waiter.deadline_ns is not None
            assert abs(call.waiter.deadline_ns - first) < 10**9
        if operation != FUTEX.WAIT:
            assert threads.futex(threads.main, WORD, FUTEX.WAKE_BITSET, 9, 0, 0, 9) == 0
        assert threads.resume(call, Errno.ERESTARTSYS) is Errno.ERESTART_RESTARTBLOCK
        other.memory.write_word(WORD, 5, 4)
        assert threads.call(other, "restart_syscall") is Errno.EAGAIN
        assert threads.call(other, "restart_syscall") is Errno.EINTR

    def test_two_words(self, threads: Threads) -> None:
        tasks = [threads.world.thread(threads.main) for _ in range(4)]
        calls = [threads.futex(task, WORD, FUTEX.WAIT | PRIVATE, 0) for task in tasks]
        requeue = FUTEX.CMP_REQUEUE | PRIVATE
        assert threads.futex(threads.main, WORD, requeue, 1, 2, SECOND, 3) is Errno.EAGAIN
        assert threads.futex(threads.main, WORD, requeue, 1, 2, SECOND, 0) == 3
        wake_op = FUTEX.WAKE_OP | PRIVATE
        assert threads.futex(threads.main, WORD, wake_op, 1, 1, SECOND, 1 << 28 | 7 << 12 | 1) == 1
        assert threads.futex(threads.main, WORD, wake_op, 1, 1, SECOND, 1 << 28 | 7 << 12 | 7) == 1
        assert threads.main.memory.read_word(SECOND, 4) == 14
        assert threads.futex(threads.main, SECOND, FUTEX.REQUEUE | PRIVATE, 0, 9, WORD, 0) == 1
        assert threads.futex(threads.main, WORD, FUTEX.WAKE | PRIVATE, 9) == 1
        assert [threads.resume(call) for call in calls] == [0] * 4


class TestLocks:
    @pytest.mark.parametrize("operation", [FUTEX.LOCK_PI, FUTEX.LOCK_PI2])
    def test_handing_on(self, operation: int, threads: Threads, other: Task) -> None:
        assert threads.futex(threads.main, WORD, operation) == 0
        assert threads.futex(other, WORD, FUTEX.TRYLOCK_PI) is Errno.EAGAIN
        call = threads.futex(other, WORD, operation)
        assert threads.futex(threads.main, WORD, FUTEX.WAKE, 1) is Errno.EINVAL
        assert threads.futex(threads.main, WORD, FUTEX.UNLOCK_PI) == 0
        assert threads.resume(call) == 0
        assert threads.main.memory.read_word(WORD, 4) == other.tid | FUTEX_WAITERS

    @pytest.mark.parametrize(
        ("operation", "clock"),
        [
            (FUTEX.LOCK_PI, time.time_ns),
            (FUTEX.LOCK_PI2, time.monotonic_ns),
            (FUTEX.LOCK_PI2 | REALTIME, time.time_ns),
        ],
    )
    def test_clocks(self, operation: int, clock: Callable[[], int], threads: Threads, other: Task) -> None:
        assert threads.futex(threads.main, WORD, FUTEX.LOCK_PI) == 0
        call = threads.futex(other, WORD, operation, 0, later(other, clock=clock))
        assert isinstance(call, Suspended)
        assert call.waiter.deadline_ns is not None
        assert abs(call.waiter.deadline_ns - time.monotonic_ns() - 3600 * 10**9) < 10 * 10**9
        assert threads.resume(call, Errno.ERESTARTSYS) is Errno.ERESTARTNOINTR
        assert threads.futex(other, WORD, operation, 0, later(other, -10, clock)) is Errno.ETIMEDOUT

    def test_conditions(self, threads: Threads, other: Task) -> None:
        wait, requeue = FUTEX.WAIT_REQUEUE_PI | PRIVATE, FUTEX.CMP_REQUEUE_PI | PRIVATE
        call = threads.futex(other, WORD, wait, 0, later(other), SECOND)
        assert threads.futex(threads.main, WORD, requeue, 1, 0, SECOND, 5) is Errno.EAGAIN
        assert threads.futex(threads.main, WORD, FUTEX.CMP_REQUEUE_PI, 1, 0, SECOND, 0) == 0
        assert threads.futex(threads.main, WORD, requeue, 1, 0, SECOND, 0) == 1
        assert threads.resume(call) == 0
        assert threads.main.memory.read_word(SECOND, 4) == other.tid
