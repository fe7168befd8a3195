"""What a user can get wrong: one sentence, the right status, never a traceback."""

import os
import shlex
import signal
import struct
import subprocess
from pathlib import Path

import pytest
from cli.conftest import AIONOAH, Command, complaint


def make(path: Path, content: bytes, mode: int = 0o755) -> None:
    path.write_bytes(content)
    path.chmod(mode)


def header(machine: int) -> bytes:
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    return (
        ident
        + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0x400000, 64, 0, 0, 64, 56, 1, 0, 0, 0)
        + bytes(56)
    )


@pytest.mark.parametrize("path", ["/no/such/file", "no-such-program", "/bin/true/more"])
def test_missing(run: Command, path: str) -> None:
    done = run("--", path)
    assert done.returncode in {126, 127}
    assert path in complaint(done)
    assert done.returncode == (126 if path == "/bin/true/more" else 127)


def test_an_image_in_place_of_the_program(aionoah: Command) -> None:
    """As those have it in their fingers who come from Docker; --rm goes without saying."""
    done = aionoah("run", "-i", "--rm", "debian:bookworm", "ls")
    assert done.returncode == 127
    assert complaint(done).endswith("; --image names an image.")


@pytest.mark.parametrize("path", ["/usr", "/etc/passwd", "/dev/null"])
def test_not_executable(run: Command, path: str) -> None:
    done = run("--", path)
    assert done.returncode == 126
    assert path in complaint(done)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not"),
        (b"\0\1\2\3", "not"),
        (b"just words\n", "not"),
        (b"\x7fELF", "ends"),
        (header(183), "aarch64 program"),
        (header(243), "riscv"),
        (header(62), "load"),
    ],
)
def test_not_a_program(run: Command, tmp_path: Path, content: bytes, words: str) -> None:
    make(tmp_path / "bad", content)
    done = run("/work/bad")
    assert done.returncode == 126
    assert complaint(done).startswith("/work/bad ")
    assert words in complaint(done)


def test_missing_interpreter(run: Command, tmp_path: Path) -> None:
    make(tmp_path / "script", b"#!/no/shell\n")
    done = run("/work/script")
    assert done.returncode == 127
    assert "/work/script needs the interpreter /no/shell, which does not exist" in complaint(done)


def test_missing_dynamic_loader(run: Command, tmp_path: Path) -> None:
    data = Path("/bin/true").read_bytes()
    make(tmp_path / "lost", data.replace(b"/lib64/ld-linux", b"/nope4/ld-linux", 1))
    done = run("/work/lost")
    assert done.returncode == 127
    assert "/nope4/ld-linux" in complaint(done)


@pytest.mark.parametrize("name", ["new\nline", "es\x1bcape", "ünicode", os.fsdecode(b"by\xfftes")])
def test_hostile_names(run: Command, name: str) -> None:
    done = run(f"/{name}")
    assert done.returncode == 127
    sentence = complaint(done)
    assert "\x1b" not in sentence
    assert ("ü" in name) == ("ü" in sentence)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--root", "/no/such/root"], "/no/such/root cannot be the root"),
        (["--root", "/bin/true"], "/bin/true cannot be the root"),
        (["--upper", "/bin/true"], "/bin/true cannot be the upper directory: Not a directory"),
        (["-v", "/usr:/"], "/usr cannot be mounted at /"),
        (["-v", "/usr:/etc/passwd"], "/usr cannot be mounted at /etc/passwd"),
        (["-v", "/etc/passwd:/usr"], "/etc/passwd cannot be mounted at /usr"),
        (["--hypervisor", "kvm", "--arch", "aarch64"], "aarch64"),
    ],
)
def test_an_instance_that_cannot_be(aionoah: Command, options: list[str], words: str) -> None:
    done = aionoah("run", *options, "--", "/bin/true")
    assert done.returncode == 125
    assert words in complaint(done)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-v", "/usr"], "HOST:GUEST"),
        (["-v", "/usr:"], "HOST:GUEST"),
        (["-v", ":/usr"], "HOST:GUEST"),
        (["-v", "/usr:relative"], "absolute"),
        (["-v", "/usr:/x:rx"], "ro"),
        (["-v", "/no/such/place:/x"], "/no/such/place does not exist"),
        (["-u", "root"], "numbers"),
        (["-u", "-1"], "numbers"),
        (["-u", "1:"], "numbers"),
        (["-u", "1:2:3"], "numbers"),
        (["-u", "4294967296"], "4294967294"),
        (["-u", ""], "numbers"),
        (["-e", "=x"], "NAME"),
        (["-e", ""], "NAME"),
        (["--hypervisor", "xen"], "xen"),
        (["--arch", "m68k"], "m68k"),
        (["--strace=/no/such/directory/file"], "cannot be written"),
        (["--no-such-option"], "--no-such-option"),
        (["-v"], "-v"),
        (["-p", "99:x"], "write [ADDRESS:]HOST:GUEST[/udp]"),
        (["-p", "99:1/sctp"], "tcp or udp"),
        (["-p", "99:1/udp", "-p", "99:2/udp"], "port 99 of 127.0.0.1 cannot lead to two ports"),
        (["-p", "99:1", "-p", "99:2"], "port 99 of 127.0.0.1 cannot lead to two ports"),
        (["--net", "host", "-p", "8099:80"], "need --net private"),
        (["--net", "loopback", "--allow", "*"], "reaches nothing outside"),
        (["--allow", "bad rule"], "is no rule"),
        (["--add-host", "db"], "write NAME:ADDRESS"),
        (["--add-host", "db:nowhere"], "nowhere"),
    ],
)
def test_bad_options(aionoah: Command, options: list[str], words: str) -> None:
    done = aionoah("run", *options, *([] if options == ["-v"] else ["--", "/bin/true"]))
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert words in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("display", "words"), [("", "DISPLAY is not set"), ("far:away", "no name of an X server")]
)
def test_no_screen(aionoah: Command, display: str, words: str) -> None:
    done = aionoah("run", "--x11", "--", "/bin/true", env=os.environ | {"DISPLAY": display})
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1]


def test_a_program_is_named(aionoah: Command) -> None:
    for words in (["run"], ["run", "--"], ["exec", "box"], ["exec", "box", "--"]):
        done = aionoah(*words)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1] == "Error: Name a PROGRAM to run."


def test_a_bad_directory(run: Command) -> None:
    done = run("-w", "/no/such/directory", "/bin/true")
    assert done.returncode == 127
    assert "/no/such/directory cannot be the working directory" in complaint(done)


@pytest.mark.parametrize("arguments", [["run"], ["run", "--"], ["walk"], ["--no-such-option"]])
def test_no_command(aionoah: Command, arguments: list[str]) -> None:
    done = aionoah(*arguments)
    assert done.returncode == 2
    assert "Usage:" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_name(run: Command) -> None:
    done = run("--", "")
    assert done.returncode == 127
    assert "does not exist" in complaint(done)


def test_too_many_arguments(run: Command) -> None:
    done = run("/bin/true", *["x" * 100_000] * 15, preexec_fn=_unlimited_stack)
    if done.returncode == 126:
        assert "Argument list too long" in complaint(done)
    else:
        assert done.returncode == 0


def _unlimited_stack() -> None:
    import resource

    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))


@pytest.mark.parametrize(
    "words", [["images"], ["syscalls"], ["doctor"], ["--help"], ["run", "-t", "--", "echo"]]
)
def test_output_without_room(aionoah: Command, words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = aionoah(*words, stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert done.returncode != 0
    assert done.stderr == "aionoah: the output cannot be written: No space left on device.\n"


def test_a_trace_without_room(aionoah: Command) -> None:
    """The program does not suffer from it."""
    done = aionoah(
        "run",
        "--strace=/dev/full",
        "--",
        "sh",
        "-c",
        "ls -lR /usr/include/linux >/dev/null; echo out; exit 3",
    )
    assert done.returncode == 3
    assert done.stdout == "out\n"
    assert done.stderr == "aionoah: /dev/full cannot be written: No space left on device.\n"


@pytest.mark.parametrize("words", [["run", "--", "yes"], ["syscalls"], ["run", "--help"]])
def test_readers_that_leave(aionoah: Command, words: list[str], tmp_path: Path) -> None:
    line = shlex.join([str(AIONOAH), *words])
    done = subprocess.run(["bash", "-c", f"{line} | head -n 1"], capture_output=True, text=True, check=False)
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_no_kvm(aionoah: Command, tmp_path: Path) -> None:
    """A sentence that says what to do, or the other hypervisor if none was asked for."""
    script = 'mount --bind /dev/null /dev/kvm && exec "$@"'
    for options, status in (((), 0), (("--hypervisor", "kvm"), 125)):
        words = [
            "unshare",
            "-rm",
            "sh",
            "-c",
            script,
            "sh",
            AIONOAH,
            "run",
            *options,
            "--",
            "/bin/echo",
            "hi",
        ]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        if status:
            assert "KVM" in complaint(done)


def test_an_interrupt_while_it_starts() -> None:
    """It ends at once, as by the signal, and says nothing."""
    words = [AIONOAH, "run", "--", "sleep", "60"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while "uvloop" not in Path(f"/proc/{process.pid}/maps").read_text():
            pass
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=200)
    assert process.returncode in {130, -signal.SIGINT}
    assert errors == ""
