"""Programs that give terminals of their own, or a prompt: screen, script, ssh, sqlite3."""

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from terminal.conftest import Scene, Screen

Same = Callable[[Scene, tuple[str, ...]], list[str]]
SHELL = ("bash", "--norc", "-i")


def _has_prompt(shown: str) -> bool:
    return shown.endswith("$")


def _enter(screen: Screen, line: str) -> None:
    screen.type(line)
    screen.press("Enter")


def test_screen(same: Same, tmp_path: Path) -> None:
    settings = tmp_path / "screenrc"
    settings.write_text("startup_message off\nshell /bin/sh\ncaption always '%n of %w'\n")
    (tmp_path / "sockets").mkdir(mode=0o700)

    def scene(screen: Screen) -> list[str]:
        screen.wait("0 of")
        _enter(screen, "echo one")
        seen = [screen.wait("\none\n$")]
        screen.press("C-a", "c")
        screen.wait(lambda shown: "1 of" in shown and shown[:1] in "$#" and shown[1:2] == "\n")
        _enter(screen, "stty size; echo two")
        seen.append(screen.wait("\ntwo\n$"))
        screen.press("C-a", "S")
        screen.wait(lambda shown: shown.count("1 of") == 1 and shown.count("\n") == 23)
        screen.press("C-a", "Tab")
        screen.press("C-a", "0")
        screen.wait(lambda shown: "0 of" in shown and "1 of" in shown)
        _enter(screen, "clear; stty size")
        seen.append(screen.wait("\n11 80\n$"))
        screen.press("C-a", "d")
        seen.append(screen.wait("status 0").partition("[detached")[0])
        return seen

    place = f"SCREENDIR={tmp_path}/sockets"
    same(scene, ("env", place, "sh", "-c", f"screen -c {settings}; screen -X quit >/dev/null; exit 0"))


def test_script(same: Same, tmp_path: Path) -> None:
    def scene(screen: Screen) -> list[str]:
        screen.wait(_has_prompt)
        _enter(screen, "tty >/dev/null && stty size")
        screen.wait("\n24 80\n$")
        _enter(screen, "sh -c 'echo ready; exec cat'")
        screen.wait("\nready")
        screen.type("abc")
        screen.wait("\nabc")
        screen.press("C-c")
        screen.wait(lambda shown: "abc^C" in shown and _has_prompt(shown))
        _enter(screen, "exit 5")
        seen = [screen.wait("status 5")]
        recorded = (tmp_path / "typescript").read_bytes()
        return [*seen, recorded.partition(b"\n")[2].rpartition(b"\nScript done")[0].decode()]

    same(scene, ("script", "-q", "-e", "-c", " ".join(SHELL), "typescript"))


def test_sqlite_with_readline(same: Same) -> None:
    def scene(screen: Screen) -> list[str]:
        screen.wait(lambda shown: shown.endswith("sqlite>"))
        _enter(screen, "create table numbers (n);")
        screen.wait("(n);\nsqlite>")
        _enter(screen, "insert into numbers values (6), (7);")
        screen.wait("(7);\nsqlite>")
        _enter(screen, "select sum(n)")
        screen.wait("...>")
        _enter(screen, "from numbers;")
        seen = [screen.wait("\n13\nsqlite>")]
        screen.press("Up", "Up", "Up")
        screen.wait("sqlite> insert into numbers values (6), (7);")
        screen.press("Enter")
        screen.wait(lambda shown: shown.count("(7);\nsqlite>") == 2)
        _enter(screen, "select count(*) from numbers;")
        seen.append(screen.wait("\n4\nsqlite>"))
        screen.press("C-d")
        return [*seen, screen.wait("status 0")]

    same(scene, ("sqlite3",))


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """The words of a client, and an sshd of the host for it."""
    place = tmp_path / "ssh"
    place.mkdir()
    for name in ("host", "user"):
        words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name)
        subprocess.run(words, check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": place / "host",
        "AuthorizedKeysFile": place / "user.pub",
        "PidFile": "none",
        "StrictModes": "no",
        "PermitRootLogin": "yes",
        "PrintMotd": "no",
        "PrintLastLog": "no",
    }
    (place / "sshd").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-e", "-f", place / "sshd"], stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        assert any("listening on" in line for line in iter(server.stderr.readline, ""))
        options = (f"-p{port}", f"-i{place}/user", "-F/dev/null", f"-oUserKnownHostsFile={place}/known")
        yield ("ssh", "-t", "-q", *options, "-oStrictHostKeyChecking=no", "127.0.0.1")
        server.terminate()


def test_ssh(same: Same, ssh: tuple[str, ...]) -> None:
    def scene(screen: Screen) -> list[str]:
        screen.wait(_has_prompt)
        _enter(screen, "tty >/dev/null && stty size")
        seen = [screen.wait("\n24 80\n$")]
        screen.resize(70, 20)
        _enter(screen, "sh -c 'echo ready; exec sleep 99'")
        screen.wait("\nready")
        screen.press("C-z")
        screen.wait("Stopped")
        _enter(screen, "bg; kill %1; wait; clear; stty size")
        seen.append(screen.wait("20 70\n$"))
        _enter(screen, "sh -c 'echo ready; exec cat'")
        screen.wait("\nready")
        screen.type("abc")
        screen.wait("\nabc")
        screen.press("C-c")
        seen.append(screen.wait(lambda shown: "abc^C" in shown and _has_prompt(shown)))
        _enter(screen, "exit 7")
        return [*seen, screen.wait("status 7")]

    same(scene, (*ssh, "env", "'PS1=$ '", "INPUTRC=/dev/null", *SHELL))
