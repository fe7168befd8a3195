"""One busy TCP connection, and thousands of idle ones, of a Python server in a guest and on the host."""

import asyncio
import contextlib
import os
import resource
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from statistics import median
from typing import Any, Final

from bench.idle import cpu_seconds, pss_of
from bench.measure import Row, alternate, paired_ratio, quantity
from bench.programs import Programs

_PYTHON: Final = "/usr/bin/python3"
_ROUNDS: Final = 3
_BYTES: Final = 256 << 20
_SOURCE: Final = f"""
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
block = bytes(65536)
while True:
    made, _ = listener.accept()
    with made:
        for _ in range({_BYTES} // len(block)):
            made.sendall(block)
"""
_ECHO: Final = """
import resource, select, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
print(listener.getsockname()[1], flush=True)
epoll, made = select.epoll(), {}
epoll.register(listener, select.EPOLLIN)
while True:
    for fd, _ in epoll.poll():
        if fd == listener.fileno():
            one, _ = listener.accept()
            made[one.fileno()] = one
            epoll.register(one, select.EPOLLIN)
        elif data := made[fd].recv(10):
            made[fd].send(data)
        else:
            epoll.unregister(fd)
            made.pop(fd).close()
"""
_QUIET_SECONDS: Final = 5


async def rows(programs: Programs) -> list[Row]:
    return [await _throughput(programs), *await _idle(programs)]


async def _throughput(programs: Programs) -> Row:
    async with (
        programs.linux() as linux,
        _serving(linux.create_subprocess_exec, _SOURCE) as (_, inside),
        _serving(asyncio.create_subprocess_exec, _SOURCE) as (_, outside),
    ):
        ours, theirs = await alternate(_ROUNDS, _draining(inside), _draining(outside))
    rates = [_BYTES / median(times) for times in (theirs, ours)]
    return Row(
        "one TCP stream, written in 64 KiB",
        f"{quantity(rates[1], 'B')}/s",
        f"{quantity(rates[0], 'B')}/s native",
        f"{paired_ratio(theirs, ours):.2f}",
        "≥ 0.4",
    )


def _draining(port: int) -> Callable[[], Awaitable[float]]:
    async def measure() -> float:
        start = time.perf_counter()
        command = ("sh", "-c", f"exec socat -u -b 262144 TCP:127.0.0.1:{port} /dev/null")
        process = await asyncio.create_subprocess_exec(*command)
        if await process.wait():
            raise RuntimeError("socat has failed")
        return time.perf_counter() - start

    return measure


async def _idle(programs: Programs) -> list[Row]:
    """The memory of both hosts' processes for one connection more, the host kernel's aside."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    count = min(10_000, most // 2 - 500)
    async with (
        programs.linux() as linux,
        _serving(linux.create_subprocess_exec, _ECHO) as (_, inside),
        _serving(asyncio.create_subprocess_exec, _ECHO) as (native, outside),
    ):
        ours, spent = await _grown(os.getpid(), inside, count)
        theirs, _ = await _grown(native.pid, outside, count)
    return [
        Row(
            f"memory of one of {count} idle connections",
            quantity(ours, "B"),
            f"{quantity(theirs, 'B')} native",
            "",
            "≤ 4 KiB over it",
        ),
        Row(f"CPU time of them in {_QUIET_SECONDS} s", quantity(spent, "s"), "", "", "none"),
    ]


async def _grown(pid: int, port: int, count: int) -> tuple[float, float]:
    """Bytes for each connection that a client in a process of its own has made, and then CPU time of idleness."""
    client = f"""
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
made = [socket.create_connection(("127.0.0.1", {port})) for _ in range({count})]
made[-1].send(b"x")
made[-1].recv(1)
print("ready", flush=True)
sys.stdin.read()
"""
    before = pss_of(pid)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(_PYTHON, "-c", client, **pipes)
    assert process.stdin is not None
    assert process.stdout is not None
    if await process.stdout.readline() != b"ready\n":
        raise RuntimeError("the connections could not be made")
    size = (pss_of(pid) - before) / count
    start = cpu_seconds(pid)
    await asyncio.sleep(_QUIET_SECONDS)
    spent = cpu_seconds(pid) - start
    process.stdin.close()
    await process.wait()
    return size, spent


@contextlib.asynccontextmanager
async def _serving(spawn: Callable[..., Any], code: str) -> AsyncIterator[tuple[Any, int]]:
    """A server and its port, which it says first."""
    command: Sequence[str] = (_PYTHON, "-c", code)
    process = await spawn(*command, stdout=subprocess.PIPE)
    try:
        yield process, int(await process.stdout.readline())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
