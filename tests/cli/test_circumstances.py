"""Users whose home, directory, streams or numbers are not as usual: a sentence at the worst, never a traceback."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.conftest import AIONOAH, Command, complaint

from aionoah.cli import named_run
from aionoah.instances.keeping import make
from aionoah.instances.place import Place
from aionoah.instances.spec import Spec
from aionoah.instances.state import State, write_state

_SPEC = Spec("box", ["server", os.fsdecode(b"by\xfftes \x1b[31mred")], {}, {}, [], "/")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIONOAH_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "instances"


@pytest.mark.parametrize(
    "words",
    [
        *(["ps"], ["images"], ["logs", "x"], ["rm", "x"], ["start", "--all"], ["exec", "x", "true"]),
        *(["run", "--name", "x", "-d", "true"], ["run", "--image", "x", "true"], ["import", "/etc/passwd"]),
    ],
    ids=" ".join,
)
def test_no_home(aionoah: Command, tmp_path: Path, words: list[str]) -> None:
    """As in a container whose user has no account."""
    if os.geteuid():
        pytest.skip("needs root, to become a user without an account")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    as_nobody = ["setpriv", "--reuid=61234", "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    done = subprocess.run(
        [*as_nobody, AIONOAH, *words],
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "this user has no home: set HOME or AIONOAH_HOME" in complaint(done)
    assert done.returncode == 125


def test_no_directory(aionoah: Command, tmp_path: Path) -> None:
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$0" run --name box -d -- true'
    done = subprocess.run(
        ["sh", "-c", script, AIONOAH], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert complaint(done) == "the working directory has been removed."
    assert aionoah("ps", "-a").stdout.count("\n") == 1


@pytest.fixture
def box() -> Iterator[Place]:
    place = make(_SPEC)
    write_state(place, State("exited", 1.0, exit_status=0))
    place.logs.mkdir()
    (place.logs / "00000001.log").write_text(
        "2026-01-01T00:00:00Z stdout F out\n2026-01-01T00:00:00Z stderr F err\n"
    )
    yield place
    place.directory.chmod(0o700)


def test_what_is_not_utf8(aionoah: Command, box: Place) -> None:
    """A terminal is not painted red by the names of commands, and one that is strict prints them too."""
    done = aionoah("ps", "-a", env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("server by\\xfftes \\x1b[31mred\n")
    done = aionoah("unit", box.name, env=os.environ | {"AIONOAH_HOME": os.environ["AIONOAH_HOME"]})
    assert done.returncode == 0


@pytest.mark.parametrize(("closed", "seen"), [(">&-", "err\n"), ("2>&-", "out\n"), (">&- 2>&-", "")])
def test_logs_for_closed_streams(box: Place, closed: str, seen: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$0" logs box {closed}', AIONOAH], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, seen)


_MANY = "9" * 5000


@pytest.mark.parametrize(
    "words",
    [
        *(
            ["logs", "--tail", _MANY, "box"],
            ["logs", "--since", f"{_MANY}d", "box"],
            ["stop", "-t", _MANY, "box"],
        ),
        *(["run", option, _MANY, "true"] for option in ("--memory", "-u", "--pids")),
        ["run", "-p", f"{_MANY}:1", "true"],
        *(["run", "--name", "x", option, _MANY, "true"] for option in ("--stop-timeout", "--log-size")),
        ["run", "--name", "x", "-d", "--restart", f"on-failure:{_MANY}", "true"],
        ["import", "--limit", _MANY, "/dev/null", "x"],
    ],
    ids=lambda words: " ".join(words).replace(_MANY, "N"),
)
def test_numbers_beyond_all_measure(aionoah: Command, words: list[str]) -> None:
    done = aionoah(*words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "Exceeds the limit" not in done.stderr


def test_as_many_lines_as_there_are(aionoah: Command, box: Place) -> None:
    assert aionoah("logs", "--tail", "9" * 18, "box").stdout == "out\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-v", ":/mnt"], "-v :/mnt: write HOST:GUEST"),
        (["-v", "foo"], "-v foo: write HOST:GUEST"),
        (["-v", "/no/such/place:/x"], "/no/such/place does not exist"),
        (["-u", "bob"], "in numbers"),
        (["-p", "x"], "write [ADDRESS:]HOST:GUEST[/udp]"),
        (["--rw", "--read-only"], "exclude each other"),
    ],
)
def test_bad_options_of_what_is_to_be_kept(
    aionoah: Command, home: Path, options: list[str], words: str
) -> None:
    """They are found before anything is made, and named as they were written."""
    for detached in ([], ["-d"]):
        done = aionoah("run", "--name", "box", *detached, *options, "true")
        assert done.returncode == 2
        assert words in done.stderr.splitlines()[-1]
        assert not home.exists()


def test_one_that_cannot_be_read_does_not_hide_the_others(aionoah: Command, box: Place, home: Path) -> None:
    make(_SPEC._replace(name="other", command=["quiet"]))
    box.lock.mkdir()
    found = {
        each["name"]: each for each in map(json.loads, aionoah("ps", "-a", "--json").stdout.splitlines())
    }
    assert set(found) == {"box", "other"}
    assert found["box"]["status"] == "dead"
    assert "lock cannot be used: Is a directory" in found["box"]["error"]


@pytest.mark.parametrize("has_run", [False, True])
def test_an_interrupt_of_what_is_to_be_kept(
    monkeypatch: pytest.MonkeyPatch, home: Path, has_run: bool
) -> None:
    """It is not kept if it has not run; what it has changed is, if it has."""

    class Interrupted:
        has_started = has_run

        def __init__(self, *_: object) -> None: ...

        async def run(self, _: object) -> int:
            raise KeyboardInterrupt

    monkeypatch.setattr(named_run, "Service", Interrupted)
    place = make(_SPEC)
    before = signal.getsignal(signal.SIGINT)
    try:
        assert named_run._attend(place, _SPEC, is_removed=False) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert place.directory.exists() == has_run
