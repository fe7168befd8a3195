"""Memory of processes by their descriptors, on both kernels."""

import importlib
import struct
from collections.abc import Iterator
from typing import Any

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno
from aionoah.abi.mman import MADV
from aionoah.abi.prctl import PR, PR_MCE_KILL

for _module in ("memory", "prctl", "process_memory", "pidfd"):
    importlib.import_module(f"aionoah.syscalls.{_module}")

WILD = 8


def vector(k: Any, *ranges: tuple[int, int]) -> int:
    return int(k.put(b"".join(struct.pack("<2Q", *one) for one in ranges)))


def test_advice(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        page = k.edge - 4096
        fd = k.call("pidfd_open", k.call("getpid"), 0)
        both = vector(k, (page, 4096), (page + 1, 4096))
        for advice, flags in ((MADV.COLD, 0), (MADV.WILLNEED, 0), (77, 0), (MADV.COLD, 1)):
            yield k.call("process_madvise", fd, both, 2, advice, flags)
        yield k.call("process_madvise", fd, both, 1025, MADV.COLD, 0)
        yield k.call("process_madvise", fd, WILD, 1, MADV.COLD, 0)
        yield k.call("process_madvise", fd, vector(k, (1 << 62, 4096)), 1, MADV.COLD, 0)
        yield k.call("process_madvise", fd, vector(k, (page, 1 << 63)), 1, MADV.COLD, 0)
        yield k.call("process_madvise", 99, both, 2, MADV.COLD, 0)
        yield k.call("process_mrelease", fd, 0), k.call("process_mrelease", fd, 1)
        yield k.call("process_mrelease", 99, 0)

    importlib.import_module("aionoah.syscalls.process")
    same_in_child(script)


def test_of_another_user(guest: Any) -> None:
    task = guest.task
    fd = guest.call("pidfd_open", 100, 0)
    other = guest.task.process
    other.tasks[100] = _Thread(task)
    task.credentials.effective &= ~(1 << CAP.SYS_NICE)
    page = guest.edge - 4096
    assert guest.call("process_madvise", fd, vector(guest, (page, 4096)), 1, MADV.COLD, 0) is Errno.EPERM
    other.tasks[100] = task


class _Thread:
    """A thread of the same process whose memory is another one."""

    has_exited = False

    def __init__(self, task: Any) -> None:
        self.process, self.memory, self.credentials = task.process, object(), task.credentials


def test_memory_of_the_dying_goes_by_itself(guest: Any) -> None:
    fd = guest.call("pidfd_open", 100, 0)
    assert guest.call("process_mrelease", fd, 0) is Errno.EINVAL
    guest.task.process.exit_status = 9
    assert guest.call("process_mrelease", fd, 0) == 0
    guest.task.has_exited = True
    assert guest.call("process_mrelease", fd, 0) is Errno.ESRCH


def test_rules(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        for bits in (2, 4, 0, 3, 1, 3):
            yield k.call("prctl", PR.SET_MDWE, bits, 0, 0, 0), k.call("prctl", PR.GET_MDWE, 0, 0, 0, 0)
        yield k.call("prctl", PR.SET_MDWE, 3, 1), k.call("prctl", PR.GET_MDWE, 1)
        for operation in range(3):
            for policy in range(4):
                yield k.call("prctl", PR.MCE_KILL, operation, policy, 0, 0)
                if operation == PR_MCE_KILL.SET:
                    yield k.call("prctl", PR.MCE_KILL_GET, 0, 0, 0, 0)
        yield k.call("prctl", PR.MCE_KILL, 1, 1, 1, 0), k.call("prctl", PR.MCE_KILL_GET, 1)
        yield k.call("mseal", k.edge - 4096, 4096, 1), k.call("mseal", k.edge - 4096, 8192, 0)
        yield k.call("mseal", k.edge - 4096, 4096, 0), k.call("munmap", k.edge - 4096, 4096)
        yield k.call("remap_file_pages", k.edge - 4096, 4096, 1, 0, 0)

    same_in_child(script)
