"""Ends and adoptions: who hears of them, who gets whom."""

from typing import Any

import pytest

from aionoah.abi.sched import CLONE
from aionoah.abi.siginfo import CLD, SI
from aionoah.abi.signal import SA, SIG, SIG_IGN, signal_bit
from aionoah.abi.wait import exited_status, killed_status
from aionoah.process.groups import has_stopped_member, is_orphaned, members
from aionoah.process.stopping import stay_stopped
from aionoah.signals.actions import EVERY_SIGNAL, Disposition

THREAD = CLONE.THREAD | CLONE.SIGHAND | CLONE.VM


@pytest.fixture
def parent(family: Any) -> Any:
    """Every signal to it stays pending."""
    task = family.first()
    task.signals.set_mask(EVERY_SIGNAL)
    return task


def taken(task: Any) -> list[Any]:
    found = []
    while (info := task.process.signals.pending.take(EVERY_SIGNAL)) is not None:
        found.append(info)
    return found


@pytest.mark.parametrize(
    ("status", "code", "value"),
    [
        (exited_status(7), CLD.EXITED, 7),
        (killed_status(SIG.TERM), CLD.KILLED, SIG.TERM),
        (killed_status(SIG.SEGV, core=True), CLD.DUMPED, SIG.SEGV),
    ],
)
def test_the_parent_hears_how_it_ended(family: Any, parent: Any, status: int, code: int, value: int) -> None:
    child = family.clone(parent)
    child.credentials.uid = 77
    child.process.exit_group(status)
    (info,) = taken(parent)
    assert (info.si_signo, info.si_code, info.si_status) == (SIG.CHLD, code, value)
    assert (info.si_pid, info.si_uid) == (child.tid, 77)
    assert child.process.pid in family.kernel.processes  # a zombie


@pytest.mark.parametrize(("exit_signal", "expected"), [(0, []), (SIG.USR1, [SIG.USR1]), (200, [])])
def test_other_signals_at_the_end(family: Any, parent: Any, exit_signal: int, expected: list[int]) -> None:
    child = family.clone(parent, exit_signal=exit_signal)
    child.process.exit_group(0)
    assert [info.si_signo for info in taken(parent)] == expected
    assert child.process.pid in family.kernel.processes


def test_a_parent_that_has_become_another_program_gets_sigchld(family: Any, parent: Any) -> None:
    child = family.clone(parent, exit_signal=SIG.USR1)
    parent.process.exec_count += 1
    child.process.exit_group(0)
    assert [info.si_signo for info in taken(parent)] == [SIG.CHLD]


@pytest.mark.parametrize(
    ("disposition", "is_told", "is_zombie"),
    [
        (Disposition(SIG_IGN), False, False),
        (Disposition(flags=SA(SA.NOCLDWAIT)), True, False),
        (Disposition(), True, True),
    ],
)
def test_zombies_that_nobody_wants(
    family: Any, parent: Any, disposition: Disposition, *, is_told: bool, is_zombie: bool
) -> None:
    parent.process.signals.dispositions[SIG.CHLD] = disposition
    child = family.clone(parent)
    child.process.exit_group(0)
    assert bool(taken(parent)) == is_told
    assert (child.process.pid in family.kernel.processes) == is_zombie
    assert (child.process.pid in parent.process.children) == is_zombie


def test_ignored_ends_do_not_count_as_used_time(family: Any, parent: Any) -> None:
    parent.process.signals.dispositions[SIG.CHLD] = Disposition(SIG_IGN)
    child = family.clone(parent)
    child.process.ended_usage.user_time_ns = 5
    child.process.exit_group(0)
    assert parent.process.children_usage.cpu_time_ns == 0


# -- adoption -------------------------------------------------------------------------------------------


def test_init_adopts_and_reaps(family: Any, parent: Any) -> None:
    child = family.clone(parent)
    alive, dead = family.clone(child), family.clone(child)
    dead.process.exit_group(0)
    child.process.exit_group(0)
    assert alive.process.parent is family.kernel.init
    assert dead.process.pid not in family.kernel.processes
    alive.process.exit_group(0)
    assert alive.process.pid not in family.kernel.processes


def test_the_nearest_living_subreaper_adopts(family: Any, parent: Any) -> None:
    parent.process.is_child_subreaper = True
    middle = family.clone(parent)
    child = family.clone(middle)
    grandchild, zombie = family.clone(child), family.clone(child, exit_signal=SIG.USR2)
    zombie.process.exit_group(0)
    taken(parent)
    child.process.exit_group(0)
    assert grandchild.process.parent is parent.process
    assert grandchild.process.parent_task is parent
    assert zombie.process.parent is parent.process
    assert [(info.si_signo, info.si_pid) for info in taken(parent)] == [(SIG.CHLD, zombie.tid)]


def test_death_signals(family: Any, parent: Any) -> None:
    child = family.clone(parent)
    first = family.clone(child)
    second = family.clone(first, THREAD)
    first.signals.set_mask(EVERY_SIGNAL)
    first.parent_death_signal, second.parent_death_signal = SIG.USR1, SIG.USR2
    child.process.exit_group(0)
    found = taken(first)
    assert [info.si_signo for info in found] == [SIG.USR1, SIG.USR2]
    assert {(info.si_code, info.si_pid) for info in found} == {(SI.USER, child.tid)}


def test_the_end_of_the_thread_that_made_it_counts(family: Any, parent: Any) -> None:
    thread = family.clone(parent, THREAD)
    child = family.clone(thread)
    child.signals.set_mask(EVERY_SIGNAL)
    child.parent_death_signal = SIG.HUP
    thread.exit(0)
    assert [info.si_signo for info in taken(child)] == [SIG.HUP]
    assert child.process.parent_task is parent


# -- groups ---------------------------------------------------------------------------------------------


def test_members_and_orphans(family: Any, parent: Any) -> None:
    child, other = family.clone(parent), family.clone(parent)
    for task in (child, other):
        task.process.process_group = child.tid
    assert list(members(family.kernel, child.tid)) == [child.process, other.process]
    assert not is_orphaned(family.kernel, child.tid)
    assert is_orphaned(family.kernel, parent.process.process_group)  # init looks after nobody
    other.process.exit_group(0)
    assert not is_orphaned(family.kernel, child.tid)
    assert is_orphaned(family.kernel, child.tid, leaving=child.process)
    parent.process.session = 0
    assert is_orphaned(family.kernel, child.tid)


def stopped(task: Any, sleep: Any) -> Any:
    task.process.process_group = task.tid
    task.signals.set_mask(EVERY_SIGNAL)
    task.process.begin_stop(SIG.TSTP)
    sleep(stay_stopped(task))
    return task


def test_stopped_orphans_are_hung_up(family: Any, parent: Any, sleep: Any) -> None:
    child = family.clone(parent)
    grandchild = stopped(family.clone(child), sleep)
    assert has_stopped_member(family.kernel, grandchild.tid)
    child.process.exit_group(0)
    signals = signal_bit(SIG.HUP) | signal_bit(SIG.CONT)
    assert grandchild.process.signals.pending.bits == signals
    assert not has_stopped_member(family.kernel, grandchild.tid)


def test_groups_that_are_looked_after_stay_stopped(family: Any, parent: Any, sleep: Any) -> None:
    parent.process.is_child_subreaper = True
    child = family.clone(parent)
    grandchild = stopped(family.clone(child), sleep)
    child.process.exit_group(0)
    assert has_stopped_member(family.kernel, grandchild.tid)  # its new parent is a shell as good


def test_a_leader_that_ends_may_leave_an_orphaned_group(family: Any, parent: Any, sleep: Any) -> None:
    child = family.clone(parent)
    child.process.process_group = child.tid
    grandchild = family.clone(child)
    grandchild.signals.set_mask(EVERY_SIGNAL)
    grandchild.process.begin_stop(SIG.TSTP)
    sleep(stay_stopped(grandchild))
    child.process.exit_group(0)
    assert grandchild.process.signals.pending.bits & signal_bit(SIG.HUP)
