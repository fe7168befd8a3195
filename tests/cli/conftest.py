"""The command as its users call it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.guest import STATIC, Compiler

Done = subprocess.CompletedProcess[str]
Command = Callable[..., Done]
AIONOAH = Path(sys.executable).with_name("aionoah")


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiler:
    return Compiler(tmp_path_factory.mktemp("cli-programs"))


@pytest.fixture
def program(compiled: Compiler) -> Callable[[str], str]:
    """The path in the guest of a program of programs/api/, with `run` below."""
    return lambda name: f"/programs/{compiled(f'api/{name}', STATIC).name}"


@pytest.fixture
def aionoah(tmp_path: Path) -> Command:
    """Call the command with some arguments; it may not take for ever."""

    def call(*arguments: str | Path, input: str = "", **options: object) -> Done:  # noqa: A002
        defaults = {"capture_output": True, "text": True, "timeout": 200, "cwd": tmp_path, "check": False}
        if "stdin" not in options:
            defaults["input"] = input if options.get("text", True) else input.encode()
        return subprocess.run([AIONOAH, *arguments], **(defaults | options))  # noqa: PLW1510 - among the defaults

    return call


@pytest.fixture
def run(aionoah: Command, compiled: Compiler, tmp_path: Path) -> Command:
    """`aionoah run` with the compiled programs at /programs and a writable /work."""
    (compiled.directory / "api").mkdir(exist_ok=True)
    places = ["-v", f"{compiled.directory}/api:/programs:ro", "-v", f"{tmp_path}:/work"]

    def call(*arguments: str | Path, **options: object) -> Done:
        return aionoah("run", *places, *arguments, **options)

    return call


def complaint(done: Done) -> str:
    """What was said on standard error: one sentence, and no traceback."""
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("aionoah: ")
    assert done.stderr.endswith(".\n")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("aionoah: ").strip()


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.delenv("COLUMNS", raising=False)
    assert os.access(AIONOAH, os.X_OK), "the project is not installed beside this Python"
