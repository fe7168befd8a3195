"""Signal calls through the dispatcher, with the errors that Linux gave to the same arguments."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.tasks import BAD, BASE, FakeTask, new_kernel, new_task

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.siginfo import SI, SigInfoQueue
from aionoah.abi.signal import SA, SIG, SIG_HOW, SIG_IGN, SS, Sigaction, StackT
from aionoah.abi.time import Timespec
from aionoah.abi.x86_64 import X86_64
from aionoah.signals.actions import EVERY_SIGNAL, UNBLOCKABLE, Disposition, signal_set
from aionoah.signals.generate import send_to_process, send_to_task
from aionoah.signals.info import from_user
from aionoah.signals.state import AlternateStack
from aionoah.syscalls import signal as signal_calls
from aionoah.syscalls.dispatch import SyscallTable
from aionoah.syscalls.results import Suspended

WORD = 1 << 64
OTHER = BASE + 512
INT, TERM, USR1 = (signal_set(signal) for signal in (SIG.INT, SIG.TERM, SIG.USR1))


class Calls:
    """System calls by name, of one task; a negative result comes as its Errno."""

    def __init__(self, task: Any) -> None:
        self.table = SyscallTable(X86_64)
        self.task = task

    def __getattr__(self, name: str) -> Any:
        def call(*args: int) -> Any:
            words = [arg % WORD for arg in args] + [0] * (6 - len(args))
            return self.decoded(self.table.call(self.task, X86_64.syscall_numbers[name], words))

        return call

    def step(self, suspended: Suspended, thrown: BaseException | None = None) -> Any:
        return self.decoded(self.table.step(suspended.coroutine, thrown))

    @staticmethod
    def decoded(result: Any) -> Any:
        return Errno(WORD - result) if isinstance(result, int) and result >= WORD - 4095 else result


@pytest.fixture
def task() -> Any:
    return new_task(pid=100)


@pytest.fixture
def call(task: Any) -> Calls:
    return Calls(task)


def slept(result: Any) -> Suspended:
    assert isinstance(result, Suspended)
    return result


# -- rt_sigaction -----------------------------------------------------------------------------------------------


def test_rt_sigaction_sets_and_tells(call: Calls, task: Any) -> None:
    action = Sigaction(0x4000, SA.RESTORER | SA.SIGINFO, 0x5000, INT)
    task.memory.put(BASE, action)
    assert call.rt_sigaction(SIG.TERM, BASE, OTHER, 8) == 0
    assert task.memory.get(Sigaction, OTHER) == Sigaction(0, 0, 0, 0)
    assert call.rt_sigaction(SIG.TERM, 0, OTHER, 8) == 0
    assert task.memory.get(Sigaction, OTHER) == action
    assert call.rt_sigaction(SIG.TERM, 0, 0, 8) == 0


@pytest.mark.parametrize(
    ("args", "errno"),
    [
        ((SIG.KILL, BASE, 0, 8), Errno.EINVAL),
        ((SIG.STOP, BASE, 0, 8), Errno.EINVAL),
        ((SIG.KILL, 0, OTHER, 8), 0),
        ((0, 0, 0, 8), Errno.EINVAL),
        ((65, 0, 0, 8), Errno.EINVAL),
        ((65, BAD, 0, 8), Errno.EFAULT),
        ((1, BAD, 0, 8), Errno.EFAULT),
        ((1, 0, BAD, 8), Errno.EFAULT),
        ((99, 0, BAD, 4), Errno.EINVAL),
    ],
)
def test_errors_of_rt_sigaction(call: Calls, args: tuple[int, ...], errno: Errno | int) -> None:
    assert call.rt_sigaction(*args) == errno


def test_ignoring_a_signal_discards_it(call: Calls, task: Any) -> None:
    task.signals.set_mask(TERM)
    send_to_process(task.process, from_user(SIG.TERM, 1, 0))
    task.memory.put(BASE, Sigaction(SIG_IGN, 0, 0, 0))
    assert call.rt_sigaction(SIG.TERM, BASE, 0, 8) == 0
    assert task.signals.all_pending == 0


# -- masks and pending signals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "expected"),
    [(SIG_HOW.BLOCK, INT | TERM), (SIG_HOW.UNBLOCK, INT), (SIG_HOW.SETMASK, TERM)],
)
def test_rt_sigprocmask(call: Calls, task: Any, how: int, expected: int) -> None:
    task.signals.set_mask(INT | (TERM if how == SIG_HOW.UNBLOCK else 0))
    before = task.signals.mask
    task.memory.write_word(BASE, TERM)
    assert call.rt_sigprocmask(how, BASE, OTHER, 8) == 0
    assert task.signals.mask == expected
    assert task.memory.read_word(OTHER) == before


def test_what_cannot_be_blocked_is_left_out(call: Calls, task: Any) -> None:
    task.memory.write_word(BASE, EVERY_SIGNAL)
    assert call.rt_sigprocmask(SIG_HOW.SETMASK, BASE, 0, 8) == 0
    assert task.signals.mask == EVERY_SIGNAL & ~UNBLOCKABLE


def test_unblocking_lets_pending_signals_in(call: Calls, task: Any) -> None:
    task.signals.set_mask(TERM)
    send_to_task(task, from_user(SIG.TERM, 1, 0))
    assert task.interrupts == 0
    assert call.rt_sigprocmask(SIG_HOW.SETMASK, BASE, 0, 8) == 0
    assert task.interrupts == 1


@pytest.mark.parametrize(
    ("args", "errno"),
    [
        ((9, 0, 0, 8), 0),
        ((9, BASE, 0, 8), Errno.EINVAL),
        ((9, BAD, 0, 8), Errno.EFAULT),
        ((0, 0, BAD, 8), Errno.EFAULT),
        ((0, 0, BASE, 4), Errno.EINVAL),
    ],
)
def test_errors_of_rt_sigprocmask(call: Calls, args: tuple[int, ...], errno: Errno | int) -> None:
    assert call.rt_sigprocmask(*args) == errno


def test_rt_sigpending(call: Calls, task: Any) -> None:
    task.signals.set_mask(TERM | USR1)
    send_to_task(task, from_user(SIG.TERM, 1, 0))
    send_to_process(task.process, from_user(SIG.USR1, 1, 0))
    task.memory.write(BASE, b"\xff" * 8)
    assert call.rt_sigpending(BASE, 8) == 0
    assert task.memory.read_word(BASE) == TERM | USR1
    task.memory.write(BASE, b"\xff" * 8)
    assert call.rt_sigpending(BASE, 1) == 0
    assert task.memory.read(BASE, 2) == bytes((USR1 & 0xFF, 0xFF))


def test_errors_of_rt_sigpending(call: Calls) -> None:
    assert call.rt_sigpending(BASE, 9) is Errno.EINVAL
    assert call.rt_sigpending(BAD, 8) is Errno.EFAULT


# -- alternate stacks -------------------------------------------------------------------------------------------


def test_sigaltstack(call: Calls, task: Any) -> None:
    task.memory.put(BASE, StackT(0x7000, 0, 8192))
    assert call.sigaltstack(BASE, OTHER) == 0
    assert task.memory.get(StackT, OTHER) == StackT(0, SS.DISABLE, 0)
    assert call.sigaltstack(0, OTHER) == 0
    assert task.memory.get(StackT, OTHER) == StackT(0x7000, 0, 8192)


def test_sigaltstack_while_it_is_used(call: Calls, task: Any) -> None:
    task.signals.stack = AlternateStack(0x7000, 8192)
    task.signals.stack_pointer = lambda: 0x8000
    assert call.sigaltstack(0, OTHER) == 0
    assert task.memory.get(StackT, OTHER).ss_flags == SS.ONSTACK
    assert call.sigaltstack(BASE, 0) is Errno.EPERM


def test_errors_of_sigaltstack(call: Calls, task: Any) -> None:
    assert call.sigaltstack(BAD, 0) is Errno.EFAULT
    assert call.sigaltstack(0, BAD) is Errno.EFAULT
    task.memory.put(BASE, StackT(0x7000, 0, X86_64.minimum_signal_stack - 1))
    assert call.sigaltstack(BASE, 0) is Errno.ENOMEM


# -- waiting ----------------------------------------------------------------------------------------------------


def interrupted(call: Calls, suspended: Suspended) -> Errno:
    with pytest.raises(LinuxError) as raised:
        call.step(suspended, LinuxError(Errno.ERESTARTSYS))
    return raised.value.errno


def test_pause_waits_for_a_signal(call: Calls, task: Any) -> None:
    suspended = slept(call.pause())
    suspended = slept(call.step(suspended))  # a spurious wake-up
    assert interrupted(call, suspended) is Errno.ERESTARTNOHAND


def test_pause_with_a_signal_already_there(call: Calls, task: Any) -> None:
    send_to_task(task, from_user(SIG.TERM, 1, 0))
    with pytest.raises(LinuxError) as raised:
        call.pause()
    assert raised.value.errno is Errno.ERESTARTNOHAND


def test_rt_sigsuspend_replaces_the_mask_until_delivery(call: Calls, task: Any) -> None:
    task.signals.set_mask(INT)
    task.memory.write_word(BASE, TERM)
    suspended = slept(call.rt_sigsuspend(BASE, 8))
    assert (task.signals.mask, task.signals.saved_mask) == (TERM, INT)
    assert interrupted(call, suspended) is Errno.ERESTARTNOHAND
    assert (task.signals.mask, task.signals.saved_mask) == (TERM, INT)


def test_rt_sigsuspend_with_a_signal_that_was_blocked(call: Calls, task: Any) -> None:
    task.signals.set_mask(INT)
    send_to_task(task, from_user(SIG.INT, 1, 0))
    with pytest.raises(LinuxError) as raised:
        call.rt_sigsuspend(BASE, 8)
    assert raised.value.errno is Errno.ERESTARTNOHAND


def test_errors_of_rt_sigsuspend(call: Calls, task: Any) -> None:
    assert call.rt_sigsuspend(BASE, 4) is Errno.EINVAL
    assert call.rt_sigsuspend(BAD, 8) is Errno.EFAULT
    assert task.signals.saved_mask is None


def test_restart_without_anything_to_restart(call: Calls) -> None:
    assert call.restart_syscall() is Errno.EINTR


# -- rt_sigtimedwait --------------------------------------------------------------------------------------------


def wait_for(call: Calls, wanted: int, timeout: Timespec | None = None, info: int = 0) -> Any:
    call.task.memory.write_word(BASE, wanted)
    if timeout is not None:
        call.task.memory.put(BASE + 64, timeout)
    return call.rt_sigtimedwait(BASE, info, BASE + 64 if timeout else 0, 8)


def test_a_pending_signal_is_taken_with_its_siginfo(call: Calls, task: Any) -> None:
    task.signals.set_mask(TERM)
    info = from_user(SIG.TERM, 7, 8)
    send_to_process(task.process, info)
    assert wait_for(call, INT | TERM, info=OTHER) == SIG.TERM
    assert task.memory.read(OTHER, 128) == info.pack()
    assert task.signals.all_pending == 0
    assert task.signals.waited == 0


def test_waiting_for_a_signal_that_comes(call: Calls, task: Any) -> None:
    task.signals.set_mask(TERM)
    suspended = slept(wait_for(call, TERM))
    assert suspended.waiter.deadline_ns is None
    send_to_task(task, from_user(SIG.TERM, 7, 8))
    assert suspended.waiter.is_woken
    assert task.interrupts == 0
    assert call.step(suspended) == SIG.TERM


def test_waiting_for_a_signal_that_is_ignored_by_default(call: Calls, task: Any) -> None:
    """It has to be blocked."""
    task.signals.set_mask(signal_set(SIG.CHLD))
    suspended = slept(wait_for(call, signal_set(SIG.CHLD)))
    send_to_process(task.process, from_user(SIG.CHLD, 7, 8))
    assert suspended.waiter.is_woken
    assert call.step(suspended) == SIG.CHLD


def test_another_signal_interrupts(call: Calls, task: Any) -> None:
    suspended = slept(wait_for(call, TERM))
    send_to_task(task, from_user(SIG.INT, 7, 8))
    assert task.interrupts == 1
    assert call.step(suspended, LinuxError(Errno.ERESTARTSYS)) is Errno.EINTR
    assert task.signals.waited == 0


def test_a_timeout(call: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000]
    monkeypatch.setattr(signal_calls, "time", SimpleNamespace(monotonic_ns=lambda: now[0]))
    suspended = slept(wait_for(call, TERM, Timespec(0, 500)))
    assert suspended.waiter.deadline_ns == 1500
    now[0] = 1499
    suspended = slept(call.step(suspended))
    now[0] = 1500
    assert call.step(suspended) is Errno.EAGAIN


def test_no_time_at_all(call: Calls) -> None:
    assert wait_for(call, TERM, Timespec(0, 0)) is Errno.EAGAIN


def test_a_dying_task_stops_waiting(call: Calls, task: Any) -> None:
    slept(wait_for(call, TERM)).coroutine.close()
    assert task.signals.waited == 0
    assert len(task.process.signals.queue) == 0


def test_errors_of_rt_sigtimedwait(call: Calls) -> None:
    assert wait_for(call, TERM, Timespec(0, -1)) is Errno.EINVAL
    assert call.rt_sigtimedwait(BAD, 0, 0, 8) is Errno.EFAULT
    assert call.rt_sigtimedwait(BASE, 0, BAD, 8) is Errno.EFAULT
    assert call.rt_sigtimedwait(BASE, 0, 0, 7) is Errno.EINVAL


# -- sending ----------------------------------------------------------------------------------------------------


def test_kill(call: Calls, task: Any) -> None:
    assert call.kill(100, SIG.TERM) == 0
    info = task.process.signals.pending.take(EVERY_SIGNAL)
    assert (info.si_signo, info.si_code, info.si_pid, info.si_uid) == (SIG.TERM, SI.USER, 100, 0)
    assert call.kill(100, 0) == 0
    assert task.signals.all_pending == 0


def test_kill_by_the_id_of_a_thread_is_for_the_process(call: Calls, task: Any) -> None:
    FakeTask(task.process, 101)
    assert call.kill(101, SIG.TERM) == 0
    assert task.process.signals.pending.bits == TERM


@pytest.mark.parametrize(
    ("args", "errno"),
    [
        ((999_999, 100), Errno.ESRCH),
        ((100, 65), Errno.EINVAL),
        ((100, -1), Errno.EINVAL),
        ((-999_999, 0), Errno.ESRCH),
        ((-999_999, 99), Errno.ESRCH),
        ((-(1 << 31), 0), Errno.ESRCH),
    ],
)
def test_errors_of_kill(call: Calls, args: tuple[int, int], errno: Errno) -> None:
    assert call.kill(*args) is errno


def family() -> tuple[Calls, Any, Any, Any, Any]:
    """The calls of process 100; processes 1, 100 and 101 of its group, and 102 of another."""
    kernel = new_kernel()
    init, own, sibling, stranger = (new_task(kernel, pid) for pid in (1, 100, 101, 102))
    sibling.process.process_group = 100
    return Calls(own), init, own, sibling, stranger


@pytest.mark.parametrize("target", [0, -100])
def test_kill_of_a_group(target: int) -> None:
    call, init, own, sibling, stranger = family()
    assert call.kill(target, SIG.TERM) == 0
    pending = [task.signals.all_pending for task in (init, own, sibling, stranger)]
    assert pending == [0, TERM, TERM, 0]


def test_kill_of_everybody_spares_init_and_the_sender() -> None:
    call, init, own, sibling, stranger = family()
    assert call.kill(-1, SIG.TERM) == 0
    pending = [task.signals.all_pending for task in (init, own, sibling, stranger)]
    assert pending == [0, 0, TERM, TERM]


@pytest.mark.parametrize(
    ("uid", "target_uid", "errno"),
    [(0, 1000, 0), (1000, 1000, 0), (1000, 0, Errno.EPERM), (1000, 1001, Errno.EPERM)],
)
def test_who_may_signal_whom(uid: int, target_uid: int, errno: Errno | int) -> None:
    kernel = new_kernel()
    call = Calls(new_task(kernel, 100, uid))
    target = new_task(kernel, 101, target_uid)
    assert call.kill(101, SIG.TERM) == errno
    assert call.tkill(101, SIG.INT) == errno
    assert target.signals.all_pending == (INT | TERM if errno == 0 else 0)


def test_a_target_that_has_become_somebody_else() -> None:
    kernel = new_kernel()
    call = Calls(new_task(kernel, 100, 1000))
    target = new_task(kernel, 101, 1000)
    target.credentials.euid = 0
    assert call.kill(101, 0) == 0  # its real id counts
    target.credentials.uid = 0
    assert call.kill(101, 0) == 0  # and its saved one
    target.credentials.suid = 0
    assert call.kill(101, 0) is Errno.EPERM


def test_sigcont_is_allowed_within_a_session() -> None:
    kernel = new_kernel()
    call, target = Calls(new_task(kernel, 100, 1000)), new_task(kernel, 101, 1001)
    assert call.kill(101, SIG.CONT) is Errno.EPERM
    target.process.session = 100
    assert call.kill(101, SIG.CONT) == 0
    assert call.kill(101, SIG.TERM) is Errno.EPERM


def test_everybody_is_whoever_may_be_signalled() -> None:
    """Those who may not do not count, not even if nobody may (kernel/signal.c: kill_something_info)."""
    kernel = new_kernel()
    call = Calls(new_task(kernel, 100, 1000))
    new_task(kernel, 101, 1000)
    new_task(kernel, 102, 0)
    assert call.kill(-1, SIG.TERM) == 0
    del kernel.processes[101]
    assert call.kill(-1, SIG.TERM) == 0
    del kernel.processes[102]
    assert call.kill(-1, SIG.TERM) is Errno.ESRCH


def test_a_zombie_takes_any_signal() -> None:
    kernel = new_kernel()
    call, zombie = Calls(new_task(kernel, 100, 1000)), new_task(kernel, 101)
    zombie.process.tasks.clear()
    assert call.kill(101, SIG.KILL) == 0


@pytest.mark.parametrize(("name", "args"), [("tkill", (100,)), ("tgkill", (100, 100))])
def test_tkill_and_tgkill(call: Calls, task: Any, name: str, args: tuple[int, ...]) -> None:
    assert getattr(call, name)(*args, SIG.TERM) == 0
    info = task.signals.pending.take(EVERY_SIGNAL)
    assert (info.si_signo, info.si_code, info.si_pid) == (SIG.TERM, SI.TKILL, 100)


@pytest.mark.parametrize(
    ("name", "args", "errno"),
    [
        ("tkill", (0, 0), Errno.EINVAL),
        ("tkill", (999_999, 99), Errno.ESRCH),
        ("tkill", (100, 99), Errno.EINVAL),
        ("tgkill", (1, 100, 0), Errno.ESRCH),
        ("tgkill", (0, 100, 0), Errno.EINVAL),
        ("tgkill", (100, -1, 0), Errno.EINVAL),
        ("rt_tgsigqueueinfo", (0, 100, 1, BASE), Errno.EINVAL),
        ("rt_tgsigqueueinfo", (100, 100, 1, BAD), Errno.EFAULT),
    ],
)
def test_errors_of_signals_to_threads(call: Calls, name: str, args: tuple[int, ...], errno: Errno) -> None:
    assert getattr(call, name)(*args) is errno


def put_info(task: Any, code: int) -> None:
    task.memory.put(BASE, SigInfoQueue(0, 0, code, 1, 2, 0xABCD))


@pytest.mark.parametrize(
    ("code", "args", "errno"),
    [
        (0, (1, 10), Errno.EPERM),
        (SI.TKILL, (999_999, 10), Errno.EPERM),
        (0, (100, 100), Errno.EINVAL),
        (0, (100, 0), 0),
        (-1, (999_999, 10), Errno.ESRCH),
        (-1, (999_999, 100), Errno.ESRCH),
        (-1, (-5, 0), Errno.ESRCH),
        (-1, (0, 0), Errno.ESRCH),
    ],
)
def test_errors_of_rt_sigqueueinfo(
    call: Calls, task: Any, code: int, args: tuple[int, int], errno: Errno | int
) -> None:
    put_info(task, code)
    assert call.rt_sigqueueinfo(*args, BASE) == errno


def test_rt_sigqueueinfo_delivers_what_it_was_given(call: Calls, task: Any) -> None:
    put_info(task, SI.QUEUE)
    assert call.rt_sigqueueinfo(100, 40, BASE) == 0
    assert call.rt_sigqueueinfo(100, 40, BAD) is Errno.EFAULT
    info = SigInfoQueue.unpack(task.process.signals.pending.take(EVERY_SIGNAL).pack())
    assert info == SigInfoQueue(40, 0, SI.QUEUE, 1, 2, 0xABCD)


def test_rt_tgsigqueueinfo_is_for_the_thread(call: Calls, task: Any) -> None:
    put_info(task, SI.QUEUE)
    assert call.rt_tgsigqueueinfo(100, 100, 40, BASE) == 0
    assert task.signals.pending.bits == signal_set(40)


def test_queued_signals_are_limited(call: Calls, task: Any) -> None:
    put_info(task, SI.QUEUE)
    task.signals.set_mask(signal_set(40))
    task.process.limits = SimpleNamespace(soft=lambda resource: 2)
    results = [call.rt_sigqueueinfo(100, 40, BASE) for _ in range(3)]
    assert results == [0, 0, Errno.EAGAIN]


def test_a_handler_does_not_keep_a_signal_from_being_sent(call: Calls, task: Any) -> None:
    task.process.signals.dispositions[SIG.CHLD] = Disposition(0x4000)
    assert call.kill(100, SIG.CHLD) == 0
    assert task.signals.all_pending == signal_set(SIG.CHLD)
    assert task.interrupts == 1


def test_deadlines_are_of_the_monotonic_clock(call: Calls) -> None:
    before = time.monotonic_ns()
    suspended = slept(wait_for(call, TERM, Timespec(1000, 0)))
    assert suspended.waiter.deadline_ns is not None
    assert before <= suspended.waiter.deadline_ns - 1000 * 1_000_000_000 <= time.monotonic_ns()
    suspended.coroutine.close()
