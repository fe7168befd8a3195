"""clone: what a child shares, what is refused, and that nothing is left of one that fails."""

from typing import Any

import pytest

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import RLIMIT
from aionoah.abi.sched import CLONE
from aionoah.abi.signal import SIG, SIG_IGN
from aionoah.process.clone import CloneRequest, clone_task, discard_task
from aionoah.process.limits import Limit
from aionoah.signals.actions import Disposition
from aionoah.signals.generate import send_to_task
from aionoah.signals.info import from_user

THREAD = CLONE.THREAD | CLONE.SIGHAND | CLONE.VM


@pytest.fixture
def task(family: Any) -> Any:
    return family.first()


def refused(task: Any, flags: int, **more: Any) -> Errno:
    with pytest.raises(LinuxError) as caught:
        clone_task(task, CloneRequest(CLONE(flags), SIG.CHLD, **more))
    return caught.value.errno


def test_a_child_has_copies(family: Any, task: Any) -> None:
    task.name, task.personality, task.timer_slack_ns = b"name", 4, 5
    task.clear_child_tid = task.robust_list = 0x1000
    task.process.oom_score_adj = 7
    child = family.clone(task)
    assert child.process.parent is task.process
    assert child.process.parent_task is task
    assert (child.name, child.personality, child.timer_slack_ns) == (b"name", 4, 5)
    assert (child.clear_child_tid, child.robust_list, child.process.oom_score_adj) == (0, 0, 7)
    for one, other in (
        *((child.memory, task.memory), (child.files, task.files), (child.credentials, task.credentials)),
        *((child.fs.shared, task.fs.shared), (child.process.limits, task.process.limits)),
    ):
        assert one is not other
    assert child.process.signals.dispositions is not task.process.signals.dispositions


def test_what_flags_share(family: Any, task: Any) -> None:
    child = family.clone(task, CLONE.VM | CLONE.FILES | CLONE.FS | CLONE.SIGHAND)
    assert child.memory is task.memory
    assert child.files is task.files
    assert child.fs.shared is task.fs.shared
    assert child.process.signals.dispositions is task.process.signals.dispositions
    assert child.process.signals is not task.process.signals


def test_a_thread(family: Any, task: Any) -> None:
    thread = family.clone(task, THREAD)
    assert thread.process is task.process
    assert thread.signals.shared is task.process.signals
    assert not thread.is_leader


def test_handlers_can_be_cleared(family: Any, task: Any) -> None:
    dispositions = task.process.signals.dispositions
    dispositions[SIG.USR1], dispositions[SIG.USR2] = Disposition(0x1000), Disposition(SIG_IGN)
    child = family.clone(task, CLONE.CLEAR_SIGHAND).process.signals.dispositions
    assert child[SIG.USR1] == Disposition()
    assert child[SIG.USR2].handler == SIG_IGN


def test_a_sibling(family: Any, task: Any) -> None:
    child = family.clone(task, exit_signal=SIG.USR1)
    sibling = family.clone(child, CLONE.PARENT, exit_signal=SIG.USR2)
    assert sibling.process.parent is task.process
    assert sibling.process.parent_task is task
    assert sibling.process.exit_signal == SIG.USR1


@pytest.mark.parametrize(
    "flags",
    [
        *(CLONE.THREAD, CLONE.THREAD | CLONE.VM, CLONE.SIGHAND, CLONE.FS | CLONE.NEWNS),
        *(CLONE.FS | CLONE.NEWUSER, CLONE.PIDFD | CLONE.DETACHED, THREAD | CLONE.NEWPID),
        *(CLONE.VM | CLONE.SIGHAND | CLONE.CLEAR_SIGHAND, CLONE.NEWNET),
    ],
)
def test_senseless_flags(task: Any, flags: int) -> None:
    assert refused(task, flags) is Errno.EINVAL


def test_namespaces_need_rights(task: Any) -> None:
    task.credentials.effective &= ~(1 << CAP.SYS_ADMIN)
    assert refused(task, CLONE.NEWNET) is Errno.EPERM
    assert refused(task, CLONE.NEWUSER | CLONE.NEWNET) is Errno.EPERM


def test_no_control_groups(task: Any) -> None:
    assert refused(task, CLONE.INTO_CGROUP) is Errno.EBADF


def test_signals_come_first(task: Any) -> None:
    send_to_task(task, from_user(SIG.TERM, 1, 0))
    assert refused(task, 0) is Errno.ERESTARTNOINTR


# -- limits ---------------------------------------------------------------------------------------------


def test_the_cap_counts_threads_and_zombies(family: Any, task: Any) -> None:
    family.kernel.max_tasks = 3
    family.clone(task).process.exit_group(0)
    family.clone(task, THREAD)
    assert refused(task, 0) is Errno.EAGAIN
    assert refused(task, THREAD) is Errno.EAGAIN


def test_nproc_counts_a_users_own(family: Any, task: Any) -> None:
    family.first()
    task.process.limits.set(RLIMIT.NPROC, Limit(2, 2), task.credentials)
    child = family.clone(task)  # the superuser is free
    child.credentials.set_uid(1000)
    grandchild = family.clone(child)
    grandchild.process.exit_group(0)
    grandchild.process.uid = 1000
    assert refused(child, 0) is Errno.EAGAIN
    grandchild.process.reap()
    family.clone(child)
    child.credentials.effective |= 1 << CAP.SYS_RESOURCE
    family.clone(child)


def test_numbers_on_request(family: Any, task: Any) -> None:
    assert refused(task, 0, tid=task.tid) is Errno.EEXIST
    child = family.watch(clone_task(task, CloneRequest(CLONE(0), SIG.CHLD, tid=4711)))
    assert child.tid == 4711


# -- failures -------------------------------------------------------------------------------------------


def traces(family: Any, task: Any) -> tuple[object, ...]:
    """What a clone that failed could have left behind."""
    kernel = family.kernel
    return (
        kernel.pid_count,
        set(kernel.processes),
        set(kernel.tasks),
        set(task.process.children),
        task.process.cpus,
    )


@pytest.mark.parametrize("error", [LinuxError(Errno.ENOMEM), MemoryError()])
def test_no_memory(family: Any, task: Any, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    before = traces(family, task)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(type(task.memory), "fork", fail)
    with pytest.raises(type(error)):
        clone_task(task, CloneRequest(CLONE(0), SIG.CHLD))
    assert traces(family, task) == before


@pytest.mark.parametrize("flags", [0, THREAD, THREAD | CLONE.FILES | CLONE.FS, CLONE.VM, CLONE.FILES])
def test_a_task_that_is_discarded_leaves_nothing(family: Any, task: Any, flags: int) -> None:
    before = traces(family, task)
    discard_task(clone_task(task, CloneRequest(CLONE(flags), SIG.CHLD)))
    assert traces(family, task) == before
    assert not task.files.is_shared
    assert task.process.signals.pending.bits == 0
