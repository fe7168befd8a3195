"""A terminal: how long a key takes to be seen, and how fast a screen fills. Natively on a pty of the host, beside it."""

import asyncio
import os
import pty
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Final, NamedTuple, Protocol

import aionoah
from bench.measure import Row, alternate, paired_ratio, quantity
from bench.programs import Programs

_ROUNDS: Final = 3
_KEYS: Final = 200
_LISTED: Final = "/usr/share/doc"
_SHELL: Final = ("bash", "--norc", "--noprofile", "-i")
_PIECE: Final = 65536


class Keyboard(Protocol):
    """A program's terminal."""

    async def read(self) -> bytes:
        """What is shown next; nothing at the end."""
        ...

    def type(self, data: bytes) -> None: ...

    async def close(self) -> None: ...


class _Guest:
    def __init__(self, process: aionoah.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._keys, self._screen = process, process.stdin, process.stdout

    async def read(self) -> bytes:
        return await self._screen.read(_PIECE)

    def type(self, data: bytes) -> None:
        self._keys.write(data)

    async def close(self) -> None:
        self._process.kill()
        await self._process.wait()
        self._keys.close()


class _Native:
    def __init__(self, *words: str) -> None:
        self._pid, self._fd = pty.fork()
        if not self._pid:
            os.execvp(words[0], words)

    async def read(self) -> bytes:
        """Blocking: nobody else uses the loop meanwhile."""
        try:
            return os.read(self._fd, _PIECE)
        except OSError:  # EIO: the end
            return b""

    def type(self, data: bytes) -> None:
        os.write(self._fd, data)

    async def close(self) -> None:
        os.kill(self._pid, 9)
        os.waitpid(self._pid, 0)  # noqa: ASYNC222 - it has been killed
        os.close(self._fd)


Act = Callable[[Keyboard], Awaitable[float]]


class _Case(NamedTuple):
    what: str
    act: Act
    words: tuple[str, ...]
    target: str = ""


async def rows(programs: Programs) -> list[Row]:
    async with programs.linux({str(programs.directory): str(programs.directory)}) as linux:
        listing = await _listing(programs)
        cases = (
            _Case("a key, echoed by the terminal", _echo, ("cat",), "≤ 5 ms"),
            _Case("a key, echoed by bash with readline", _echo, _SHELL, "≤ 5 ms"),
            _Case("a megabyte of ls -lR's text on the screen", _fill, ("cat", listing), "≤ 200 ms"),
            _Case("a megabyte by ls --color -lR itself", _fill, ("ls", "--color", "-lR", _LISTED)),
        )
        return [await _measure(linux, case) for case in cases]


async def _listing(programs: Programs) -> str:
    """A file with what ls prints, at the same place for both."""
    path = programs.directory / "listing"
    with path.open("wb") as file:
        ls = await asyncio.create_subprocess_exec("ls", "--color=always", "-lR", _LISTED, stdout=file)
        await ls.wait()
    return str(path)


async def _measure(linux: aionoah.Linux, case: _Case) -> Row:
    async def ours() -> float:
        return await case.act(_Guest(await linux.create_subprocess_exec(*case.words, terminal=True)))

    async def native() -> float:
        return await case.act(_Native(*case.words))

    values, others = await alternate(_ROUNDS, ours, native)
    other = f"{quantity(median(others), 's')} natively"
    ratio = f"{paired_ratio(values, others):.2f}"
    return Row(case.what, quantity(median(values), "s"), other, ratio, case.target)


async def _echo(keyboard: Keyboard) -> float:
    """The median of the time from a key to its being shown, in seconds."""
    keyboard.type(b"x")
    await keyboard.read()
    await asyncio.sleep(0.3)  # a prompt and the like
    keyboard.type(b"x")
    await keyboard.read()
    times = []
    for _ in range(_KEYS):
        start = time.perf_counter()
        keyboard.type(b"x")
        await keyboard.read()
        times.append(time.perf_counter() - start)
    await keyboard.close()
    return median(times)


async def _fill(keyboard: Keyboard) -> float:
    """Seconds for each megabyte that is shown."""
    start, size = time.perf_counter(), 0
    while piece := await keyboard.read():
        size += len(piece)
    seconds = time.perf_counter() - start
    await keyboard.close()
    return seconds * 1e6 / size
