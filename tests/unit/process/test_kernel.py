"""What a Linux instance shares, and who is acting."""

import re
from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.process import kernel as kernel_module
from aionoah.process.current import current_task, set_current
from aionoah.process.kernel import Kernel, random_uuid


@pytest.fixture
def kernel() -> Kernel:
    nothing: Any = object()
    made = Kernel(nothing, MountNamespace.of(TmpFileSystem()))
    made.free_pid(made.init.pid)
    made.last_pid = made.forks = 0
    return made


def test_numbers_ascend_and_wrap_around(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_module, "PID_MAX", 8)
    monkeypatch.setattr(kernel_module, "RESERVED_PIDS", 3)
    assert [kernel.allocate_pid() for _ in range(4)] == [1, 2, 3, 4]
    kernel.free_pid(2)
    assert kernel.allocate_pid() == 5
    kernel.free_pid(4)
    assert [kernel.allocate_pid(), kernel.allocate_pid()] == [6, 7]
    with pytest.raises(LinuxError) as full:
        kernel.allocate_pid()
    assert full.value.errno is Errno.EAGAIN
    assert kernel.last_pid < 8


def test_freed_numbers_are_not_given_at_once(kernel: Kernel) -> None:
    first = kernel.allocate_pid()
    kernel.free_pid(first)
    kernel.free_pid(first)
    assert kernel.allocate_pid() == first + 1
    assert kernel.forks == 2
    assert kernel.last_pid == 2


def test_numbers_wrap_to_the_reserved_range(kernel: Kernel) -> None:
    kernel.allocate_pid()
    kernel.last_pid = kernel_module.PID_MAX - 1
    assert kernel.allocate_pid() == kernel_module.RESERVED_PIDS


def test_names(kernel: Kernel) -> None:
    assert kernel.release.startswith(b"6.12.0")
    assert kernel.version.startswith(b"#1 SMP ")
    assert kernel.hostname == b"aionoah"
    assert kernel.cpu_count >= 1
    assert kernel.boot_time_ns > 0


def test_random_identities() -> None:
    assert random_uuid(bytes) == b"00000000-0000-4000-8000-000000000000"
    assert re.fullmatch(rb"[0-9a-f-]{36}", random_uuid(lambda count: b"\xff" * count))


def test_the_current_task() -> None:
    task: Any = object()
    with pytest.raises(LinuxError) as nobody:
        current_task()
    assert nobody.value.errno is Errno.ENOENT
    set_current(task)
    try:
        assert current_task() is task
    finally:
        set_current(None)
