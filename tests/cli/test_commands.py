"""`aionoah doctor`, `aionoah syscalls`, `aionoah --version` and the help."""

import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
from cli.conftest import AIONOAH, Command
from click.testing import CliRunner

from aionoah.cli import _HOMES, doctor, main
from aionoah.cli.run import run
from aionoah.hypervisor import kvm


def test_version(aionoah: Command) -> None:
    assert aionoah("--version").stdout.strip().endswith(version("aionoah"))


@pytest.mark.parametrize(
    "arguments", [["--help"], ["-h"], ["run", "--help"], ["run", "-h"], ["doctor", "--help"]]
)
def test_help(aionoah: Command, arguments: list[str]) -> None:
    done = aionoah(*arguments)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: aionoah")


def test_the_help_names_every_option(aionoah: Command) -> None:
    text = aionoah("run", "--help").stdout
    for option in ("--root", "--volume", "--env", "--workdir", "--user", "--hypervisor", "--strace"):
        assert option in text


def test_many_options_are_in_sections(aionoah: Command) -> None:
    text = aionoah("run", "--help").stdout
    titles = re.findall(r"^(\w.*):$", text, re.MULTILINE)
    assert titles == ["The program", "Its files", "Its network", "What is kept by a name", "Others"]
    assert "--strace[=FILE]" in text, "a word behind it is the program"
    names = re.findall(r"--[a-z][a-z0-9-]+", re.sub(r"^ {10}.*$", "", text, flags=re.MULTILINE))
    assert set(names) >= {option for param in run.params for option in param.opts if option[:2] == "--"}


def test_the_help_of_all_commands(aionoah: Command) -> None:
    """Whole sentences, in 80 columns."""
    listed = aionoah("--help").stdout
    assert "..." not in listed.partition("Commands:")[2]
    for name in _HOMES:
        assert f"\n  {name} " in listed
        text = CliRunner().invoke(main, [name, "--help"]).output
        assert text.startswith("Usage: ")
        assert max(map(len, text.splitlines())) <= 80


def test_help_loads_no_kernel() -> None:
    code = "import sys, aionoah.__main__; print([m for m in sys.modules if m in ('uvloop', 'aionoah.linux')])"
    done = subprocess.run(
        [AIONOAH.with_name("python"), "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_garbage_is_collected_once_a_command_is_loaded() -> None:
    code = (
        "import gc, aionoah.__main__ as program; before = gc.isenabled();"
        " program.main.get_command(None, 'run'); print(before, gc.isenabled(), gc.get_freeze_count() > 0)"
    )
    done = subprocess.run(
        [AIONOAH.with_name("python"), "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False True True\n"


def test_doctor(aionoah: Command) -> None:
    done = aionoah("doctor")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("aionoah ")
    for label in ("kvm for x86_64", "unicorn for x86_64", "unicorn for aarch64"):
        [line] = [line for line in lines if label in line]
        assert re.match(r"  yes  .*: \d+\.\d µs|  no   .*: .*\.$", line), line
    assert any("yes  unicorn" in line for line in lines)


def test_doctor_says_how_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "/dev/kvm may not be opened: run `sudo usermod -aG kvm $USER` and log in again."
    monkeypatch.setattr(kvm, "why_unavailable", lambda: reason)
    lines: list[str] = []
    assert doctor.examine(lines.append)
    assert any("no   kvm" in line and reason in line for line in lines)
    assert any("Unicorn" in line for line in lines)


def test_doctor_on_a_host_that_can_run_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> float:
        raise doctor.HypervisorError("Nothing works.")

    monkeypatch.setattr(doctor, "exit_cost_us", refuse)
    lines: list[str] = []
    assert not doctor.examine(lines.append)
    assert sum("no " in line for line in lines) == 3


def test_a_user_who_may_not_open_kvm(tmp_path: Path) -> None:
    """As nobody, where /dev/kvm is another's; the sentence says what to do."""
    import os

    from aionoah.hypervisor.kvm import why_unavailable

    if os.getuid() != 0 or why_unavailable() or os.stat("/dev/kvm").st_mode & 0o006:
        pytest.skip("needs root and a /dev/kvm that not everybody may open")
    code = (
        "import os; from aionoah.hypervisor.select import open_machine as m; os.setgroups([]); os.setgid(65534);"
        "os.setuid(65534)\ntry: m('kvm', 'x86_64', 1 << 26)\nexcept Exception as e: print(type(e).__name__, e)\n"
        "print(m('auto', 'x86_64', 1 << 26).name)"
    )
    done = subprocess.run(
        [
            AIONOAH.with_name("python"),
            "-c",
            "import aionoah.hypervisor.kvm, aionoah.hypervisor.unicorn\n" + code,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = done.stdout.splitlines()
    assert first.startswith("HypervisorError /dev/kvm may not be opened: run `sudo ")
    assert second == "unicorn"


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_syscalls(aionoah: Command, arch: str) -> None:
    done = aionoah("syscalls", "--arch", arch)
    assert done.returncode == 0
    assert re.search(r"\bread\b", done.stdout)
    assert re.search(r"\bstatx\b", done.stdout)
    assert bool(re.search(r"\bopen\b", done.stdout)) == (arch == "x86_64")


def test_syscalls_as_markdown(aionoah: Command) -> None:
    lines = aionoah("syscalls", "--markdown").stdout.splitlines()
    assert any(line.startswith("|") and "read" in line for line in lines)
    assert any(set(line) <= set("|-: ") and "-" in line for line in lines)


def test_syscalls_into_a_closed_pipe() -> None:
    line = f"{AIONOAH} syscalls --markdown | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
