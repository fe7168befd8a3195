"""`python -m bench.soak [--minutes N] [SERVER…]`: servers in guests under a light load, each in an instance of its own.

Once a minute the memory, the descriptors and the threads of each instance's host process are printed, with
the sum of its guests' memory, so that a leak of ours can be told from a cache of theirs. Flat is what they should be.
"""

import argparse
import asyncio
import contextlib
import json
import os
import pwd
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench.soak_servers import SERVERS, Server

_CONNECTION_SECONDS: Final = 20


class Sample(NamedTuple):
    """Of the host process of one instance; memory in KiB."""

    rss: int
    guests: int
    descriptors: int
    threads: int
    done: int
    failed: int


class Instance:
    """A host process with one server in it, and what its clients have got so far."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.server = server
        self.directory = directory
        self.port = _free_port()
        self.done = 0
        self.failed = 0
        self._process: asyncio.subprocess.Process

    async def start(self) -> None:
        self.directory.mkdir()
        self.directory.chmod(0o777)
        self.server.prepare(self.directory, self.port)
        command = self.server.command(self.directory, self.port)
        wanted = json.dumps([str(self.directory), self.server.user, list(command)])
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "bench.soak", "--instance", wanted),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            limit=1 << 20,
        )

    async def load(self, until: float) -> None:
        """Ask again and again, each time with a new connection."""
        while time.monotonic() < until:
            try:
                async with asyncio.timeout(_CONNECTION_SECONDS):
                    await self.server.ask(self.directory, self.port)
                self.done += 1
            except (OSError, EOFError, RuntimeError, TimeoutError) as error:
                self.failed += 1
                print(f"{self.server.name}: {error!r}", flush=True)
            await asyncio.sleep(self.server.pause)

    async def sample(self) -> Sample:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        guests = int(await self._process.stdout.readline())
        here = Path(f"/proc/{self._process.pid}")
        status = dict(line.split(":", 1) for line in (here / "status").read_text().splitlines())
        return Sample(
            int(status["VmRSS"].split()[0]),
            guests,
            len(list((here / "fd").iterdir())),
            int(status["Threads"]),
            self.done,
            self.failed,
        )

    async def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.soak")
    parser.add_argument(
        "names", nargs="*", metavar="SERVER", help=f"of {', '.join(SERVERS)}; all if none is given"
    )
    parser.add_argument("--minutes", type=int, default=20)
    parser.add_argument("--instance", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.instance:
        import uvloop  # noqa: PLC0415 - only here

        asyncio.Runner(loop_factory=uvloop.new_event_loop).run(_hold(*json.loads(given.instance)))
        return
    if unknown := set(given.names) - set(SERVERS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="soak-") as directory:
        Path(directory).chmod(0o755)
        asyncio.run(_soak(given.names or list(SERVERS), given.minutes, Path(directory)))


async def _hold(directory: str, user: str, command: Sequence[str]) -> None:
    """The instance: runs until its standard input ends, and tells its guests' memory for each line."""
    import aionoah  # noqa: PLC0415 - only here

    async with aionoah.Linux(mounts={directory: directory}) as linux:
        log = os.open(Path(directory, "log"), os.O_WRONLY | os.O_CREAT)
        who = pwd.getpwnam(user)
        server = await linux.create_subprocess_exec(
            *command, user=who.pw_uid, group=who.pw_gid, stdout=log, stderr=subprocess.STDOUT
        )
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(sum(each.memory for each in linux.processes()) >> 10, flush=True)
        if server.returncode is not None:
            print(f"{command[0]} has ended with {server.returncode}", file=sys.stderr)


async def _soak(names: Sequence[str], minutes: int, directory: Path) -> None:
    instances = [Instance(SERVERS[name], directory / name) for name in names]
    for instance in instances:
        await instance.start()
        await _until_it_answers(instance)
    end = time.monotonic() + 60 * minutes
    async with asyncio.TaskGroup() as group:
        for instance in instances:
            group.create_task(instance.load(end))
        for minute in range(minutes):
            for instance in instances:
                await _tell(minute, instance)
            await asyncio.sleep(60)
    for instance in instances:
        await _tell(minutes, instance)
        await instance.stop()


async def _until_it_answers(instance: Instance) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError, EOFError, RuntimeError):
            return await instance.server.ask(instance.directory, instance.port)
        await asyncio.sleep(0.3)
    raise RuntimeError(f"{instance.server.name} does not answer: {(instance.directory / 'log').read_text()}")


async def _tell(minute: int, instance: Instance) -> None:
    told = " ".join(f"{name} {value}" for name, value in (await instance.sample())._asdict().items())
    print(f"{minute:3} {instance.server.name:10} {told}", flush=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
