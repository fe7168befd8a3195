"""What there is in /proc, who owns it, and where its links lead."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.prctl import SUID_DUMP
from aionoah.abi.stat import S
from aionoah.abi.statfs import MAGIC
from aionoah.fs.pipe import PipeEnd
from aionoah.process.current import set_current
from aionoah.process.task import Task

if TYPE_CHECKING:
    from conftest import Linux


def fails(errno: Errno) -> Any:
    return pytest.raises(LinuxError, match=f"^{errno.name}$")


def host_mode(path: str) -> int:
    return Path(path).lstat().st_mode


# -- processes ----------------------------------------------------------------------------------------------


def test_processes_are_listed(linux: "Linux", task: Task, other: Task) -> None:
    names = linux.names(b"/proc")
    assert names[-2:] == [b"1", b"2"]
    assert {b"self", b"thread-self", b"cpuinfo", b"meminfo", b"sys", b"mounts"} <= set(names)
    with fails(Errno.ENOENT):
        linux.find(b"/proc/3")
    for name in (b"01", b"+1", b"1x", b"-1", b"\xd9\xa1"):
        with fails(Errno.ENOENT):
            linux.find(b"/proc/" + name)


def test_self_is_who_reads(linux: "Linux", task: Task, other: Task) -> None:
    assert linux.find(b"/proc/self", follow=False).inode.readlink() == b"1"
    set_current(other)
    assert linux.find(b"/proc/self", follow=False).inode.readlink() == b"2"
    assert linux.find(b"/proc/thread-self", follow=False).inode.readlink() == b"2/task/2"
    assert linux.find(b"/proc/self").name == b"2"
    assert linux.find(b"/proc/self", follow=False).inode.attributes().size == 0
    set_current(None)
    with fails(Errno.ENOENT):
        linux.find(b"/proc/self")


def test_processes_count_as_links(linux: "Linux", task: Task) -> None:
    before = linux.find(b"/proc").inode.attributes().nlink
    linux.new_process()
    assert linux.find(b"/proc").inode.attributes().nlink == before + 1


def test_threads(linux: "Linux", task: Task) -> None:
    thread = linux.new_thread(task.process, linux.kernel.allocate_pid())
    assert linux.names(b"/proc/1/task") == [b"1", b"2"]
    assert linux.names(b"/proc") == [*linux.names(b"/proc")[:-1], b"1"], "a thread is not listed"
    assert b"Tgid:\t1\n" in linux.read(b"/proc/2/status"), "but it can be entered"
    assert b"Pid:\t2\n" in linux.read(b"/proc/1/task/2/status")
    assert b"Pid:\t1\n" in linux.read(b"/proc/1/status")
    assert b"task" not in linux.names(b"/proc/1/task/2")
    linux.write(b"/proc/1/task/2/comm", b"worker")
    assert linux.read(b"/proc/2/comm") == b"worker\n"
    assert linux.read(b"/proc/1/comm") == b"prog\n"
    set_current(thread)
    assert linux.find(b"/proc/thread-self").name == b"2"
    with fails(Errno.ENOENT):
        linux.find(b"/proc/1/task/3")


def test_a_held_directory_of_a_dead_process(linux: "Linux", task: Task, other: Task) -> None:
    """Its number may be somebody else's by now, and the directory is still about the dead one."""
    held = linux.find(b"/proc/2")
    del linux.kernel.processes[2]
    del linux.kernel.tasks[2]
    with fails(Errno.ENOENT):
        linux.find(b"/proc/2")
    again = linux.new_process()
    again.process.pid = 2
    linux.kernel.processes[2] = again.process
    assert linux.find(b"/proc/2").inode is not held.inode
    assert linux.find(b"/proc/2").inode is linux.find(b"/proc/2").inode
    linux.kernel.tasks[2] = other


def test_modes_are_the_hosts(linux: "Linux", task: Task) -> None:
    for name in linux.names(b"/proc/self"):
        ours = linux.find(b"/proc/self/" + name, follow=False).inode.attributes().mode
        assert oct(ours) == oct(host_mode(f"/proc/self/{name.decode()}")), name
    for name in (b"cpuinfo", b"meminfo", b"self", b"thread-self", b"mounts", b"sys", b"uptime", b"version"):
        ours = linux.find(b"/proc/" + name, follow=False).inode.attributes().mode
        assert oct(ours) == oct(host_mode(f"/proc/{name.decode()}")), name


def test_files_belong_to_the_effective_user(linux: "Linux", task: Task, other: Task) -> None:
    for path in (b"/proc/2", b"/proc/2/maps", b"/proc/2/fd/0", b"/proc/2/task/2/status"):
        attributes = linux.find(path, follow=False).inode.attributes()
        assert (attributes.uid, attributes.gid) == (1000, 1000)
    held = linux.find(b"/proc/2/maps")
    other.process.dumpable = SUID_DUMP.DISABLE
    assert held.inode.attributes().uid == 0
    assert linux.find(b"/proc").inode.attributes().uid == 0


def test_the_file_system(linux: "Linux", task: Task) -> None:
    root = linux.find(b"/proc").inode
    assert root.attributes().ino == 1
    assert root.filesystem.status().magic == MAGIC.PROC
    assert root.filesystem.type_name == b"proc"


# -- links --------------------------------------------------------------------------------------------------


def test_links_to_program_and_directories(linux: "Linux", task: Task) -> None:
    for name, path in ((b"exe", b"/bin/prog"), (b"cwd", b"/home"), (b"root", b"/")):
        link = linux.find(b"/proc/self/" + name, follow=False).inode
        assert link.kind == S.IFLNK
        assert link.readlink() == path
        assert linux.find(b"/proc/self/" + name) is linux.find(path)
    assert linux.find(b"/proc/self/root/bin/prog") is linux.program


def test_links_show_the_path_that_the_reader_sees(linux: "Linux", task: Task, other: Task) -> None:
    task.fs.root = linux.find(b"/bin")
    assert linux.find(b"/proc/2/exe", follow=False).inode.readlink() == b"/prog"
    assert linux.find(b"/proc/2/cwd", follow=False).inode.readlink() == b"/home"


def test_a_program_that_was_deleted(linux: "Linux", task: Task) -> None:
    directory = linux.find(b"/bin")
    directory.inode.unlink(b"prog")
    directory.was_removed(b"prog")
    assert linux.find(b"/proc/self/exe", follow=False).inode.readlink() == b"/bin/prog (deleted)"
    assert linux.find(b"/proc/self/exe") is linux.program


def test_strangers_may_not_look_inside(linux: "Linux", task: Task, other: Task) -> None:
    linux.new_process(uid=1001)
    set_current(other)
    for name in (b"exe", b"cwd", b"root"):
        with fails(Errno.EACCES):
            linux.find(b"/proc/3/" + name, follow=False).inode.readlink()
    for name in (b"maps", b"environ", b"auxv"):
        with fails(Errno.EACCES):
            linux.read(b"/proc/3/" + name)
        assert linux.read(b"/proc/2/" + name)
    assert linux.read(b"/proc/3/cmdline") == b"prog\0-v\0"
    sibling = linux.new_process(uid=1000)
    assert linux.read(b"/proc/%d/maps" % sibling.tid)
    sibling.process.dumpable = SUID_DUMP.DISABLE
    with fails(Errno.EACCES):
        linux.read(b"/proc/%d/maps" % sibling.tid)
    set_current(task)
    assert linux.read(b"/proc/%d/maps" % sibling.tid), "root may"


# -- fd -----------------------------------------------------------------------------------------------------


def test_open_files_are_listed(linux: "Linux", task: Task) -> None:
    assert linux.names(b"/proc/self/fd") == [b"0", b"1", b"2"]
    assert linux.names(b"/proc/self/fdinfo") == [b"0", b"1", b"2"]
    assert linux.find(b"/proc/self/fd").inode.attributes().size == 3
    task.files.close(1)
    assert linux.names(b"/proc/self/fd") == [b"0", b"2"]
    for name in (b"1", b"00", b"x", b"99"):
        for directory in (b"fd", b"fdinfo"):
            with fails(Errno.ENOENT):
                linux.find(b"/proc/self/%s/%s" % (directory, name), follow=False)


def test_links_to_open_files(linux: "Linux", task: Task) -> None:
    reader, writer = task.files[0], task.files[1]
    links = [linux.find(b"/proc/self/fd/%d" % fd, follow=False).inode for fd in range(3)]
    assert links[0].readlink() == reader.describe()
    assert links[2].readlink() == b"/bin/prog"
    assert [oct(link.attributes().mode & 0o777) for link in links] == ["0o500", "0o300", "0o700"]
    assert links[0].attributes().size == 64
    assert linux.find(b"/proc/self/fd/2") is linux.program
    pipe = linux.find(b"/proc/self/fd/1")
    assert pipe.inode is writer.inode
    again = linux.open(b"/proc/self/fd/1")
    assert isinstance(again, PipeEnd)
    assert again.pipe is reader.pipe  # type: ignore[attr-defined]
    assert again.is_readable
    fd = task.files.add(again, cloexec=False)
    assert linux.find(b"/proc/self/fd/%d" % fd, follow=False).inode.readlink() == reader.describe()


def test_path_descriptors_have_links_too(linux: "Linux", task: Task) -> None:
    from aionoah.fs.directory import PathFile

    home = linux.find(b"/home")
    fd = task.files.add(PathFile(O(O.PATH), home), cloexec=False)
    link = linux.find(b"/proc/self/fd/%d" % fd, follow=False).inode
    assert link.readlink() == b"/home"
    assert link.attributes().mode == S.IFLNK
    assert linux.find(b"/proc/self/fd/%d" % fd) is home


def test_descriptor_information(linux: "Linux", task: Task) -> None:
    task.files[2].offset = 17
    ino = linux.program.inode.attributes().ino
    assert linux.read(b"/proc/self/fdinfo/2") == b"pos:\t17\nflags:\t0100002\nmnt_id:\t1\nino:\t%d\n" % ino
    assert b"flags:\t02000001\n" in linux.read(b"/proc/self/fdinfo/1")
    keys = [line.partition(b"\t")[0] for line in linux.read(b"/proc/self/fdinfo/0").splitlines()]
    reader, writer = os.pipe()
    try:
        theirs = Path(f"/proc/self/fdinfo/{reader}").read_bytes()
    finally:
        os.close(reader)
        os.close(writer)
    assert keys == [line.partition(b"\t")[0] for line in theirs.splitlines()]
    held = linux.open(b"/proc/self/fdinfo/1")
    task.files.close(1)
    with fails(Errno.ENOENT):
        held.pread(memoryview_buffer(), 0)


def memoryview_buffer() -> Any:
    from aionoah.memory.buffer import KernelBuffer

    return KernelBuffer(bytearray(10))
