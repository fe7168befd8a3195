"""Scheduling calls on both kernels, the oracle in a child process."""

import importlib
import struct
from collections.abc import Iterator
from typing import Any

from aionoah.abi.errno import Errno
from aionoah.abi.resource import PRIO
from aionoah.abi.sched import SCHED, SchedAttr
from aionoah.process.control import NoControl
from aionoah.process.cpu_numbers import NO_CPU, CpuNumbers
from aionoah.process.scheduling import Scheduling

for _module in ("identity", "scheduling"):
    importlib.import_module(f"aionoah.syscalls.{_module}")

WILD = 8
NOBODY = 0x3FFF_FFFF


def parameter(k: Any, priority: int) -> int:
    return int(k.put(struct.pack("<i", priority)))


# -- affinity and CPUs ------------------------------------------------------------------------------------------


def test_affinity_errors(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        room = k.space(1024)
        yield k.call("sched_getaffinity", 0, 0, room), k.call("sched_getaffinity", 0, 12, room)
        yield k.call("sched_getaffinity", 0, 128, WILD), k.call("sched_getaffinity", NOBODY, 128, room)
        yield k.call("sched_getaffinity", NOBODY, 12, WILD), k.call("sched_getaffinity", 0, 8, k.edge - 4)
        yield k.call("sched_setaffinity", 0, 8, WILD), k.call("sched_setaffinity", 0, 8, k.space(8))
        yield (
            k.call("sched_setaffinity", NOBODY, 8, k.put(b"\1" * 8)),
            k.call("sched_setaffinity", 0, 0, WILD),
        )
        yield k.call("sched_getaffinity", -1, 128, room), k.call("sched_setaffinity", -1, 8, room)
        yield k.call("sched_getaffinity", -1, 12, room), k.call("sched_setaffinity", -1, 8, WILD)

    same_in_child(script)


def test_affinity(guest: Any) -> None:
    guest.task.scheduling = Scheduling(70)
    room = guest.space(64)
    assert guest.call("sched_getaffinity", 0, 8, room) is Errno.EINVAL
    assert guest.call("sched_getaffinity", 0, 64, room) == 16
    assert int.from_bytes(guest.get(room, 16), "little") == (1 << 70) - 1
    wanted = 1 << 65 | 1 << 3 | 1 << 90
    assert guest.call("sched_setaffinity", 0, 16, guest.put(wanted.to_bytes(16, "little"))) == 0
    assert guest.call("sched_getaffinity", guest.task.tid, 16, room) == 16
    assert int.from_bytes(guest.get(room, 16), "little") == 1 << 65 | 1 << 3
    assert guest.call("sched_setaffinity", 0, 1, guest.put(b"\x06")) == 0
    assert guest.task.scheduling.affinity == 0b110


def test_who_yields_leaves_a_cpu_that_another_thread_waits_for(guest: Any) -> None:
    left: list[bool] = []

    class Control(NoControl):
        def leave_cpu(self) -> None:
            left.append(True)

    class Runner:
        cpu = NO_CPU
        allowed_cpus = 0b1

    guest.task.control = Control()
    assert guest.call("sched_yield") == 0  # nobody counts CPUs yet
    numbers = guest.task.process.cpu_numbers = CpuNumbers(lambda _: None)
    running, waiting = Runner(), Runner()
    numbers.acquire(running)
    guest.task.cpu = running.cpu
    assert guest.call("sched_yield") == 0
    assert not left
    numbers.acquire(waiting)
    assert guest.call("sched_yield") == 0
    assert left


def test_getcpu_is_one_that_the_thread_may_use(guest: Any) -> None:
    guest.task.scheduling = Scheduling(8)
    guest.task.scheduling.set_affinity(0b1000)
    cpu, node = guest.space(4), guest.put(b"\xff" * 4)
    assert guest.call("getcpu", cpu, node, 0) == 0
    assert (guest.get(cpu, 4), guest.get(node, 4)) == (b"\3\0\0\0", bytes(4))
    assert guest.call("getcpu", 0, 0, 0) == 0
    assert guest.call("getcpu", WILD, 0, 0) is Errno.EFAULT
    assert guest.call("sched_yield") == 0


# -- policies -----------------------------------------------------------------------------------------------------


def policy(k: Any) -> tuple[Any, ...]:
    room = k.space(4)
    return k.call("sched_getscheduler", 0), k.call("sched_getparam", 0, room), k.get(room, 4)


def test_policies(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        yield policy(k)
        for wanted, priority in (
            *((SCHED.BATCH, 0), (SCHED.IDLE, 0), (SCHED.NORMAL, 0), (SCHED.NORMAL, 1), (SCHED.BATCH, -1)),
            *(
                (SCHED.FIFO, 0),
                (SCHED.FIFO, 100),
                (SCHED.RR, 100),
                (SCHED.DEADLINE, 0),
                (4, 0),
                (77, 0),
                (-1, 0),
            ),
            (SCHED.BATCH | SCHED.RESET_ON_FORK, 0),
        ):
            yield wanted, priority, k.call("sched_setscheduler", 0, wanted, parameter(k, priority)), policy(k)
        yield (
            k.call("sched_setparam", 0, parameter(k, 0)),
            k.call("sched_setparam", 0, parameter(k, 1)),
            policy(k),
        )

    same_in_child(script)


def test_real_time(guest: Any) -> None:
    """Not compared: test machines may refuse real-time policies even to root."""
    guest.task.credentials.effective = ~0
    assert guest.call("sched_setscheduler", 0, SCHED.RR, parameter(guest, 7)) == 0
    assert policy(guest) == (SCHED.RR, 0, b"\7\0\0\0")
    assert guest.call("sched_setparam", 0, parameter(guest, 9)) == 0
    room = guest.space(16)
    assert guest.call("sched_rr_get_interval", 0, room) == 0
    assert struct.unpack("<QQ", guest.get(room, 16)) == (0, 100_000_000)
    assert guest.call("sched_setscheduler", 0, SCHED.FIFO, parameter(guest, 9)) == 0
    assert guest.call("sched_rr_get_interval", 0, room) == 0
    assert guest.get(room, 16) == bytes(16)


def test_policy_errors(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        zero = parameter(k, 0)
        yield k.call("sched_setscheduler", -1, 0, zero), k.call("sched_setscheduler", NOBODY, 0, zero)
        yield k.call("sched_setscheduler", 0, 0, 0), k.call("sched_setscheduler", 0, 0, WILD)
        yield (
            k.call("sched_setparam", -1, zero),
            k.call("sched_setparam", NOBODY, zero),
            k.call("sched_setparam", 0, 0),
        )
        yield (
            k.call("sched_getparam", -1, zero),
            k.call("sched_getparam", NOBODY, zero),
            k.call("sched_getparam", 0, 0),
        )
        yield (
            k.call("sched_getparam", 0, WILD),
            k.call("sched_getscheduler", -1),
            k.call("sched_getscheduler", NOBODY),
        )
        yield k.call("sched_rr_get_interval", -1, zero), k.call("sched_rr_get_interval", NOBODY, zero)
        yield k.call("sched_rr_get_interval", 0, WILD)
        for wanted in (*range(9), -1, 1 << 30):
            yield k.call("sched_get_priority_max", wanted), k.call("sched_get_priority_min", wanted)

    same_in_child(script)


# -- attributes -----------------------------------------------------------------------------------------------------


def attributes(size: int = 48, **fields: int) -> bytes:
    names = SchedAttr.FIELDS
    return SchedAttr(**(dict.fromkeys(names, 0) | {"size": size} | fields)).pack()


def test_attributes(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        def changed(data: bytes, flags: int = 0) -> Any:
            room = k.space(SchedAttr.SIZE)
            result = k.call("sched_setattr", 0, k.put(data.ljust(128, b"\0")), flags)
            found = k.call("sched_getattr", 0, room, 48, 0), k.get(room, 24)
            return result, found

        yield changed(attributes(sched_policy=SCHED.BATCH, sched_nice=3))
        yield changed(attributes(sched_policy=SCHED.NORMAL, sched_nice=5, sched_flags=1))
        yield changed(attributes(sched_policy=SCHED.NORMAL, sched_nice=-2))
        yield changed(attributes(size=0, sched_nice=1))
        yield (
            changed(attributes(sched_policy=77)),
            changed(attributes(sched_priority=4)),
            changed(attributes(), 1),
        )
        yield changed(attributes(size=47)), changed(attributes(size=5000)), changed(attributes(size=120))
        yield changed(attributes(size=120) + bytes(63 - 56) + b"\1")

    same_in_child(script)


def test_attribute_errors(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        good = k.put(attributes())
        yield k.call("sched_setattr", -1, good, 0), k.call("sched_setattr", NOBODY, good, 0)
        yield k.call("sched_setattr", 0, 0, 0), k.call("sched_setattr", 0, WILD, 0)
        for size in (0, 47, 48, 4096, 4097):
            yield k.call("sched_getattr", 0, k.space(4096), size, 0)
        yield k.call("sched_getattr", 0, 0, 48, 0), k.call("sched_getattr", 0, WILD, 48, 0)
        yield k.call("sched_getattr", -1, good, 48, 0), k.call("sched_getattr", NOBODY, good, 48, 0)
        yield k.call("sched_getattr", 0, good, 48, 1)

    same_in_child(script)


# -- nice ---------------------------------------------------------------------------------------------------------------


def test_nice(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        for wanted in (5, 100, 0, -3, -100):
            yield k.call("setpriority", PRIO.PROCESS, 0, wanted), k.call("getpriority", PRIO.PROCESS, 0)
        yield k.call("setpriority", 3, 0, 0), k.call("setpriority", -1, 0, 0), k.call("getpriority", 3, 0)
        yield k.call("setpriority", PRIO.PROCESS, NOBODY, 0), k.call("getpriority", PRIO.PROCESS, NOBODY)
        yield k.call("getpriority", PRIO.PGRP, NOBODY), k.call("getpriority", PRIO.USER, NOBODY)
        yield k.call("setresuid", 12345, 12345, 12345)
        yield k.call("setpriority", PRIO.USER, 0, 7), k.call("getpriority", PRIO.USER, 12345)
        yield k.call("setpriority", PRIO.PROCESS, 0, 6), k.call("setpriority", PRIO.PROCESS, 0, 7)
        yield k.call("getpriority", PRIO.PROCESS, 0)

    same_in_child(script)


def test_somebody_elses_threads(guest: Any) -> None:
    other = type("Other", (), {})()
    other.tid, other.process, other.scheduling = 7, guest.task.process, Scheduling(2)
    other.credentials, other.control = guest.task.credentials.copy(), NoControl()
    guest.task.kernel.tasks[7] = other
    try:
        who = guest.task.credentials
        who.uid = who.euid = 1000
        who.effective = 0
        other.credentials.uid = other.credentials.euid = 1001
        zero, mask = parameter(guest, 0), guest.put(b"\1" * 8)
        assert guest.call("setpriority", PRIO.PROCESS, 7, 5) is Errno.EPERM
        assert guest.call("sched_setscheduler", 7, SCHED.BATCH, zero) is Errno.EPERM
        assert guest.call("sched_setaffinity", 7, 8, mask) is Errno.EPERM
        assert guest.call("setpriority", PRIO.PGRP, 0, 5) is Errno.EPERM
        assert guest.task.scheduling.nice == 5  # one's own all the same
        other.credentials.uid = 1000
        assert guest.call("setpriority", PRIO.PROCESS, 7, 5) == 0
        assert guest.call("getpriority", PRIO.PGRP, 0) == 15
        assert guest.call("sched_setaffinity", 7, 8, mask) == 0
        assert other.scheduling.affinity == 1
    finally:
        del guest.task.kernel.tasks[7]
