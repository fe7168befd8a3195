"""What is printed for each call, compared with what strace(1) prints."""

import io
import re
import shutil
import subprocess
from pathlib import Path as HostPath
from typing import Annotated, Any

import pytest
from fakes.tasks import BAD, BASE, new_kernel, new_task

from aionoah.abi.aarch64 import AARCH64
from aionoah.abi.cstruct import I32, U32, U64, Struct
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import SEEK, O
from aionoah.abi.mman import MAP, PROT
from aionoah.abi.poll import Poll
from aionoah.abi.signal import SIG_HOW
from aionoah.abi.time import CLOCK, Timespec
from aionoah.abi.x86_64 import X86_64
from aionoah.host.waiting import Source, sleep_on
from aionoah.signals.info import from_user
from aionoah.syscalls import registry
from aionoah.syscalls.arguments import (
    Addr,
    DirFd,
    Fd,
    In,
    Int,
    Mode,
    Offset,
    Path,
    Ptr,
    Signal,
    Size,
    Uid,
    ULong,
)
from aionoah.syscalls.dispatch import SyscallTable
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.results import Outcome, Suspended
from aionoah.syscalls.strace import Tracer
from aionoah.syscalls.strace_errors import ERROR_TEXTS
from aionoah.syscalls.strace_format import quoted

MINUS_100 = (1 << 64) - 100


@pytest.fixture(autouse=True)
def no_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_handlers", {})
    monkeypatch.setattr(registry, "HOMES", {})


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def table(output: io.StringIO) -> SyscallTable:
    return SyscallTable(X86_64, Tracer(output))


def call(table: SyscallTable, name: str, *args: int, task: Any = None) -> Any:
    number = table.architecture.syscall_numbers[name]
    return table.call(task or new_task(), number, (*args, *[0] * (6 - len(args))))


def squeezed(output: io.StringIO) -> str:
    """What was printed, without the spaces that align results."""
    return re.sub(" +=", " =", output.getvalue()).rstrip("\n")


def test_the_result_stands_in_column_forty(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    def close(task: Any, fd: Fd) -> None: ...

    call(table, "close", 3)
    assert output.getvalue() == "close(3)                                = 0\n"


def test_a_long_call_pushes_the_result(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    def unlink(task: Any, path: Path) -> None: ...

    task = new_task()
    task.memory.write(BASE, b"/a/rather/long/path/to/nowhere/at/all\0")
    call(table, "unlink", BASE, task=task)
    assert output.getvalue() == 'unlink("/a/rather/long/path/to/nowhere/at/all") = 0\n'


def test_openat(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    def openat(task: Any, dirfd: DirFd, path: Path, flags: O, mode: Mode) -> int:
        return 3

    task = new_task()
    task.memory.write(BASE, b"/etc/passwd\0")
    call(table, "openat", MINUS_100, BASE, O.WRONLY | O.CREAT | O.CLOEXEC, 0o644, task=task)
    assert squeezed(output) == 'openat(AT_FDCWD, "/etc/passwd", O_WRONLY|O_CREAT|O_CLOEXEC, 0644) = 3'


def test_errors_have_name_and_text(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    def open_(task: Any, path: Path, flags: O) -> int:
        raise LinuxError(Errno.ENOENT)

    task = new_task()
    task.memory.write(BASE, b"x\0")
    call(table, "open", BASE, task=task)
    assert squeezed(output) == 'open("x", O_RDONLY) = -1 ENOENT (No such file or directory)'


def test_a_wild_path_is_shown_as_an_address(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    def unlink(task: Any, path: Path) -> None: ...

    call(table, "unlink", BAD)
    assert squeezed(output) == "unlink(0xdead0000) = -1 EFAULT (Bad address)"


def test_addresses_and_their_results(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    def mmap(task: Any, addr: Addr, size: Size, prot: PROT, flags: MAP, fd: Fd, offset: Offset) -> int:
        return 0x7F00_0000_0000

    call(table, "mmap", 0, 8192, 3, 0x22, (1 << 64) - 1, 0)
    expected = "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000"
    assert squeezed(output) in {
        expected,
        expected.replace("MAP_PRIVATE|MAP_ANONYMOUS", "MAP_ANONYMOUS|MAP_PRIVATE"),
    }


def test_numbers(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    def ioctl(task: Any, fd: Fd, number: ULong, small: ULong, uid: Uid, mode: Mode, n: Int) -> int:
        return -5

    call(table, "ioctl", 1, 0x5401_0000, 12, 0xFFFF_FFFF, 0, 0xFFFF_FFFF)
    assert squeezed(output) == "ioctl(1, 0x54010000, 12, -1, 000, -1) = -5"


def test_choices_and_signals(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    def fcntl(task: Any, whence: SEEK, clock: CLOCK, how: SIG_HOW, events: Poll, signal: Signal) -> None:
        pass

    call(table, "fcntl", 2, 77, 1, 1, 15)
    assert squeezed(output) == "fcntl(SEEK_END, 0x4d, SIG_UNBLOCK, POLLIN, SIGTERM) = 0"


def test_no_flags_at_all(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    def mprotect(task: Any, prot: PROT, flags: Poll) -> None: ...

    call(table, "mprotect", 0, 0)
    assert squeezed(output) == "mprotect(PROT_NONE, 0) = 0"


def test_unknown_bits_are_hexadecimal(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    def mprotect(task: Any, prot: PROT) -> None: ...

    call(table, "mprotect", 0x4000_0001)
    assert squeezed(output) == "mprotect(PROT_READ|0x40000000) = 0"


def test_open_flags_of_aarch64(output: io.StringIO) -> None:
    @syscall
    def openat(task: Any, flags: O) -> int:
        return 3

    table = SyscallTable(AARCH64, Tracer(output))
    call(table, "openat", 0o40000, task=new_task(architecture=AARCH64))
    assert squeezed(output) == "openat(O_RDONLY|O_DIRECTORY) = 3"


# -- what pointers point to ---------------------------------------------------------------------------------


def test_structures_that_the_kernel_fills(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    def clock_gettime(task: Any, clock: CLOCK, tp: Ptr[Timespec]) -> None:
        task.memory.put(tp, Timespec(1, 2))

    call(table, "clock_gettime", 1, BASE)
    assert squeezed(output) == "clock_gettime(CLOCK_MONOTONIC, {tv_sec=1, tv_nsec=2}) = 0"


def test_structures_of_a_call_that_failed(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    def nanosleep(task: Any, req: In[Timespec], rem: Ptr[Timespec]) -> None:
        raise LinuxError(Errno.EINVAL)

    task = new_task()
    task.memory.put(BASE, Timespec(-1, 0))
    call(table, "nanosleep", BASE, BASE + 64, task=task)
    assert squeezed(output) == "nanosleep({tv_sec=-1, tv_nsec=0}, 0x10040) = -1 EINVAL (Invalid argument)"


def test_structures_that_are_not_there(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    def nanosleep(task: Any, req: In[Timespec], rem: Ptr[Timespec]) -> None: ...

    call(table, "nanosleep", BAD, 0)
    assert squeezed(output) == "nanosleep(0xdead0000, NULL) = 0"


class Inner(Struct):
    name: Annotated[bytes, "8s"]
    mode: U32
    st_mode: U32


class Outer(Struct):
    inner: Inner
    big: U64


class Long(Struct):
    a: I32
    b: I32
    c: I32
    d: I32
    e: I32
    f: I32
    g: I32
    h: I32
    i: I32


def test_nested_and_long_structures(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    def stat(task: Any, outer: Ptr[Outer], long: Ptr[Long]) -> None:
        task.memory.put(outer, Outer(Inner(b"ab", 420, 0o100644), 1 << 40))
        task.memory.put(long, Long(1, 2, 3, 4, 5, 6, 7, 8, 9))

    call(table, "stat", BASE, BASE + 256)
    outer = '{inner={name="ab", mode=420, st_mode=0100644}, big=0x10000000000}'
    assert squeezed(output) == f"stat({outer}, {{a=1, b=2, c=3, d=4, ...}}) = 0"


def test_a_long_structure_shows_what_tells_most(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    def stat(task: Any, st: Ptr[X86_64.stat_struct]) -> None: ...  # type: ignore[name-defined]

    call(table, "stat", BASE)
    assert squeezed(output) == "stat({st_mode=0, st_size=0, ...}) = 0"


def test_buffers(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    def write(task: Any, fd: Fd, buf: Addr, count: Size) -> int:
        return count

    @syscall
    def read(task: Any, fd: Fd, buf: Addr, count: Size) -> int:
        task.memory.write(buf, b"ab\n")
        return 3

    task = new_task()
    task.memory.write(BASE, b"x" * 40)
    call(table, "write", 1, BASE, 40, task=task)
    call(table, "read", 0, BASE, 40, task=task)
    lines = squeezed(output).splitlines()
    assert lines == [f'write(1, "{"x" * 32}"..., 40) = 40', 'read(0, "ab\\n", 40) = 3']


def test_a_buffer_of_a_call_that_failed(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    def read(task: Any, fd: Fd, buf: Addr, count: Size) -> int:
        raise LinuxError(Errno.EBADF)

    call(table, "read", 0, BASE, 40)
    assert squeezed(output) == "read(0, 0x10000, 40) = -1 EBADF (Bad file descriptor)"


def test_argument_vectors(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    def execve(task: Any, path: Path, argv: Addr, envp: Addr) -> Outcome:
        return Outcome.KEEP_REGISTERS

    task = new_task()
    task.memory.write(BASE, b"/bin/ls\0-l\0A=1\0")
    for index, word in enumerate((BASE, BASE + 8, 0, BASE + 11, 0)):
        task.memory.write_word(BASE + 64 + 8 * index, word)
    call(table, "execve", BASE, BASE + 64, BASE + 88, task=task)
    assert squeezed(output) == 'execve("/bin/ls", ["/bin/ls", "-l"], 0x10058 /* 1 var */) = ?'


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'a"\\\n\t\r', '"a\\"\\\\\\n\\t\\r"'),
        (b"\0\x01\x7f\xff", '"\\0\\1\\177\\377"'),
        (b"\x011", '"\\0011"'),
        (b"", '""'),
    ],
)
def test_strings_are_escaped(data: bytes, text: str) -> None:
    assert quoted(data) == text


# -- calls as a whole ---------------------------------------------------------------------------------------


def test_calls_without_a_handler_are_shown(table: SyscallTable, output: io.StringIO) -> None:
    call(table, "swapon", 1, 2)
    table.call(new_task(), 5000, (0,) * 6)
    lines = squeezed(output).splitlines()
    assert lines[0] == "swapon(0x1, 0x2, 0x0, 0x0, 0x0, 0x0) = -1 ENOSYS (Function not implemented)"
    assert lines[1].startswith("syscall_0x1388(0x0, ")


def test_a_sleeper_is_shown_once_it_has_ended(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    async def pause(task: Any) -> int:
        await sleep_on(Source())
        return 4

    suspended = call(table, "pause")
    assert isinstance(suspended, Suspended)
    assert output.getvalue() == ""
    assert table.step(suspended.coroutine) == 4
    assert squeezed(output) == "pause() = 4"


def test_an_interrupted_and_a_killed_sleeper(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    async def pause(task: Any) -> None:
        await sleep_on(Source())

    with pytest.raises(LinuxError):
        table.step(call(table, "pause").coroutine, LinuxError(Errno.ERESTARTSYS))
    call(table, "pause").coroutine.close()
    lines = squeezed(output).splitlines()
    assert lines == ["pause() = ? ERESTARTSYS (To be restarted if SA_RESTART is set)", "pause() = ?"]


def test_the_results_are_those_of_an_untraced_table(table: SyscallTable) -> None:
    @syscall
    def close(task: Any, fd: Fd) -> None:
        if fd == 9:
            raise LinuxError(Errno.EBADF)

    plain = SyscallTable(X86_64)
    for fd in (3, 9):
        assert call(table, "close", fd) == call(plain, "close", fd)


def test_threads_are_told_apart_once_there_are_two(table: SyscallTable, output: io.StringIO) -> None:
    @syscall
    def getpid(task: Any) -> int:
        return task.tid

    kernel = new_kernel()
    for pid in (7, 8, 7):
        call(table, "getpid", task=new_task(kernel, pid))
    lines = squeezed(output).splitlines()
    assert lines == ["getpid() = 7", "[pid     8] getpid() = 8", "[pid     7] getpid() = 7"]


def test_signals_and_ends(output: io.StringIO) -> None:
    tracer, task = Tracer(output), new_task()
    tracer.signal(task, from_user(10, 1, 2))
    for status in (0x300, 9, 0x8B):
        tracer.ended(task, status)
    assert output.getvalue().splitlines() == [
        "--- SIGUSR1 {si_signo=SIGUSR1, si_code=0} ---",
        "+++ exited with 3 +++",
        "+++ killed by SIGKILL +++",
        "+++ killed by SIGSEGV (core dumped) +++",
    ]


def test_every_errno_has_a_text() -> None:
    assert set(ERROR_TEXTS) == set(Errno)


# -- strace(1) itself ---------------------------------------------------------------------------------------

PROGRAM = """
#include <fcntl.h>
#include <time.h>
#include <unistd.h>
int main(void) {
    struct timespec none = {0, 0};
    open("/nonexistent\\n\\x01" "7", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    lseek(99, -5, SEEK_END);
    nanosleep(&none, 0);
    write(1, "0123456789012345678901234567890123456789", 40);
    return 0;
}
"""


@pytest.mark.skipif(not (shutil.which("strace") and shutil.which("gcc")), reason="needs strace and gcc")
def test_as_strace_prints_it(tmp_path: HostPath, table: SyscallTable, output: io.StringIO) -> None:
    (tmp_path / "p.c").write_text(PROGRAM)
    subprocess.run(["gcc", "-w", "-o", tmp_path / "p", tmp_path / "p.c"], check=True)
    trace = ["strace", "-o", tmp_path / "trace", "-e", "openat,lseek,clock_nanosleep,nanosleep,write"]
    done = subprocess.run(
        [*trace, tmp_path / "p"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    if done.returncode:
        pytest.skip("strace may not trace here")
    real = (tmp_path / "trace").read_text()

    @syscall
    def openat(task: Any, dirfd: DirFd, path: Path, flags: O, mode: Mode) -> int:
        raise LinuxError(Errno.EROFS)

    @syscall
    def lseek(task: Any, fd: Fd, offset: Offset, whence: SEEK) -> int:
        raise LinuxError(Errno.EBADF)

    @syscall
    def write(task: Any, fd: Fd, buf: Addr, count: Size) -> int:
        return count

    task = new_task()
    task.memory.write(BASE, b"/nonexistent\n\x017\0")
    task.memory.write(BASE + 512, b"0123456789" * 4)
    call(table, "openat", MINUS_100, BASE, O.RDWR | O.CREAT | O.EXCL | O.CLOEXEC, 0o644, task=task)
    call(table, "lseek", 99, (1 << 64) - 5, 2, task=task)
    call(table, "write", 1, BASE + 512, 40, task=task)
    mine = output.getvalue().splitlines()
    found = [line for line in real.splitlines() if line.split("(")[0] in {"openat", "lseek", "write"}]
    theirs = [line for line in found if "nonexistent" in line or "99" in line or "0123" in line]
    assert mine[0].split(" = ")[0] == theirs[0].split(" = ")[0]  # the errno depends on who runs this
    assert mine[1:] == theirs[1:]
