"""Waiting: for whom, for what, and what stays."""

from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.sched import CLONE
from aionoah.abi.siginfo import CLD
from aionoah.abi.signal import SIG
from aionoah.abi.wait import WAIT_CONTINUED, W, exited_status, stopped_status
from aionoah.process.children import wait_for_child
from aionoah.process.stopping import stay_stopped
from aionoah.signals.actions import EVERY_SIGNAL

THREAD = CLONE.THREAD | CLONE.SIGHAND | CLONE.VM


def anybody(_child: object) -> bool:
    return True


@pytest.fixture
def parent(family: Any) -> Any:
    task = family.first()
    task.signals.set_mask(EVERY_SIGNAL)
    return task


def echild(sleep: Any, *arguments: Any) -> bool:
    with pytest.raises(LinuxError) as caught:
        sleep(wait_for_child(*arguments))
    return caught.value.errno is Errno.ECHILD


def test_nobody_to_wait_for(family: Any, parent: Any, sleep: Any) -> None:
    assert echild(sleep, parent, anybody, W(W.EXITED))
    family.clone(parent)
    assert echild(sleep, parent, lambda _child: False, W(W.EXITED | W.NOHANG))


def test_a_zombie_is_there_already(family: Any, parent: Any, sleep: Any) -> None:
    child = family.clone(parent)
    child.process.ended_usage.user_time_ns = 5
    child.process.children_usage.system_time_ns = 6
    child.process.exit_group(exited_status(3))
    for options in (W.EXITED | W.NOWAIT, W.EXITED):
        news = sleep(wait_for_child(parent, anybody, W(options))).result
        assert (news.pid, news.status, news.usage.cpu_time_ns) == (child.tid, exited_status(3), 11)
        assert (news.info.si_signo, news.info.si_code) == (SIG.CHLD, CLD.EXITED)
    assert child.process.pid not in family.kernel.processes
    assert parent.process.children_usage.user_time_ns == 5
    assert parent.process.children_usage.system_time_ns == 6
    assert echild(sleep, parent, anybody, W(W.EXITED))


def test_sleeping_for_the_end(family: Any, parent: Any, sleep: Any) -> None:
    child = family.clone(parent)
    assert sleep(wait_for_child(parent, anybody, W(W.EXITED | W.NOHANG))).result is None
    waits = [sleep(wait_for_child(parent, anybody, W(W.EXITED))) for _ in range(2)]
    assert not waits[0].step().has_ended  # a false alarm
    child.process.exit_group(0)
    assert waits[0].step().result.pid == child.tid
    with pytest.raises(LinuxError):
        waits[1].step()  # another thread has got it


def stop(child: Any, sleep: Any) -> None:
    child.process.begin_stop(SIG.STOP)
    sleep(stay_stopped(child))


def test_stops_and_continues_are_told_once(family: Any, parent: Any, sleep: Any) -> None:
    child = family.clone(parent)
    stop(child, sleep)
    assert sleep(wait_for_child(parent, anybody, W(W.EXITED | W.CONTINUED | W.NOHANG))).result is None
    for options in (W.STOPPED | W.NOWAIT, W.STOPPED | W.EXITED):
        news = sleep(wait_for_child(parent, anybody, W(options))).result
        assert (news.status, news.info.si_code) == (stopped_status(SIG.STOP), CLD.STOPPED)
    assert sleep(wait_for_child(parent, anybody, W(W.STOPPED | W.NOHANG))).result is None
    child.process.resume()
    assert sleep(wait_for_child(parent, anybody, W(W.STOPPED | W.NOHANG))).result is None
    for options in (W.CONTINUED | W.NOWAIT, W.CONTINUED):
        news = sleep(wait_for_child(parent, anybody, W(options))).result
        assert (news.status, news.info.si_code) == (WAIT_CONTINUED, CLD.CONTINUED)
        assert news.info.si_status == SIG.CONT
    assert sleep(wait_for_child(parent, anybody, W(W.CONTINUED | W.NOHANG))).result is None


def test_zombies_neither_stop_nor_go_on(family: Any, parent: Any, sleep: Any) -> None:
    family.clone(parent).process.exit_group(0)
    assert echild(sleep, parent, anybody, W(W.STOPPED | W.CONTINUED))


@pytest.mark.parametrize("exit_signal", [0, SIG.USR1])
def test_clones_and_usual_children(family: Any, parent: Any, sleep: Any, exit_signal: int) -> None:
    clone = family.clone(parent, exit_signal=exit_signal)
    clone.process.exit_group(0)
    assert echild(sleep, parent, anybody, W(W.EXITED))
    usual = family.clone(parent)
    usual.process.exit_group(0)
    assert sleep(wait_for_child(parent, anybody, W(W.EXITED | W.CLONE))).result.pid == clone.tid
    assert sleep(wait_for_child(parent, anybody, W(W.EXITED | W.ALL))).result.pid == usual.tid


def test_children_of_this_thread_only(family: Any, parent: Any, sleep: Any) -> None:
    thread = family.clone(parent, THREAD)
    child = family.clone(thread)
    child.process.exit_group(0)
    assert echild(sleep, parent, anybody, W(W.EXITED | W.NOTHREAD))
    assert sleep(wait_for_child(thread, anybody, W(W.EXITED | W.NOTHREAD | W.NOWAIT))).result
    assert sleep(wait_for_child(parent, anybody, W(W.EXITED))).result
