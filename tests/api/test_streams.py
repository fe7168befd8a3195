"""stdin, stdout and stderr in every form that subprocess knows."""

import asyncio
import os
import socket
import subprocess
from pathlib import Path

import pytest
from api.conftest import Programs

import aionoah
from aionoah import DEVNULL, PIPE, STDOUT

SIZE = 10 << 20


async def test_the_constants_are_those_of_asyncio() -> None:
    assert (PIPE, STDOUT, DEVNULL) == (
        asyncio.subprocess.PIPE,
        asyncio.subprocess.STDOUT,
        asyncio.subprocess.DEVNULL,
    )


async def test_pipes_in_both_directions(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is None
    for line in (b"one\n", b"two\n"):
        process.stdin.write(line)
        await process.stdin.drain()
        assert await process.stdout.readline() == line
    process.stdin.close()
    await process.stdin.wait_closed()
    assert await process.stdout.read() == b""
    assert await process.wait() == 0


async def test_no_pipes_no_streams(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec("true")
    assert (process.stdin, process.stdout, process.stderr) == (None, None, None)
    assert await process.communicate() == (None, None)
    assert process.returncode == 0


async def test_ten_megabytes_through_communicate(linux: aionoah.Linux) -> None:
    data = os.urandom(1 << 20) * (SIZE >> 20)
    process = await linux.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate(data)
    assert out == data
    assert err == b""


async def test_output_beyond_any_buffer_without_input(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec(
        "head",
        "-c",
        str(SIZE),
        "/dev/zero",
        stdout=PIPE,
        stderr=PIPE,
        stdin=DEVNULL,
    )
    out, _ = await process.communicate()
    assert out == bytes(SIZE)


async def test_input_that_nobody_reads(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec("true", stdin=PIPE, stdout=PIPE)
    assert await process.communicate(bytes(SIZE)) == (b"", None)
    assert process.returncode == 0


async def test_communicate_without_input_closes_stdin(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec("wc", "-c", stdin=PIPE, stdout=PIPE)
    assert (await process.communicate())[0] == b"0\n"


async def test_stderr_by_itself_and_with_stdout(linux: aionoah.Linux) -> None:
    script = "echo out; echo err >&2"
    apart = await linux.run(["sh", "-c", script], capture_output=True)
    assert (apart.stdout, apart.stderr) == (b"out\n", b"err\n")
    together = await linux.run(["sh", "-c", script], stdout=PIPE, stderr=STDOUT)
    assert (together.stdout, together.stderr) == (b"out\nerr\n", None)


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
async def test_stdout_constant_elsewhere_is_refused(linux: aionoah.Linux, stream: str) -> None:
    with pytest.raises(ValueError, match="stderr only"):
        await linux.create_subprocess_exec("true", **{stream: STDOUT})


async def test_devnull(linux: aionoah.Linux) -> None:
    done = await linux.run(["cat"], stdin=DEVNULL, stdout=PIPE)
    assert done.stdout == b""
    done = await linux.run(["sh", "-c", "echo lost; echo lost >&2"], stdout=DEVNULL, stderr=DEVNULL)
    assert (done.returncode, done.stdout, done.stderr) == (0, None, None)


async def test_file_objects(linux: aionoah.Linux, work: Path) -> None:
    (work / "in").write_bytes(b"b\na\n")
    with (work / "in").open("rb") as source, (work / "out").open("w") as target:
        await linux.run(["sort"], stdin=source, stdout=target, check=True)
        await linux.run(["echo", "more"], stdout=target, check=True)
    assert (work / "out").read_bytes() == b"a\nb\nmore\n"


async def test_descriptors_stay_the_applications(linux: aionoah.Linux) -> None:
    reading, writing = os.pipe()
    await linux.run(["echo", "hello"], stdout=writing, check=True)
    os.write(writing, b"still open")
    assert os.read(reading, 100) == b"hello\nstill open"
    assert os.get_blocking(writing)
    os.close(reading)
    os.close(writing)


async def test_one_descriptor_for_two_streams(linux: aionoah.Linux, work: Path) -> None:
    with (work / "out").open("wb") as target:
        await linux.run(["sh", "-c", "echo out; echo err >&2; echo end"], stdout=target, stderr=target)
    assert (work / "out").read_bytes() == b"out\nerr\nend\n"


async def test_a_socket(linux: aionoah.Linux) -> None:
    near, far = socket.socketpair()
    with near, far:
        process = await linux.create_subprocess_exec("cat", stdin=far, stdout=far)
        near.sendall(b"through a socket")
        near.shutdown(socket.SHUT_WR)
        assert await process.wait() == 0
        assert near.recv(100) == b"through a socket"


async def test_a_closed_descriptor_is_refused(linux: aionoah.Linux) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    with pytest.raises(OSError, match="Bad file descriptor"):
        await linux.create_subprocess_exec("cat", stdin=reading)


async def test_limit_of_a_line(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec("echo", "x" * 200, stdout=PIPE, limit=100)
    assert process.stdout is not None
    with pytest.raises(asyncio.LimitOverrunError):
        await process.stdout.readuntil(b"\n")
    assert await process.stdout.read() == b"x" * 200 + b"\n"
    assert await process.wait() == 0


async def test_reader_that_goes_away_is_a_broken_pipe(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec("yes", stdout=PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"y\n"
    process.close_streams()
    assert await process.wait() == -13


async def test_a_full_pipe_makes_the_guest_wait(linux: aionoah.Linux) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    filled = os.write(writing, bytes(1 << 20))
    with pytest.raises(BlockingIOError):
        os.write(writing, b"more")
    os.set_blocking(writing, True)
    process = await linux.create_subprocess_exec("echo", "late", stdout=writing)
    os.close(writing)
    await asyncio.sleep(0)
    assert process.returncode is None
    loop, received = asyncio.get_running_loop(), bytearray()
    while piece := await loop.run_in_executor(None, os.read, reading, 1 << 20):
        received += piece
    os.close(reading)
    await loop.shutdown_default_executor()
    assert received[filled:] == b"late\n"
    assert await process.wait() == 0


async def test_streams_can_be_read_after_the_end(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec("echo", "kept", stdout=PIPE)
    assert await process.wait() == 0
    assert process.stdout is not None
    assert await process.stdout.read() == b"kept\n"


async def test_an_early_end_while_the_application_is_busy(linux: aionoah.Linux, program: Programs) -> None:
    """The start and the end of a program may reach the loop in the same turn."""
    launch = asyncio.create_task(linux.create_subprocess_exec(program("exit_code"), "5"))
    while not linux.kernel.last_pid:  # the loop does not turn from here on
        await asyncio.sleep(0)
    while linux.kernel.guests:
        pass
    assert await (await launch).wait() == 5


@pytest.mark.parametrize("mode", [os.O_RDONLY, os.O_WRONLY])
@pytest.mark.parametrize("name", ["/dev/null", "file"])
async def test_waiting_for_what_has_no_news(
    linux: aionoah.Linux, program: Programs, work: Path, name: str, mode: int
) -> None:
    """A host's file that cannot be watched is always ready, and never has urgent data."""
    (work / "file").touch()
    fd = os.open(work / name, mode)
    try:
        natively = subprocess.run([program("poll_input")], stdin=fd, capture_output=True, check=True)
        done = await linux.run([program("poll_input")], stdin=fd, capture_output=True)
    finally:
        os.close(fd)
    assert done.stdout == natively.stdout == b"0 0, 1 5\n"


async def test_the_descriptors_of_pipes_are_closed_once(
    linux: aionoah.Linux, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed again, the number may be another thread's. While nobody else opens any, it is EBADF."""
    missing: list[int] = []
    real = os.close

    def close(fd: int) -> None:
        try:
            real(fd)
        except OSError:
            missing.append(fd)
            raise

    monkeypatch.setattr(os, "close", close)
    process = await linux.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE, stderr=PIPE)
    assert await process.communicate(b"once") == (b"once", b"")
    assert missing == []
