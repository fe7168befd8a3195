"""`aionoah run` and `aionoah shell` at a terminal: what the program has, and how the caller's is left."""

import contextlib
import os
import select
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from cli.conftest import AIONOAH, Command

from aionoah.cli.shell import find_account

_PATIENCE = 200  # seconds until what does not come counts as a failure


class Terminal:
    """A terminal of the host, with a command on it that leads a session."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        termios.tcsetwinsize(self.slave, (30, 100))
        self.before = termios.tcgetattr(self.slave)
        self.shown = b""

    def start(self, *words: str | Path, errors: int | None = None) -> "subprocess.Popen[bytes]":
        self.process = subprocess.Popen(
            words,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave if errors is None else errors,
            start_new_session=True,
        )
        return self.process

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    def wait(self, expected: bytes) -> bytes:
        """All that has been shown since the last time, with what is expected at last."""
        end = time.monotonic() + _PATIENCE
        while expected not in self.shown:
            ready, _, _ = select.select([self.master], [], [], max(end - time.monotonic(), 0))
            assert ready, f"{expected!r} did not come after {self.shown!r}"
            self.shown += os.read(self.master, 65536)
        shown, self.shown = self.shown, b""
        return shown

    def wait_until_restored(self) -> None:
        end = time.monotonic() + _PATIENCE
        while termios.tcgetattr(self.slave) != self.before:
            assert time.monotonic() < end, "the terminal is still not as it was"
            time.sleep(0.01)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


def _guest(*words: str) -> Sequence[str | Path]:
    return [AIONOAH, "run", "--", *words]


def test_a_program_gets_a_terminal_of_its_own(terminal: Terminal) -> None:
    process = terminal.start(*_guest("sh", "-c", "tty; stty size; ls -l /dev/console >&2; exit 5"))
    shown = terminal.wait(b"/dev/console")
    assert shown.startswith(b"/dev/pts/0\r\n30 100\r\n")
    assert process.wait(_PATIENCE) == 5
    terminal.wait_until_restored()


def test_errors_may_go_elsewhere(terminal: Terminal, tmp_path: Path) -> None:
    with (tmp_path / "errors").open("w") as file:
        process = terminal.start(*_guest("sh", "-c", "tty <&2; echo out"), errors=file.fileno())
    assert terminal.wait(b"out\r\n") == b"not a tty\r\nout\r\n"
    assert process.wait(_PATIENCE) == 0


def test_the_window_is_followed(terminal: Terminal) -> None:
    terminal.start(*_guest("bash", "-c", "trap 'stty size' WINCH; echo up; while :; do sleep 0.1; done"))
    terminal.wait(b"up")
    termios.tcsetwinsize(terminal.slave, (7, 33))
    terminal.process.send_signal(signal.SIGWINCH)
    terminal.wait(b"7 33")


def test_control_characters_are_the_programs(terminal: Terminal) -> None:
    process = terminal.start(
        *_guest("sh", "-c", "trap 'echo caught; exit 9' INT; echo up; while :; do sleep 1; done")
    )
    terminal.wait(b"up")
    terminal.type(b"\x03")
    assert b"^C" in terminal.wait(b"caught")
    assert process.wait(_PATIENCE) == 9


@pytest.mark.parametrize("program", ["exit 0", "kill -9 $$", "kill -SEGV $$"])
def test_the_callers_terminal_is_put_right_after_the_program(terminal: Terminal, program: str) -> None:
    process = terminal.start(*_guest("sh", "-c", f"stty raw -echo; echo up; read x; {program}"))
    terminal.wait(b"up")
    assert termios.tcgetattr(terminal.slave) != terminal.before
    terminal.type(b"\n")
    process.wait(_PATIENCE)
    terminal.wait_until_restored()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGTERM, signal.SIGHUP])
def test_the_callers_terminal_is_put_right_after_us(terminal: Terminal, number: signal.Signals) -> None:
    process = terminal.start(*_guest("sh", "-c", "echo up; sleep 100"))
    terminal.wait(b"up")
    process.send_signal(number)
    process.wait(_PATIENCE)
    terminal.wait_until_restored()


def test_a_terminal_that_vanishes_hangs_the_program_up(tmp_path: Path) -> None:
    terminal = Terminal()
    script = f"trap 'echo gone > {tmp_path}/mark; exit' HUP; echo up; while :; do sleep 0.1; done"
    process = terminal.start(AIONOAH, "run", "-v", f"{tmp_path}:{tmp_path}", "--", "bash", "-c", script)
    terminal.wait(b"up")
    os.close(terminal.slave)
    os.close(terminal.master)
    process.wait(_PATIENCE)
    assert (tmp_path / "mark").read_text() == "gone\n"


def test_no_terminal_for_pipes(run: Command) -> None:
    done = run("--", "sh", "-c", "tty; ps -o tty= -p $$")
    assert done.stdout == "not a tty\n?\n"


def test_a_terminal_that_is_asked_for(run: Command) -> None:
    done = run("-t", "--", "sh", "-c", "tty; stty size; cat", input="typed\n")
    lines = done.stdout.splitlines()
    lines.remove("typed")  # the echo, which comes when it is typed
    assert lines == ["/dev/pts/0", "24 80", "typed"]


def test_none_that_is_refused(terminal: Terminal) -> None:
    terminal.start(AIONOAH, "run", "-T", "--", "sh", "-c", "ls /dev/pts; echo up")
    assert terminal.wait(b"up").startswith(b"ptmx")


# -- terminals that behave badly ------------------------------------------------------------------------


def test_the_screen_is_put_right_after_us(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    process = terminal.start(*_guest("sh", "-c", r"printf '\033[?1049h\033[?25lup'; sleep 100"))
    terminal.wait(b"up")
    process.kill()
    shown = terminal.wait(b"\x1b[0m\r\n")
    assert b"\x1b[?47l\x1b[?25h" in shown
    terminal.wait_until_restored()


def test_a_stop_and_a_continuation(terminal: Terminal) -> None:
    """The terminal is raw again, and the program is told to paint anew."""
    script = "trap 'echo anew' WINCH; stty -echo; echo up; while :; do sleep 0.1; done"
    process = terminal.start(*_guest("bash", "-c", script))
    terminal.wait(b"up")
    raw = termios.tcgetattr(terminal.slave)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    termios.tcsetattr(terminal.slave, termios.TCSANOW, terminal.before)  # as a shell does then
    process.send_signal(signal.SIGCONT)
    terminal.wait(b"anew")
    assert termios.tcgetattr(terminal.slave) == raw


def test_a_window_without_a_size(terminal: Terminal) -> None:
    terminal.start(*_guest("sh", "-c", "while stty size; do sleep 0.1; done"))
    terminal.wait(b"30 100\r\n")
    termios.tcsetwinsize(terminal.slave, (0, 0))
    terminal.process.send_signal(signal.SIGWINCH)
    terminal.wait(b"\r\n0 0\r\n")
    termios.tcsetwinsize(terminal.slave, (1, 1))
    terminal.process.send_signal(signal.SIGWINCH)
    terminal.wait(b"\r\n1 1\r\n")


def test_a_flood_of_garbage(terminal: Terminal) -> None:
    """Nothing is lost of what is typed faster than the program reads, whatever it is."""
    garbage = os.urandom(500_000)
    script = f"stty raw -echo; echo up; sleep 0.3; head -c {len(garbage)} | cksum"
    terminal.start(*_guest("sh", "-c", script))
    terminal.wait(b"up")
    writer = threading.Thread(target=_type_all, args=(terminal.master, garbage))
    writer.start()
    native = subprocess.run(["cksum"], input=garbage, capture_output=True, check=True).stdout.strip()
    terminal.wait(native)
    writer.join()


def _type_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def test_garbage_for_a_shell(terminal: Terminal) -> None:
    """Whatever is typed, what comes behind it is read."""
    terminal.start(*_guest("sh", "-c", "stty -echo -isig -ixon; echo up; cat -v; stty sane; echo down"))
    terminal.wait(b"up")
    every = bytes(set(range(256)) - {4})  # all but the end of the file
    for _ in range(20):
        terminal.type(every + b"\n")
    terminal.type(b"the end\n")
    terminal.wait(b"the end\r\n")
    terminal.type(b"\x04")
    terminal.wait(b"down")


# -- aionoah shell --------------------------------------------------------------------------------------


def test_a_login_shell(terminal: Terminal) -> None:
    terminal.start(AIONOAH, "shell", "-e", "HOME=/tmp", "-u", "0")
    terminal.type(b'shopt -q login_shell && echo login; echo "$HOME $USER $SHELL"; exit 4\n')
    shown = terminal.wait(b"exit 4\r\n") + terminal.wait(b"logout")
    assert terminal.process.wait(_PATIENCE) == 4
    assert b"login\r\n/tmp root /bin/bash" in shown


def test_accounts_of_a_root(tmp_path: Path) -> None:
    assert find_account(str(tmp_path), 7, None) == ("7", 7, 7, "/", "/bin/sh")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(
        "broken\nx:x:1:no:::\nann:x:7:8:Ann:/home/ann:/bin/zsh\nbob:x:9:9:::\n"
    )
    assert find_account(str(tmp_path), 7, None) == ("ann", 7, 8, "/home/ann", "/bin/zsh")
    assert find_account(str(tmp_path), 7, 5) == ("ann", 7, 5, "/home/ann", "/bin/zsh")
    assert find_account(str(tmp_path), 9, None) == ("bob", 9, 9, "/", "/bin/sh")
    for make in (lambda path: path.symlink_to("/dev/zero"), os.mkfifo):
        (tmp_path / "etc/passwd").unlink()
        make(tmp_path / "etc/passwd")
        assert find_account(str(tmp_path), 9, None) == ("9", 9, 9, "/", "/bin/sh")
