"""What is sent to the command is meant for the program."""

import asyncio
import os
import pty
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest
from cli.conftest import AIONOAH
from harness.guest import Compiler

import aionoah
from aionoah.cli.exec import _execute
from aionoah.cli.run import _run as run_alone
from aionoah.instances.client import Connection
from aionoah.instances.place import Place
from aionoah.instances.protocol import Assembler


@contextmanager
def running(compiled: Compiler, command: Sequence[str], **options: object) -> Iterator[subprocess.Popen[str]]:
    (compiled.directory / "api").mkdir(exist_ok=True)
    words = [AIONOAH, "run", "-v", f"{compiled.directory}/api:/programs", "--", *command]
    made = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    try:
        yield made
    finally:
        made.kill()
        made.communicate()


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
        (signal.SIGHUP, 129),
        (signal.SIGQUIT, 131),
        (signal.SIGUSR1, 138),
    ],
)
def test_the_program_dies_of_it(
    compiled: Compiler, program: Callable[[str], str], number: int, status: int
) -> None:
    with running(compiled, [program("spin")]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "spinning\n"
        process.send_signal(number)
        _, err = process.communicate(timeout=200)
        assert (process.returncode, err) == (status, "")


def test_the_program_may_handle_it(compiled: Compiler, program: Callable[[str], str]) -> None:
    with running(compiled, [program("signals")]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "signal 0\n"
        for number in (signal.SIGINT, signal.SIGUSR2, signal.SIGHUP, signal.SIGINT):
            process.send_signal(number)
            assert process.stdout.readline() == f"signal {number}\n"
        process.terminate()
        assert process.stdout.readline() == "signal 15\n"
        assert process.wait(timeout=200) == 7


def test_a_parked_program(compiled: Compiler) -> None:
    with running(compiled, ["sh", "-c", "echo ready; exec cat"], stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=200) == 130


def test_ctrl_c_at_a_terminal(compiled: Compiler, tmp_path: Path) -> None:
    """The terminal sends SIGINT; a trap of the program's own sees it."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(
            AIONOAH,
            ["aionoah", "run", "--", "sh", "-c", 'trap "echo caught; exit 3" INT; echo ready; read x'],
        )
    output = b""
    while b"ready" not in output:
        output += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    _, status = os.waitpid(pid, 0)
    while b"caught" not in output:
        output += os.read(terminal, 1000)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 3


def test_what_the_caller_ignores(compiled: Compiler) -> None:
    """As nohup(1) wants it: the program ignores it too, unless it says otherwise."""
    script = 'trap "exit 4" USR1; kill -HUP $$; kill -INT $$; kill -USR1 $$'
    done = subprocess.run(
        ["sh", "-c", 'trap "" HUP INT USR1; exec "$@"', "-", AIONOAH, "run", "--", "bash", "-c", script],
        check=False,
    )
    assert done.returncode == 0  # a shell cannot trap what was ignored when it began


_FIRST_IMPORTS = """
import _signal, sys
sys.path.insert(0, {path!r})
known = set(sys.modules)
import aionoah
print(*sorted(set(sys.modules) - known))

class Finder:
    @staticmethod
    def find_spec(name, path, target=None):
        print(name, _signal.getsignal(_signal.SIGINT) == _signal.SIG_DFL)

known = set(sys.modules)
sys.meta_path.insert(0, Finder)
import aionoah.__main__
"""


def test_nothing_is_loaded_before_an_interrupt_is_dealt_with() -> None:
    """Until then, Python makes a traceback of it."""
    path = str(Path(aionoah.__file__).parents[1])
    words = [sys.executable, "-I", "-S", "-c", _FIRST_IMPORTS.format(path=path)]
    lines = subprocess.run(words, capture_output=True, text=True, check=False).stdout.splitlines()
    assert lines[:2] == ["aionoah", "aionoah.__main__ False"]
    assert "aionoah.cli True" in lines
    assert all(line.endswith(" True") for line in lines[2:])


def test_interrupted_before_there_is_a_program(compiled: Compiler) -> None:
    """Whenever it comes, it is an end without a traceback."""
    with running(compiled, ["sleep", "1000"]) as process:
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=200)
        assert process.returncode in {1, 130, -signal.SIGINT}
        if process.returncode == 130:
            assert "Traceback" not in err


class _Program:
    def __init__(self) -> None:
        self.heard: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def send_signal(self, number: int) -> None:
        self.heard.set_result(number)

    async def wait(self) -> int:
        return -await self.heard


class _Linux:
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def create_subprocess_exec(self, *_: str) -> _Program:
        os.kill(os.getpid(), signal.SIGWINCH)
        for _turn in range(3):
            await asyncio.sleep(0)
        return _Program()


async def test_a_program_that_is_quicker_than_its_caller() -> None:
    """It may have said that it runs, so that signals are meant for it, before it is known to us."""
    async with asyncio.timeout(200):
        assert await run_alone(_Linux(), ("x",), {}, None) == 128 + signal.SIGWINCH  # type: ignore[arg-type]


@pytest.mark.parametrize("signals", [1, 2])
def test_a_program_of_an_instance_that_is_quicker_than_its_caller(tmp_path: Path, signals: int) -> None:
    """A second signal ends us, for the instance may hang."""
    at, script = (
        tmp_path / "socket",
        "import sys\nfrom cli.test_signals import execute_for\nexecute_for(sys.argv[1])",
    )
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(at))
        listener.listen()
        words = [sys.executable, "-c", script, str(at)]
        with subprocess.Popen(
            words, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        ) as client:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as said:
                assert b'"exec"' in said.readline()
                client.send_signal(signal.SIGUSR1)
                assert b'"SIGUSR1"' in said.readline()
                if signals == 2:
                    client.send_signal(signal.SIGTERM)
                    assert client.wait(200) == -signal.SIGTERM
                    return
                connection.sendall(b'{"started": 2}\n{"exit": 7}\n')
                assert client.wait(200) == 7


def execute_for(path: str) -> None:
    """A client of whoever listens there."""
    connection = Connection.__new__(Connection)
    connection.place = Place("box")
    connection._socket = socket.socket(socket.AF_UNIX)
    connection._assembler = Assembler()
    connection._messages = deque()
    connection._socket.connect(path)
    sys.exit(_execute(connection, {"command": ["x"]}, has_terminal=False))
