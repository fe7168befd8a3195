"""Core dumps of guests, read by gdb, readelf and file in the guest and on the host; and who dumps where."""

import asyncio
import re
import resource
import subprocess
from pathlib import Path

import pytest
from harness.guest import (
    AARCH64,
    DYNAMIC,
    STATIC,
    UNICORN,
    Compiler,
    Outcome,
    Target,
    need_backend,
    need_tool,
    run_in_guest,
    run_natively,
)

import aionoah
from aionoah.fs import FileSystem, Stat

pytestmark = [pytest.mark.guest, pytest.mark.asyncio(loop_factories=["uvloop"])]

PROGRAM = r"""
#include <pthread.h>
#include <unistd.h>
static volatile int is_there;
static int never[2];
volatile double kept = 1.5;
static void *waiting(void *number) { char letter; is_there = 1; read(never[0], &letter, 1); return number; }
static void *spinning(void *number) { for (is_there = 2;; is_there = 2) ; return number; }
__attribute__((noinline)) void fall(int depth, volatile double *where) { if (depth) fall(depth - 1, where); else *where = kept; }
int main(void) {
    pthread_t thread;
    if (pipe(never)) return 1;
    pthread_create(&thread, 0, waiting, 0);
    while (is_there != 1) ;
    pthread_create(&thread, 0, spinning, 0);
    while (is_there != 2) ;
    fall(3, (double *)0x10);
}
"""

GDB = ("thread apply all backtrace", "print kept", "print $_siginfo._sifields._sigfault.si_addr", "info auxv")
READERS = {
    "gdb": ["gdb", "-q", "-batch", *(word for line in GDB for word in ("-ex", line)), "./program", "core"],
    "file": ["file", "core"],
    "readelf": ["sh", "-c", "readelf -nW core | awk '/^  CORE/ {print $3}'; readelf -lW core | grep -c LOAD"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a program of three threads that dumps its core."""
    need_backend(STATIC)
    for tool in ("gcc", "gdb", "file"):
        need_tool(tool)
    directory = tmp_path_factory.mktemp("cores")
    (directory / "program.c").write_text(PROGRAM)
    command = ["gcc", "-g", "-O1", "-fno-optimize-sibling-calls", "-pthread", "program.c", "-o", "program"]
    subprocess.run(command, cwd=directory, check=True)
    return directory


async def in_guest(script: str, directory: Path) -> Outcome:
    return await run_in_guest(STATIC, ["bash", "-c", script], directory)


async def dump(place: Path) -> None:
    done = await in_guest("ulimit -c unlimited; rm -f core; ./program 2>&1", place)
    assert done.status == 139
    assert "(core dumped)" in done.output + done.errors


def stacks(text: str) -> list[str]:
    """The program's own functions on each thread's stack."""
    text = re.sub("^warning.*\n", "", text, flags=re.MULTILINE)
    found = re.findall(r"^Thread \d .*\n((?:#.*\n)+)", text, re.MULTILINE)
    return sorted(" ".join(re.findall(r"(fall|main|waiting|spinning) \(", stack)) for stack in found)


def need_plain_cores() -> None:
    """The oracle must write to a file called `core`, which only its root could make it."""
    settings = (
        Path("/proc/sys/kernel/core_pattern").read_text() + Path("/proc/sys/kernel/core_uses_pid").read_text()
    )
    if settings != "core\n0\n" or resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        pytest.skip("the host does not write cores to files of that name")


@pytest.mark.parametrize("target", [STATIC, DYNAMIC, UNICORN, AARCH64], ids=lambda target: target.name)
@pytest.mark.parametrize("source", ["core_dumps", "core_traced"])
async def test_as_natively(source: str, target: Target, compile_program: Compiler, tmp_path: Path) -> None:
    need_backend(target)
    need_plain_cores()
    binary = compile_program(f"cores/{source}", target)
    expected = run_natively([compile_program(f"cores/{source}", target.native)], tmp_path)
    assert await run_in_guest(target, [binary], tmp_path) == expected


async def test_gdb_knows_all_threads(place: Path) -> None:
    await dump(place)
    natively = run_natively(READERS["gdb"], place)
    guest = await run_in_guest(STATIC, READERS["gdb"], place)
    for done in (natively, guest):
        assert stacks(done.output) == ["fall fall fall fall main", "spinning", "waiting"], done
        assert "Program terminated with signal SIGSEGV" in done.output
        assert "$1 = 1.5" in done.output
        assert "$2 = (void *) 0x10" in done.output
        assert re.search(r"AT_PAGESZ .* 4096", done.output)
    assert guest.output == natively.output


@pytest.mark.parametrize("reader", ["file", "readelf"])
async def test_others_read_it(place: Path, reader: str) -> None:
    await dump(place)
    natively = run_natively(READERS[reader], place)
    expected = (
        "from './program'"
        if reader == "file"
        else "\nNT_PRPSINFO\nNT_SIGINFO\nNT_AUXV\nNT_FILE\nNT_FPREGSET\n"
    )
    assert expected in natively.output
    assert (await run_in_guest(STATIC, READERS[reader], place)).output == natively.output


SETTINGS = r"""
mkdir -m 777 /w; cd /w; ulimit -c unlimited; die() { (exec -a p bash -c 'kill -SEGV $$') 2>/dev/null; echo $?; }
cat /proc/sys/kernel/core_pattern /proc/sys/kernel/core_uses_pid /proc/sys/fs/suid_dumpable
echo 1 >/proc/sys/kernel/core_uses_pid; die; ls | sed 's/[0-9][0-9]*/N/'; rm core*
mkdir d; echo /w/d/%e.%s.%u.%d >/proc/sys/kernel/core_pattern; die; ls d | sed 's/\.[0-9]*$/.N/'
echo '@/socket' >/proc/sys/kernel/core_pattern; cat /proc/sys/kernel/core_pattern
echo core >/proc/sys/kernel/core_pattern; echo 0 >/proc/sys/kernel/core_uses_pid; rm -r d
setpriv --reuid 1 --regid 1 --clear-groups bash -c 'ulimit -c unlimited; echo c >/proc/sys/kernel/core_pattern'
setpriv --reuid 1 --regid 1 --clear-groups bash -c 'ulimit -c unlimited; kill -SEGV $$'; stat -c '%a %u %g' core; rm core
cp /bin/bash shell; chmod u+s,a+rx shell
try() { setpriv --reuid 1 --regid 1 --clear-groups ./shell -pc 'kill -SEGV $$'; ls | grep -v shell; rm -f core /w/c.*; }
for kind in 0 1 2; do echo dumpable $kind; echo $kind >/proc/sys/fs/suid_dumpable; try; done
echo /w/c.%u.%d >/proc/sys/kernel/core_pattern; setpriv --reuid 1 --regid 1 --clear-groups ./shell -pc 'kill -SEGV $$'
stat -c '%n %a %u' /w/c.*; echo 3 >/proc/sys/fs/suid_dumpable; cat /proc/sys/fs/suid_dumpable
"""


async def test_settings_and_users(place: Path) -> None:
    """As core(5) has it: what has changed its user dumps for root only, and only to an absolute place."""
    done = await run_in_guest(STATIC, ["bash", "-c", SETTINGS], place)
    assert done.output.split("\n") == [
        *("core", "0", "0", "139", "core.N"),
        *("139", "bash.11.0.1.N", "/w/d/%e.%s.%u.%d"),
        "600 1 1",
        *("dumpable 0", "dumpable 1", "core", "dumpable 2"),
        *("/w/c.1.2 600 0", "2", ""),
    ]


class Slow(FileSystem):
    """Files that only coroutines know."""

    def __init__(self, mode: int) -> None:
        self.mode = mode
        self.files: dict[str, bytearray] = {}

    async def stat(self, path: str) -> Stat:
        await asyncio.sleep(0)
        if path == "/":
            return Stat("directory", mode=0o777)
        return Stat(mode=self.mode, size=len(self._find(path)))

    def _find(self, path: str) -> bytearray:
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]

    async def listdir(self, path: str) -> list[str]:
        return [name.removeprefix(path) for name in self.files]

    async def read(self, path: str, offset: int, size: int) -> bytes:
        return bytes(self._find(path)[offset : offset + size])

    async def write(self, path: str, offset: int, data: bytes) -> int:
        contents = self._find(path)
        contents.extend(bytes(max(offset - len(contents), 0)))
        contents[offset : offset + len(data)] = data
        return len(data)

    async def create(self, path: str, mode: int) -> None:
        self.files[path] = bytearray()


@pytest.mark.parametrize("mode", [0o600, 0o644])
async def test_a_file_system_in_python_keeps_one_that_nobody_else_can_read(place: Path, mode: int) -> None:
    slow = Slow(mode)
    async with aionoah.Linux(mounts={"/slow": slow, str(place): place}) as linux:
        script = f"ulimit -c unlimited; cd /slow && {place}/program"
        done = await linux.run(["bash", "-c", script], capture_output=True)
    assert done.returncode == 139
    assert (b"core dumped" in done.stderr) == (mode == 0o600)
    assert bool(slow.files["/core"]) == (mode == 0o600)


class Stuck(Slow):
    """Where nothing can be written, and nobody says so."""

    def __init__(self) -> None:
        super().__init__(0o600)
        self.has_begun = asyncio.Event()
        self.was_cancelled = asyncio.Event()

    async def write(self, path: str, offset: int, data: bytes) -> int:
        self.has_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.was_cancelled.set()
        return 0


async def test_sigkill_ends_a_dump(place: Path) -> None:
    """In the middle. What has been the end of the program stays it; SIGTERM is no end of a dump."""
    stuck = Stuck()
    async with aionoah.Linux(mounts={"/stuck": stuck, str(place): place}) as linux:
        script = f"ulimit -c unlimited; cd /stuck && exec {place}/program"
        process = await linux.create_subprocess_exec("bash", "-c", script)
        await stuck.has_begun.wait()
        process.terminate()
        status = await linux.run(["grep", "CoreDumping", f"/proc/{process.pid}/status"], capture_output=True)
        assert status.stdout == b"CoreDumping:\t1\n"
        process.kill()
        assert await process.wait() == -11
        await stuck.was_cancelled.wait()


PIPED = r"""
cat >/tmp/handler <<'X'
#!/bin/bash
echo "$@" $(id -u) $PWD $(readlink /proc/$1/exe) >/tmp/said; [ "$2" ] || exec sleep inf
cat >/tmp/core; echo done >>/tmp/said
X
chmod +x /tmp/handler; handler() { echo "|$1" >/proc/sys/kernel/core_pattern; echo $2 >/proc/sys/kernel/core_pipe_limit; }
die() { setpriv --reuid 1 --regid 1 --clear-groups ./program; echo $?; }
handler "/tmp/handler %p %e %% %u" 4; die; sed 's/^[0-9][0-9]*/N/' /tmp/said; gdb -q -batch -ex bt ./program /tmp/core | grep -c "^#.* fall"
handler /nothing 0; die; handler /bin/true 0; die; handler "  " 0; cat /proc/sys/kernel/core_pattern
handler "/tmp/handler %p" 0; rm /tmp/said; ./program & until [ -s /tmp/said ]; do :; done
until grep "CoreDumping:.1" /proc/$!/status; do :; done; kill -KILL $!; wait $!; echo $?
"""


async def test_programs_get_cores(place: Path) -> None:
    """As root, from the root, with the process still there if their number is limited; SIGKILL ends what never ends."""
    done = await in_guest(PIPED, place)
    assert done.output.split("\n") == [
        *("139", f"N program % 1 0 / {place}/program", "done", "5"),
        *("139", "139", "|/bin/true"),
        *("CoreDumping:\t1", "139", ""),
    ]
    assert [
        line.partition("Segmentation fault")[2].strip()
        for line in done.errors.splitlines()
        if "fault" in line
    ] == [
        *("(core dumped) setpriv --reuid 1 --regid 1 --clear-groups ./program",),
        *("setpriv --reuid 1 --regid 1 --clear-groups ./program",),
        *("(core dumped) setpriv --reuid 1 --regid 1 --clear-groups ./program",),
        "./program",
    ]
