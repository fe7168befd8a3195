"""Programs that trace others: registers of x86_64, and Debian's strace and gdb, natively and in aionoah on KVM and Unicorn."""

import re
import subprocess
from pathlib import Path

import pytest
from harness.guest import (
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

pytestmark = [pytest.mark.guest, pytest.mark.asyncio(loop_factories=["uvloop"])]

# What its two threads do is done in turns: the second ends when it has been made, and the first goes on when the
# tracer has heard of its end.
_PROGRAM = """
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static sem_t is_made;
static char place[64];
static int twice(int x) { return 2 * x; }
static void on_signal(int number) { printf("caught %d\\n", number); }
static void *run(void *argument) {
    snprintf(place, sizeof place, "/proc/self/task/%d", gettid());
    sem_wait(&is_made);
    return argument;
}

int main(void) {
    int sum = 0;
    pthread_t thread;
    signal(SIGUSR1, on_signal);
    for (int i = 0; i < 3; i++) sum += twice(i);
    pthread_create(&thread, NULL, run, NULL);
    sem_post(&is_made);
    pthread_join(thread, NULL);
    while (access(place, F_OK) == 0) sched_yield();
    raise(SIGUSR1);
    printf("sum %d\\n", sum);
    return 3;
}
"""

_GDB = (
    *("set debuginfod enabled off", "set width 0", "break main", "run", "bt 1", "info registers rip cs ss"),
    *("stepi", "x/i $pc", "break twice", "continue", "finish", "print twice(21)", "bt 1", "finish"),
    *("delete", "continue", "print $_siginfo.si_signo", "continue"),
)
"""What is done with the program above. A call of a function with a break point stays on the stack."""


def _without_numbers(text: str) -> str:
    """Addresses and numbers of processes are not the same in two runs."""
    text = re.sub(r"0x[0-9a-f]{6,}|\b\d{3,}\b(?=\)|\])|LWP \d+|process \d+", "N", text)
    return re.sub(r" +", " ", text)


async def _compare(command: list[str | Path], directory: Path) -> tuple[Outcome, Outcome]:
    return run_natively(command, directory), await run_in_guest(STATIC, command, directory)


@pytest.fixture
def traced(tmp_path: Path) -> Path:
    need_backend(STATIC)
    program = tmp_path / "traced"
    program.with_suffix(".c").write_text(_PROGRAM)
    subprocess.run(["gcc", "-g", "-O0", "-o", program, program.with_suffix(".c"), "-lpthread"], check=True)
    return program


@pytest.mark.parametrize("target", [STATIC, UNICORN], ids=lambda target: target.name)
@pytest.mark.parametrize("program", ["ptrace_registers", "ptrace_steps", "ptrace_watch"])
async def test_registers(program: str, target: Target, compile_program: Compiler, tmp_path: Path) -> None:
    need_backend(target)
    binary = compile_program(f"x86_64/{program}", STATIC)
    expected, actual = run_natively([binary], tmp_path), await run_in_guest(target, [binary], tmp_path)
    assert actual == expected


async def test_gdb(traced: Path, tmp_path: Path) -> None:
    """Break points, steps, a function called by the debugger, a thread, a signal."""
    need_tool("gdb")
    arguments = [word for command in _GDB for word in ("-ex", command)]
    expected, actual = await _compare(["gdb", "-nx", "-batch", *arguments, traced], tmp_path)
    assert "received signal SIGUSR1" in expected.output
    assert _without_numbers(actual.output).splitlines() == _without_numbers(expected.output).splitlines()
    assert actual.status == expected.status


async def test_gdb_watches(traced: Path, tmp_path: Path) -> None:
    """Debug registers, of instructions and of places that are written to."""
    need_tool("gdb")
    commands = (
        "set debuginfod enabled off",
        "break main",
        "run",
        "watch sum",
        "continue",
        "continue",
        "bt 1",
    )
    more = ("delete", "hbreak twice", "continue", "bt 1", "print $_siginfo.si_code", "kill")
    arguments = [word for command in (*commands, *more) for word in ("-ex", command)]
    expected, actual = await _compare(["gdb", "-nx", "-batch", *arguments, traced], tmp_path)
    assert "Hardware watchpoint 2: sum" in expected.output
    assert _without_numbers(actual.output).splitlines() == _without_numbers(expected.output).splitlines()


async def test_strace(traced: Path, tmp_path: Path) -> None:
    """Calls of a program, those of its thread, and the signal."""
    need_tool("strace")
    wanted = "trace=execve,rt_sigaction,clone3,tgkill,exit_group,exit,write"
    command = ["strace", "-f", "-o", tmp_path / "log", "-e", wanted, "-e", "signal=all", traced]
    logs = []
    for outcome in (run_natively(command, tmp_path), await run_in_guest(STATIC, command, tmp_path)):
        assert outcome.status == 3
        log = re.sub(r"0x[0-9a-f]+|\b\d{2,}\b|/\* .* \*/", "N", (tmp_path / "log").read_text())
        logs.append(sorted(re.sub(r"^\d+ +|^N +", "", line) for line in log.splitlines()))
    assert logs[0] == logs[1]


async def test_strace_attaches_and_lets_go(tmp_path: Path) -> None:
    need_backend(STATIC)
    need_tool("strace")
    script = (
        "sleep 100 & p=$!; strace -q -e trace=none -o log -p $p & q=$!;"
        "while ! grep -q 'TracerPid:.[1-9]' /proc/$p/status; do :; done;"
        "kill -INT $q; wait $q; grep TracerPid /proc/$p/status; kill $p; wait $p; echo $?"
    )
    expected, actual = await _compare(["sh", "-c", script], tmp_path)
    assert expected.output == actual.output == "TracerPid:\t0\n143\n"


async def test_gdbserver(traced: Path, tmp_path: Path) -> None:
    """The other of the two programs that trace for gdb."""
    need_tool("gdb")
    need_tool("gdbserver")
    commands = ("set debuginfod enabled off", "set sysroot /", f"target remote | gdbserver --once - {traced}")
    steps = ("break twice", "continue", "bt 1", "stepi", "info registers rip", "delete", "detach")
    arguments = [word for command in (*commands, *steps) for word in ("-ex", command)]
    expected, actual = await _compare(["gdb", "-nx", "-batch", *arguments, traced], tmp_path)
    assert "Breakpoint 1, twice (x=0)" in expected.output
    assert _without_numbers(actual.output).splitlines() == _without_numbers(expected.output).splitlines()
