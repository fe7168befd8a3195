"""Who is traced: stops, what waits find, who hears of ends, and what the end of a tracer does."""

from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ptrace import PTRACE, PTRACE_EVENT, PTRACE_O
from aionoah.abi.sched import CLONE
from aionoah.abi.siginfo import CLD
from aionoah.abi.signal import SIG
from aionoah.abi.wait import W, exited_status, stopped_status
from aionoah.abi.x86_64 import X86_64
from aionoah.process.children import wait_for_child
from aionoah.process.ending import end_process, end_thread
from aionoah.process.init import end_init, show_init
from aionoah.process.stopping import stay_stopped
from aionoah.process.tracees import Stop, Tracing, attach, detach, interrupt, listen, resume, trace_me
from aionoah.process.tracing_stops import group_stop, stay, stop_in_clone, trap
from aionoah.signals.generate import send_to_process
from aionoah.signals.info import from_user

THREAD = CLONE.THREAD | CLONE.SIGHAND | CLONE.VM
ANY = W(W.EXITED | W.NOHANG | W.ALL)
NO_OPTIONS = PTRACE_O(0)


@pytest.fixture
def tracer(family: Any) -> Any:
    made = family.first()
    made.signals.set_mask(1 << SIG.CHLD - 1)
    return made


@pytest.fixture
def child(family: Any, tracer: Any) -> Any:
    made = family.clone(tracer)
    made.process.process_group = made.tid
    return made


def seize(tracer: Any, task: Any, options: int = 0) -> Tracing:
    attach(tracer, task, PTRACE_O(options), is_seized=True)
    found: Tracing = task.tracing
    return found


def stop_at(task: Any, signal: int) -> Stop:
    return Stop(signal, from_user(signal, 1, 0))


def wait(task: Any, options: int = ANY) -> Any:
    """What a wait finds at once, as pid and status; None, or an errno."""
    coroutine = wait_for_child(task, lambda _: True, W(options))
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return None if stop.value is None else (stop.value.pid, stop.value.status)
    except LinuxError as error:
        return error.errno
    coroutine.close()
    raise AssertionError("it sleeps")


def news(task: Any) -> list[tuple[int, int, int]]:
    """Pid, code and status of each SIGCHLD."""
    found = []
    while (info := task.process.signals.pending.take(1 << SIG.CHLD - 1)) is not None:
        found.append((info.si_pid, info.si_code, info.si_status))
    return found


# -- who ------------------------------------------------------------------------------------------------


def test_one_tracer_is_enough(family: Any, tracer: Any, child: Any) -> None:
    trace_me(child)
    assert child.tracing.tracer is tracer
    other = family.first()
    for again in (lambda: trace_me(child), lambda: attach(other, child, NO_OPTIONS, is_seized=False)):
        with pytest.raises(LinuxError) as caught:
            again()
        assert caught.value.errno == Errno.EPERM


def test_nobody_traces_his_own_process(family: Any, tracer: Any) -> None:
    for target in (tracer, family.clone(tracer, THREAD)):
        with pytest.raises(LinuxError) as caught:
            seize(tracer, target)
        assert caught.value.errno == Errno.EPERM


def test_attaching_stops_by_a_signal_and_seizing_does_not(family: Any, tracer: Any, child: Any) -> None:
    seize(tracer, child)
    assert not child.is_interrupted
    other = family.clone(tracer)
    attach(tracer, other, NO_OPTIONS, is_seized=False)
    assert other.signals.pending.bits == 1 << SIG.STOP - 1


# -- stops ----------------------------------------------------------------------------------------------


def test_a_stop_is_told_and_waited_for_once(tracer: Any, child: Any, sleep: Any) -> None:
    tracing = seize(tracer, child)
    parked = sleep(stay(tracing, stop_at(child, SIG.USR1)))
    assert news(tracer) == [(child.tid, CLD.TRAPPED, SIG.USR1)]
    assert wait(tracer, ANY | W.NOWAIT) == (child.tid, stopped_status(SIG.USR1))
    assert wait(tracer) == (child.tid, stopped_status(SIG.USR1))
    assert wait(tracer) is None
    resume(tracing, PTRACE.SYSCALL, SIG.USR2)
    assert (tracing.request, parked.step().result) == (PTRACE.SYSCALL, SIG.USR2)
    with pytest.raises(LinuxError) as caught:
        tracing.require_stop()
    assert caught.value.errno == Errno.ESRCH


@pytest.mark.parametrize("signal", [-1, 65, 1 << 32])
def test_signals_that_are_none(tracer: Any, child: Any, sleep: Any, signal: int) -> None:
    tracing = seize(tracer, child)
    parked = sleep(stay(tracing, stop_at(child, SIG.USR1)))
    for how in (lambda: resume(tracing, PTRACE.CONT, signal), lambda: detach(tracing, signal)):
        with pytest.raises(LinuxError) as caught:
            how()
        assert caught.value.errno == Errno.EIO
    assert not parked.step().has_ended
    assert child.tracing is tracing


def test_only_sigkill_ends_a_stop(tracer: Any, child: Any, sleep: Any) -> None:
    tracing = seize(tracer, child)
    parked = sleep(stay(tracing, stop_at(child, SIG.USR1)))
    send_to_process(child.process, from_user(SIG.TERM, 1, 0))
    assert not parked.step(LinuxError(Errno.ERESTARTSYS)).has_ended
    assert not child.signals.is_dying
    send_to_process(child.process, from_user(SIG.KILL, 1, 0))
    assert child.signals.is_dying
    assert parked.step(LinuxError(Errno.ERESTARTSYS)).result == 0
    assert sleep(stay(tracing, stop_at(child, SIG.USR1))).has_ended


def test_what_is_ignored_is_not_dropped(tracer: Any, child: Any) -> None:
    seize(tracer, child)
    assert send_to_process(child.process, from_user(SIG.WINCH, 1, 0))
    assert child.is_interrupted


def test_a_signal_for_the_process_goes_to_who_is_in_no_stop(
    family: Any, tracer: Any, child: Any, sleep: Any
) -> None:
    thread = family.clone(child, THREAD)
    sleep(stay(seize(tracer, child), stop_at(child, SIG.USR1)))
    family.interrupts.clear()
    send_to_process(child.process, from_user(SIG.TERM, 1, 0))
    assert family.interrupts == [thread.tid]


# -- group-stops ----------------------------------------------------------------------------------------


def test_a_group_stop_is_one_for_the_tracer(tracer: Any, child: Any, sleep: Any) -> None:
    tracing = seize(tracer, child)
    child.process.begin_stop(SIG.TSTP)
    assert child.is_interrupted
    stop = group_stop(child, tracing)
    assert stop is not None
    parked = sleep(stay(tracing, stop))
    assert (stop.status, child.is_stopped) == (SIG.TSTP | PTRACE_EVENT.STOP << 8, True)
    assert child.process.stop.unreported == 0  # he who traces is the parent, and has heard of it
    assert news(tracer) == [(child.tid, CLD.STOPPED, SIG.TSTP)]
    resume(tracing, PTRACE.CONT, 0)
    parked.step()
    assert not child.is_interrupted  # it runs while its process is stopped


def test_listening_ends_with_sigcont(tracer: Any, child: Any, sleep: Any) -> None:
    tracing = seize(tracer, child)
    child.process.begin_stop(SIG.STOP)
    stop = group_stop(child, tracing)
    assert stop is not None
    parked = sleep(stay(tracing, stop))
    listen(tracing)
    assert wait(tracer) is None
    with pytest.raises(LinuxError):
        listen(tracing)
    send_to_process(child.process, from_user(SIG.CONT, 1, 0))
    assert parked.step().has_ended
    assert tracing.is_wanted
    again = group_stop(child, tracing)
    assert again is not None
    assert again.status == SIG.TRAP | PTRACE_EVENT.STOP << 8


def test_who_was_only_attached_to_waits_for_his_tracer(tracer: Any, child: Any, sleep: Any) -> None:
    attach(tracer, child, NO_OPTIONS, is_seized=False)
    tracing = child.tracing
    child.process.begin_stop(SIG.STOP)
    stop = group_stop(child, tracing)
    assert stop is not None
    assert (stop.status, stop.info) == (SIG.STOP, None)
    parked = sleep(stay(tracing, stop))
    for refused in (lambda: interrupt(tracing), lambda: listen(tracing)):
        with pytest.raises(LinuxError) as caught:
            refused()
        assert caught.value.errno == Errno.EIO
    send_to_process(child.process, from_user(SIG.CONT, 1, 0))
    assert not parked.step().has_ended
    assert group_stop(child, tracing) is None


def test_an_ordinary_stop_becomes_the_tracers_and_back(family: Any, child: Any, sleep: Any) -> None:
    child.process.begin_stop(SIG.STOP)
    parked = sleep(stay_stopped(child))
    tracing = seize(family.first(), child)
    assert parked.step().has_ended
    assert tracing.is_wanted
    detach(tracing, 0)
    assert child.must_stop


# -- children of tracees --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "exit_signal", "event"),
    [
        (0, SIG.CHLD, PTRACE_EVENT.FORK),
        (CLONE.VFORK | CLONE.VM, SIG.CHLD, PTRACE_EVENT.VFORK),
        (THREAD, 0, PTRACE_EVENT.CLONE),
    ],
)
def test_children_are_traced_as_options_say(
    family: Any, tracer: Any, child: Any, sleep: Any, flags: int, exit_signal: int, event: int
) -> None:
    tracing = seize(tracer, child, 1 << event)
    made = family.clone(child, flags, exit_signal)
    assert made.tracing.tracer is tracer
    assert made.is_interrupted
    tracing.view = lambda: "state"  # type: ignore[assignment,return-value]
    parked = sleep(stop_in_clone(child, CLONE(flags), exit_signal, made.tid))
    assert (tracing.require_stop().status >> 8, tracing.require_stop().message) == (event, made.tid)
    resume(tracing, PTRACE.CONT, 0)
    assert parked.step().has_ended
    made = family.clone(child, flags | CLONE.UNTRACED, exit_signal)
    assert made.tracing is None
    assert sleep(stop_in_clone(child, CLONE(flags | CLONE.UNTRACED), exit_signal, made.tid)).has_ended


# -- ends -----------------------------------------------------------------------------------------------


def test_the_tracer_hears_of_an_end_before_the_parent(family: Any, tracer: Any, child: Any) -> None:
    other = family.first()
    other.signals.set_mask(1 << SIG.CHLD - 1)
    seize(other, child)
    child.process.exit_group(exited_status(3))
    assert news(other) == [(child.tid, CLD.EXITED, 3)]
    assert news(tracer) == []
    assert wait(tracer) is None
    assert wait(other) == (child.tid, exited_status(3))
    assert wait(other) == Errno.ECHILD
    assert wait(tracer) == (child.tid, exited_status(3))


def test_a_parent_that_traces_hears_of_it_once(tracer: Any, child: Any) -> None:
    seize(tracer, child)
    child.process.exit_group(exited_status(4))
    assert news(tracer) == [(child.tid, CLD.EXITED, 4)]
    assert wait(tracer) == (child.tid, exited_status(4))
    assert wait(tracer) == Errno.ECHILD


def test_a_thread_that_is_traced_is_waited_for(family: Any, tracer: Any, child: Any) -> None:
    thread = family.clone(child, THREAD)
    seize(tracer, thread)
    thread.exit(exited_status(5))
    assert news(tracer) == [(thread.tid, CLD.EXITED, 5)]
    child.process.exit_group(exited_status(6))
    assert news(tracer) == []  # the process is held by its thread
    assert wait(tracer) == (thread.tid, exited_status(5))
    assert news(tracer) == [(child.tid, CLD.EXITED, 6)]
    assert wait(tracer) == (child.tid, exited_status(6))


def test_what_init_is_to_trace_is_not_held(family: Any) -> None:
    show_init(family.kernel, X86_64)
    try:
        main = family.first()
        thread = family.clone(main, THREAD)
        trace_me(thread)
        assert thread.tracing.tracer.process.is_init
        thread.exit(0)
        assert main.process.held_threads == 0
    finally:
        end_init(family.kernel)


@pytest.mark.parametrize("waits_first", [False, True])
def test_a_tracer_that_ends_lets_go(
    family: Any, tracer: Any, child: Any, sleep: Any, *, waits_first: bool
) -> None:
    """The signal that its tracee was about to get comes through, unless he has heard of it."""
    other = family.first()
    parked = sleep(stay(seize(other, child), stop_at(child, SIG.USR1)))
    if waits_first:
        wait(other)
    other.process.exit_group(0)
    assert child.tracing is None
    assert parked.step().result == (0 if waits_first else SIG.USR1)
    assert wait(tracer) is None


def test_a_tracer_that_ends_kills_if_asked_to(family: Any, child: Any) -> None:
    other = family.first()
    seize(other, child, PTRACE_O.EXITKILL)
    other.process.exit_group(0)
    assert child.signals.is_dying


def test_a_tracer_that_ends_without_waiting_leaves_the_parent_its_child(
    family: Any, tracer: Any, child: Any
) -> None:
    other = family.first()
    thread = family.clone(child, THREAD)
    seize(other, child)
    seize(other, thread)
    child.process.exit_group(exited_status(7))
    assert wait(tracer) is None
    other.process.exit_group(0)
    assert wait(tracer) == (child.tid, exited_status(7))


async def test_a_thread_that_executes_is_the_main_one_for_its_tracer(
    family: Any, tracer: Any, child: Any
) -> None:
    other = family.first()
    thread = family.clone(child, THREAD)
    seize(other, child)
    tracing = seize(other, thread)
    await thread.leave_threads()
    assert other.tracees == {child.tid: tracing}
    assert (tracing.pid, child.process.tracing) == (child.tid, None)
    assert wait(tracer) is None


def test_traps_say_what_they_are(child: Any) -> None:
    stop = trap(child, SIG.TRAP | PTRACE_EVENT.EXEC << 8, 77)
    assert stop.info is not None
    assert (stop.info.si_signo, stop.info.si_code, stop.message) == (SIG.TRAP, 0x405, 77)


def test_an_end_waits_for_the_tracer_who_wants_to_see_it(family: Any, tracer: Any, child: Any) -> None:
    thread = family.clone(child, THREAD)
    tracing = seize(tracer, thread, PTRACE_O.TRACEEXIT)
    end_process(child.process, exited_status(8))
    assert child.has_exited
    assert not thread.has_exited
    assert thread.signals.is_dying
    assert tracing.ends_with == exited_status(8)
    end_process(child.process, SIG.KILL)
    assert not thread.has_exited  # it is on its way
    thread.exit(exited_status(8))
    assert wait(tracer) == (thread.tid, exited_status(8))
    assert wait(tracer) == (child.tid, exited_status(8))


def test_who_shows_his_end_already_ends_at_once(tracer: Any, child: Any) -> None:
    tracing = seize(tracer, child, PTRACE_O.TRACEEXIT)
    end_thread(child, exited_status(1))
    assert not child.has_exited
    tracing.shows_end = True
    end_process(child.process, SIG.KILL)
    assert wait(tracer) == (child.tid, SIG.KILL)


def test_a_tracer_that_ends_puts_off_no_end(family: Any, tracer: Any, child: Any) -> None:
    other = family.first()
    seize(other, child, PTRACE_O.TRACEEXIT)
    end_process(child.process, exited_status(2))
    assert wait(tracer) is None
    other.process.exit_group(0)
    assert wait(tracer) == (child.tid, exited_status(2))
