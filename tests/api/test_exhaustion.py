"""A host that has no more descriptors or memory: guests are told, and everything else lives on."""

import os
import resource
import signal

from api.conftest import Programs
from harness.guest import Compiler

import aionoah
from aionoah import PIPE

SPARE = 24  # descriptors that are left for guests


async def test_no_more_virtual_cpus(linux: aionoah.Linux, program: Programs) -> None:
    """A clone says EAGAIN or ENOMEM, and neither the process nor the instance ends."""
    process = await linux.create_subprocess_exec(program("exhaust"), stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + SPARE, before[1]))
    try:
        process.stdin.write(b"x")
        said = [await process.stdout.readline() for _ in range(3)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert said[0] == b"thread: EAGAIN\n"
    assert said[1] in {b"fork: EAGAIN\n", b"fork: ENOMEM\n"}
    assert said[2] == b"alive\n"
    process.kill(tree=True)
    await process.wait()
    assert (await linux.run(["echo", "live"], capture_output=True)).stdout == b"live\n"


async def test_copies_that_do_not_fit(compiled: Compiler, program: Programs) -> None:
    """The child that wants one page too many is killed, as by Linux's OOM killer, and nobody else."""
    path = program("exhaust")
    places = {str(compiled.directory): aionoah.Mount(compiled.directory, True)}
    async with aionoah.Linux(mounts=places, memory=100 << 20) as linux:
        other = await linux.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        done = await linux.run([path, "copies"], capture_output=True)
        assert done.stdout == b"signal 9, status 0, still 1\n" * 2
        assert done.returncode == 0
        assert await other.communicate(b"live") == (b"live", None)


async def test_a_fork_bomb_ends_at_the_limit_and_with_its_instance(
    compiled: Compiler, program: Programs
) -> None:
    """Every one of its processes wants the kernel lock all the time, and yet each signal gets through."""
    path = program("bomb")
    places = {str(compiled.directory): aionoah.Mount(compiled.directory, True)}
    async with aionoah.Linux(mounts=places, pids=150) as linux:
        bomb = await linux.create_subprocess_exec(path, stdout=PIPE)
        assert bomb.stdout is not None
        assert [await bomb.stdout.readline() for _ in range(100)] == [b"EAGAIN\n"] * 100
        assert len(linux.processes()) == 150
        bomb.send_signal(signal.SIGINT)
        assert await bomb.wait() == -signal.SIGINT
        assert len(linux.processes()) > 100
    assert not linux.kernel.processes
