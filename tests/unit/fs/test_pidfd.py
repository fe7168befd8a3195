"""Descriptors of processes and threads."""

from types import SimpleNamespace
from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll
from aionoah.fs.pidfd import PidFile
from aionoah.host.waiting import WaitQueue

READY = Poll.IN | Poll.RDNORM


@pytest.fixture
def process() -> Any:
    made = SimpleNamespace(pid=7, wait_status=None, ended=WaitQueue(), tasks={})
    made.kernel = SimpleNamespace(processes={7: made})
    return made


def test_the_life_of_a_process(process: Any) -> None:
    file = PidFile(process)
    assert file.poll() == 0
    assert file.require_alive() is process
    assert file.source(Poll(Poll.IN)).queues == (process.ended,)
    process.wait_status = 0
    assert file.poll() == READY
    assert file.require_alive() is process
    process.kernel.processes[7] = SimpleNamespace()  # somebody else has the number now
    assert file.poll() == READY | Poll.HUP
    with pytest.raises(LinuxError) as caught:
        file.require_alive()
    assert caught.value.errno is Errno.ESRCH


def test_the_life_of_a_thread(process: Any) -> None:
    thread = SimpleNamespace(tid=8, has_exited=False, is_leader=False)
    file = PidFile(process, thread)  # type: ignore[arg-type]
    assert file.poll() == 0
    thread.has_exited = True
    assert file.poll() == READY | Poll.HUP


def test_a_main_thread_leaves_a_zombie(process: Any) -> None:
    thread = SimpleNamespace(tid=7, has_exited=True, is_leader=True)
    assert PidFile(process, thread).poll() == READY  # type: ignore[arg-type]
    assert PidFile(process).poll() == 0  # other threads live


def test_what_it_is(process: Any) -> None:
    file = PidFile(process, is_nonblocking=True)
    assert file.is_nonblocking
    assert file.flags == O.RDWR | O.NONBLOCK
    assert file.describe() == b"anon_inode:[pidfd]"
    assert file.refers_to(process)
    assert not file.refers_to(SimpleNamespace())  # type: ignore[arg-type]
    assert file.fdinfo() == b"Pid:\t7\nNSpid:\t7\n"
    process.kernel.processes.clear()
    assert file.fdinfo() == b"Pid:\t-1\nNSpid:\t-1\n"
