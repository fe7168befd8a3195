"""A terminal of the application's: what it types, what is shown, sizes and the end."""

import asyncio
import os
import subprocess

import pytest

import aionoah
from aionoah.abi.termios import Lflag
from aionoah.terminal.settings import SLAVE_SETTINGS


async def _until(process: aionoah.Process, expected: bytes) -> bytes:
    """What is shown, to what is expected."""
    assert process.stdout is not None
    shown = b""
    while expected not in shown:
        piece = await process.stdout.read(65536)
        assert piece, f"the terminal ended after {shown!r}"
        shown += piece
    return shown


def _type(process: aionoah.Process, data: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(data)


async def test_a_shell_with_job_control(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec("bash", "--norc", "-i", terminal=True, env={"PS1": "ready>"})
    await _until(process, b"ready>")
    _type(process, b"sh -c 'echo up; exec cat'\r")
    await _until(process, b"\nup")
    _type(process, b"\x1a")
    await _until(process, b"Stopped")
    _type(process, b"fg\r")
    await _until(process, b"\nsh -c")
    _type(process, b"line\r")  # the job has the terminal once it answers
    await _until(process, b"line\r\nline\r\n")
    _type(process, b"\x03")
    await _until(process, b"ready>")  # before that, the job that dies may still read what is typed
    _type(process, b"exit 3\r")
    await _until(process, b"exit\r\n")
    assert await process.wait() == 3
    assert process.stdout is not None
    assert await process.stdout.read() == b""


async def test_size(linux: aionoah.Linux) -> None:
    script = "trap 'stty size; exit' WINCH; stty size; while :; do sleep 0.05; done"
    process = await linux.create_subprocess_exec("bash", "-c", script, terminal=aionoah.Terminal(100, 30))
    await _until(process, b"30 100\r\n")
    process.resize(132, 50)
    await _until(process, b"50 132\r\n")
    assert await process.wait() == 0


@pytest.mark.parametrize(
    "terminal", [aionoah.Terminal(-1, 5), aionoah.Terminal(80, 65536), aionoah.Terminal(1, 1, b"x")]
)
async def test_impossible_terminals(linux: aionoah.Linux, terminal: aionoah.Terminal) -> None:
    with pytest.raises(ValueError, match=r"terminal has|termios has"):
        await linux.create_subprocess_exec("true", terminal=terminal)


async def test_impossible_sizes_later(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec("sleep", "100", terminal=True)
    with pytest.raises(ValueError, match="columns and rows"):
        process.resize(1, 1 << 16)
    process.kill()
    assert await process.wait() == -9
    without = await linux.create_subprocess_exec("true")
    for act in (lambda: without.resize(1, 1), without.hang_up):
        with pytest.raises(ValueError, match="no terminal"):
            act()
    await without.wait()


async def test_streams_are_the_terminal(linux: aionoah.Linux) -> None:
    with pytest.raises(ValueError, match="are the terminal"):
        await linux.create_subprocess_exec("true", terminal=True, stdout=subprocess.DEVNULL)
    done = await linux.run(["sh", "-c", "echo out; echo err >&2"], terminal=True, stderr=subprocess.PIPE)
    assert (done.stdout, done.stderr) == (b"out\r\n", b"err\n")


async def test_run_types_its_input_and_the_end(linux: aionoah.Linux) -> None:
    done = await linux.run(["sh", "-c", "cat; tty; exit 3"], terminal=True, input=b"abc\n")
    assert done.returncode == 3
    assert sorted(done.stdout.splitlines()) == [b"/dev/pts/0", b"abc", b"abc"]


async def test_closing_hangs_up(linux: aionoah.Linux) -> None:
    """The session's leader gets SIGHUP, and what it had in the foreground."""
    process = await linux.create_subprocess_exec("sh", "-c", "echo up; sleep 100", terminal=True)
    await _until(process, b"up")
    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() == -1
    assert not linux.kernel.ptys.by_index


async def test_much_in_both_directions(linux: aionoah.Linux) -> None:
    """More than the terminal holds: neither side loses anything, and both wait."""
    process = await linux.create_subprocess_exec(
        "sh", "-c", "stty raw -echo; echo up; exec head -c 300000", terminal=True
    )
    await _until(process, b"up\n")
    data = os.urandom(300_000)
    _type(process, data)
    assert process.stdout is not None
    shown = b""
    while piece := await process.stdout.read(10_000):
        shown += piece
    assert shown == data
    assert await process.wait() == 0


async def test_settings_from_the_start(linux: aionoah.Linux) -> None:
    silent = SLAVE_SETTINGS._replace(lflag=SLAVE_SETTINGS.lflag & ~Lflag.ECHO)
    terminal = aionoah.Terminal(termios=silent.termios().pack())
    done = await linux.run(["cat"], terminal=terminal, input=b"once\n")
    assert done.stdout == b"once\r\n"


async def test_terminals_apart(linux: aionoah.Linux) -> None:
    """Each program has its own, and the numbers are free again."""
    runs = [linux.run(["sh", "-c", "tty; cat"], terminal=True, input=b"") for _ in range(4)]
    names = {done.stdout.splitlines()[0] for done in await asyncio.gather(*runs)}
    assert names == {b"/dev/pts/%d" % number for number in range(4)}
    assert not linux.kernel.ptys.by_index
    assert (await linux.run(["tty"], terminal=True)).stdout == b"/dev/pts/0\r\n"


async def test_a_program_that_is_not_there(linux: aionoah.Linux) -> None:
    with pytest.raises(FileNotFoundError):
        await linux.create_subprocess_exec("nonexistent", terminal=True)
    assert not linux.kernel.ptys.by_index
