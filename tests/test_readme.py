"""The README's examples run as written, where a newcomer would run them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
README = (TOP / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SHELL_LINES = [
    line.partition("  #")[0].rstrip() for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()
]
COMMANDS = [line for line in SHELL_LINES if not line.startswith("make ")]
PYTHON = [(text, BLOCKS[index + 1][1]) for index, (kind, text) in enumerate(BLOCKS[:-1]) if kind == "python"]


def run(command: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=directory,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_there_are_examples_of_each_use() -> None:
    assert len(PYTHON) == sum(kind == "python" for kind, _ in BLOCKS) > 0
    assert any(line.startswith("aionoah run ") for line in COMMANDS)


@pytest.mark.parametrize("line", [line for line in SHELL_LINES if line.startswith("make ")])
def test_make_targets_exist(line: str) -> None:
    """Making them here would set this environment up again."""
    target = line.split()[1]
    assert re.search(rf"^{target}:", (TOP / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.guest
@pytest.mark.parametrize("line", COMMANDS)
def test_shell_lines(line: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(README)
    done = run(["sh", "-c", line], tmp_path)
    assert done.stdout


@pytest.mark.guest
@pytest.mark.parametrize(("code", "output"), PYTHON)
def test_python_prints_what_the_next_block_shows(code: str, output: str, tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(code)
    assert run([sys.executable, "example.py"], tmp_path).stdout == output


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"])
def test_links_lead_somewhere(document: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (TOP / document).read_text())
    assert all((TOP / link).exists() for link in links), links
