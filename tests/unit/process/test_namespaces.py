"""Name spaces: who uses them, and what goes with the last one."""

from typing import Any

import pytest
from fakes.expect import fails

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import O
from aionoah.abi.ipc import IPC, IPC_PRIVATE
from aionoah.abi.sched import CLONE
from aionoah.fs.opening import open_path
from aionoah.fs.proc.namespaces import place_of
from aionoah.process.clone import CloneRequest, clone_task, discard_task
from aionoah.process.namespaces import enter, new_namespaces, require_makeable


@pytest.fixture
def task(world: Any) -> Any:
    return world.process()


def test_only_what_is_asked_for_is_new(task: Any) -> None:
    first = task.namespaces
    first.uts.hostname = b"first"
    enter(task, new_namespaces(task, CLONE.NEWUTS, task))
    assert task.namespaces.uts is not first.uts
    assert task.namespaces.ipc is first.ipc
    assert task.namespaces.uts.hostname == b"first"
    task.namespaces.uts.hostname = b"second"
    assert task.kernel.hostname == b"first"
    assert task.namespaces.uts.number != first.uts.number


def test_objects_go_with_the_last_user(task: Any) -> None:
    kernel, first = task.kernel, task.namespaces
    enter(task, new_namespaces(task, CLONE.NEWIPC, task))
    own = task.namespaces.ipc
    segment = own.system_v.memory.get(IPC_PRIVATE, 4096, IPC.CREAT | 0o600, task)
    assert kernel.ipc_namespaces == [first.ipc, own]
    child = clone_task(task, CloneRequest(CLONE(0), 17))
    assert child.namespaces.ipc is own
    enter(task, first.hold())
    assert not segment.is_removed
    discard_task(child)
    assert segment.is_removed
    assert kernel.ipc_namespaces == [first.ipc]
    own.hold()  # by somebody who has kept its file
    assert kernel.ipc_namespaces == [first.ipc, own]
    own.drop()


def test_a_mount_of_its_file_keeps_it(task: Any) -> None:
    kernel, first = task.kernel, task.namespaces
    enter(task, new_namespaces(task, CLONE.NEWIPC, task))
    own = task.namespaces.ipc
    place = place_of(own)
    place.inode.mounted()
    enter(task, first.hold())
    assert kernel.ipc_namespaces == [first.ipc, own]
    file = place.inode.open(O(O.RDONLY), place)
    place.inode.unmounted()
    assert kernel.ipc_namespaces == [first.ipc, own]
    file.drop()
    assert kernel.ipc_namespaces == [first.ipc]


def test_a_clone_may_have_its_own(task: Any) -> None:
    child = clone_task(task, CloneRequest(CLONE(CLONE.NEWUTS | CLONE.NEWIPC), 17))
    assert child.namespaces.uts is not task.namespaces.uts
    assert child.namespaces.ipc is not task.namespaces.ipc
    discard_task(child)
    fails(Errno.EINVAL, clone_task, task, CloneRequest(CLONE(CLONE.NEWIPC | CLONE.SYSVSEM), 17))


def test_mounts_go_with_the_last_task_and_the_last_file(task: Any) -> None:
    first = task.namespaces
    trees = first.mounts.forest.trees
    child = clone_task(task, CloneRequest(CLONE(CLONE.NEWNS), 17))
    own = child.namespaces.mounts
    assert trees == [first.mounts, own]
    assert child.fs.root is own.root
    assert child.fs.cwd.mount.namespace is own
    assert task.fs.root is first.mounts.root
    place = place_of(own)
    file = place.inode.open(O(O.RDONLY), place)
    grandchild = clone_task(child, CloneRequest(CLONE(0), 17))
    assert grandchild.namespaces.mounts is own
    discard_task(child)
    discard_task(grandchild)
    assert trees == [first.mounts, own]
    named = open_path(place, O(O.PATH))
    file.drop()
    assert trees == [first.mounts, own]
    named.drop()
    assert trees == [first.mounts]
    fails(Errno.ENOENT, place.inode.open, O(O.RDONLY), place)


def test_nothing_is_left_of_a_clone_that_cannot_have_its_mounts(task: Any, monkeypatch: Any) -> None:
    before = dict(task.kernel.tasks)
    monkeypatch.setattr("aionoah.fs.mount_namespace.ALL_MOUNTS_MAX", 1)
    fails(Errno.ENOSPC, clone_task, task, CloneRequest(CLONE(CLONE.NEWNS), 17))
    assert task.kernel.tasks == before


def test_who_may(task: Any) -> None:
    for flag in (CLONE.NEWPID, CLONE.NEWNET, CLONE.NEWTIME, CLONE.NEWCGROUP):
        fails(Errno.EINVAL, require_makeable, task, flag | CLONE.NEWUTS)
    require_makeable(task, CLONE.NEWUTS | CLONE.NEWIPC | CLONE.NEWNS | CLONE.FS)
    task.credentials.effective &= ~(1 << CAP.SYS_ADMIN)
    for flag in (CLONE.NEWUTS, CLONE.NEWIPC, CLONE.NEWNS, CLONE.NEWPID, CLONE.NEWNET):
        fails(Errno.EPERM, require_makeable, task, flag)
    fails(Errno.EPERM, require_makeable, task, CLONE.NEWUSER)
    task.kernel.user_namespace_settings.are_for_all = 1
    require_makeable(task, CLONE.NEWUSER | CLONE.NEWUTS)
    fails(Errno.EINVAL, require_makeable, task, CLONE.NEWUSER | CLONE.NEWNET)
    require_makeable(task, CLONE.FS)
