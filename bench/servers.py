"""Servers in a guest and on the host, each asked by the same client on the host, in turn."""

import asyncio
import contextlib
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from statistics import median
from typing import Any, Final

from bench.measure import Row, alternate, paired_ratio
from bench.programs import GUEST_DIRECTORY, Programs

_ROUNDS: Final = 3
_NGINX: Final = """
daemon off; master_process off; pid {0}/nginx.pid; error_log stderr crit;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;
    uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
    server {{ listen 127.0.0.1:{1}; root {0}; }}
}}
"""

Client = Callable[[int], Sequence[str]]
"""The command of a client that asks a port."""


async def rows(programs: Programs) -> list[Row]:
    (programs.directory / "file").write_bytes(bytes(4096))
    found = []
    for pipelined, target in ((1, "≥ 0.07"), (16, "≥ 0.05")):
        what = f"redis-benchmark GET, {pipelined} at once"
        words = ("redis-benchmark", "-t", "get", "-n", str(4000 * pipelined), "-P", str(pipelined), "--csv")
        found.append(
            await _compare(
                programs,
                (what, target),
                _redis,
                lambda port, words=words: (*words, "-p", str(port)),
                rb'"GET","([0-9.]+)"',
            )
        )
    nginx = await _compare(
        programs,
        ("nginx, 4 KiB, wrk -c 64", "≥ 0.05"),
        _nginx,
        lambda port: ("wrk", "-t", "1", "-c", "64", "-d", "3", f"http://127.0.0.1:{port}/file"),
        rb"Requests/sec: *([0-9.]+)",
    )
    return [*found, nginx]


def _redis(_programs: Programs, _directory: str, port: int) -> Sequence[str]:
    return ("redis-server", "--port", str(port), "--save", "", "--dir", "/tmp")


def _nginx(programs: Programs, directory: str, port: int) -> Sequence[str]:
    (programs.directory / f"{port}.conf").write_text(_NGINX.format(directory, port))
    return ("/usr/sbin/nginx", "-c", f"{directory}/{port}.conf", "-e", "stderr", "-p", directory)


async def _compare(
    programs: Programs,
    labels: tuple[str, str],
    server: Callable[[Programs, str, int], Sequence[str]],
    client: Client,
    pattern: bytes,
) -> Row:
    """Answers in a second, of both; the ratio is that of speeds."""
    what, target = labels
    inside, outside = _free_port(), _free_port()
    commands = server(programs, GUEST_DIRECTORY, inside), server(programs, str(programs.directory), outside)
    for tool in (commands[0][0], client(0)[0]):
        if shutil.which(tool) is None:
            return Row(what, "SKIPPED", f"{tool} is not installed", "", target)
    mounts = {GUEST_DIRECTORY: str(programs.directory)}
    async with programs.linux(mounts) as linux:
        spawn = asyncio.create_subprocess_exec
        async with (
            _serving(linux.create_subprocess_exec, commands[0], inside),
            _serving(spawn, commands[1], outside),
        ):
            ours, theirs = await alternate(
                _ROUNDS, _asking(client(inside), pattern), _asking(client(outside), pattern)
            )
    other = f"{median(theirs):.0f}/s native"
    return Row(what, f"{median(ours):.0f}/s", other, f"{paired_ratio(ours, theirs):.3f}", target)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def _serving(spawn: Callable[..., Any], command: Sequence[str], port: int) -> AsyncIterator[None]:
    process = await spawn(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                if process.returncode is not None:
                    raise RuntimeError(f"{command} has ended with {process.returncode}") from None
                await asyncio.sleep(0.05)
                continue
            writer.close()
            break
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _asking(command: Sequence[str], pattern: bytes) -> Callable[[], Awaitable[float]]:
    async def measure() -> float:
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        out, _ = await process.communicate()
        found = re.search(pattern, out)
        if found is None:
            raise RuntimeError(f"{command} does not say how many answers it got: {out!r}")
        return float(found[1])

    return measure
