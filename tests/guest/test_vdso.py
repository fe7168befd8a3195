"""Programs find the vDSO and use it: the time without system calls, as exact as the host's."""

import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from harness.guest import AARCH64, DYNAMIC, MUSL, STATIC, UNICORN, Compiler, Target, need_backend, need_tool

import aionoah

TARGETS = [STATIC, DYNAMIC, MUSL]
CLOCKS = {"REALTIME": 0, "MONOTONIC": 1, "MONOTONIC_RAW": 4, "BOOTTIME": 7, "TAI": 11}
COARSE = {"REALTIME_COARSE": 5, "MONOTONIC_COARSE": 6}

pytestmark = pytest.mark.guest


async def run(target: Target, *command: str | Path, strace: StringIO | None = None) -> str:
    """What a guest program prints; it has to succeed. Given as Path, a word is a file of the host's."""
    need_backend(target)
    places = {str(path.parent): path.parent for path in command if isinstance(path, Path)}
    async with aionoah.Linux(
        hypervisor=target.hypervisor, architecture=target.architecture, mounts=places, strace=strace
    ) as linux:
        done = await linux.run(command, capture_output=True, timeout=200, check=True)
    assert done.stderr == b""
    return done.stdout.decode()


async def test_handlers_return_by_it(compile_program: Compiler) -> None:
    """On aarch64, where C libraries leave the way back to the kernel."""
    output = await run(AARCH64, compile_program("vdso/handler", AARCH64))
    assert output.endswith(" = 0\n6 calls\n")


def natively(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def start_natively(*command: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def calls_between_marks(target: Target, program: Path, clock: int, readings: int) -> list[str]:
    """The system calls of programs/vdso/read.c while it reads a clock."""
    trace = StringIO()
    await run(target, program, str(clock), str(readings), strace=trace)
    lines = trace.getvalue().splitlines()
    marks = [index for index, line in enumerate(lines) if "getppid(" in line]
    return lines[marks[0] + 1 : marks[-1]]


def is_refreshing(line: str) -> bool:
    return re.search(r"\bclock_gettime\(", line) is not None


@pytest.mark.parametrize("clock", [*CLOCKS.values(), *COARSE.values()], ids=[*CLOCKS, *COARSE])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
async def test_reads_clocks_without_system_calls(
    target: Target, clock: int, compile_program: Compiler
) -> None:
    """The loop takes microseconds, so that the page gets too old in it only where the loop is interrupted for long."""
    calls = await calls_between_marks(target, compile_program("vdso/read", target), clock, 1000)
    assert all(map(is_refreshing, calls))
    assert len(calls) < 100


async def test_other_clocks_are_system_calls(compile_program: Compiler) -> None:
    calls = await calls_between_marks(STATIC, compile_program("vdso/read", STATIC), 2, 10)
    assert len(calls) == 10
    assert all(map(is_refreshing, calls))


async def test_a_page_too_old_is_noticed(compile_program: Compiler) -> None:
    """A loop that takes many times as long as the page is good."""
    calls = await calls_between_marks(STATIC, compile_program("vdso/read", STATIC), 1, 1_000_000)
    assert 1 <= len(calls) < 100_000


@pytest.mark.parametrize("target", [UNICORN, AARCH64], ids=lambda target: target.name)
async def test_without_a_counter_every_reading_is_a_system_call(
    target: Target, compile_program: Compiler
) -> None:
    calls = await calls_between_marks(target, compile_program("vdso/read", target), 1, 20)
    assert len(calls) == 20
    assert all(map(is_refreshing, calls))


@pytest.mark.parametrize("target", [*TARGETS, UNICORN], ids=lambda target: target.name)
async def test_is_protected(target: Target, compile_program: Compiler) -> None:
    program = compile_program("vdso/protected", target)
    expected = natively(program)
    assert "EACCES" in expected
    assert await run(target, program) == expected


def test_rights_to_it_change_while_the_host_writes(compile_program: Compiler) -> None:
    """In a process of its own, since it was the host's that died."""
    need_backend(STATIC)
    program = compile_program("vdso/toggled", STATIC, "-pthread")
    command = [
        sys.executable,
        "-m",
        "aionoah",
        "run",
        "-v",
        f"{program.parent}:/mnt",
        "--",
        f"/mnt/{program.name}",
    ]
    done = subprocess.run(command, capture_output=True, timeout=200, check=False)
    assert (done.returncode, done.stdout) == (0, b"0 failures\n")


@pytest.mark.parametrize("target", [STATIC, MUSL], ids=lambda target: target.name)
async def test_time_never_goes_back(target: Target, compile_program: Compiler, tmp_path: Path) -> None:
    output = await run(target, compile_program("clock_order", target), tmp_path, "1000000")
    assert output.count("went back 0 times") == 4
    assert "drift" not in output


async def test_time_never_goes_back_across_threads(compile_program: Compiler, tmp_path: Path) -> None:
    program = compile_program("clock_threads", STATIC)
    assert await run(STATIC, program, tmp_path, "500000") == "time went back 0 times\n"


@pytest.fixture
def shared_page(tmp_path: Path) -> Path:
    page = tmp_path / "page"
    page.write_bytes(bytes(4096))
    return page


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
@pytest.mark.parametrize(
    "roles", [("asker", "answerer"), ("answerer", "asker")], ids=["guest asks", "host asks"]
)
async def test_is_the_host_s_time(
    clock: int, roles: tuple[str, str], compile_program: Compiler, shared_page: Path
) -> None:
    """Read in turns with a native program, a guest's time is neither before nor after it. How long a turn takes
    does not matter.
    """
    tolerance_ns = 1000
    program = compile_program("vdso/pair", STATIC)
    words = [shared_page, str(clock), "500"]
    native = start_natively(program, roles[1], *words)
    try:
        in_guest = await run(STATIC, program, roles[0], *words)
        on_host, _ = native.communicate(timeout=200)
    finally:
        native.kill()
        native.wait()
    too_early, too_late, _ = map(int, (in_guest + on_host).split())
    assert too_early <= tolerance_ns
    assert too_late <= tolerance_ns


GO_PROGRAM = """
package main
import ("os"; "time")
func main() {
    os.Getppid()
    last := time.Now()
    for i := 0; i < 1000; i++ {
        now := time.Now()
        if now.Before(last) { os.Exit(1) }
        last = now
    }
    os.Getppid()
}
"""


@pytest.fixture
def go_program(tmp_path: Path) -> Path:
    need_tool("go")
    source = tmp_path / "now.go"
    source.write_text(GO_PROGRAM)
    environment = {**os.environ, "GOCACHE": str(tmp_path / "cache"), "GO111MODULE": "off"}
    subprocess.run(["go", "build", "-o", tmp_path / "now", source], check=True, env=environment)
    return tmp_path / "now"


async def test_go_uses_it(go_program: Path) -> None:
    trace = StringIO()
    await run(STATIC, go_program, strace=trace)
    lines = trace.getvalue().splitlines()
    marks = [index for index, line in enumerate(lines) if "getppid(" in line]
    assert sum(map(is_refreshing, lines[marks[0] : marks[-1]])) < 100


async def test_maps_show_it() -> None:
    for line in (await run(DYNAMIC, "/bin/cat", "/proc/self/maps")).splitlines():
        if line.endswith("[vvar]"):
            vvar = line.split()
        elif line.endswith("[vdso]"):
            vdso = line.split()
    assert vvar[1:5] == ["r--p", "00000000", "00:00", "0"]
    assert vdso[1:5] == ["r-xp", "00000000", "00:00", "0"]
    assert vvar[0].split("-")[1] == vdso[0].split("-")[0]
