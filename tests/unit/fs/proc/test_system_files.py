"""The text of the files about the whole system."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.fs.proc import system
from aionoah.host import facts
from aionoah.host.facts import MemoryFacts
from aionoah.memory.buffer import KernelBuffer
from aionoah.process.task import Task

if TYPE_CHECKING:
    from conftest import Linux

HOST = Path("/proc")


def fails(errno: Errno) -> Any:
    return pytest.raises(LinuxError, match=f"^{errno.name}$")


def without_numbers(text: bytes) -> bytes:
    return re.sub(rb"\d+", b"N", text)


@pytest.fixture
def busy(linux: "Linux", task: Task) -> Task:
    """A task whose process has used five seconds of CPU."""
    task.process.ended_usage.user_time_ns = 5_000_000_000
    return task


# -- times --------------------------------------------------------------------------------------------------


def test_uptime(linux: "Linux", busy: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "uptime_ns", lambda: 100_250_000_000)
    linux.kernel.cpu_count = 2
    assert linux.read(b"/proc/uptime") == b"100.25 195.50\n"
    assert without_numbers(linux.read(b"/proc/uptime")) == without_numbers((HOST / "uptime").read_bytes())


def test_loadavg(linux: "Linux", busy: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "load_average", lambda: (0.5, 1.25, 10.0))
    linux.new_process()
    assert linux.read(b"/proc/loadavg") == b"0.50 1.25 10.00 1/2 2\n"
    assert without_numbers(linux.read(b"/proc/loadavg")) == without_numbers((HOST / "loadavg").read_bytes())


def test_stat(linux: "Linux", busy: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "uptime_ns", lambda: 100_000_000_000)
    linux.kernel.cpu_count = 2
    linux.kernel.boot_time_ns = 1_700_000_000_999_999_999
    lines = linux.read(b"/proc/stat").splitlines()
    assert lines[:3] == [
        b"cpu  500 0 0 19500 0 0 0 0 0 0",
        b"cpu0 250 0 0 9750 0 0 0 0 0 0",
        b"cpu1 250 0 0 9750 0 0 0 0 0 0",
    ]
    assert b"btime 1700000000" in lines
    assert b"processes 1" in lines
    theirs = [line.split()[0] for line in (HOST / "stat").read_bytes().splitlines()]
    assert [line.split()[0] for line in lines] == [
        word for word in theirs if not re.fullmatch(rb"cpu\d+", word) or word in (b"cpu0", b"cpu1")
    ]
    softirqs = [line for line in (HOST / "stat").read_bytes().splitlines() if line.startswith(b"softirq")]
    assert len(lines[-1].split()) == len(softirqs[0].split())


# -- memory -------------------------------------------------------------------------------------------------


def test_meminfo_has_the_hosts_lines(linux: "Linux", task: Task) -> None:
    ours = linux.read(b"/proc/meminfo").splitlines()
    theirs = (HOST / "meminfo").read_bytes().splitlines()
    widths = {line.split(b":")[0]: len(line) for line in theirs if not line.startswith(b"Vmalloc")}
    names = [line.split(b":")[0] for line in ours]
    assert names == [name for name in (line.split(b":")[0] for line in theirs) if name in names]
    assert len(names) > 30
    for line in ours:
        name = line.split(b":")[0]
        if name in widths:
            assert len(line) == widths[name], name


def test_meminfo_values(linux: "Linux", task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the host has, as far as there are frames for it."""
    frames = linux.kernel.machine.frames
    limit, used = frames.limit * 4, frames.in_use * 4
    mega = 1 << 20

    def values() -> dict[bytes, int]:
        lines = linux.read(b"/proc/meminfo").splitlines()
        return {line.split(b":")[0]: int(line.split()[1]) for line in lines}

    monkeypatch.setattr(facts, "memory", lambda: MemoryFacts(limit * 4096, limit * 4096, limit * 4096))
    large = values()
    assert large[b"MemTotal"] == limit
    assert large[b"MemFree"] == large[b"MemAvailable"] == limit - used
    assert large[b"Active"] == large[b"AnonPages"] == used > 0
    monkeypatch.setattr(
        facts, "memory", lambda: MemoryFacts(50 * mega, 10 * mega, 20 * mega, mega, 15 * mega)
    )
    small = values()
    assert small[b"MemTotal"] == 50 * 1024
    assert small[b"MemFree"] == 10 * 1024
    assert small[b"MemAvailable"] == 20 * 1024
    assert small[b"Buffers"] == 1024
    assert small[b"Cached"] == 15 * 1024
    room = limit - used
    cache = MemoryFacts(limit * 8192, (room - 30) * 1024, limit * 4096, limit * 1024, 10 * 1024)
    monkeypatch.setattr(facts, "memory", lambda: cache)
    full = values()
    assert (full[b"MemFree"], full[b"Cached"], full[b"Buffers"]) == (room - 30, 10, 20)


# -- processors ---------------------------------------------------------------------------------------------


def test_cpuinfo_of_the_very_processors(linux: "Linux", task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "processor_text", lambda: b"processor\t: 0\n\n")
    assert linux.read(b"/proc/cpuinfo") != b"processor\t: 0\n\n", "the fake machine has processors of its own"
    linux.kernel.machine.name = "kvm"
    assert linux.read(b"/proc/cpuinfo") == b"processor\t: 0\n\n"
    monkeypatch.setattr(facts, "processor_text", lambda: b"")
    assert b"aionoah" in linux.read(b"/proc/cpuinfo")


def test_cpuinfo_that_is_made_up(linux: "Linux", task: Task) -> None:
    linux.kernel.cpu_count = 3
    text = linux.read(b"/proc/cpuinfo")
    assert text.count(b"processor\t: ") == 3
    assert text.endswith(b"\n\n")
    layout = {line.partition(b":")[0] for line in (HOST / "cpuinfo").read_bytes().splitlines()}
    ours = {line.partition(b":")[0] for line in text.splitlines()}
    assert ours <= layout, "each name is padded as the host's kernel does"
    flags = next(line for line in text.splitlines() if line.startswith(b"flags"))
    assert {b"sse2", b"lm", b"syscall"} <= set(flags.split())


def test_cpuinfo_for_the_other_architecture(linux: "Linux", task: Task) -> None:
    linux.kernel.machine.architecture = "aarch64"
    linux.kernel.cpu_count = 1
    assert linux.read(b"/proc/cpuinfo") == (
        b"processor\t: 0\n"
        b"BogoMIPS\t: 100.00\n"
        b"Features\t: fp asimd\n"
        b"CPU implementer\t: 0x41\n"
        b"CPU architecture: 8\n"
        b"CPU variant\t: 0x0\n"
        b"CPU part\t: 0xd07\n"
        b"CPU revision\t: 0\n"
        b"\n"
    )


# -- names and constants ------------------------------------------------------------------------------------


def test_version(linux: "Linux", task: Task) -> None:
    kernel = linux.kernel
    text = linux.read(b"/proc/version")
    assert text.startswith(b"Linux version " + kernel.release + b" (")
    assert text.endswith(b") " + kernel.version + b"\n")


def test_filesystems(linux: "Linux", task: Task) -> None:
    lines = linux.read(b"/proc/filesystems").splitlines()
    assert b"nodev\ttmpfs" in lines
    assert b"nodev\tproc" in lines
    assert len(lines) == len(set(lines))


def test_files_that_say_little(linux: "Linux", task: Task) -> None:
    assert linux.read(b"/proc/swaps") == (HOST / "swaps").read_bytes().splitlines(keepends=True)[0]
    assert linux.read(b"/proc/cmdline") == b"\n"
    assert linux.find(b"/proc/cmdline").inode.attributes().size == 1
    for name in (b"version", b"uptime", b"meminfo"):
        with fails(Errno.EIO):
            linux.write(b"/proc/" + name, b"x")


def test_programs_may_keep_them_open(linux: "Linux", task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    file = linux.open(b"/proc/uptime")
    memory = bytearray(100)
    monkeypatch.setattr(facts, "uptime_ns", lambda: 1_000_000_000)
    assert file.pread(KernelBuffer(memory), 0)
    assert memory.startswith(b"1.00 ")
    monkeypatch.setattr(facts, "uptime_ns", lambda: 2_000_000_000)
    assert file.pread(KernelBuffer(memory), 0)
    assert memory.startswith(b"2.00 ")


# -- sys ----------------------------------------------------------------------------------------------------

PARAMETERS = (
    "fs/nr_open",
    "fs/overflowuid",
    "fs/pipe-max-size",
    "kernel/cap_last_cap",
    "kernel/ngroups_max",
    "kernel/ostype",
    "kernel/overflowgid",
    "kernel/overflowuid",
    "kernel/random/entropy_avail",
    "kernel/random/poolsize",
    "vm/max_map_count",
    "vm/overcommit_memory",
    "vm/overcommit_ratio",
)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_that_are_the_same_everywhere(linux: "Linux", task: Task, name: str) -> None:
    assert linux.read(b"/proc/sys/" + name.encode()) == (HOST / "sys" / name).read_bytes()


def test_parameters_of_this_kernel(linux: "Linux", task: Task) -> None:
    kernel = linux.kernel
    for name, value in {
        b"kernel/arch": b"x86_64",
        b"kernel/osrelease": kernel.release,
        b"kernel/version": kernel.version,
        b"kernel/random/boot_id": kernel.boot_id,
        b"kernel/hostname": b"testhost",
        b"kernel/domainname": b"(none)",
        b"kernel/pid_max": b"4194304",
        b"net/core/somaxconn": b"4096",
    }.items():
        assert linux.read(b"/proc/sys/" + name) == value + b"\n"
    uuids = {linux.read(b"/proc/sys/kernel/random/uuid") for _ in range(3)}
    assert len(uuids) == 3
    assert all(
        re.fullmatch(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\n", u)
        for u in uuids
    )


def test_the_host_name_can_be_changed(linux: "Linux", task: Task) -> None:
    assert linux.write(b"/proc/sys/kernel/hostname", b"renamed\n") == 8
    assert linux.kernel.hostname == b"renamed"
    assert linux.read(b"/proc/sys/kernel/hostname") == b"renamed\n"
    linux.write(b"/proc/sys/kernel/domainname", b"example.org")
    assert linux.kernel.namespaces.uts.domainname == b"example.org"
    with fails(Errno.EINVAL):
        linux.write(b"/proc/sys/kernel/hostname", b"x" * 65)


def test_others_cannot(linux: "Linux", task: Task) -> None:
    with fails(Errno.EACCES):
        linux.write(b"/proc/sys/kernel/osrelease", b"x")
    assert linux.open(b"/proc/sys/kernel/osrelease", O.WRONLY).is_writable


def test_the_start_of_time_is_the_hosts(linux: "Linux") -> None:
    boot = linux.kernel.boot_time_ns
    assert abs(boot + facts.uptime_ns() - time.time_ns()) < 3_600_000_000_000
    assert system.uptime(linux.kernel)


def test_ipc(linux: "Linux", task: Task) -> None:
    """The columns as ipcs finds them; sizes and counts in their places."""
    ipc = linux.kernel.namespaces.ipc.system_v
    assert linux.read(b"/proc/sysvipc/shm").count(b"\n") == 1
    ipc.memory.get(-2, 5000, 0o1640, task)
    ipc.semaphores.get(0x11, 3, 0o1600, task)
    ipc.messages.get(0x12, 0o1604, task)
    shm, sem, msg = (
        linux.read(b"/proc/sysvipc/" + kind).splitlines()[1].split() for kind in (b"shm", b"sem", b"msg")
    )
    assert shm[:7] == [b"-2", b"0", b"640", b"5000", b"%d" % task.process.pid, b"0", b"0"]
    assert (len(shm), len(sem), len(msg)) == (16, 10, 14)
    assert sem[:4] == [b"17", b"0", b"600", b"3"]
    assert msg[:5] == [b"18", b"0", b"604", b"0", b"0"]
    assert linux.read(b"/proc/sys/kernel/sem") == b"32000\t1024000000\t500\t32000\n"
    assert linux.write(b"/proc/sys/kernel/sem", b"5 6 7 8\n") == 8
    assert (ipc.limits.semmsl, ipc.limits.semmni) == (5, 8)
    for bad in (b"x", b"-1", b""):
        with fails(Errno.EINVAL):
            linux.write(b"/proc/sys/kernel/shmmni", bad + b"\n")
    linux.write(b"/proc/sys/kernel/shmmni", b"1\n")
    with fails(Errno.ENOSPC):
        ipc.memory.get(0, 1, 0o600, task)
