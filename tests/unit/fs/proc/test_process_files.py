"""The text of the files about a process, against the host's where both can be made to say the same."""

import os
import re
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.mman import MAP, PROT
from aionoah.abi.resource import RLIMIT
from aionoah.abi.signal import SIG, SIG_IGN
from aionoah.abi.stat import major, minor
from aionoah.fs.proc.maps import format_area
from aionoah.fs.proc.mounts import escape
from aionoah.fs.proc.status import format_limits, format_list, format_mask
from aionoah.memory.buffer import KernelBuffer
from aionoah.memory.memory import Contents, MapsLine, Strings
from aionoah.process.credentials import Credentials
from aionoah.process.current import set_current
from aionoah.process.task import Task
from aionoah.signals.actions import Disposition
from aionoah.signals.info import from_user

if TYPE_CHECKING:
    from conftest import Linux


def host(name: str) -> bytes:
    return Path("/proc/self", name).read_bytes()


def fields(text: bytes) -> dict[bytes, bytes]:
    """The lines of a status file."""
    return dict(line.split(b":\t", 1) for line in text.splitlines())  # type: ignore[arg-type]


def fails(errno: Errno) -> Any:
    return pytest.raises(LinuxError, match=f"^{errno.name}$")


# -- plain ones ---------------------------------------------------------------------------------------------


def test_arguments_and_environment(linux: "Linux", task: Task) -> None:
    assert linux.read(b"/proc/self/cmdline") == b"prog\0-v\0"
    assert linux.read(b"/proc/self/environ") == b"HOME=/home\0"
    assert linux.read(b"/proc/self/auxv") == bytes(range(32))
    assert linux.read(b"/proc/self/cgroup") == b"0::/\n"


@pytest.mark.parametrize("data", [b"x", b"abcdefghijklmnopqrstuvwxyz\n", b"ab\ncd", b"a\0b", b"\n"])
def test_comm(linux: "Linux", task: Task, data: bytes) -> None:
    before = host("comm")
    try:
        Path("/proc/self/comm").write_bytes(data)
        expected = host("comm")
    finally:
        Path("/proc/self/comm").write_bytes(before.rstrip(b"\n"))
    assert linux.write(b"/proc/self/comm", data) == len(data)
    assert linux.read(b"/proc/self/comm") == expected


def test_comm_of_others(linux: "Linux", task: Task, other: Task) -> None:
    with fails(Errno.EINVAL):
        linux.write(b"/proc/2/comm", b"mine")
    assert linux.read(b"/proc/2/comm") == b"prog\n"


def test_oom_score(linux: "Linux", task: Task) -> None:
    assert linux.read(b"/proc/self/oom_score_adj") == b"0\n"
    linux.write(b"/proc/self/oom_score_adj", b" -500\n")
    assert linux.read(b"/proc/self/oom_score_adj") == b"-500\n"
    assert linux.new_process(parent=task.process).process.oom_score_adj == -500
    for data in (b"1001", b"-1001", b"x", b""):
        with fails(Errno.EINVAL):
            linux.write(b"/proc/self/oom_score_adj", data)


def test_files_that_cannot_be_written(linux: "Linux", task: Task) -> None:
    for name in (b"status", b"maps", b"stat", b"cmdline", b"limits"):
        with fails(Errno.EINVAL):
            linux.write(b"/proc/self/" + name, b"x")


def test_io_has_the_hosts_form(linux: "Linux", task: Task) -> None:
    ours = re.sub(rb"\d+", b"N", linux.read(b"/proc/self/io"))
    assert ours == re.sub(rb"\d+", b"N", host("io"))


# -- limits -------------------------------------------------------------------------------------------------


def test_limits_are_byte_for_byte_the_hosts() -> None:
    unlimited = (1 << 64) - 1
    pairs = [
        tuple(unlimited if limit == resource.RLIM_INFINITY else limit for limit in resource.getrlimit(number))
        for number in range(16)
    ]
    assert format_limits(pairs) == host("limits")  # type: ignore[arg-type]


def test_limits_of_a_process(linux: "Linux", task: Task) -> None:
    soft, hard = task.process.limits[RLIMIT.NOFILE]
    text = linux.read(b"/proc/self/limits")
    assert b"Max open files            %-20d %-20d files     \n" % (soft, hard) in text
    assert b"Max cpu time              unlimited            unlimited            seconds   \n" in text


# -- status -------------------------------------------------------------------------------------------------


def test_status_has_the_hosts_lines(linux: "Linux", task: Task) -> None:
    """In its order, and in the form of its values."""
    ours, theirs = fields(linux.read(b"/proc/self/status")), fields(host("status"))
    assert list(ours) == [name for name in theirs if name in ours]
    assert not [name for name in theirs if name not in ours and name != b"Kthread"]
    numbers = re.compile(rb" *\b[0-9]+\b")
    for name in (b"Umask", b"State", b"Pid", b"VmSize", b"SigQ", b"Threads", b"NoNewPrivs", b"Uid"):
        assert numbers.sub(b"N", ours[name]) == numbers.sub(b"N", theirs[name]), name
    for name in (b"VmRSS", b"SigPnd", b"SigCgt", b"CapEff", b"untag_mask"):
        assert len(ours[name]) == len(theirs[name]), name


def test_status_values(linux: "Linux", task: Task, other: Task) -> None:
    set_current(other)
    other.signals.mask = 0x4000
    other.process.signals.dispositions[SIG.HUP] = Disposition(SIG_IGN)
    other.process.signals.dispositions[SIG.USR1] = Disposition(0x1234)
    other.signals.pending.add(from_user(SIG.TERM, 1, 0))
    other.process.signals.pending.add(from_user(SIG.INT, 1, 0))
    found = fields(linux.read(b"/proc/self/status"))
    expected = {
        b"Name": b"prog",
        b"Umask": b"0027",
        b"State": b"R (running)",
        b"Tgid": b"2",
        b"Pid": b"2",
        b"PPid": b"1",
        b"Uid": b"1000\t1000\t1000\t1000",
        b"FDSize": b"64",
        b"Groups": b"3 9 ",
        b"NSpgid": b"1",
        b"NSsid": b"1",
        b"Threads": b"1",
        b"SigQ": b"2/%d" % other.process.limits.soft(RLIMIT.SIGPENDING),
        b"SigPnd": b"0000000000004000",
        b"ShdPnd": b"0000000000000002",
        b"SigBlk": b"0000000000004000",
        b"SigIgn": b"0000000000000001",
        b"SigCgt": b"0000000000000200",
        b"CapEff": b"0000000000000000",
        b"CapBnd": b"000001ffffffffff",
        b"Cpus_allowed": b"3",
        b"Cpus_allowed_list": b"0-1",
        b"VmStk": b"     132 kB",
    }
    assert {name: found[name] for name in expected} == expected
    assert b"State:\tR (running)\n" in linux.read(b"/proc/1/status")


def test_resident_memory_is_the_sum_of_its_parts(linux: "Linux", task: Task) -> None:
    found = fields(linux.read(b"/proc/self/status"))
    kilobytes = {
        name: int(found[name].split()[0]) for name in (b"VmRSS", b"RssAnon", b"RssFile", b"RssShmem")
    }
    assert kilobytes[b"VmRSS"] == sum(kilobytes.values()) - kilobytes[b"VmRSS"]


def test_names_are_escaped(linux: "Linux", task: Task) -> None:
    task.rename(b"a\nb\\c")
    assert linux.read(b"/proc/self/status").startswith(b"Name:\ta\\nb\\\\c\n")
    assert linux.read(b"/proc/self/stat").startswith(b"1 (a\nb\\c) R ")


def test_the_size_of_the_descriptor_table(linux: "Linux", task: Task) -> None:
    task.files.dup(0, minimum=63)
    assert b"FDSize:\t64\n" in linux.read(b"/proc/self/status")
    task.files.dup(0, minimum=64)
    assert b"FDSize:\t128\n" in linux.read(b"/proc/self/status")


def test_a_zombie(linux: "Linux", task: Task, other: Task) -> None:
    del other.process.tasks[2]
    status = fields(linux.read(b"/proc/2/status"))
    assert status[b"State"] == b"Z (zombie)"
    assert b"VmSize" not in status
    assert linux.read(b"/proc/2/stat").startswith(b"2 (prog) Z 1 1 1 ")
    assert linux.read(b"/proc/2/cmdline") == b""
    assert linux.read(b"/proc/2/maps") == b""
    assert linux.read(b"/proc/2/statm") == b"0 0 0 0 0 0 0\n"
    assert linux.names(b"/proc/2/fd") == []
    with fails(Errno.ESRCH):
        linux.find(b"/proc/2/exe", follow=False).inode.readlink()
    other.process.tasks[2] = other


# -- stat ---------------------------------------------------------------------------------------------------


def split_stat(text: bytes) -> list[bytes]:
    head, _, rest = text.rpartition(b") ")
    return [*head.split(b" (", 1), *rest.split()]


def test_stat_has_the_hosts_fields(linux: "Linux", task: Task) -> None:
    assert len(split_stat(linux.read(b"/proc/self/stat"))) == len(split_stat(host("stat"))) == 52
    assert linux.read(b"/proc/self/stat").endswith(b"\n")


def test_stat_values(linux: "Linux", task: Task, other: Task) -> None:
    other.scheduling.nice = 5
    found = split_stat(linux.read(b"/proc/2/stat"))
    numbers = {position: int(found[position - 1]) for position in (1, 4, 5, 6, 7, 8, 18, 19, 20, 22, 38)}
    assert numbers == {
        1: 2,  # pid
        4: 1,  # parent
        5: 1,  # process group
        6: 1,  # session
        7: 0,  # terminal
        8: -1,  # its foreground
        18: 25,  # priority
        19: 5,  # nice
        20: 1,  # threads
        22: 1234,  # start, in hundredths of a second
        38: 17,  # SIGCHLD at the end
    }
    assert int(found[22]) == other.memory.usage().total * 4096
    assert int(found[23]) == other.memory.usage().resident


def test_stat_tells_addresses_to_those_who_may_look(linux: "Linux", task: Task, other: Task) -> None:
    other.memory.contents, other.memory.strings = (
        Contents(0x1000, 0x2000, 0x3000, 0x4000),
        Strings(5, 6, 7, 8),
    )
    other.memory.initial_stack_pointer = 0x5000
    found = [int(each) for each in split_stat(linux.read(b"/proc/2/stat"))[25:]]
    assert found[:3] == [0x1000, 0x2000, 0x5000]
    assert found[19:26] == [0x3000, 0x4000, other.memory.heap[0], 5, 6, 7, 8]
    task.credentials = Credentials(1001, 1001)
    found = [int(each) for each in split_stat(linux.read(b"/proc/2/stat"))[25:]]
    assert (found[:3], found[19:26]) == ([1, 1, 0], [0] * 7)


def test_stat_of_a_thread_counts_its_own_time(linux: "Linux", task: Task) -> None:
    class Control:
        def cpu_time_ns(self) -> int:
            return 1_230_000_000

        def user_time_ns(self) -> int:
            return 1_000_000_000

        def count_moved(self) -> None: ...

    thread = linux.new_thread(task.process, linux.kernel.allocate_pid())
    thread.control = Control()  # type: ignore[assignment]
    task.process.ended_usage.user_time_ns = 5_000_000_000
    assert split_stat(linux.read(b"/proc/1/task/2/stat"))[13:15] == [b"100", b"23"]
    assert split_stat(linux.read(b"/proc/1/stat"))[13:15] == [b"600", b"23"]
    assert split_stat(linux.read(b"/proc/1/task/2/stat"))[37] == b"-1"


def test_stat_names_the_terminal(linux: "Linux", task: Task) -> None:
    assert split_stat(linux.read(b"/proc/self/stat"))[6:8] == [b"0", b"-1"]
    for _ in range(4):
        terminal = linux.kernel.ptys.new(uid=0)
    terminal.foreground = 7
    task.process.terminal = terminal
    assert split_stat(linux.read(b"/proc/self/stat"))[6:8] == [b"%d" % 0x8803, b"7"]


# -- memory -------------------------------------------------------------------------------------------------


def parse_maps_line(line: bytes) -> MapsLine:
    match = re.fullmatch(
        rb"(\w+)-(\w+) ([r-])([w-])([x-])([sp]) (\w+) (\w+):(\w+) (\d+) *(.*)",
        line.removesuffix(b"\n"),
        re.DOTALL,
    )
    assert match
    start, end, r, w, x, share, offset, major, minor, inode, name = match.groups()
    prot = (
        (PROT.READ if r == b"r" else 0) | (PROT.WRITE if w == b"w" else 0) | (PROT.EXEC if x == b"x" else 0)
    )
    device = os.makedev(int(major, 16), int(minor, 16))
    numbers = int(start, 16), int(end, 16), prot, share == b"s", int(offset, 16), device, int(inode)
    return MapsLine(*numbers, name, None, 0)


def test_lines_of_maps_are_the_hosts_to_the_column() -> None:
    lines = Path("/proc/self/maps").read_bytes().splitlines(keepends=True)
    assert len(lines) > 10
    for line in lines:
        assert format_area(parse_maps_line(line)) == line


def test_maps(linux: "Linux", task: Task) -> None:
    file = linux.open(b"/bin/prog", O.RDWR)
    file.write_nowait(KernelBuffer(bytes(8192)))
    task.memory.mmap(0x5000_0000, 0x2000, PROT.READ | PROT.EXEC, MAP.PRIVATE | MAP.FIXED, file)
    task.memory.mmap(0x6000_0000, 0x1000, PROT.READ | PROT.WRITE, MAP.SHARED | MAP.ANONYMOUS | MAP.FIXED)
    file.drop()
    lines = linux.read(b"/proc/self/maps").splitlines()
    attributes = linux.program.inode.attributes()
    device = b"%02x:%02x" % (major(attributes.dev), minor(attributes.dev))
    assert lines[0].split() == [
        *(b"50000000-50002000", b"r-xp", b"00000000", device, b"%d" % attributes.ino, b"/bin/prog"),
    ]
    assert lines[1].split()[:3] == [b"60000000-60001000", b"rw-s", b"00000000"]
    assert [line.split()[-1] for line in lines if b"[" in line] == [b"[heap]", b"[stack]"]
    size, resident, shared, code, _, data, _ = map(int, linux.read(b"/proc/self/statm").split())
    assert size == task.memory.usage().total
    assert resident == task.memory.usage().resident
    assert shared == 3
    assert code == 2
    assert data > 0x21
    held = linux.open(b"/proc/self/maps")
    task.fs.root = linux.find(b"/bin")
    memory = bytearray(100)
    held.read_nowait(KernelBuffer(memory))
    assert lines[0].replace(b"/bin/prog", b"/prog") in memory, "the path is the reader's"


def test_maps_of_a_file_without_a_place(linux: "Linux", task: Task) -> None:
    from aionoah.fs.devices import ZeroDevice

    class Named(ZeroDevice):
        def describe(self) -> bytes:
            return b"/memfd:two\nlines (deleted)"

        def attributes(self) -> Any:
            return linux.program.inode.attributes()

    file = Named(O(O.RDWR))
    task.memory.mmap(0x5000_0000, 0x1000, PROT.READ, MAP.SHARED | MAP.FIXED, file)
    file.drop()
    assert linux.read(b"/proc/self/maps").splitlines()[0].endswith(b"  /memfd:two\\012lines (deleted)")


# -- mounts -------------------------------------------------------------------------------------------------


def test_mounts(linux: "Linux", task: Task) -> None:
    assert linux.read(b"/proc/self/mounts") == (
        b"root / tmpfs rw,relatime 0 0\n"
        b"proc /proc proc rw,relatime 0 0\n"
        b"tmpfs /a\\040dir/tmp tmpfs ro,relatime 0 0\n"
    )
    assert linux.read(b"/proc/mounts") == linux.read(b"/proc/1/mounts")


def test_mountinfo(linux: "Linux", task: Task) -> None:
    lines = linux.read(b"/proc/self/mountinfo").splitlines()
    root = linux.kernel.mounts.root.inode.attributes().dev
    assert lines[0] == b"1 0 %d:%d / / rw,relatime - tmpfs root rw" % (major(root), minor(root))
    proc = linux.find(b"/proc").inode.attributes().dev
    assert lines[1] == b"2 1 %d:%d / /proc rw,relatime - proc proc rw" % (major(proc), minor(proc))
    assert re.fullmatch(rb"3 1 0:\d+ / /a\\040dir/tmp ro,relatime - tmpfs tmpfs rw", lines[2])


def test_mounts_as_seen_from_another_root(linux: "Linux", task: Task, other: Task) -> None:
    other.fs.root = linux.find(b"/a dir")
    assert linux.read(b"/proc/2/mounts") == b"tmpfs /tmp tmpfs ro,relatime 0 0\n"


def test_escapes() -> None:
    assert escape(b"a b\tc\nd\\e#f") == b"a\\040b\\011c\\012d\\134e\\043f"


# -- formats of sets ----------------------------------------------------------------------------------------


@given(st.integers(0, (1 << 70) - 1))
def test_lists_name_every_member(mask: int) -> None:
    found = 0
    for part in format_list(mask).split(b",") if mask else ():
        first, _, last = part.partition(b"-")
        assert not last or int(last) > int(first)
        for number in range(int(first), int(last or first) + 1):
            found |= 1 << number
    assert found == mask


def test_masks() -> None:
    assert format_mask(3, 2) == b"3"
    assert format_mask(0x1F, 5) == b"1f"
    assert format_mask(0x8000_0001, 32) == b"80000001"
    assert format_mask(1 << 32 | 5, 33) == b"1,00000005"
    assert format_mask(0xFF, 64) == b"00000000,000000ff"
    assert format_list(0b1011_0111) == b"0-2,4-5,7"


def test_affinity_is_the_hosts_form() -> None:
    theirs = fields(host("status"))
    mask = sum(1 << cpu for cpu in os.sched_getaffinity(0))
    assert format_list(mask) == theirs[b"Cpus_allowed_list"]
