"""A guest thread from its first instruction to its end, on a virtual CPU that plays back a script."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from fakes.machine import FakeMachine, FakeSpace, FakeVcpu
from fakes.threads import ARENA, ARENA_SIZE, World

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mman import MAP, PROT
from aionoah.abi.signal import SA, SIG
from aionoah.abi.x86_64 import RAX, RCX, RDI, RFLAGS, RIP, RSP, X86_64
from aionoah.host.waiting import Source, WaitQueue, kernel_lock, sleep_on
from aionoah.hypervisor.errors import HypervisorError
from aionoah.hypervisor.protocols import ExceptionKind, ExitKind, Fault, GuestException, Prot
from aionoah.hypervisor.registers import X86_64_REGISTERS
from aionoah.process.current import current_task
from aionoah.reactor import Reactor
from aionoah.signals.actions import Disposition
from aionoah.signals.generate import send_to_process, send_to_task
from aionoah.signals.info import from_user
from aionoah.syscalls.dispatch import SyscallTable, error_result
from aionoah.syscalls.results import Outcome
from aionoah.vcpu_thread import VcpuThread
from aionoah.vcpu_threads import VcpuThreads

ENTRY, HANDLER, RESTORER = ARENA + 0x100, ARENA + 0x200, ARENA + 0x300
STACK = ARENA + ARENA_SIZE - 64
GETPPID = 110
EXIT, SIGRETURN, TEST = 0x1000, 0x1001, 0x1002  # numbers that the table below answers
Step = Callable[["Cpu"], ExitKind]


class Cpu(FakeVcpu):
    """With the register file of x86_64."""

    def __init__(self, space: FakeSpace, script: Sequence[Step]) -> None:
        super().__init__(script)  # type: ignore[arg-type]
        self.registers = memoryview(bytearray(8 * len(X86_64_REGISTERS))).cast("Q")
        self.space = space
        self.was_reset = False
        self._fpu = bytes(1024)
        space.open_vcpus = getattr(space, "open_vcpus", 0) + 1
        self._gs_base = 0

    def reset_fpu(self) -> None:
        self.was_reset = True

    def get_gs_base(self) -> int:
        return self._gs_base

    def set_gs_base(self, value: int) -> None:
        self._gs_base = value

    def close(self) -> None:
        assert not self.is_closed, "closed twice"
        super().close()
        self.space.open_vcpus -= 1


class Machine(FakeMachine):
    fpu_features = 3
    fpu_size = 1024

    def __init__(self) -> None:
        super().__init__()
        self.cpus: list[Cpu] = []
        self.refusal: Exception | None = None

    def new_space(self) -> FakeSpace:
        made = super().new_space()
        made.open_vcpus = 0
        return made

    def new_vcpu(self, space: Any) -> Any:
        if self.refusal is not None:
            raise self.refusal
        script, self.script = self.script, []
        self.cpus.append(Cpu(space, script))  # type: ignore[arg-type]
        return self.cpus[-1]


class Life:
    """One process with one thread, and what it has reported."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.machine = Machine()
        self.world = World(self.machine)
        self.task = self.world.process()
        self.process = self.task.process
        self.table = SyscallTable(X86_64)
        self.answer(EXIT, lambda task, status, *_: task.process.exit_group(status << 8))
        self.answer(SIGRETURN, self._leave_handler)
        self.reactor: Any = None if loop is None else Reactor(loop)
        self.threads = VcpuThreads(self.machine, self.reactor, self.table, self._has_ended)
        self.started: list[Any] = []
        self.ended = threading.Event()
        self.failure: BaseException | None = None

    @staticmethod
    def _leave_handler(task: Any, *_: int) -> Outcome:
        task.control.leave_handler()
        return Outcome.KEEP_REGISTERS

    def answer(self, number: int, handler: Callable[..., Any], *, is_async: bool = False) -> None:
        self.table._calls[number] = handler, is_async

    def begin(self, *script: Step, boot: Callable[[], Any] | None = None) -> VcpuThread:
        """Start the thread; its virtual CPU leaves the guest as the script says."""
        self.machine.script = list(script)
        program: Any = SimpleNamespace(entry=ENTRY, stack_pointer=STACK)

        def on_start(thread: VcpuThread, result: Any) -> None:
            self.started.append(result)
            if isinstance(result, Exception):
                self.ended.set()

        self.threads.boot(boot or (lambda: (self.task, program)), on_start)
        [thread] = self.threads.running
        return thread

    def _has_ended(self, thread: VcpuThread, failure: BaseException | None) -> None:
        self.failure = failure
        self.ended.set()

    def finish(self, thread: VcpuThread) -> None:
        self.ended.wait()
        self.threads.close()

    def live(self, *script: Step) -> int | None:
        """A whole life; returns the wait status."""
        self.finish(self.begin(*script))
        return self.process.wait_status

    @property
    def cpu(self) -> Cpu:
        return self.machine.cpus[-1]


@pytest.fixture
def life() -> Iterator[Life]:
    made = Life()
    yield made
    for cpu in made.machine.cpus:
        assert cpu.is_closed
    made.machine.close()  # complains about spaces and frames


def syscall(number: int, *arguments: int) -> Step:
    def step(cpu: Cpu) -> ExitKind:
        for register, word in zip(X86_64.syscall_registers, (number, *arguments), strict=False):
            cpu.registers[register] = word
        cpu.registers[RIP] += 2
        return ExitKind.SYSCALL

    return step


def see(found: list[Any], look: Callable[[Cpu], Any], then: Step) -> Step:
    """Look at the CPU when it is entered, and then go on."""

    def step(cpu: Cpu) -> ExitKind:
        found.append(look(cpu))
        return then(cpu)

    return step


def fault(address: int, access: Prot) -> Step:
    def step(cpu: Cpu) -> ExitKind:
        cpu.fault = Fault(address, access)
        return ExitKind.PAGE_FAULT

    return step


def exception(kind: ExceptionKind, vector: int) -> Step:
    def step(cpu: Cpu) -> ExitKind:
        cpu.exception = GuestException(kind, vector, 0)
        return ExitKind.EXCEPTION

    return step


def registers(cpu: Cpu) -> list[int]:
    return list(cpu.registers)


EXIT_5 = syscall(EXIT, 5)


# -- beginning and end -----------------------------------------------------------------------------------


def test_a_short_life(life: Life) -> None:
    first: list[list[int]] = []
    assert life.live(see(first, registers, EXIT_5)) == 5 << 8
    assert life.started == [life.task]
    assert life.failure is None
    [seen] = first
    assert (seen.pop(RIP), seen.pop(RSP)) == (ENTRY, STACK)
    assert not any(seen)


def test_the_thread_has_a_name_and_takes_no_signals(life: Life) -> None:
    import signal

    found: list[Any] = []

    def look(_: Cpu) -> Any:
        return threading.current_thread().name, signal.pthread_sigmask(signal.SIG_BLOCK, [])

    life.live(see(found, look, EXIT_5))
    [(name, mask)] = found
    assert name == f"vcpu-{life.task.tid}"
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGCHLD} <= mask


def test_the_guest_runs_without_the_kernel_lock(life: Life) -> None:
    found: list[bool] = []
    held: list[bool] = []
    life.answer(TEST, lambda *_: held.append(kernel_lock.locked()))
    life.live(see(found, lambda _: kernel_lock.locked(), syscall(TEST)), EXIT_5)
    assert (found, held) == ([False], [True])


def test_cpu_time_goes_up_and_then_stays(life: Life) -> None:
    times: list[int] = []
    life.live(*[see(times, lambda _: life.task.control.cpu_time_ns(), syscall(EXIT, 5))])
    after = life.task.control.cpu_time_ns()
    assert 0 < times[0] <= after
    assert life.task.control.cpu_time_ns() == after


@pytest.mark.parametrize(
    "error", [LinuxError(Errno.ENOEXEC), OSError(9, "Bad file descriptor"), MemoryError()]
)
def test_a_program_that_cannot_be_loaded(life: Life, error: Exception) -> None:
    def boot() -> Any:
        raise error

    life.finish(life.begin(boot=boot))
    assert life.started == [error]
    life.task.exit(0)
    life.task.release()


@pytest.mark.parametrize("error", [HypervisorError("no more"), MemoryError()])
def test_no_virtual_cpu(life: Life, error: Exception) -> None:
    life.machine.refusal = error
    life.finish(life.begin())
    assert life.started == [error]
    assert life.process.wait_status == SIG.KILL
    assert not life.world.kernel.tasks


def test_a_free_virtual_cpu_is_for_who_waits_for_one_of_its_space(life: Life) -> None:
    """Not for the first who waits for any, who would go on waiting, and the other one as well."""
    life.machine.max_vcpus = 1
    other = life.world.process()
    spaces = [other.memory.space, life.task.memory.space]
    holders = []
    with kernel_lock:
        for space in spaces:
            holder = VcpuThread(life.threads, lambda _: None)
            holder._vcpu, holder._space = life.machine.new_vcpu(space), space
            holders.append(holder)
    first = VcpuThread(life.threads, lambda _: None)
    first._task = other
    waiting = threading.Thread(target=wait_for_a_cpu, args=[first])
    waiting.start()
    wait_until(lambda: len(life.threads.vcpu_is_free(spaces[0])._waiters) == 1)  # type: ignore[attr-defined]
    thread = life.begin(EXIT_5)
    wait_until(lambda: len(life.threads.vcpu_is_free(spaces[1])._waiters) == 1)  # type: ignore[attr-defined]
    with kernel_lock:
        holders[1]._close_vcpu()
    life.finish(thread)
    assert life.process.wait_status == 5 << 8
    with kernel_lock:
        first.exit_thread()
        holders[0]._close_vcpu()
    waiting.join()
    other.exit(0)
    other.release()


def wait_for_a_cpu(thread: VcpuThread) -> None:
    with kernel_lock:
        thread._open_vcpu()


def wait_until(condition: Callable[[], bool]) -> None:
    while True:
        with kernel_lock:
            if condition():
                return


# -- system calls ------------------------------------------------------------------------------------------


def test_arguments_and_result(life: Life) -> None:
    calls: list[tuple[Any, ...]] = []
    results: list[int] = []

    def handler(task: Any, *words: int) -> int:
        calls.append((current_task() is task, *words))
        return 77

    life.answer(TEST, handler)
    life.live(syscall(TEST, 1, 2, 3, 4, 5, 6), see(results, lambda cpu: cpu.registers[RAX], EXIT_5))
    assert calls == [(True, 1, 2, 3, 4, 5, 6)]
    assert results == [77]


def test_errors_are_negative_numbers(life: Life) -> None:
    results: list[int] = []

    def handler(*_: Any) -> int:
        raise LinuxError(Errno.ENOENT)

    life.answer(TEST, handler)
    life.live(syscall(TEST), see(results, lambda cpu: cpu.registers[RAX], EXIT_5))
    assert results == [(1 << 64) - 2]


def test_no_such_call(life: Life) -> None:
    results: list[int] = []
    life.live(syscall(0x7777), see(results, lambda cpu: cpu.registers[RAX], EXIT_5))
    assert results == [error_result(LinuxError(Errno.ENOSYS))]


def test_calls_that_set_registers_themselves(life: Life) -> None:
    results: list[int] = []
    life.answer(TEST, lambda *_: Outcome.KEEP_REGISTERS)
    life.live(syscall(TEST), see(results, lambda cpu: cpu.registers[RAX], EXIT_5))
    assert results == [TEST]


@pytest.mark.parametrize("bug", [ZeroDivisionError("ours"), OSError(5, "not translated")])
def test_a_bug_in_a_handler_ends_the_guest_only(
    life: Life, caplog: pytest.LogCaptureFixture, bug: Exception
) -> None:
    def handler(*_: Any) -> int:
        raise bug

    life.answer(TEST, handler)
    with caplog.at_level(logging.CRITICAL, "aionoah"):
        assert life.live(syscall(TEST), EXIT_5) == SIG.KILL
    assert life.failure is bug
    assert "died of an error in aionoah" in caplog.text


def test_a_result_that_is_none(life: Life, caplog: pytest.LogCaptureFixture) -> None:
    life.answer(TEST, lambda *_: "text")
    assert life.live(syscall(TEST), EXIT_5) == SIG.KILL
    assert isinstance(life.failure, TypeError)


def test_a_hypervisor_that_fails(life: Life, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "aionoah"):
        assert life.live(lambda cpu: ExitKind.BROKEN) == SIG.KILL
    assert "a fake vCPU at the end of its script" in caplog.text
    assert life.failure is None


# -- faults and exceptions -----------------------------------------------------------------------------------


def test_a_page_that_is_there_by_right(life: Life) -> None:
    place = life.task.memory.mmap(
        0, 1 << 30, PROT.READ | PROT.WRITE, MAP.PRIVATE | MAP.ANONYMOUS | MAP.NORESERVE
    )
    assert life.live(fault(place + (1 << 29), Prot.WRITE), EXIT_5) == 5 << 8


@pytest.mark.parametrize("address", [0, 0x4000_0000, (1 << 64) - 8, 0x9999_9999_9999_9999])
@pytest.mark.parametrize("access", [Prot.READ, Prot.WRITE, Prot.EXECUTE])
def test_a_page_that_is_not(life: Life, address: int, access: Prot) -> None:
    assert life.live(fault(address, access), EXIT_5) == SIG.SEGV
    assert life.failure is None


def test_writing_where_one_may_not(life: Life) -> None:
    life.task.memory.mprotect(ARENA, ARENA_SIZE, PROT.READ)
    assert life.live(fault(ARENA, Prot.WRITE), EXIT_5) == SIG.SEGV


def test_no_memory_left(life: Life) -> None:
    flags = MAP.PRIVATE | MAP.ANONYMOUS | MAP.NORESERVE
    place = life.task.memory.mmap(0, 1 << 30, PROT.READ | PROT.WRITE, flags)
    life.machine.frames.limit = life.machine.frames.in_use
    assert life.live(fault(place + (1 << 29), Prot.WRITE), EXIT_5) == SIG.KILL


@pytest.mark.parametrize(
    ("kind", "vector", "signal"),
    [
        (ExceptionKind.ILLEGAL_INSTRUCTION, 6, SIG.ILL),
        (ExceptionKind.DIVIDE, 0, SIG.FPE),
        (ExceptionKind.BREAKPOINT, 3, SIG.TRAP),
        (ExceptionKind.SINGLE_STEP, 1, SIG.TRAP),
        (ExceptionKind.PROTECTION, 13, SIG.SEGV),
        (ExceptionKind.ALIGNMENT, 17, SIG.BUS),
    ],
)
def test_exceptions(life: Life, kind: ExceptionKind, vector: int, signal: int) -> None:
    assert life.live(exception(kind, vector), EXIT_5) == signal


def test_a_host_fault_is_tried_again(life: Life) -> None:
    assert life.live(lambda _: ExitKind.HOST_FAULT, EXIT_5) == 5 << 8


def test_a_host_fault_again_and_again_is_a_lost_page(life: Life) -> None:
    assert life.live(*[lambda _: ExitKind.HOST_FAULT] * 3, EXIT_5) == SIG.BUS


def test_a_host_fault_while_rights_change_is_tried_again(life: Life) -> None:
    def step(_: Cpu) -> ExitKind:
        life.machine.frames.invalidations += 1
        return ExitKind.HOST_FAULT

    assert life.live(*[step] * 5, EXIT_5) == 5 << 8


# -- signals --------------------------------------------------------------------------------------------------


def send(life: Life, number: int) -> Step:
    """A signal from elsewhere while the guest runs."""

    def step(_: Cpu) -> ExitKind:
        def other() -> None:
            with kernel_lock:
                send_to_process(life.process, from_user(number, 0, 0))

        sender = threading.Thread(target=other)
        sender.start()
        sender.join()
        return life.cpu.run()

    return step


def handle(life: Life, number: int, flags: int = 0) -> None:
    kept = SA(SA.RESTORER | flags)
    life.process.signals.dispositions[number] = Disposition(HANDLER, kept, RESTORER, 0)


@pytest.mark.parametrize("number", [SIG.TERM, SIG.KILL, SIG.INT, SIG.RTMIN + 5])
def test_a_signal_kills_a_running_guest(life: Life, number: int) -> None:
    assert life.live(send(life, number), EXIT_5) == number


def test_a_call_that_comes_after_the_end_is_not_made(life: Life) -> None:
    """Another thread has ended the process while this one was on its way out of the guest."""
    made: list[int] = []
    life.answer(GETPPID, lambda *_: made.append(1))

    def leave_too_late(cpu: Cpu) -> ExitKind:
        with kernel_lock:
            life.process.exit_group(7 << 8)
        return syscall(GETPPID)(cpu)

    assert life.live(leave_too_late) == 7 << 8
    assert not made


def test_a_signal_before_the_first_instruction(life: Life) -> None:
    send_to_task(life.task, from_user(SIG.TERM, 0, 0))
    found: list[int] = []
    assert life.live(see(found, lambda _: 1, EXIT_5)) == SIG.TERM
    assert found == []


def test_an_ignored_signal(life: Life) -> None:
    assert life.live(send(life, SIG.CHLD), EXIT_5) == 5 << 8


def test_a_kick_for_nothing(life: Life) -> None:
    assert life.live(*[lambda _: ExitKind.KICKED] * 3, EXIT_5) == 5 << 8


def test_a_handler_runs_and_everything_is_as_before(life: Life) -> None:
    handle(life, SIG.USR1)
    seen: list[list[int]] = []

    def before(cpu: Cpu) -> ExitKind:
        for index in range(16):
            if index != RSP:
                cpu.registers[index] = 0x1111 * index
        cpu.registers[RFLAGS] = 0x246
        cpu.set_fpu(bytes(512) + (3).to_bytes(8, "little") + bytes(504))
        return send(life, SIG.USR1)(cpu)

    def sigreturn(cpu: Cpu) -> ExitKind:
        cpu.registers[RSP] += 8  # the handler has returned to the restorer
        return syscall(SIGRETURN)(cpu)

    life.live(before, see(seen, registers, sigreturn), see(seen, registers, EXIT_5))
    inside, after = seen
    assert (inside[RIP], inside[RDI]) == (HANDLER, SIG.USR1)
    assert ARENA < inside[RSP] < STACK
    assert after[RIP] == ENTRY
    assert after[RSP] == STACK
    assert after[RCX] == 0x1111 * RCX
    assert after[:RSP] == [0x1111 * index for index in range(RSP)]
    assert life.failure is None


def test_what_a_guest_need_not_leave_for(life: Life) -> None:
    """Signals with handlers, and nothing beside them; a tracer hears of each signal first."""
    handle(life, SIG.USR1)
    answers: list[bool] = []

    def handler(task: Any, *_: int) -> int:
        [thread] = life.threads.running
        send_to_task(task, from_user(SIG.USR1, 0, 0))
        answers.append(thread.may_run_handlers)
        task.tracing = SimpleNamespace(is_wanted=False)
        answers.append(thread.may_run_handlers)
        task.tracing = None
        thread.leave_cpu()
        answers.append(thread.may_run_handlers)
        thread._is_moving = False
        send_to_task(task, from_user(SIG.TERM, 0, 0))
        answers.append(thread.may_run_handlers)
        return 0

    life.answer(TEST, handler)
    assert life.live(syscall(TEST), EXIT_5) == SIG.TERM
    assert answers == [True, False, False, False]


def test_a_mailbox_that_another_one_replaces_is_closed(life: Life) -> None:
    """A call that a forger has left in it would sleep for ever."""
    mailboxes = [Mock(), Mock()]
    server: Any = Mock(admit=Mock(side_effect=[mailboxes[0], None, mailboxes[1]]))
    life.threads.call_server = server
    life.answer(TEST, lambda *_: 0)

    def busy(cpu: Cpu) -> ExitKind:
        syscall(TEST)(cpu)
        return ExitKind.BUSY_SYSCALL

    assert life.live(busy, busy, busy, EXIT_5) == 5 << 8
    assert [mailbox.close.called for mailbox in mailboxes] == [True, False]
    life.threads.call_server = None


def test_a_handler_without_a_stack(life: Life) -> None:
    handle(life, SIG.USR1)

    def lose_stack(cpu: Cpu) -> ExitKind:
        cpu.registers[RSP] = 0x1000
        return send(life, SIG.USR1)(cpu)

    assert life.live(lose_stack, EXIT_5) == SIG.SEGV


def test_a_handler_of_sigsegv_without_a_stack(life: Life) -> None:
    handle(life, SIG.SEGV)

    def lose_stack(cpu: Cpu) -> ExitKind:
        cpu.registers[RSP] = 0x1000
        return fault(0, Prot.READ)(cpu)

    assert life.live(lose_stack, EXIT_5) == SIG.SEGV


def test_sigreturn_without_a_frame(life: Life) -> None:
    def lose_stack(cpu: Cpu) -> ExitKind:
        cpu.registers[RSP] = 0x1000
        return syscall(SIGRETURN)(cpu)

    assert life.live(lose_stack, EXIT_5) == SIG.SEGV


def test_a_blocked_fault_kills(life: Life) -> None:
    handle(life, SIG.SEGV)
    life.task.signals.set_mask(1 << SIG.SEGV - 1)
    assert life.live(fault(0, Prot.READ), EXIT_5) == SIG.SEGV


# -- a new program ---------------------------------------------------------------------------------------------


def test_a_new_program_has_a_cpu_of_its_own(life: Life) -> None:
    found: list[list[int]] = []
    other = life.world.process()
    fresh: Any = SimpleNamespace(entry=0xABC, stack_pointer=0xDEF0, memory=other.memory)

    def execve(task: Any, *_: int) -> Outcome:
        old, task.memory = task.memory, other.memory.hold()
        life.machine.script = [see(found, registers, EXIT_5)]
        task.control.start_program(fresh)
        old.drop()
        return Outcome.KEEP_REGISTERS

    life.answer(TEST, execve)
    assert life.live(syscall(TEST)) == 5 << 8
    other.exit(0)
    other.release()
    first, second = life.machine.cpus
    assert first is not second
    [seen] = found
    assert (seen[RIP], seen[RSP], seen[RAX]) == (0xABC, 0xDEF0, 0)


# -- sleeping calls -----------------------------------------------------------------------------------------------


@pytest.fixture
async def sleeper() -> Any:
    made = Life(asyncio.get_running_loop())
    yield made
    assert not made.reactor.sleeping
    made.reactor.close()
    made.machine.close()


class Sleep:
    """A call that sleeps until it is woken."""

    def __init__(self, life: Life) -> None:
        self.queue = WaitQueue()
        self._is_over = False
        self.is_closed = False
        life.answer(TEST, self.handler, is_async=True)

    async def handler(self, *_: Any) -> int:
        try:
            while not self._is_over:
                await sleep_on(Source(self.queue))
        finally:
            self.is_closed = True
        return 33

    async def until_asleep(self) -> None:
        while not len(self.queue):
            await asyncio.sleep(0)

    def wake(self) -> None:
        with kernel_lock:
            self._is_over = True
            self.queue.wake()


async def test_a_call_that_sleeps(sleeper: Life) -> None:
    results: list[int] = []
    sleep = Sleep(sleeper)
    thread = sleeper.begin(syscall(TEST), see(results, lambda cpu: cpu.registers[RAX], EXIT_5))
    await sleep.until_asleep()
    with kernel_lock:
        assert sleeper.task.is_sleeping
        sleep.queue.wake()
        assert not sleeper.task.is_sleeping  # though its thread has not come up
    sleep.wake()
    await asyncio.to_thread(sleeper.finish, thread)
    assert results == [33]
    assert not sleeper.task.is_sleeping


@pytest.mark.parametrize(("flags", "restarts"), [(0, False), (SA.RESTART, True)])
async def test_a_handler_in_the_midst_of_a_sleep(sleeper: Life, flags: int, restarts: bool) -> None:
    handle(sleeper, SIG.USR1, flags)
    sleep = Sleep(sleeper)
    seen: list[list[int]] = []

    def sigreturn(cpu: Cpu) -> ExitKind:
        cpu.registers[RSP] += 8
        return syscall(SIGRETURN)(cpu)

    thread = sleeper.begin(syscall(TEST), sigreturn, see(seen, registers, EXIT_5))
    await sleep.until_asleep()
    with kernel_lock:
        send_to_process(sleeper.process, from_user(SIG.USR1, 0, 0))
    await asyncio.to_thread(sleeper.finish, thread)
    [after] = seen
    if restarts:
        assert (after[RIP], after[RAX]) == (ENTRY, TEST), "the same call, once more"
    else:
        assert (after[RIP], after[RAX]) == (ENTRY + 2, error_result(LinuxError(Errno.EINTR)))


async def test_a_signal_that_kills_a_sleeper(sleeper: Life) -> None:
    sleep = Sleep(sleeper)
    thread = sleeper.begin(syscall(TEST), EXIT_5)
    await sleep.until_asleep()
    with kernel_lock:
        send_to_process(sleeper.process, from_user(SIG.TERM, 0, 0))
    await asyncio.to_thread(sleeper.finish, thread)
    assert sleeper.process.wait_status == SIG.TERM
    assert sleep.is_closed


async def test_the_end_of_a_process_that_sleeps(sleeper: Life) -> None:
    sleep = Sleep(sleeper)
    thread = sleeper.begin(syscall(TEST), EXIT_5)
    await sleep.until_asleep()
    with kernel_lock:
        sleeper.process.exit_group(7 << 8)
    await asyncio.to_thread(sleeper.finish, thread)
    assert sleeper.process.wait_status == 7 << 8
    assert sleep.is_closed


async def test_a_bug_in_a_call_that_has_slept(sleeper: Life, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(*_: Any) -> int:
        await sleep_on(Source(), 0)
        raise ZeroDivisionError

    sleeper.answer(TEST, handler, is_async=True)
    thread = sleeper.begin(syscall(TEST), EXIT_5)
    await asyncio.to_thread(sleeper.finish, thread)
    assert isinstance(sleeper.failure, ZeroDivisionError)
    assert sleeper.process.wait_status == SIG.KILL
