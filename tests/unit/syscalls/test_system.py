"""uname, sysinfo, getrandom, host names, usage."""

import importlib
import struct
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.forked import in_child

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno
from aionoah.abi.random import GRND
from aionoah.abi.resource import RUSAGE, Rusage
from aionoah.abi.sysinfo import Sysinfo
from aionoah.abi.time import Tms
from aionoah.abi.utsname import NewUtsname

importlib.import_module("aionoah.syscalls.system")

WILD = 8
SECOND = 10**9


def text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


# -- names ------------------------------------------------------------------------------------------------


def test_uname(guest: Any) -> None:
    room = guest.space(NewUtsname.SIZE)
    assert guest.call("uname", room) == 0
    found = NewUtsname.unpack(guest.get(room, NewUtsname.SIZE))
    kernel = guest.task.kernel
    assert text(found.sysname) == b"Linux"
    assert text(found.machine) == b"x86_64"
    assert text(found.release) == kernel.release
    assert text(found.nodename) == kernel.hostname
    assert guest.call("uname", WILD) is Errno.EFAULT


def test_uname_has_the_size_and_fields_of_the_kernels(oracle: Any) -> None:
    room = oracle.space(NewUtsname.SIZE + 8)
    oracle.set(room, b"\xee" * (NewUtsname.SIZE + 8))
    assert oracle.call("uname", room) == 0
    found = NewUtsname.unpack(oracle.get(room, NewUtsname.SIZE))
    assert (text(found.sysname), text(found.machine)) == (b"Linux", oracle.architecture.machine)
    assert oracle.get(room + NewUtsname.SIZE, 8) == b"\xee" * 8


@pytest.mark.parametrize(("call", "field"), [("sethostname", "hostname"), ("setdomainname", "domainname")])
def test_changing_names(guest: Any, call: str, field: str) -> None:
    guest.task.credentials.effective = 1 << CAP.SYS_ADMIN
    names = guest.task.namespaces.uts
    assert guest.call(call, b"new\0name", 8) == 0
    assert getattr(names, field) == b"new"
    assert guest.call(call, b"x" * 64, 64) == 0
    assert getattr(names, field) == b"x" * 64
    assert guest.call(call, b"x" * 65, 65) is Errno.EINVAL
    assert guest.call(call, b"x", -1) is Errno.EINVAL
    assert guest.call(call, WILD, 1) is Errno.EFAULT
    guest.task.credentials.effective = 0
    assert guest.call(call, b"x", -1) is Errno.EPERM
    assert getattr(names, field) == b"x" * 64


# -- random bytes -------------------------------------------------------------------------------------------


def test_getrandom_fills_what_was_asked_for(guest: Any) -> None:
    room = guest.space(64)
    for flags in (0, GRND.NONBLOCK, GRND.RANDOM, GRND.INSECURE, GRND.RANDOM | GRND.NONBLOCK):
        guest.set(room, bytes(64))
        assert guest.call("getrandom", room, 48, flags) == 48
        data = guest.get(room, 64)
        assert data[:48].count(0) < 20
        assert data[48:] == bytes(16)


def test_getrandom_errors_are_the_kernels(same: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        room = k.space(16)
        for flags in (0, 8, 7, GRND.RANDOM | GRND.INSECURE, -1):
            yield k.call("getrandom", room, 16, flags), k.call("getrandom", WILD, 0, flags)
        yield k.call("getrandom", WILD, 1, 0)
        yield k.call("getrandom", k.edge - 10, 20, 0), k.call("getrandom", k.edge, 20, 0)

    same(script)


def test_getrandom_of_more_than_a_chunk(guest: Any) -> None:
    asked: list[int] = []

    def random(count: int) -> bytes:
        asked.append(count)
        return b"r" * count

    guest.task.kernel.random = random
    room = guest.space(100_000)
    assert guest.call("getrandom", room, 100_000, 0) == 100_000
    assert guest.get(room, 100_000) == b"r" * 100_000
    assert max(asked) <= 65536


# -- the machine ----------------------------------------------------------------------------------------------


def test_sysinfo_is_about_this_machine(guest: Any, oracle: Any) -> None:
    found = []
    for k in (guest, oracle):
        room = k.space(Sysinfo.SIZE)
        assert k.call("sysinfo", room) == 0
        found.append(Sysinfo.unpack(k.get(room, Sysinfo.SIZE)))
    ours, theirs = found
    assert ours.totalram * ours.mem_unit == theirs.totalram * theirs.mem_unit
    assert ours.totalswap * ours.mem_unit == theirs.totalswap * theirs.mem_unit
    assert 0 < ours.freeram < ours.totalram
    assert 0 <= theirs.uptime - ours.uptime <= 60
    assert ours.procs == len(guest.task.kernel.tasks)
    assert guest.call("sysinfo", WILD) is Errno.EFAULT


def test_the_log_of_the_kernel_is_nobodys(guest: Any) -> None:
    for kind in range(11):
        assert guest.call("syslog", kind, 0, 0) is Errno.EPERM


# -- usage ------------------------------------------------------------------------------------------------------


def spend(guest: Any, ended_ns: int, running_ns: int) -> None:
    """CPU time, half of it in the guest."""
    ended = guest.task.process.ended_usage
    ended.user_time_ns = ended.system_time_ns = ended_ns // 2
    guest.task.control = SimpleNamespace(
        count_moved=lambda: None,
        cpu_time_ns=lambda: running_ns,
        user_time_ns=lambda: running_ns // 2,
        exit_thread=lambda: None,
    )


def test_getrusage(guest: Any) -> None:
    spend(guest, 4 * SECOND, 2 * SECOND + 10_000)
    children = guest.task.process.children_usage
    children.user_time_ns, children.system_time_ns = 7 * SECOND, SECOND
    guest.task.counts.minor_faults, children.involuntary_switches = 11, 12
    guest.task.process.ended_usage.voluntary_switches, children.peak_resident = 13, 14 << 20
    own = guest.task.memory.peak_resident // 1024
    room = guest.space(Rusage.SIZE)
    for who, times, peak, faults, voluntary, involuntary in (
        (RUSAGE.SELF, (3, 5, 3, 5), own, 11, 13, 0),
        (RUSAGE.THREAD, (1, 5, 1, 5), own, 11, 0, 0),
        (RUSAGE.CHILDREN, (7, 0, 1, 0), 14 << 10, 0, 0, 12),
    ):
        guest.set(room, b"\xff" * Rusage.SIZE)
        assert guest.call("getrusage", who, room) == 0
        wanted = (*times, peak, 0, 0, 0, faults, *[0] * 7, voluntary, involuntary)
        assert struct.unpack("<18Q", guest.get(room, Rusage.SIZE)) == wanted


def test_getrusage_errors_are_the_kernels(guest: Any, oracle: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        room = k.space(Rusage.SIZE)
        yield [k.call("getrusage", who, room) for who in (-2, -1, 0, 1, 2)]
        yield k.call("getrusage", 0, WILD), k.call("getrusage", 5, WILD)

    assert list(script(guest)) == in_child(lambda: list(script(oracle)))


def test_times(guest: Any, oracle: Any) -> None:
    spend(guest, 2 * SECOND, SECOND // 2)
    guest.task.process.children_usage.system_time_ns = 3 * SECOND
    room = guest.space(Tms.SIZE)
    ticks = guest.call("times", room)
    assert Tms.unpack(guest.get(room, Tms.SIZE)) == Tms(125, 125, 0, 300)
    assert guest.call("times", 0) >= ticks
    assert guest.call("times", WILD) is Errno.EFAULT
    assert oracle.call("times", WILD) is Errno.EFAULT
