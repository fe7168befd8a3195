"""Files of /proc that few programs read, against those of the host where it has the same."""

import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ioctl import IOCTL
from aionoah.abi.sched import CLONE
from aionoah.fs.proc.namespaces import NamespaceFile
from aionoah.memory.buffer import KernelBuffer
from aionoah.process.task import Task
from aionoah.process.user_namespaces import FIRST

if TYPE_CHECKING:
    from conftest import Linux

HOST = Path("/proc")


def fails(errno: Errno) -> Any:
    return pytest.raises(LinuxError, match=f"^{errno.name}$")


def shape(text: bytes) -> bytes:
    """Without what differs between machines: numbers, and how wide they are."""
    return re.sub(rb"[\da-f]+", b"N", re.sub(rb" +", b" ", text))


def test_smaps_has_the_hosts_lines(linux: "Linux", task: Task) -> None:
    ours = linux.read(b"/proc/self/smaps").split(b"VmFlags:")[0].splitlines()[1:]
    theirs = (HOST / "self/smaps").read_bytes().split(b"VmFlags:")[0].splitlines()[1:]
    known = [line.split(b":")[0] for line in ours]
    assert [name for line in theirs if (name := line.split(b":")[0]) in known] == known
    assert all(re.fullmatch(rb"[\w_]+: +\d+ kB", line) for line in ours if b"THP" not in line)


def test_smaps_counts_what_is_there(linux: "Linux", task: Task) -> None:
    areas = re.split(rb"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", linux.read(b"/proc/self/smaps"))[1:]
    assert [area.split(b"\n")[0].split()[1] for area in areas] == [
        line.split()[1] for line in linux.read(b"/proc/self/maps").splitlines()
    ]
    total = sum(int(size) for size in re.findall(rb"(?m)^Rss: +(\d+)", b"".join(areas)))
    rollup = linux.read(b"/proc/self/smaps_rollup")
    assert b"Rss:%20d kB" % total in rollup
    assert b"[rollup]" in rollup
    stack = next(area for area in areas if b"[stack]" in area)
    assert b"VmFlags: rd wr mr mw me gd" in stack


def test_pagemap(linux: "Linux", task: Task) -> None:
    file = linux.open(b"/proc/self/pagemap")
    start = next(task.memory.maps()).start
    buffer = bytearray(16)
    assert file.pread(KernelBuffer(buffer), start // 4096 * 8) == 16
    resident = b"".join(task.memory.mincore(start, 8192))
    assert [entry >> 63 for entry in struct.unpack("<2Q", buffer)] == list(resident)
    with fails(Errno.EINVAL):
        file.pread(KernelBuffer(bytearray(4)), 0)
    with fails(Errno.EINVAL):
        file.seek(0, 2)


@pytest.mark.parametrize(
    "name",
    [
        "personality",
        "sessionid",
        "timerslack_ns",
        "wchan",
        "setgroups",
        "oom_adj",
        "schedstat",
        "coredump_filter",
    ],
)
def test_like_the_hosts(linux: "Linux", task: Task, name: str) -> None:
    theirs = (HOST / "self" / name).read_bytes()
    assert shape(linux.read(b"/proc/self/" + name.encode())) == shape(theirs)


def test_sched(linux: "Linux", task: Task) -> None:
    task.process.ended_usage.user_time_ns = 1_500_000
    text = linux.read(b"/proc/self/sched")
    assert text.startswith(b"prog (1, #threads: 1)\n---")
    assert re.search(rb"se.sum_exec_runtime +: +1\.500000\n", text)


def test_oom_scales(linux: "Linux", task: Task) -> None:
    assert linux.read(b"/proc/self/oom_score").strip().isdigit()
    for written, adjustment, read in ((b"15", 1000, b"15\n"), (b"-17", -1000, b"-17\n"), (b"0", 0, b"0\n")):
        linux.write(b"/proc/self/oom_adj", written)
        assert task.process.oom_score_adj == adjustment
        assert linux.read(b"/proc/self/oom_adj") == read
    for nonsense in (b"16", b"-18", b"x"):
        with fails(Errno.EINVAL):
            linux.write(b"/proc/self/oom_adj", nonsense)


def test_children(linux: "Linux", task: Task, other: Task) -> None:
    assert linux.read(b"/proc/self/task/1/children") == b"2 "
    assert linux.read(b"/proc/2/task/2/children") == b""


def test_the_kernels_own_affairs(linux: "Linux", task: Task, other: Task, acting: Any) -> None:
    assert linux.read(b"/proc/2/stack") == b""
    assert linux.read(b"/proc/self/syscall") == b"running\n"
    acting(other)
    for name in (b"stack",):
        with fails(Errno.EPERM):
            linux.read(b"/proc/2/" + name)
    for name in (b"smaps", b"syscall", b"personality", b"pagemap"):
        with fails(Errno.EACCES):
            file = linux.open(b"/proc/1/" + name)
            file.pread(KernelBuffer(bytearray(8)), 0)


def test_refusals(linux: "Linux", task: Task) -> None:
    linux.write(b"/proc/self/clear_refs", b"1\n")
    for name, data, errno in (
        (b"clear_refs", b"9", Errno.EINVAL),
        (b"loginuid", b"root", Errno.EINVAL),
        (b"loginuid", b"4294967296", Errno.ERANGE),
        (b"setgroups", b"deny", Errno.EPERM),
        (b"setgroups", b"refuse", Errno.EINVAL),
        (b"uid_map", b"0 0 1", Errno.EPERM),
    ):
        with fails(errno):
            linux.write(b"/proc/self/" + name, data)
    with fails(Errno.EINVAL):
        linux.read(b"/proc/self/attr/current")


def test_who_has_logged_in(linux: "Linux", task: Task, other: Task, acting: Any) -> None:
    unset = b"4294967295"
    assert linux.read(b"/proc/self/loginuid") == linux.read(b"/proc/self/sessionid") == unset
    linux.write(b"/proc/self/loginuid", b"1000\n")
    assert linux.read(b"/proc/self/loginuid") == b"1000"
    assert linux.read(b"/proc/self/sessionid") == b"1"
    assert task.process.login == (1000, 1)
    linux.write(b"/proc/self/loginuid", b"7")
    assert linux.read(b"/proc/self/sessionid") == b"2"
    task.credentials.effective = 0
    with fails(Errno.EPERM):
        linux.write(b"/proc/self/loginuid", b"8")
    task.credentials.effective = task.credentials.permitted
    linux.write(b"/proc/self/loginuid", unset)
    assert task.process.login is None
    with fails(Errno.EPERM):
        linux.write(b"/proc/%d/loginuid" % other.process.pid, b"1000")


def test_name_spaces(linux: "Linux", task: Task, other: Task, acting: Any) -> None:
    for name in (b"mnt", b"net", b"pid", b"user"):
        link = linux.find(b"/proc/self/ns/" + name, follow=False).inode.readlink()
        number = linux.find(b"/proc/2/ns/" + name).inode.attributes().ino
        assert link == b"%s:[%d]" % (name, number)
    file = linux.open(b"/proc/self/ns/net")
    assert isinstance(file, NamespaceFile)
    owner = file.ioctl(IOCTL.NS_GET_USERNS, 0)
    assert isinstance(owner, NamespaceFile)
    assert owner.namespace is FIRST
    assert file.ioctl(IOCTL.NS_GET_NSTYPE, 0) == CLONE.NEWNET
    for request in (IOCTL.NS_GET_PARENT, IOCTL.NS_GET_OWNER_UID):
        with fails(Errno.EINVAL):
            file.ioctl(request, 0)
    assert owner.ioctl(IOCTL.NS_GET_OWNER_UID, 0) == bytes(4)
    for request in (IOCTL.NS_GET_PARENT, IOCTL.NS_GET_USERNS):
        with fails(Errno.EPERM):
            owner.ioctl(request, 0)
    acting(other)
    with fails(Errno.EACCES):
        linux.find(b"/proc/1/ns/net", follow=False).inode.readlink()


def test_mountstats(linux: "Linux", task: Task) -> None:
    assert linux.read(b"/proc/self/mountstats").splitlines()[:2] == [
        b"device root mounted on / with fstype tmpfs",
        b"device proc mounted on /proc with fstype proc",
    ]


# -- about the system -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["partitions", "softirqs", "interrupts", "devices", "execdomains", "cgroups"]
)
def test_headings_are_the_hosts(linux: "Linux", task: Task, name: str) -> None:
    linux.kernel.cpu_count = 2
    ours, theirs = linux.read(b"/proc/" + name.encode()), (HOST / name).read_bytes()
    assert ours.splitlines()[0].split()[:1] == theirs.splitlines()[0].split()[:1]


def test_memory_in_pages(linux: "Linux", task: Task) -> None:
    frames = linux.kernel.machine.frames
    values = dict(line.split() for line in linux.read(b"/proc/vmstat").splitlines())
    assert int(values[b"nr_free_pages"]) == frames.limit - frames.in_use
    assert b"pgpgin" in values
    assert b"pages free     %d\n" % (frames.limit - frames.in_use) in linux.read(b"/proc/zoneinfo")
    assert linux.read(b"/proc/buddyinfo").startswith(b"Node 0, zone   Normal ")


@pytest.mark.parametrize(
    "name", ["modules", "crypto", "diskstats", "consoles", "misc", "keys", "kallsyms", "iomem"]
)
def test_there_is_none(linux: "Linux", task: Task, name: str) -> None:
    assert linux.read(b"/proc/" + name.encode()) == b""


def test_parameters(linux: "Linux", task: Task) -> None:
    assert linux.read(b"/proc/sys/net/ipv4/ip_local_port_range") == b"32768\t60999\n"
    assert linux.read(b"/proc/sys/net/core/somaxconn") == b"4096\n"
    assert linux.read(b"/proc/sys/fs/file-nr").split()[0] == b"3"
    linux.write(b"/proc/sys/kernel/threads-max", b"99\n")
    assert linux.kernel.max_tasks == 99
    linux.write(b"/proc/sys/vm/drop_caches", b"3")
    for name, data in (
        (b"kernel/threads-max", b"x"),
        (b"kernel/threads-max", b"1"),
        (b"vm/drop_caches", b"5"),
    ):
        with fails(Errno.EINVAL):
            linux.write(b"/proc/sys/" + name, data)
    with fails(Errno.EACCES):
        linux.write(b"/proc/sys/vm/swappiness", b"1")


def test_every_parameter_exists_on_a_linux(linux: "Linux", task: Task) -> None:
    """What the host has not is of another kernel's making; most it must have."""
    names = list(all_names(linux, b"/proc/sys"))
    missing = [name for name in names if not Path(name.decode()).exists()]
    assert len(names) > 150
    assert len(missing) < len(names) // 10, missing


def all_names(linux: "Linux", top: bytes) -> Any:
    for name in linux.names(top):
        path = top + b"/" + name
        if linux.find(path).inode.kind == 0o040000:
            yield from all_names(linux, path)
        else:
            yield path
