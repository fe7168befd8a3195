"""From numbers to results: every way in which a call can end."""

from collections.abc import Callable
from typing import Any

import pytest
from fakes.tasks import new_task

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.x86_64 import X86_64
from aionoah.host.waiting import Source, WaitQueue, sleep_on
from aionoah.syscalls import registry
from aionoah.syscalls.arguments import Fd, Size
from aionoah.syscalls.dispatch import SyscallTable, encode, error_result
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.results import Outcome, Restart, Suspended, after_signal, wants_restart

READ = X86_64.syscall_numbers["read"]
WORD = 1 << 64
NO_ARGS = (0, 0, 0, 0, 0, 0)
RESTARTS = [Errno.ERESTARTSYS, Errno.ERESTARTNOINTR, Errno.ERESTARTNOHAND, Errno.ERESTART_RESTARTBLOCK]

Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def no_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_handlers", {})
    monkeypatch.setattr(registry, "HOMES", {})


@pytest.fixture
def table() -> SyscallTable:
    return SyscallTable(X86_64)


def returning(result: object) -> None:
    """Let `read` return this."""

    @syscall
    def read(task: Any) -> object:
        return result


def raising(error: BaseException) -> None:
    @syscall
    def read(task: Any) -> None:
        raise error


@pytest.mark.parametrize(
    ("result", "register"), [(None, 0), (0, 0), (7, 7), (-1, WORD - 1), (WORD - 1, WORD - 1)]
)
def test_results_are_unsigned_words(table: SyscallTable, result: object, register: int) -> None:
    returning(result)
    assert table.call(new_task(), READ, NO_ARGS) == register


def test_a_subclass_of_int_is_a_number_too(table: SyscallTable) -> None:
    returning(True)
    assert table.call(new_task(), READ, NO_ARGS) == 1


def test_a_sentinel_is_passed_on(table: SyscallTable) -> None:
    returning(Outcome.KEEP_REGISTERS)
    assert table.call(new_task(), READ, NO_ARGS) is Outcome.KEEP_REGISTERS


@pytest.mark.parametrize("result", [b"bytes", 1.5, "text"])
def test_anything_else_is_an_error_of_ours(table: SyscallTable, result: object) -> None:
    returning(result)
    with pytest.raises(TypeError, match="cannot return"):
        table.call(new_task(), READ, NO_ARGS)


def test_arguments_arrive(table: SyscallTable) -> None:
    seen = []

    @syscall
    def read(task: Any, fd: Fd, count: Size) -> None:
        seen.append((task, fd, count))

    task = new_task()
    table.call(task, READ, (0xFFFF_FFFF, 5, 9, 9, 9, 9))
    assert seen == [(task, -1, 5)]


def test_errors_become_negative_numbers(table: SyscallTable) -> None:
    raising(LinuxError(Errno.EBADF))
    assert table.call(new_task(), READ, NO_ARGS) == WORD - 9
    assert error_result(LinuxError(Errno.EBADF)) == WORD - 9


def test_no_memory_is_an_error_of_the_guest(table: SyscallTable) -> None:
    raising(MemoryError())
    assert table.call(new_task(), READ, NO_ARGS) == WORD - Errno.ENOMEM


@pytest.mark.parametrize("error", [ValueError("bug"), OSError(2, "bug"), StopIteration(3), KeyError("bug")])
def test_other_exceptions_are_loud(table: SyscallTable, error: Exception) -> None:
    raising(error)
    with pytest.raises(type(error)):
        table.call(new_task(), READ, NO_ARGS)


@pytest.mark.parametrize("errno", RESTARTS)
def test_restarts_are_for_the_caller(table: SyscallTable, errno: Errno) -> None:
    raising(LinuxError(errno))
    with pytest.raises(LinuxError) as raised:
        table.call(new_task(), READ, NO_ARGS)
    assert raised.value.errno is errno
    assert wants_restart(raised.value)


# -- numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [READ, 9999, WORD - 1, 0x4000_0000])
def test_no_handler_is_enosys(table: SyscallTable, number: int) -> None:
    assert table.call(new_task(), number, NO_ARGS) == WORD - Errno.ENOSYS


def test_the_upper_half_of_the_number_does_not_count(table: SyscallTable) -> None:
    returning(7)
    assert table.call(new_task(), READ | 0xABCD << 32, NO_ARGS) == 7


def test_numbers_that_mean_nothing_are_not_remembered(table: SyscallTable) -> None:
    for number in range(100_000, 100_100):
        table.call(new_task(), number, NO_ARGS)
    assert not table._calls


def test_the_decoder_is_built_once(table: SyscallTable, monkeypatch: pytest.MonkeyPatch) -> None:
    from aionoah.syscalls import dispatch

    returning(1)
    built = []
    compile_call = dispatch.compile_call

    def counted(handler: Any, architecture: Any) -> Call:
        built.append(handler.name)
        return compile_call(handler, architecture)

    monkeypatch.setattr(dispatch, "compile_call", counted)
    assert not built
    for _ in range(3):
        table.call(new_task(), READ, NO_ARGS)
    assert built == ["read"]


# -- handlers that may sleep --------------------------------------------------------------------------------


def sleeping(queue: WaitQueue, log: list[str]) -> None:
    """Let `read` sleep until the queue is woken, and say how that went."""

    @syscall
    async def read(task: Any) -> int:
        try:
            await sleep_on(Source(queue), 12345)
        except LinuxError as error:
            log.append(error.errno.name)
            raise
        finally:
            log.append("left")
        return 5


def test_a_coroutine_that_does_not_sleep_is_done(table: SyscallTable) -> None:
    @syscall
    async def read(task: Any) -> int:
        return -3

    assert table.call(new_task(), READ, NO_ARGS) == WORD - 3


def test_a_coroutine_that_fails_before_it_sleeps(table: SyscallTable) -> None:
    @syscall
    async def read(task: Any) -> int:
        raise LinuxError(Errno.EAGAIN)

    assert table.call(new_task(), READ, NO_ARGS) == WORD - Errno.EAGAIN


def suspended(table: SyscallTable) -> Suspended:
    result = table.call(new_task(), READ, NO_ARGS)
    assert isinstance(result, Suspended)
    return result


def test_a_sleeper_comes_back_with_what_it_waits_for(table: SyscallTable) -> None:
    queue, log = WaitQueue(), list[str]()
    sleeping(queue, log)
    result = suspended(table)
    assert result.waiter.deadline_ns == 12345
    assert result.waiter.source.queues == (queue,)
    assert len(queue) == 1
    queue.wake()
    assert result.waiter.is_woken
    assert table.step(result.coroutine) == 5
    assert len(queue) == 0


def test_a_sleeper_may_sleep_again(table: SyscallTable) -> None:
    @syscall
    async def read(task: Any) -> int:
        await sleep_on(Source())
        await sleep_on(Source(), 7)
        return 1

    first = suspended(table)
    second = table.step(first.coroutine)
    assert isinstance(second, Suspended)
    assert (first.waiter.deadline_ns, second.waiter.deadline_ns) == (None, 7)
    assert table.step(second.coroutine) == 1


def test_a_signal_ends_a_sleep(table: SyscallTable) -> None:
    queue, log = WaitQueue(), list[str]()
    sleeping(queue, log)
    result = suspended(table)
    with pytest.raises(LinuxError) as raised:
        table.step(result.coroutine, LinuxError(Errno.ERESTARTSYS))
    assert raised.value.errno is Errno.ERESTARTSYS
    assert log == ["ERESTARTSYS", "left"]
    assert len(queue) == 0


def test_a_dying_task_closes_its_sleep(table: SyscallTable) -> None:
    queue, log = WaitQueue(), list[str]()
    sleeping(queue, log)
    suspended(table).coroutine.close()
    assert log == ["left"]
    assert len(queue) == 0


def test_errors_after_a_sleep(table: SyscallTable) -> None:
    for error, register in ((LinuxError(Errno.EPIPE), WORD - 32), (MemoryError(), WORD - 12)):
        registry._handlers.clear()
        sleeping(WaitQueue(), [])
        result = suspended(SyscallTable(X86_64))
        assert table.step(result.coroutine, error) == register


def test_a_bug_after_a_sleep_is_loud(table: SyscallTable) -> None:
    sleeping(WaitQueue(), [])
    result = suspended(table)
    with pytest.raises(ZeroDivisionError):
        table.step(result.coroutine, ZeroDivisionError())


# -- results and restarts -----------------------------------------------------------------------------------


def test_encode() -> None:
    assert encode(-4096) == WORD - 4096
    assert encode(Outcome.KEEP_REGISTERS) is Outcome.KEEP_REGISTERS


# By signal(7): what a call that was interrupted does, without a handler, with one, and with SA_RESTART.
AFTER = {
    Errno.ERESTARTSYS: (Restart.AGAIN, Restart.FAIL, Restart.AGAIN),
    Errno.ERESTARTNOINTR: (Restart.AGAIN, Restart.AGAIN, Restart.AGAIN),
    Errno.ERESTARTNOHAND: (Restart.AGAIN, Restart.FAIL, Restart.FAIL),
    Errno.ERESTART_RESTARTBLOCK: (Restart.BLOCK, Restart.FAIL, Restart.FAIL),
}


@pytest.mark.parametrize("errno", RESTARTS)
def test_what_a_signal_does_to_an_interrupted_call(errno: Errno) -> None:
    error = LinuxError(errno)
    without, handled, restarting = AFTER[errno]
    assert after_signal(error, runs_handler=False, is_restarting=False) is without
    assert after_signal(error, runs_handler=True, is_restarting=False) is handled
    assert after_signal(error, runs_handler=True, is_restarting=True) is restarting


def test_eintr_is_final() -> None:
    assert not wants_restart(LinuxError(Errno.EINTR))
