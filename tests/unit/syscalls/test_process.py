"""Numbers, groups and sessions, robust lists, personality and the end of a process."""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from aionoah.abi.errno import Errno
from aionoah.abi.futex import RobustListHead
from aionoah.abi.personality import PER
from aionoah.abi.wait import exited_status
from aionoah.process.task import Process
from aionoah.syscalls.results import Outcome

importlib.import_module("aionoah.syscalls.process")

WILD = 8
NOBODY = 0x3FFF_FFFF


@pytest.fixture
def family(guest: Any) -> Iterator[dict[str, Process]]:
    """Other processes: the guest's parent, which leads the session, a child, and a stranger."""
    kernel, own = guest.task.kernel, guest.task.process
    parent = Process(kernel, 50)
    own.set_parent(parent)
    own.session = own.process_group = parent.pid
    made = {"parent": parent, "child": Process(kernel, 60, parent=own), "stranger": Process(kernel, 70)}
    yield made
    for process in made.values():
        kernel.processes.pop(process.pid, None)


def test_numbers(guest: Any, family: dict[str, Process]) -> None:
    assert guest.call("getpid") == guest.call("gettid") == 100
    assert guest.call("getppid") == 50
    assert guest.call("set_tid_address", 0x1234) == 100
    assert guest.task.clear_child_tid == 0x1234


def test_groups_and_sessions(guest: Any, family: dict[str, Process]) -> None:
    assert guest.call("getpgrp") == guest.call("getpgid", 0) == guest.call("getsid", 0) == 50
    assert guest.call("getpgid", 70) == guest.call("getsid", 70) == 70
    assert guest.call("getpgid", NOBODY) is guest.call("getsid", NOBODY) is Errno.ESRCH
    assert guest.call("setpgid", 0, 0) == 0
    assert (guest.call("getpgrp"), guest.call("getsid", 0)) == (100, 50)
    assert guest.call("setpgid", 60, 100) == 0
    assert family["child"].process_group == 100
    assert guest.call("setpgid", 0, 50) == 0


def test_groups_that_may_not_be_changed(guest: Any, family: dict[str, Process]) -> None:
    assert guest.call("setpgid", 0, -1) is Errno.EINVAL
    assert guest.call("setpgid", NOBODY, 0) is Errno.ESRCH
    assert guest.call("setpgid", 70, 0) is Errno.ESRCH
    assert guest.call("setpgid", 0, 70) is Errno.EPERM  # a group of another session
    assert guest.call("setpgid", 0, NOBODY) is Errno.EPERM
    family["child"].has_executed = True
    assert guest.call("setpgid", 60, 0) is Errno.EACCES
    family["child"].session = 60
    assert guest.call("setpgid", 60, 0) is Errno.EPERM


def test_leaders_of_sessions_stay_where_they_are(guest: Any, family: dict[str, Process]) -> None:
    assert guest.call("setsid") == 100
    assert (guest.call("getpgrp"), guest.call("getsid", 0)) == (100, 100)
    assert guest.call("setsid") is Errno.EPERM
    assert guest.call("setpgid", 0, 0) is Errno.EPERM


def test_leaders_of_groups_cannot_leave_them(guest: Any, family: dict[str, Process]) -> None:
    assert guest.call("setpgid", 0, 0) == 0
    assert guest.call("setsid") is Errno.EPERM


def test_the_kernel_agrees_on_errors(same: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        for name in ("getpgid", "getsid"):
            yield k.call(name, NOBODY), k.call(name, -5)
        yield k.call("setpgid", NOBODY, 0), k.call("setpgid", 0, -1), k.call("setpgid", NOBODY, -1)
        yield k.call("setpgid", 0, NOBODY)
        yield k.call("set_robust_list", WILD, 23), k.call("get_robust_list", NOBODY, WILD, WILD)
        yield k.call("get_robust_list", 0, WILD, k.space(8)), k.call("get_robust_list", 0, k.space(8), WILD)

    same(script)


def test_robust_lists(guest: Any) -> None:
    head, size = guest.space(8), guest.space(8)
    assert guest.call("set_robust_list", 0x5678, RobustListHead.SIZE) == 0
    assert guest.call("get_robust_list", 0, head, size) == 0
    words = [int.from_bytes(guest.get(address, 8), "little") for address in (head, size)]
    assert words == [0x5678, RobustListHead.SIZE]


def test_personality(same: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        yield k.call("personality", 0xFFFF_FFFF)
        yield k.call("personality", PER.ADDR_NO_RANDOMIZE), k.call("personality", 0xFFFF_FFFF)
        yield k.call("personality", 0), k.call("personality", 0xFFFF_FFFF)

    same(script)


@pytest.mark.parametrize("name", ["exit", "exit_group"])
@pytest.mark.parametrize(("code", "status"), [(0, 0), (3, 3), (256, 0), (-1, 255)])
def test_the_end(guest: Any, name: str, code: int, status: int) -> None:
    task = guest.task
    number = task.architecture.syscall_numbers[name]
    words = [code & (1 << 64) - 1, 0, 0, 0, 0, 0]
    assert guest._table.call(task, number, words) is Outcome.KEEP_REGISTERS
    assert task.has_exited
    assert task.process.wait_status == exited_status(status)
