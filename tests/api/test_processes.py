"""linux.processes(), signals to whole families, CPU time and memory of a Process."""

import asyncio
import os
import signal
import time

import pytest
from api.conftest import Programs

import aionoah
from aionoah import PIPE


async def lines(linux: aionoah.Linux, script: str, count: int) -> tuple[aionoah.Process, list[bytes]]:
    """A shell that has said so many lines."""
    process = await linux.create_subprocess_exec("sh", "-c", script, stdout=PIPE)
    assert process.stdout is not None
    return process, [(await process.stdout.readline()).strip() for _ in range(count)]


async def gone(linux: aionoah.Linux) -> None:
    while any(process.state != "zombie" for process in linux.processes()):
        await asyncio.sleep(0.005)


async def test_processes_are_listed(linux: aionoah.Linux) -> None:
    assert linux.processes() == []
    process, _ = await lines(linux, "sleep 100 & echo; wait", 1)
    while len(found := linux.processes()) < 2 or {(p.name, p.state) for p in found} != {
        ("sh", "sleeping"),
        ("sleep", "sleeping"),
    }:
        await asyncio.sleep(0.005)
    shell, sleep = found
    assert (shell.pid, shell.ppid, shell.uid, shell.threads) == (process.pid, 1, os.getuid(), 1)
    assert shell.command[:2] == ("sh", "-c")
    assert (sleep.ppid, sleep.name, sleep.command) == (shell.pid, "sleep", ("sleep", "100"))
    assert 0 < sleep.memory <= sleep.peak_memory < 100 << 20
    assert sleep.cpu_time.user + sleep.cpu_time.system > 0
    assert time.time() - 3600 < shell.start_time <= sleep.start_time < time.time() + 1
    os_pid = sleep.pid
    with pytest.raises(RuntimeError, match="async with"):
        aionoah.Linux().processes()
    process.send_signal(signal.SIGSTOP)
    while linux.processes()[0].state != "stopped":
        await asyncio.sleep(0.005)
    process.kill(tree=True)
    await process.wait()
    await gone(linux)
    assert os_pid not in [p.pid for p in linux.processes()]


async def test_a_zombie_is_listed(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec(
        "perl", "-e", "$| = 1; if (!fork) { exit 3 } print 1; sleep 100", stdout=PIPE
    )
    while "zombie" not in (states := [p.state for p in linux.processes()]):
        assert len(states) < 3
        await asyncio.sleep(0.005)
    zombie = linux.processes()[-1]
    assert (zombie.command, zombie.threads, zombie.memory, zombie.ppid) == ((), 0, 0, process.pid)


async def test_the_whole_family_is_killed(linux: aionoah.Linux) -> None:
    """Background jobs, sessions of their own, and orphans; of one family only."""
    script = "setsid sleep 100 & (sleep 200 & sh -c 'sleep 300 & echo' &); sh -c 'trap \"\" TERM; echo; sleep 400' & wait"
    other, _ = await lines(linux, "echo; sleep 500; true", 1)
    while ("sleep", "500") not in [process.command for process in linux.processes()]:
        await asyncio.sleep(0.005)
    process, _ = await lines(linux, script, 2)
    process.kill(tree=True)
    assert await process.wait() == -signal.SIGKILL
    while len(linux.processes()) > 2:
        await asyncio.sleep(0.005)
    assert {p.command for p in linux.processes() if p.name == "sleep"} <= {("sleep", "500")}
    other.kill(tree=True)
    await other.wait()
    await gone(linux)


async def test_a_family_outlives_its_head(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec("sh", "-c", "sleep 100 & sleep 100 &")
    await process.wait()
    assert len(linux.processes()) == 2
    process.kill()  # which is only the shell
    assert len(linux.processes()) == 2
    process.send_signal(signal.SIGTERM, tree=True)
    await gone(linux)


async def test_cpu_time_and_memory(linux: aionoah.Linux, program: Programs) -> None:
    process = await linux.create_subprocess_exec(
        "perl",
        "-e",
        "$x = 'x' x 50_000_000; $| = 1; print 1; 1 while (times)[0] < 0.1; print 2; sleep 100",
        stdout=PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readexactly(1)
    early = process.cpu_time
    await process.stdout.readexactly(1)
    user, system = process.cpu_time
    assert user >= 0.1
    assert user >= early.user
    assert system > 0
    assert 50_000_000 <= process.peak_memory < 300 << 20
    process.kill()
    await process.wait()
    assert process.cpu_time.user >= user
    assert process.cpu_time.system >= system
    assert process.peak_memory >= 50_000_000
    while True:
        idle = await linux.create_subprocess_exec(program("exit_code"), "0")
        await idle.wait()
        assert idle.peak_memory < 20 << 20
        # It is measured by the clock: a busy host's own business may be in it.
        if idle.cpu_time.user < 0.1:
            break


async def test_process_1_is_seen_by_guests_and_outlives_their_signals(linux: aionoah.Linux) -> None:
    script = """
    for signal in TERM KILL STOP SEGV USR1 CONT; do kill -$signal 1; done
    ps -o pid,ppid,stat,comm -p 1 --no-headers; tr '\\0' ' ' </proc/1/cmdline; ls /proc/1/task
    sleep 100 & kill -TERM -1; wait $!; echo $?; kill -0 1; echo $?
    """
    done = await linux.run(["bash", "-c", script], capture_output=True, user=0)
    assert done.stdout.decode().split("\n")[0].split() == ["1", "0", "Ss", "init"]
    assert done.stdout.decode().split("\n")[1:] == ["init 1", "143", "0", ""]
    assert linux.processes() == []
