"""Stop and continue: threads that park, what waits see, and who is told."""

from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.sched import CLONE
from aionoah.abi.siginfo import CLD
from aionoah.abi.signal import SA, SIG, SIG_IGN
from aionoah.process.stopping import stay_stopped
from aionoah.signals.actions import Disposition, Effect
from aionoah.signals.delivery import next_signal
from aionoah.signals.generate import send_to_process
from aionoah.signals.info import from_user

THREAD = CLONE.THREAD | CLONE.SIGHAND | CLONE.VM


@pytest.fixture
def child(family: Any) -> Any:
    """Its parent looks after it, from another group of the session."""
    made = family.clone(family.first())
    made.process.process_group = made.tid
    family.interrupts.clear()
    return made


def news(parent: Any) -> list[tuple[int, int]]:
    """Code and status of each SIGCHLD."""
    found = []
    while (info := parent.process.signals.pending.take(1 << SIG.CHLD - 1)) is not None:
        found.append((info.si_code, info.si_status))
    return found


def block(parent: Any) -> Any:
    """Let SIGCHLD become pending, which by default is dropped."""
    parent.signals.set_mask(1 << SIG.CHLD - 1)
    return parent


def parent_of(child: Any) -> Any:
    return block(child.process.parent_task)


def test_one_thread_stops_and_goes_on(child: Any, sleep: Any) -> None:
    parent, stop = parent_of(child), child.process.stop
    child.process.begin_stop(SIG.TSTP)
    assert (stop.signal, stop.is_complete, child.is_interrupted) == (SIG.TSTP, False, True)
    parked = sleep(stay_stopped(child))
    assert (stop.is_complete, stop.unreported, child.is_stopped) == (True, SIG.TSTP, True)
    assert news(parent) == [(CLD.STOPPED, SIG.TSTP)]
    send_to_process(child.process, from_user(SIG.CONT, 1, 0))
    assert (stop.signal, stop.is_complete, stop.unreported, stop.has_continued) == (0, False, 0, True)
    assert parked.step().has_ended
    assert not child.is_stopped
    assert news(parent) == [(CLD.CONTINUED, SIG.CONT)]


def test_a_process_has_stopped_when_its_last_thread_has(family: Any, child: Any, sleep: Any) -> None:
    other = family.clone(child, THREAD)
    parent = parent_of(child)
    family.interrupts.clear()
    child.process.begin_stop(SIG.STOP)
    assert sorted(family.interrupts) == sorted([child.tid, other.tid])
    sleep(stay_stopped(child))
    assert not child.process.stop.is_complete
    assert news(parent) == []
    sleep(stay_stopped(other))
    assert child.process.stop.is_complete
    assert news(parent) == [(CLD.STOPPED, SIG.STOP)]


def test_a_thread_that_ends_need_not_park(family: Any, child: Any, sleep: Any) -> None:
    other = family.clone(child, THREAD)
    child.process.begin_stop(SIG.STOP)
    sleep(stay_stopped(child))
    other.exit(0)
    assert child.process.stop.is_complete


def test_a_stop_that_is_not_complete_counts_as_one(family: Any, child: Any) -> None:
    family.clone(child, THREAD)
    parent = parent_of(child)
    child.process.begin_stop(SIG.STOP)
    child.process.resume()
    assert news(parent) == [(CLD.STOPPED, SIG.STOP)]
    assert child.process.stop.has_continued


def test_other_signals_wait(child: Any, sleep: Any) -> None:
    child.process.begin_stop(SIG.STOP)
    parked = sleep(stay_stopped(child))
    assert not parked.step(LinuxError(Errno.ERESTARTSYS)).has_ended
    assert child.is_stopped


def test_other_errors_are_not_swallowed(child: Any, sleep: Any) -> None:
    child.process.begin_stop(SIG.STOP)
    parked = sleep(stay_stopped(child))
    with pytest.raises(LinuxError):
        parked.step(LinuxError(Errno.EIO))


def test_stopped_again_before_it_has_run(child: Any, sleep: Any) -> None:
    parent = parent_of(child)
    child.process.begin_stop(SIG.STOP)
    parked = sleep(stay_stopped(child))
    child.process.resume()
    child.process.begin_stop(SIG.TSTP)
    assert not parked.step().has_ended
    assert child.process.stop.is_complete
    assert news(parent)[-1] in {(CLD.STOPPED, SIG.STOP), (CLD.STOPPED, SIG.TSTP)}


def test_nothing_to_continue(child: Any) -> None:
    child.process.resume()
    assert not child.process.stop.has_continued


def test_sigkill_releases_without_news(child: Any, sleep: Any) -> None:
    parent = parent_of(child)
    child.process.begin_stop(SIG.STOP)
    parked = sleep(stay_stopped(child))
    news(parent)
    send_to_process(child.process, from_user(SIG.KILL, 1, 0))
    assert parked.step().has_ended
    assert news(parent) == []
    assert not child.process.stop.has_continued


@pytest.mark.parametrize("disposition", [Disposition(SIG_IGN), Disposition(flags=SA(SA.NOCLDSTOP))])
def test_parents_may_not_want_to_know(child: Any, sleep: Any, disposition: Disposition) -> None:
    parent = parent_of(child)
    parent.process.signals.dispositions[SIG.CHLD] = disposition
    child.process.begin_stop(SIG.STOP)
    sleep(stay_stopped(child))
    child.process.resume()
    assert news(parent) == []


def test_init_is_told_nothing(family: Any, sleep: Any) -> None:
    task = family.first()
    task.process.begin_stop(SIG.STOP)
    sleep(stay_stopped(task))
    assert task.process.stop.is_complete
    assert family.kernel.init.signals.pending.bits == 0


@pytest.mark.parametrize("signal", [SIG.TSTP, SIG.TTIN, SIG.TTOU])
def test_orphans_stop_by_sigstop_only(family: Any, child: Any, signal: int) -> None:
    orphan = family.first()
    for task, effect in ((child, Effect.STOP), (orphan, None)):
        send_to_process(task.process, from_user(signal, 1, 0))
        delivery = next_signal(task)
        assert (delivery.effect if delivery is not None else None) is effect
    send_to_process(orphan.process, from_user(SIG.STOP, 1, 0))
    delivery = next_signal(orphan)
    assert delivery is not None
    assert delivery.effect is Effect.STOP
