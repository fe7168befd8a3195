"""Linux.run, which is like subprocess.run."""

import asyncio
import signal
import subprocess

import pytest
from api.conftest import Programs

import aionoah


async def test_input_and_output(linux: aionoah.Linux) -> None:
    done = await linux.run(["sha256sum"], input=b"abc", capture_output=True, timeout=200)
    assert done.args == ["sha256sum"]
    assert done.stdout.split()[0] == b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert (done.returncode, done.stderr) == (0, b"")


async def test_nothing_is_captured_unless_asked_for(linux: aionoah.Linux) -> None:
    done = await linux.run(["true"])
    assert (done.stdout, done.stderr) == (None, None)


async def test_empty_input(linux: aionoah.Linux) -> None:
    assert (await linux.run(["wc", "-c"], input=b"", capture_output=True)).stdout == b"0\n"


async def test_check(linux: aionoah.Linux) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        await linux.run(["sh", "-c", "echo out; exit 3"], capture_output=True, check=True)
    assert (caught.value.returncode, caught.value.output) == (3, b"out\n")
    await linux.run(["true"], check=True)


async def test_signals_are_negative_as_in_subprocess(linux: aionoah.Linux) -> None:
    done = await linux.run(["sh", "-c", "kill -SEGV $$"])
    assert done.returncode == -signal.SIGSEGV


@pytest.mark.parametrize("name", ["spin", "signals"])
async def test_timeout_kills_and_reaps(linux: aionoah.Linux, program: Programs, name: str) -> None:
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        await linux.run([program(name)], capture_output=True, timeout=0.5)
    assert caught.value.timeout == 0.5
    assert caught.value.cmd == [program(name)]
    assert not linux.kernel.guests
    assert all(task.process.is_init for task in linux.kernel.tasks.values())


async def test_timeout_keeps_what_was_said(linux: aionoah.Linux) -> None:
    output, timeout = b"", 0.25
    while not output:  # it needs some time to say it
        timeout *= 2
        with pytest.raises(subprocess.TimeoutExpired) as caught:
            await linux.run(["sh", "-c", "echo early; exec sleep 1000"], capture_output=True, timeout=timeout)
        output = caught.value.output
    assert (output, caught.value.stderr) == (b"early\n", b"")


async def test_timeout_that_is_not_reached(linux: aionoah.Linux) -> None:
    assert (await linux.run(["true"], timeout=600)).returncode == 0


async def test_no_time_at_all(linux: aionoah.Linux) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        await linux.run(["sleep", "1000"], timeout=0)
    assert not linux.kernel.guests


async def test_cancelling_kills_and_reaps(linux: aionoah.Linux, program: Programs) -> None:
    task = asyncio.create_task(linux.run([program("spin")], capture_output=True))
    while not linux.kernel.guests:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not linux.kernel.guests


@pytest.mark.parametrize(
    "options",
    [
        {"input": b"", "stdin": aionoah.PIPE},
        {"capture_output": True, "stdout": aionoah.PIPE},
        {"capture_output": True, "stderr": aionoah.DEVNULL},
    ],
)
async def test_contradictions(linux: aionoah.Linux, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="may not"):
        await linux.run(["true"], **options)


async def test_further_options(linux: aionoah.Linux) -> None:
    done = await linux.run(
        ["sh", "-c", "echo $A; pwd; id -u"],
        env={"A": "b", "PATH": "/usr/bin"},
        cwd="/usr",
        user=5,
        stdout=aionoah.PIPE,
    )
    assert done.stdout == b"b\n/usr\n5\n"


async def test_an_empty_command(linux: aionoah.Linux) -> None:
    with pytest.raises((IndexError, ValueError, TypeError)):
        await linux.run([])
