"""Clients of instances that are not as they should be: processes that hold the lock, and answer as they are told."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from aionoah.host import platform
from aionoah.instances import InstanceError, client
from aionoah.instances.client import Connection, current_state, stop
from aionoah.instances.keeping import make
from aionoah.instances.place import Place, holder
from aionoah.instances.spec import Spec
from aionoah.instances.state import State, write_state

_IMPOSTOR = """
import os, signal, socket, sys
from aionoah.instances.place import Lock, Place
from aionoah.instances.state import State, write_state
place = Place("web")
lock = Lock(place)
path = place.new_socket_path()
write_state(place, State("running", 1.0, os.getpid(), socket=str(path)))
listener = socket.socket(socket.AF_UNIX)
listener.bind(str(path))
listener.listen()
print("ready", flush=True)
while True:
    connection, _ = listener.accept()
    connection.recv(65536)
    connection.sendall(sys.argv[1].encode())
    if sys.argv[2] == "silent":
        signal.pause()
    connection.close()
"""
Impostor = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def place(spec: Spec) -> Place:
    return make(spec)


@pytest.fixture
def impostor(place: Place) -> Iterator[Impostor]:
    started: list[subprocess.Popen[bytes]] = []

    def start(answer: str, *, is_silent: bool = False) -> "subprocess.Popen[bytes]":
        words = [sys.executable, "-c", _IMPOSTOR, answer, "silent" if is_silent else "closes"]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, env=os.environ)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_another_version_hears_sigterm(
    impostor: Impostor, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_PATIENCE", 200)
    process = impostor('{"error": "web was started by aionoah 0.0.1"}\n')
    with Connection(place) as connection:
        connection.ask("exec")
        with pytest.raises(InstanceError, match=r"started by aionoah 0\.0\.1"):
            connection.answer()
    stop(place, 1)
    assert process.wait() == -15
    assert holder(place) is None
    assert current_state(place).status == "dead"


@pytest.mark.parametrize("answer", ["GARBAGE\n", "[]\n", '{"fds": 3}\n'])
def test_nonsense(impostor: Impostor, place: Place, answer: str) -> None:
    process = impostor(answer)
    with Connection(place) as connection:
        connection.ask("info")
        with pytest.raises(InstanceError, match="web answers nonsense"):
            connection.answer()
    assert current_state(place) == State("running", 1.0, process.pid, socket=current_state(place).socket)


def test_no_answer(impostor: Impostor, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_QUICK", 0.05)
    impostor("", is_silent=True)
    with Connection(place) as connection:
        connection.ask("info")
        with pytest.raises(InstanceError, match="web does not answer"):
            connection.answer(0.05)
    assert holder(place) is not None


def test_an_answer_that_ends(impostor: Impostor, place: Place) -> None:
    impostor('{"half')
    with Connection(place) as connection:
        connection.ask("info")
        assert connection.answer() is None


def test_nobody_to_be_reached(impostor: Impostor, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_PATIENCE", 0.05)
    process = impostor("")
    write_state(place, State("running", 1.0, process.pid, socket="/nowhere", is_detached=False))
    with pytest.raises(InstanceError, match=f"web runs as process {process.pid}, but cannot be reached"):
        Connection(place)


def test_one_that_does_not_say_who_it_is(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As before there was a second lock."""
    monkeypatch.setattr(client, "_PATIENCE", 0.05)
    write_state(place, State("running", 1.0, 12345678, version="0.0.1"))
    sentence = (
        r"run by another version of aionoah \(0\.0\.1\).*: `kill 12345678`, and then `aionoah start web`$"
    )
    with place.lock.open("wb") as lock:
        platform.lock_range(lock.fileno(), fcntl.LOCK_EX, 0, 1)
        with pytest.raises(InstanceError, match=sentence):
            Connection(place)
        for kills in (False, True):
            with pytest.raises(InstanceError, match=sentence):
                stop(place, 0, kills=kills)
        assert current_state(place).status == "running"


def test_another_user_is_told_nothing(
    impostor: Impostor, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    impostor('{"done": true}')
    monkeypatch.setattr(client, "peer_uid", lambda _: 12345)
    with pytest.raises(InstanceError, match="another user listens at web's socket"):
        Connection(place)


@pytest.fixture
def hanging(impostor: Impostor, monkeypatch: pytest.MonkeyPatch) -> "subprocess.Popen[bytes]":
    monkeypatch.setattr(client, "_PATIENCE", 0.1)
    process = impostor("", is_silent=True)
    process.send_signal(signal.SIGSTOP)
    return process


def test_one_that_hangs_is_not_waited_for_in_vain(place: Place, hanging: "subprocess.Popen[bytes]") -> None:
    with pytest.raises(InstanceError, match=f"web does not end: `kill -9 {hanging.pid}`"):
        stop(place, 0)
    hanging.send_signal(signal.SIGCONT)
    assert hanging.wait() == -signal.SIGTERM


def test_one_that_hangs_is_killed_if_so_wanted(
    place: Place, hanging: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    signalled = client._signal

    def be_patient(pid: int, number: signal.Signals) -> None:
        if number is signal.SIGKILL:
            monkeypatch.setattr(client, "_PATIENCE", 200)
        signalled(pid, number)

    monkeypatch.setattr(client, "_signal", be_patient)
    stop(place, 0, kills=True)
    assert hanging.wait() == -signal.SIGKILL


def test_nobody_runs_it(place: Place) -> None:
    with pytest.raises(InstanceError, match=r"web is not running: `aionoah start web`$"):
        Connection(place)
    with pytest.raises(InstanceError, match="there is no instance ghost"):
        Connection(Place("ghost"))
    stop(place, 1)
    assert current_state(place) == State()
