"""What is sent to the command is meant for the program."""

import os
import pty
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from cli.conftest import AIONOAH
from harness.guest import Compiler


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
        _, err = process.communicate(timeout=60)
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
        assert process.wait(timeout=60) == 7


def test_a_parked_program(compiled: Compiler) -> None:
    with running(compiled, ["sh", "-c", "echo ready; exec cat"], stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130


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


def test_interrupted_before_there_is_a_program(compiled: Compiler) -> None:
    """Whenever it comes, it is an end without a traceback."""
    with running(compiled, ["sleep", "1000"]) as process:
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode in {1, 130, -signal.SIGINT}
        if process.returncode == 130:
            assert "Traceback" not in err
