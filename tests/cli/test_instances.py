"""Instances with names: daemons, what can be asked of them, and what happens to them."""

import json
import os
import signal
import socket
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import AIONOAH, Command, complaint
from cli.test_terminal import Terminal

from aionoah.instances.client import Connection
from aionoah.instances.place import Place, holder, places

_PATIENCE = 200  # seconds until what does not come counts as a failure
_SERVER = "echo hello; echo oops >&2; while :; do sleep 1000; done"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("AIONOAH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    yield tmp_path / "home" / "instances"
    for place in places():
        if pid := holder(place):
            os.kill(pid, signal.SIGKILL)


def listed(aionoah: Command) -> list[dict[str, Any]]:
    done = aionoah("ps", "-a", "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + _PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.02)
    return found


def detach(aionoah: Command, *words: str, name: str = "box") -> dict[str, Any]:
    done = aionoah("run", "--name", name, "--detach", "--stop-timeout", "200", *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{name}\n", "")
    return next(each for each in listed(aionoah) if each["name"] == name)


def test_a_daemon_has_nothing_of_its_caller(aionoah: Command) -> None:
    terminal = Terminal()
    try:
        terminal.start(AIONOAH, "run", "--name", "box", "--detach", "--", "sh", "-c", _SERVER).wait()
        pid = listed(aionoah)[0]["pid"]
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        assert (status[1], status[4]) == ("1", "0"), "an orphan without a terminal"
        assert int(status[3]) not in (pid, os.getsid(0)), "in another session, which it does not lead"
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert not [fd for fd in Path(f"/proc/{pid}/fd").iterdir() if os.readlink(fd).startswith("/dev/pts")]
        os.kill(pid, signal.SIGHUP)
    finally:
        terminal.close()  # hangs up
    assert aionoah("exec", "box", "--", "true").returncode == 0


def test_a_life(aionoah: Command, home: Path) -> None:
    """What it has changed stays until it is removed."""
    shown = detach(aionoah, "--", "sh", "-c", _SERVER)
    assert shown["status"] == "running"
    assert shown["command"] == ["sh", "-c", _SERVER]
    assert Path(f"/proc/{shown['pid']}").exists()
    assert aionoah("exec", "box", "--", "sh", "-c", "echo kept >/var/tmp/note").returncode == 0
    assert aionoah("exec", "box", "--", "ls", "-A", home).stderr.startswith("ls: cannot access")

    again = aionoah("run", "--name", "box", "-d", "--", "true")
    assert "there is an instance box already" in complaint(again)
    assert complaint(aionoah("start", "box")) == "box is running already."
    assert "`aionoah stop box` first" in complaint(aionoah("rm", "box"))

    assert aionoah("stop", "box").stdout == "box\n"
    (stopped,) = listed(aionoah)
    assert (stopped["status"], stopped["exit_status"], stopped["pid"]) == ("exited", 143, 0)
    assert "box" not in aionoah("ps").stdout
    assert complaint(aionoah("exec", "box", "--", "true")) == "box is not running: `aionoah start box`."

    assert aionoah("restart", "box").returncode == 0
    assert aionoah("exec", "box", "--", "cat", "/var/tmp/note").stdout == "kept\n"
    pid = listed(aionoah)[0]["pid"]
    assert aionoah("rm", "-f", "box").returncode == 0
    assert list(home.iterdir()) == []
    until(lambda: not Path(f"/proc/{pid}").exists())  # it has given everything back, and ends
    assert complaint(aionoah("logs", "box")).startswith("there is no instance box")


def test_logs(aionoah: Command) -> None:
    detach(aionoah, "--", "sh", "-c", f"trap 'echo more' USR1; {_SERVER.replace('1000', '1000 & wait')}")
    done = until(lambda: all(((done := aionoah("logs", "box")).stdout, done.stderr)) and done)
    assert (done.stdout, done.stderr) == ("hello\n", "oops\n")
    assert aionoah("logs", "--tail", "0", "box").stdout == ""
    assert aionoah("logs", "--since", "2020-01-01", "-t", "box").stdout.endswith("Z hello\n")
    follower = subprocess.Popen(
        [AIONOAH, "logs", "-f", "box"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    vanishing = subprocess.Popen(
        [AIONOAH, "logs", "-f", "box"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert follower.stdout is not None
    assert vanishing.stdout is not None
    assert (follower.stdout.readline(), vanishing.stdout.readline()) == (b"hello\n", b"hello\n")
    assert aionoah("kill", "-s", "USR1", "box").returncode == 0
    assert (follower.stdout.readline(), vanishing.stdout.readline()) == (b"more\n", b"more\n")
    vanishing.kill()
    vanishing.communicate()
    assert aionoah("stop", "-t", "0", "box").returncode == 0  # the follower sees the end
    assert follower.stdout.read() == b""
    assert follower.wait() == 0
    follower.stdout.close()
    assert aionoah("restart", "box").returncode == 0
    assert aionoah("logs", "box").stdout.startswith("hello\nmore\n")


def test_a_crash_is_followed_by_a_restart(aionoah: Command) -> None:
    shown = detach(aionoah, "--restart", "on-failure:1", "--", "sh", "-c", "echo $$; sleep 1000")
    aionoah("exec", "box", "--", "sh", "-c", "kill -9 2")
    again = until(
        lambda: [each for each in listed(aionoah) if each["restarts"] and each["status"] == "running"]
    )[0]
    assert (again["pid"], again["restarts"]) == (shown["pid"], 1)
    assert aionoah("kill", "-s", "SEGV", "box").stdout == "box\n"
    given_up = until(lambda: [each for each in listed(aionoah) if each["status"] == "exited"])[0]
    assert given_up["exit_status"] == 139
    assert "killed by signal 9: starting it again in 0.1 s" in aionoah("logs", "box").stderr
    assert complaint(aionoah("kill", "box")) == "box is not running: `aionoah start box`."


def test_a_killed_daemon(aionoah: Command, home: Path, tmp_path: Path) -> None:
    shown = detach(aionoah, "--", "sleep", "1000")
    aionoah("exec", "box", "--", "sh", "-c", "echo kept >/var/tmp/note")
    os.kill(shown["pid"], signal.SIGKILL)
    until(lambda: holder(Place("box")) is None)
    assert listed(aionoah)[0]["status"] == "dead"
    assert complaint(aionoah("exec", "box", "--", "true")) == "box is not running: `aionoah start box`."
    assert aionoah("stop", "box").returncode == 0
    assert aionoah("start", "box").stdout == "box\n"
    assert aionoah("exec", "box", "--", "cat", "/var/tmp/note").stdout == "kept\n"
    os.kill(listed(aionoah)[0]["pid"], signal.SIGKILL)
    until(lambda: holder(Place("box")) is None)
    (sockets,) = (tmp_path / "run").iterdir()
    assert list(sockets.iterdir())
    assert aionoah("rm", "box").returncode == 0
    assert list(home.iterdir()) == list(sockets.iterdir()) == []


def test_a_socket_that_has_vanished_comes_back(aionoah: Command, tmp_path: Path) -> None:
    detach(aionoah, "--", "sleep", "1000")
    (path,) = (tmp_path / "run" / "aionoah").iterdir()
    path.unlink()
    path.parent.rmdir()
    assert aionoah("exec", "box", "--", "echo", "there").stdout == "there\n"


def test_the_daemon_stops_at_sigterm(aionoah: Command) -> None:
    pid = detach(aionoah, "--restart", "always", "--", "sleep", "1000")["pid"]
    os.kill(pid, signal.SIGTERM)
    until(lambda: holder(Place("box")) is None)
    assert listed(aionoah)[0]["exit_status"] == 143


def test_no_patience(aionoah: Command) -> None:
    """None is not the same as nothing said: systemd waits for ten seconds more than the instance does."""
    assert aionoah("run", "--name", "box", "--stop-timeout", "0", "--", "true").returncode == 0
    assert "TimeoutStopSec=10\n" in aionoah("unit", "--systemd", "box").stdout


def test_systemd_hears_of_it(aionoah: Command, tmp_path: Path) -> None:
    detach(aionoah, "--restart", "unless-stopped", "--", "sleep", "1000")
    assert "start" in aionoah("unit", "box").stdout
    assert aionoah("stop", "box").returncode == 0
    assert aionoah("start", "--all").stdout == "", "it has been stopped"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(_PATIENCE)
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        server = subprocess.Popen([AIONOAH, "start", "--foreground", "box"], env=environment)
        while manager.recv(1000) != b"READY=1":
            pass
        assert aionoah("exec", "box", "--", "sh", "-c", "echo $NOTIFY_SOCKET").stdout == "\n"
        server.terminate()
        assert server.wait() == 143
    assert aionoah("start", "--all").stdout == "box\n", "it was the system that has stopped it"


def test_exec(aionoah: Command) -> None:
    detach(aionoah, "-e", "COLOR=blue", "-w", "/usr", "--", "sleep", "1000")
    text = "cat; pwd; echo $COLOR $SIZE; id -u; echo bad >&2; exit 7"
    done = aionoah("exec", "-e", "SIZE=big", "box", "sh", "-c", text, input="typed\n")
    assert (done.stdout, done.stderr, done.returncode) == (
        f"typed\n/usr\nblue big\n{os.getuid()}\n",
        "bad\n",
        7,
    )
    done = aionoah(
        "exec", "-u", "daemon", "-w", "/etc", "-e", "COLOR", "box", "sh", "-c", "id -un; pwd; echo [$COLOR]"
    )
    assert done.stdout == "daemon\n/etc\n[]\n"
    assert aionoah("exec", "box", "--", "sh", "-c", "kill -9 $$").returncode == 137
    for words, status in ((("nosuch",), 127), (("/etc/passwd",), 126), (("-u", "nobody-here", "true"), 125)):
        done = aionoah("exec", *words[:-1], "box", words[-1])
        assert complaint(done)
        assert done.returncode == status
    sleeper = subprocess.Popen(
        [AIONOAH, "exec", "box", "sh", "-c", "echo; exec sleep 999"], stdout=subprocess.PIPE
    )
    assert sleeper.stdout is not None
    sleeper.stdout.readline()
    sleeper.terminate()
    assert sleeper.wait() == 143
    sleeper.stdout.close()


def test_a_client_that_vanishes_takes_its_program_along(aionoah: Command) -> None:
    detach(aionoah, "--", "sleep", "1000")
    client = subprocess.Popen(
        [AIONOAH, "exec", "box", "sh", "-c", "echo; exec sleep 999"],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert client.stdout is not None
    client.stdout.readline()
    client.kill()
    client.wait()
    until(lambda: "sleep 999" not in aionoah("exec", "box", "--", "ps", "ax").stdout)
    client.stdout.close()


def test_closed_streams(aionoah: Command) -> None:
    """No file of ours gets their numbers."""

    def closed(words: str) -> int:
        return subprocess.call(["sh", "-c", f"exec {AIONOAH} {words} <&- >&- 2>&-"], timeout=_PATIENCE)

    assert closed("run --name box -d -- sleep 1000") == 0
    assert closed("restart -t 0 box") == 0
    assert closed("exec box -- sh -c 'cat && exit 5; echo out || exit 3'") == 3


def test_exec_at_a_terminal(aionoah: Command) -> None:
    detach(aionoah, "--", "sleep", "1000")
    terminal = Terminal()
    try:
        traps = "trap 'echo caught' INT; trap 'stty size; exit 5' WINCH"
        text = f"{traps}; tty; stty size; while :; do sleep 0.1; done"
        process = terminal.start(AIONOAH, "exec", "box", "--", "sh", "-c", text)
        assert b"/dev/pts/" in terminal.wait(b"30 100")
        terminal.type(b"\x03")
        terminal.wait(b"caught")
        termios.tcsetwinsize(terminal.slave, (20, 50))
        process.send_signal(signal.SIGWINCH)  # it is not the session's terminal
        terminal.wait(b"20 50")
        assert process.wait(_PATIENCE) == 5
        terminal.wait_until_restored()
        process = terminal.start(AIONOAH, "exec", "box", "--", "sh", "-c", "echo ready; cat")
        terminal.wait(b"ready")
        process.kill()  # the terminal is put right, and the program hears of it
        process.wait()
        terminal.wait_until_restored()
        until(lambda: " cat" not in aionoah("exec", "box", "--", "ps", "ax").stdout)
    finally:
        terminal.close()


def test_an_instance_in_the_foreground(aionoah: Command) -> None:
    done = aionoah(
        "run", "--name", "box", "--", "sh", "-c", "cat; echo kept >/var/tmp/note; exit 4", input="in\n"
    )
    assert (done.stdout, done.returncode) == ("in\n", 4)
    assert (listed(aionoah)[0]["status"], listed(aionoah)[0]["exit_status"]) == ("exited", 4)
    assert aionoah("run", "--name", "other", "--rm", "--", "true").returncode == 0
    assert [each["name"] for each in listed(aionoah)] == ["box"]
    runner = subprocess.Popen(
        [
            AIONOAH,
            "run",
            "--name",
            "third",
            "--stop-timeout",
            "200",
            "--",
            "sh",
            "-c",
            "echo; exec sleep 1000",
        ],
        stdout=subprocess.PIPE,
    )
    assert runner.stdout is not None
    runner.stdout.readline()
    assert aionoah("exec", "third", "--", "echo", "in it").stdout == "in it\n"
    assert aionoah("stop", "third").returncode == 0
    assert runner.wait() == 143
    runner.stdout.close()


def test_what_cannot_be_started_is_not_kept(aionoah: Command, home: Path) -> None:
    for words, status in (
        (("--", "nosuch"), 127),
        (("--", "/etc/passwd"), 126),
        (("--root", "/nowhere", "x"), 125),
    ):
        for detached in (("--detach",), ()):
            done = aionoah("run", "--name", "box", *detached, *words)
            assert complaint(done)
            assert done.returncode == status
            assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "--detach", "true"], "--detach needs --name"),
        (["run", "--stop-signal", "INT", "true"], "--stop-signal needs --name"),
        (["run", "--name", "../../etc", "true"], "cannot be a name"),
        (["run", "--name", "x", "--restart", "always", "true"], "--restart needs --detach"),
        (["run", "--name", "x", "-d", "--restart", "often", "true"], "is no restart policy"),
        (["run", "--name", "x", "-d", "--stop-signal", "BOOM", "true"], "is no signal"),
        (["run", "--name", "x", "-d", "--strace", "true"], "needs a file"),
        (["run", "--name", "x", "-d", "--health-retries", "2", "true"], "needs --health-cmd"),
        (
            ["run", "--name", "x", "-d", "--health-cmd", "x", "--health-interval", "soon", "true"],
            "is no time",
        ),
        (["run", "--name", "x", "-d"], "Name a PROGRAM"),
        (["exec", "../../etc", "true"], "cannot be a name"),
        (["rm", "/etc"], "cannot be a name"),
        (["logs", "--tail", "x", "box"], "no number of lines"),
        (["logs", "--since", "soon", "box"], "no time"),
        (["start", "ghost"], "there is no instance ghost"),
        (["stop", "ghost"], "there is no instance ghost"),
        (["exec", "ghost", "true"], "there is no instance ghost"),
    ],
)
def test_what_makes_no_sense(aionoah: Command, home: Path, words: list[str], expected: str) -> None:
    done = aionoah(*words)
    assert expected in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.returncode != 0
    assert not home.exists() or not list(home.iterdir())


def test_other_versions_and_garbage(aionoah: Command) -> None:
    detach(aionoah, "--", "sleep", "1000")
    with Connection(Place("box")) as connection:
        connection.send({"protocol": 99, "op": "exec"})
        with pytest.raises(Exception, match="`aionoah restart box`"):
            connection.answer()
    path = json.loads(Place("box").state.read_bytes())["socket"]
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(path)
        other.sendall(os.urandom(1000) + b"\n")
        assert b"does not understand" in other.recv(1000)
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(path)
        other.sendall(b'{"protocol": 1, "op": "exec", "command": ["true"]}\n')
        assert b"descriptors are missing" in other.recv(1000)
    record = json.loads(Place("box").spec.read_bytes())
    assert aionoah("stop", "box").returncode == 0
    Place("box").spec.write_text(json.dumps(record | {"format": 99}))
    assert "another version" in complaint(aionoah("start", "box"))
    assert aionoah("ps", "-a").returncode == 0
    assert aionoah("rm", "box").returncode == 0
