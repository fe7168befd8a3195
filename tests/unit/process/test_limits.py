import os

import pytest

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import RLIM_INFINITY, RLIM_NLIMITS, RLIMIT
from aionoah.process.credentials import Credentials
from aionoah.process.limits import OPEN_FILES_MAX, Limit, Limits, memory_limit

ROOT, USER = Credentials(), Credentials(1000, 1000)


def errno_of(limits: Limits, resource: int, soft: int, hard: int, who: Credentials = USER) -> Errno | None:
    try:
        limits.set(resource, Limit(soft, hard), who)
    except LinuxError as error:
        return error.errno
    return None


def test_there_are_sixteen() -> None:
    limits = Limits()
    assert [limits[resource] for resource in range(RLIM_NLIMITS)] == list(limits)
    for resource in (RLIM_NLIMITS, -1, 1 << 31):
        with pytest.raises(LinuxError, match="EINVAL"):
            limits[resource]


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="needs the oracle")
def test_defaults_are_the_kernels() -> None:
    """Those that neither the size of the machine nor who started init decides."""
    with open("/proc/1/limits") as file:
        lines = {line[:26].strip(): line[26:].split() for line in file}
    names = {
        RLIMIT.CPU: "Max cpu time",
        RLIMIT.FSIZE: "Max file size",
        RLIMIT.DATA: "Max data size",
        RLIMIT.RSS: "Max resident set",
        RLIMIT.AS: "Max address space",
        RLIMIT.LOCKS: "Max file locks",
        RLIMIT.NICE: "Max nice priority",
        RLIMIT.RTPRIO: "Max realtime priority",
        RLIMIT.RTTIME: "Max realtime timeout",
        RLIMIT.MSGQUEUE: "Max msgqueue size",
    }
    for resource, name in names.items():
        pair = [RLIM_INFINITY if word == "unlimited" else int(word) for word in lines[name][:2]]
        assert list(Limits()[resource]) == pair, name


def test_the_stack() -> None:
    limits = Limits()
    assert limits.soft(RLIMIT.STACK) == 8 << 20
    limits.limit_stack(1 << 20)
    limits.limit_stack(4 << 20)
    assert limits[RLIMIT.STACK] == (1 << 20, RLIM_INFINITY)


def test_who_may_change_what() -> None:
    limits = Limits()
    assert errno_of(limits, RLIMIT.CORE, 10, 5) is Errno.EINVAL
    assert errno_of(limits, RLIM_NLIMITS, 1, 1) is Errno.EINVAL
    assert errno_of(limits, RLIMIT.CORE, 5, 10) is None
    assert limits[RLIMIT.CORE] == (5, 10)
    assert errno_of(limits, RLIMIT.CORE, 10, 10) is None
    assert errno_of(limits, RLIMIT.CORE, 5, 11) is Errno.EPERM
    assert limits[RLIMIT.CORE] == (10, 10)
    assert errno_of(limits, RLIMIT.CORE, 5, 11, ROOT) is None


def test_raising_takes_exactly_one_capability() -> None:
    limits, who = Limits(), Credentials()
    assert errno_of(limits, RLIMIT.CORE, 0, 0, who) is None
    who.effective = ~(1 << CAP.SYS_RESOURCE)
    assert errno_of(limits, RLIMIT.CORE, 0, 1, who) is Errno.EPERM
    who.effective = 1 << CAP.SYS_RESOURCE
    assert errno_of(limits, RLIMIT.CORE, 0, 1, who) is None


def test_open_files_have_a_ceiling_for_everybody() -> None:
    limits = Limits()
    assert errno_of(limits, RLIMIT.NOFILE, 1, OPEN_FILES_MAX + 1, ROOT) is Errno.EPERM
    assert errno_of(limits, RLIMIT.NOFILE, RLIM_INFINITY, RLIM_INFINITY, ROOT) is Errno.EPERM
    assert errno_of(limits, RLIMIT.NOFILE, OPEN_FILES_MAX, OPEN_FILES_MAX, ROOT) is None


def test_copies_are_independent() -> None:
    limits = Limits()
    copy = limits.copy()
    copy.set(RLIMIT.CORE, Limit(1, 1), ROOT)
    assert limits.soft(RLIMIT.CORE) == 0
    assert Limits(copy).soft(RLIMIT.CORE) == 1


def test_the_size_of_files_is_at_hand() -> None:
    limits = Limits()
    assert limits.file_size is None
    limits.set(RLIMIT.FSIZE, Limit(7, 8), USER)
    assert (limits.file_size, limits.copy().file_size) == (7, 7)
    limits.set(RLIMIT.FSIZE, Limit(0, 8), USER)
    assert limits.file_size == 0


def test_locked_memory_is_unlimited_for_the_privileged() -> None:
    def limit(credentials: Credentials, resource: int) -> int:
        return memory_limit(Limits(), credentials)(resource)

    assert limit(Credentials(), RLIMIT.MEMLOCK) == RLIM_INFINITY
    assert limit(Credentials(1000), RLIMIT.MEMLOCK) == 8 << 20
    assert limit(Credentials(), RLIMIT.CORE) == 0
    without = Credentials()
    without.effective &= ~(1 << CAP.IPC_LOCK)
    assert limit(without, RLIMIT.MEMLOCK) == 8 << 20
