"""Who writes a core dump when, into what, and how much of it."""

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from fakes.threads import ARENA, READ_WRITE, Call, World

from aionoah.abi.core import ElfHeader, ProgramHeader, PrPsInfo, PrStatusCommon
from aionoah.abi.errno import LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.mman import MAP, PROT
from aionoah.abi.poll import Poll
from aionoah.abi.prctl import SUID_DUMP
from aionoah.abi.ptrace import NT
from aionoah.abi.resource import RLIM_INFINITY, RLIMIT
from aionoah.abi.siginfo import SEGV
from aionoah.abi.signal import SIG, signal_bit
from aionoah.abi.stat import S
from aionoah.fs import creation
from aionoah.fs.file import File
from aionoah.fs.inode import Change
from aionoah.fs.opening import open_file
from aionoah.fs.path import walk
from aionoah.memory.buffer import KernelBuffer
from aionoah.process.coredump.dump import CoreDump
from aionoah.process.kernel import Told
from aionoah.process.limits import Limit
from aionoah.process.task import Task
from aionoah.signals.generate import send_to_process
from aionoah.signals.info import from_fault, from_kernel

PAGE = 4096
REGISTERS = {NT.PRSTATUS: bytes(range(216)), NT.PRFPREG: bytes(512), NT.X86_XSTATE: bytes(832)}


class Core(NamedTuple):
    data: bytes
    headers: list[ProgramHeader]
    notes: list[tuple[int, bytes]]

    def at(self, address: int, length: int) -> bytes | None:
        for header in self.headers[1:]:
            if header.p_vaddr <= address < header.p_vaddr + header.p_filesz:
                start = header.p_offset + address - header.p_vaddr
                return self.data[start : start + length]
        return None


def contents(task: Task, path: bytes = b"core") -> bytes | None:
    try:
        file = open_file(task.fs, task.fs.cwd, path, O(O.RDONLY))
    except LinuxError:
        return None
    found = bytearray(file.attributes().size)
    file.pread(KernelBuffer(found), 0)
    file.drop()
    return bytes(found)


def parse(data: bytes | None) -> Core:
    assert data is not None
    head = ElfHeader.unpack(data)
    headers = [
        ProgramHeader.unpack(data, head.e_phoff + index * ProgramHeader.SIZE) for index in range(head.e_phnum)
    ]
    at, end, notes = headers[0].p_offset, headers[0].p_offset + headers[0].p_filesz, []
    while at < end:
        name_size, size, kind = struct.unpack_from("<III", data, at)
        at += 12 + (name_size + 3) // 4 * 4
        notes.append((kind, data[at : at + size]))
        at += (size + 3) // 4 * 4
    return Core(data, headers, notes)


@pytest.fixture
def dying(main: Task) -> Task:
    main.process.limits.set(RLIMIT.CORE, Limit(RLIM_INFINITY, RLIM_INFINITY), main.credentials)
    main.process.name = main.name = b"program"
    return main


def begin(task: Task) -> CoreDump:
    dump = CoreDump(task, from_fault(SIG.SEGV, SEGV.MAPERR, 0x10))
    dump.begin()
    dump.add(task, REGISTERS)
    return dump


def finish(dump: CoreDump) -> Any:
    run_to_end(Call(dump.write()))
    return dump.wait_status


def run_to_end(call: Call) -> None:
    """Through all rests, of which there are more where the machine is busy."""
    while call.outcome is None:
        call.run()


def test_memory_and_notes(dying: Task) -> None:
    dying.memory.write(ARENA + PAGE, b"contents")
    assert finish(begin(dying)) == SIG.SEGV | 0x80
    core = parse(contents(dying))
    assert core.at(ARENA + PAGE, 8) == b"contents"
    assert core.at(ARENA, 8) == bytes(8)
    kinds = [kind for kind, _ in core.notes]
    assert kinds == [NT.PRSTATUS, NT.PRPSINFO, NT.SIGINFO, NT.AUXV, NT.FILE, NT.PRFPREG, NT.X86_XSTATE]
    status = PrStatusCommon.unpack(core.notes[0][1])
    assert (status.pr_cursig, status.pr_pid) == (SIG.SEGV, dying.tid)
    assert core.notes[0][1][PrStatusCommon.SIZE :] == REGISTERS[NT.PRSTATUS] + b"\1".ljust(8, b"\0")
    info = PrPsInfo.unpack(core.notes[1][1])
    assert (info.pr_fname.rstrip(b"\0"), info.pr_sname) == (b"program", ord("R"))


def test_only_its_owner_reads_it(dying: Task) -> None:
    dying.credentials.fsuid, dying.credentials.fsgid = 1000, 100
    walk(dying.fs, dying.fs.cwd, b"/").inode.change(Change(mode=0o777))
    finish(begin(dying))
    found = walk(dying.fs, dying.fs.cwd, b"core").inode.attributes()
    assert (found.mode, found.uid, found.gid) == (S.IFREG | 0o600, 1000, 100)


def test_the_others_come_first(dying: Task, world: World) -> None:
    other, third = world.thread(dying), world.thread(dying)
    dump = begin(dying)
    assert all(one.signals.pending.bits & signal_bit(SIG.KILL) for one in (other, third))
    call = Call(dump.write())
    assert call.outcome is None
    dump.add(other, REGISTERS)
    assert not call.is_woken
    third.exit(0)
    assert call.is_woken
    run_to_end(call)
    assert dump.wait_status == SIG.SEGV | 0x80
    numbers = [PrStatusCommon.unpack(data).pr_pid for kind, data in parse(contents(dying)).notes if kind == 1]
    assert numbers == [dying.tid, other.tid]


def test_who_has_come_stays_until_the_end(dying: Task, world: World) -> None:
    other, third = world.thread(dying), world.thread(dying)
    dump = begin(dying)
    dump.add(other, REGISTERS)
    stay = Call(dump.stay())
    stay.interrupt()
    assert stay.outcome is None
    call = Call(dump.write())
    dump.add(third, REGISTERS)
    run_to_end(call)
    assert stay.is_woken
    assert stay.run() == 0


def test_signals_do_not_end_it_but_sigkill_does(dying: Task, world: World) -> None:
    world.thread(dying)
    dump = begin(dying)
    call = Call(dump.write())
    send_to_process(dying.process, from_kernel(SIG.TERM))
    assert call.interrupt() is None
    send_to_process(dying.process, from_kernel(SIG.KILL))
    assert call.interrupt() == 0
    assert dump.wait_status == SIG.SEGV
    assert contents(dying) is None


def test_a_writer_that_is_ended_lets_the_others_go(dying: Task, world: World) -> None:
    other = world.thread(dying)
    dump = begin(dying)
    call = Call(dump.write())
    dump.add(other, REGISTERS)
    stay = Call(dump.stay())
    call.kill()
    assert stay.is_woken
    assert stay.run() == 0


@pytest.mark.parametrize("limit", [PAGE, 2 * PAGE, 3 * PAGE + 5, 4 * PAGE])
def test_the_limit_is_on_what_is_written(dying: Task, limit: int) -> None:
    dying.memory.write(ARENA, b"a")
    dying.memory.write(ARENA + 3 * PAGE, b"b")
    dying.process.limits.set(RLIMIT.CORE, Limit(limit, RLIM_INFINITY), dying.credentials)
    assert finish(begin(dying)) == SIG.SEGV | 0x80
    core = parse(contents(dying))
    head = core.headers[0].p_offset + core.headers[0].p_filesz
    pages = (limit - head) // PAGE
    assert pages in (0, 1, 2, 3)
    assert core.at(ARENA, 1) == (b"a" if pages else b"")
    assert core.at(ARENA + 3 * PAGE, 1) == (b"b" if pages > 1 else b"")


def test_the_limit_of_all_files_counts_too(dying: Task) -> None:
    dying.process.limits.set(RLIMIT.FSIZE, Limit(100, 100), dying.credentials)
    assert finish(begin(dying)) == SIG.SEGV | 0x80
    assert len(contents(dying) or b"") == 100


def test_what_is_there_is_replaced_not_written(dying: Task) -> None:
    file = open_file(dying.fs, dying.fs.cwd, b"victim", O(O.CREAT | O.WRONLY), 0o666)
    file.pwrite(KernelBuffer(b"precious"), 0)
    file.drop()
    creation.symlink(dying.fs, b"victim", dying.fs.cwd, b"core")
    finish(begin(dying))
    assert contents(dying, b"victim") == b"precious"
    assert walk(dying.fs, dying.fs.cwd, b"core", follow=False).inode.kind == S.IFREG


def test_a_directory_stays(dying: Task) -> None:
    creation.mkdir(dying.fs, dying.fs.cwd, b"core", 0o777)
    assert finish(begin(dying)) == SIG.SEGV


def test_who_has_changed_its_user_dumps_for_root_alone(dying: Task) -> None:
    """With fs.suid_dumpable = 2: to an absolute place, as seen from the root of all, where nothing is yet."""
    settings, process = dying.kernel.core_settings, dying.process
    process.dumpable = SUID_DUMP.ROOT
    dying.credentials.fsuid = 1000
    assert finish(begin(dying)) == SIG.SEGV
    settings.pattern = b"/core.of.%u"
    creation.mkdir(dying.fs, dying.kernel.mounts.root, b"inside", 0o777)
    dying.fs.root = dying.fs.cwd = walk(dying.fs, dying.fs.cwd, b"inside")
    assert finish(begin(dying)) == SIG.SEGV | 0x80
    dying.fs.root = dying.fs.cwd = dying.kernel.mounts.root
    assert walk(dying.fs, dying.fs.cwd, b"core.of.0").inode.attributes().uid == 0
    assert finish(begin(dying)) == SIG.SEGV


def test_holes_at_the_end_belong_to_the_file(dying: Task) -> None:
    at = dying.memory.mmap(0, 64 * PAGE, READ_WRITE, MAP.PRIVATE | MAP.ANONYMOUS)
    dying.memory.write(at, b"x")
    finish(begin(dying))
    core = parse(contents(dying))
    last = core.headers[-1]
    assert len(core.data) == last.p_offset + last.p_filesz
    assert core.at(at + 63 * PAGE, PAGE) == bytes(PAGE)


def test_areas_that_may_not_be_read(dying: Task) -> None:
    dying.memory.write(ARENA, b"secret")
    dying.memory.mprotect(ARENA, PAGE, PROT.NONE)
    finish(begin(dying))
    core = parse(contents(dying))
    assert core.at(ARENA, 6) == b"secret"
    assert next(header for header in core.headers if header.p_vaddr == ARENA).p_flags == 0


@pytest.mark.parametrize(
    ("limit", "dumpable", "may"),
    [
        (PAGE, SUID_DUMP.USER, True),
        (PAGE - 1, SUID_DUMP.USER, False),
        (PAGE, SUID_DUMP.DISABLE, False),
        (PAGE, SUID_DUMP.ROOT, True),
    ],
)
def test_who_dumps_at_all(main: Task, limit: int, dumpable: int, may: bool) -> None:
    main.process.limits.set(RLIMIT.CORE, Limit(limit, RLIM_INFINITY), main.credentials)
    main.process.dumpable = dumpable
    assert main.process.may_dump_core is may


# -- programs that get cores ----------------------------------------------------------------------------------


class Helper:
    """Stands in for who starts programs."""

    def __init__(self, task: Task) -> None:
        self.argv: list[bytes] = []
        self.received = bytearray()
        task.kernel.core_settings.pattern = b"|/handler %p  %e"
        task.kernel.run_helper = self.run

    def run(self, argv: Sequence[bytes], stdin: File, told: Told) -> None:
        self.argv, self.stdin, self.told = list(argv), stdin.hold(), told

    def read(self) -> None:
        part = bytearray(1 << 20)
        done = self.stdin.read_nowait(KernelBuffer(part))
        self.received += part[:done]


def test_a_program_gets_all_of_it_zeros_too(dying: Task) -> None:
    helper, dump = Helper(dying), begin(dying)
    dying.memory.mmap(0, 64 * PAGE, READ_WRITE, MAP.PRIVATE | MAP.ANONYMOUS)
    dying.memory.write(ARENA + PAGE, b"contents")
    dying.process.limits.set(RLIMIT.CORE, Limit(0, 0), dying.credentials)
    assert dying.process.may_dump_core
    call = Call(dump.write())
    helper.told(has_started=True)
    while call.run() is None:
        helper.read()
    helper.read()
    helper.stdin.drop()
    assert dump.wait_status == SIG.SEGV | 0x80
    assert helper.argv == [b"/handler", b"%d" % dying.process.pid, b"program"]
    core = parse(bytes(helper.received))
    assert core.at(ARENA + PAGE, 8) == b"contents"
    assert len(core.data) == core.headers[-1].p_offset + core.headers[-1].p_filesz
    assert dying.kernel.core_settings.piped == 0


@pytest.mark.parametrize("has_started", [False, True])
def test_a_program_that_does_not_read(dying: Task, has_started: bool) -> None:
    """One that cannot be started gets no core; one that closes the pipe has had some of it."""
    helper, dump = Helper(dying), begin(dying)
    call = Call(dump.write())
    helper.stdin.drop()
    helper.told(has_started=has_started)
    run_to_end(call)
    assert dump.wait_status == SIG.SEGV | (0x80 if has_started else 0)


def test_programs_whose_number_is_limited_are_waited_for(dying: Task) -> None:
    dying.kernel.core_settings.pipe_limit = 1
    helper, dump = Helper(dying), begin(dying)
    dying.kernel.core_settings.piped = 1
    assert finish(dump) == SIG.SEGV
    dying.kernel.core_settings.piped = 0
    dump = begin(dying)
    call = Call(dump.write())
    helper.told(has_started=True)
    for _ in range(20):
        call.run()
        if helper.stdin.poll() & Poll.IN:
            helper.read()
    assert call.outcome is None
    helper.stdin.drop()
    run_to_end(call)
    assert dump.wait_status == SIG.SEGV | 0x80


def test_sigkill_ends_the_wait_for_a_program(dying: Task) -> None:
    helper, dump = Helper(dying), begin(dying)
    call = Call(dump.write())
    send_to_process(dying.process, from_kernel(SIG.KILL))
    assert call.interrupt() == 0
    assert dump.wait_status == SIG.SEGV
    helper.told(has_started=True)  # too late
    helper.stdin.drop()


def test_who_runs_for_a_core_dumps_none(dying: Task) -> None:
    Helper(dying)
    dying.process.limits.set(RLIMIT.CORE, Limit(1, 1), dying.credentials)
    assert not dying.process.may_dump_core
