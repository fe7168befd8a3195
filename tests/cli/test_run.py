"""`aionoah run`: what the program gets, and the status that the caller gets."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.conftest import AIONOAH, Command, complaint
from harness.guest import STATIC


def test_output_errors_and_status(run: Command) -> None:
    done = run("--", "/bin/sh", "-c", "echo out; echo err >&2; exit 5")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 5)


def test_programs_are_found_in_path(run: Command) -> None:
    assert run("echo", "hi").stdout == "hi\n"


def test_without_dashes(run: Command) -> None:
    assert run("/bin/echo", "hi").stdout == "hi\n"


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["-v", "x"],
        ["--strace"],
        ["-e", "A=B"],
        ["--root=/"],
        ["a", "--", "b"],
        ["--version"],
        ["-"],
    ],
)
@pytest.mark.parametrize("dashes", [["--"], []])
def test_the_programs_own_options_are_the_programs(run: Command, words: list[str], dashes: list[str]) -> None:
    done = run(*dashes, "printf", "%s.", *words)
    assert done.stdout == "".join(f"{word}." for word in words)
    assert done.stderr == ""


def test_a_program_that_looks_like_an_option(run: Command, tmp_path: Path) -> None:
    script = tmp_path / "--strace"
    script.write_text("#!/bin/sh\necho called\n")
    script.chmod(0o755)
    assert run("-e", "PATH=/work:/bin", "--", "--strace").stdout == "called\n"


def test_arguments_that_are_no_text(run: Command) -> None:
    done = run("printf", "%s", os.fsdecode(b"\xff\xfe"), text=False)
    assert done.stdout == b"\xff\xfe"


# -- streams ------------------------------------------------------------------------------------------------------


def test_stdin_from_a_pipe(run: Command) -> None:
    assert run("wc", "-c", input="x" * 100_000).stdout == "100000\n"


def test_stdin_from_a_file_is_left_where_the_program_left_it(run: Command, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("1\n2\n3\n")
    with (tmp_path / "lines").open() as lines:
        assert run("sh", "-c", "read a; echo got $a", stdin=lines).stdout == "got 1\n"
        assert os.read(lines.fileno(), 100) == b"2\n3\n"


def test_stdin_from_dev_null(run: Command) -> None:
    with Path(os.devnull).open() as null:
        assert run("wc", "-c", stdin=null).stdout == "0\n"


def shell(tmp_path: Path, line: str, aionoah: Command) -> tuple[int, str, str]:
    """A line of bash in which `run` is the command."""
    script = f'run() {{ "{AIONOAH}" run -v "{tmp_path}:/work" -- "$@"; }}; {line}'

    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=200, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_a_closed_stdin_is_closed(tmp_path: Path, aionoah: Command) -> None:
    status, out, err = shell(tmp_path, "run cat <&-", aionoah)
    assert (status, out) == (1, "")
    assert "Bad file descriptor" in err
    assert "Traceback" not in err


def test_a_closed_stdout_is_closed(tmp_path: Path, aionoah: Command) -> None:
    status, _, err = shell(tmp_path, "run echo hi >&-", aionoah)
    assert status == 1
    assert "Bad file descriptor" in err


def test_everything_closed(tmp_path: Path, aionoah: Command) -> None:
    status, out, err = shell(tmp_path, "run sh -c 'exit 9' <&- >&- 2>&-; echo $?", aionoah)
    assert (status, out, err) == (0, "9\n", "")


def test_no_file_of_ours_becomes_the_programs(tmp_path: Path, aionoah: Command) -> None:
    line = "run readlink /proc/self/fd/0 /proc/self/fd/2 <&- 2>&-"
    _, out, _ = shell(tmp_path, line, aionoah)
    assert set(out.split()) <= {"/dev/null"}


def test_a_reader_that_goes_away(tmp_path: Path, aionoah: Command) -> None:
    status, out, err = shell(tmp_path, "run yes | head -1; echo ${PIPESTATUS[0]}", aionoah)
    assert (status, out, err) == (0, "y\n141\n", "")


def test_in_the_middle_of_a_pipeline(tmp_path: Path, aionoah: Command) -> None:
    line = "seq 20000 | run sort -rn | head -2; (sleep 0.3; echo slow) | run cat | tr a-z A-Z"
    assert shell(tmp_path, line, aionoah) == (0, "20000\n19999\nSLOW\n", "")


def test_stdout_and_stderr_in_one_file(tmp_path: Path, aionoah: Command) -> None:
    shell(tmp_path, "run sh -c 'echo 1; echo 2 >&2; echo 3' >both 2>&1", aionoah)
    assert (tmp_path / "both").read_text() == "1\n2\n3\n"


def test_appending(tmp_path: Path, aionoah: Command) -> None:
    (tmp_path / "log").write_text("old\n")
    shell(tmp_path, "run echo new >>log; run echo newer >>log", aionoah)
    assert (tmp_path / "log").read_text() == "old\nnew\nnewer\n"


# -- statuses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "status"), [("0", 0), ("255", 255), ("0x100000103", 3), ("-1", 255)])
def test_exit_codes(run: Command, program: Callable[[str], str], code: str, status: int) -> None:
    assert run("--", program("exit_code"), code).returncode == status


@pytest.mark.parametrize(
    ("way", "status"),
    [
        ("illegal", 132),
        ("wild_jump", 139),
        ("stack_overflow", 139),
        ("null_write", 139),
        ("wild_write", 139),
        ("noncanonical_write", 139),
        ("divide", 136),
        ("breakpoint", 133),
        ("abort", 134),
        ("privileged", 139),
    ],
)
def test_crashes(run: Command, program: Callable[[str], str], way: str, status: int) -> None:
    done = run(program("crash"), way)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


@pytest.mark.parametrize("hypervisor", ["kvm", "unicorn", "auto"])
def test_hypervisors(run: Command, program: Callable[[str], str], hypervisor: str) -> None:
    if hypervisor == "kvm":
        from aionoah.hypervisor.kvm import why_unavailable

        if reason := why_unavailable():
            pytest.skip(f"NOT TESTED ON KVM: {reason}")
    done = run("--hypervisor", hypervisor, program("calls"), "10")
    assert (done.returncode, done.stdout) == (0, "10 calls\n")


# -- options --------------------------------------------------------------------------------------------------------


def test_environment(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.setenv("GONE", "1")
    done = run("-e", "NEW=a=b", "-e", "GONE", "--env", "EMPTY=", "env")
    lines = done.stdout.splitlines()
    assert {"KEPT=1", "NEW=a=b", "EMPTY="} <= set(lines)
    assert not [line for line in lines if line.startswith("GONE")]


def test_working_directory(run: Command) -> None:
    assert run("-w", "/work", "pwd").stdout == "/work\n"
    assert run("--workdir=/usr", "-e", "PWD", "pwd").stdout == "/usr\n"


def test_user(run: Command) -> None:
    script = ["sh", "-c", "echo $(id -u) $(id -g)"]
    assert run("-u", "12:34", *script).stdout == "12 34\n"
    assert run("-u", "12", *script).stdout == "12 12\n"


def test_volumes(run: Command, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_text("x")
    volumes = ["-v", f"{tmp_path}/inner:/ro:ro", "-v", f"{tmp_path}/inner/file:/a/single"]
    done = run(*volumes, "sh", "-c", "cat /ro/file /a/single; echo y > /ro/file; echo z > /work/inner/new")
    assert done.stdout == "xx"
    assert "Read-only" in done.stderr
    assert (tmp_path / "inner" / "new").read_text() == "z\n"


def test_a_root_of_ones_own(aionoah: Command, tmp_path: Path, compiled: Callable[..., Path]) -> None:

    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "calls").write_bytes(compiled("api/calls", STATIC).read_bytes())
    (tmp_path / "root" / "calls").chmod(0o755)
    done = aionoah("run", "--root", tmp_path / "root", "/calls", "2")
    assert (done.returncode, done.stdout) == (0, "2 calls\n")
    assert "/bin/true does not exist" in complaint(aionoah("run", "--root", tmp_path / "root", "/bin/true"))


def test_strace_to_stderr(run: Command) -> None:
    done = run("--strace", "/bin/echo", "hi")
    assert done.stdout == "hi\n"
    assert re.search(r'write\(1, "hi\\n", 3\) += 3', done.stderr)
    assert "exit_group(0" in done.stderr


@pytest.mark.parametrize("form", ["--strace=trace", "--strace=/dev/stdout"])
def test_strace_to_a_file(run: Command, tmp_path: Path, form: str) -> None:
    done = run(form, "--", "/bin/echo", "hi")
    text = (tmp_path / "trace").read_text() if form.endswith("trace") else done.stdout
    assert "execve" in text or "brk" in text
    assert "exit_group(0" in text
    assert done.stderr == ""


def test_strace_says_what_failed(run: Command) -> None:
    done = run("--strace", "cat", "/no/such/file")
    assert "ENOENT" in done.stderr
    assert '"/no/such/file"' in done.stderr


def test_python_m(tmp_path: Path) -> None:

    command = [sys.executable, "-m", "aionoah", "run", "--", "/bin/echo", "hi"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hi\n", "")


def test_many_processes_under_a_low_limit_of_descriptors(tmp_path: Path, aionoah: Command) -> None:
    line = (
        """ulimit -S -n 64; run sh -c 'ulimit -n; for i in $(seq 30); do sleep 0.3 & done; wait; echo done'"""
    )
    status, out, err = shell(tmp_path, line, aionoah)
    assert (status, out.splitlines()[-1], err) == (0, "done", "")
