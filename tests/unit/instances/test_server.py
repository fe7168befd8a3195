"""The control socket: who gets in, and what becomes of those who behave badly."""

import asyncio
import contextlib
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aionoah.host.peers import peer_uid
from aionoah.instances import InstanceError, notify, server
from aionoah.instances.notify import Notifier
from aionoah.instances.protocol import Message
from aionoah.instances.server import ControlServer, Peer


class Echo:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[str] = []
        self.left = asyncio.Event()
        self.server = ControlServer(path, self.handle)

    async def handle(self, peer: Peer, message: Message) -> None:
        self.seen.append(message.text("op"))
        if self.seen[-1] == "bad":
            raise InstanceError("no such thing")
        peer.send({"heard": self.seen[-1]})
        try:
            while True:
                peer.send({"heard": (await peer.receive()).text("op")})
        finally:
            self.left.set()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self.path)


@pytest.fixture
async def echo(tmp_path: Path) -> AsyncIterator[Echo]:
    made = Echo(tmp_path / "sockets" / "x.sock")
    made.server.open()
    yield made
    await made.server.close()
    assert not made.path.exists()


async def test_a_conversation(echo: Echo) -> None:
    assert stat.S_IMODE(echo.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(echo.path.parent.stat().st_mode) == 0o700
    reader, writer = await echo.connect()
    writer.write(b'{"op": "one"}\n{"op"')
    assert await reader.readline() == b'{"heard": "one"}\n'
    writer.write(b': "two"}\n')
    assert await reader.readline() == b'{"heard": "two"}\n'
    writer.close()
    await echo.left.wait()


@pytest.mark.parametrize(
    "words", [b"GET / HTTP/1.0\r\n\r\n", b"{}\n", b"\0" * 10 + b"\n", b'{"op": 5}\n', b'{"fds": 2}\n']
)
async def test_garbage_gets_a_sentence(echo: Echo, words: bytes) -> None:
    reader, writer = await echo.connect()
    writer.write(words)
    assert (await reader.readline()).startswith(b'{"error": "the instance does not understand its client: ')
    assert await reader.read() == b""
    writer.close()


async def test_complaints(echo: Echo) -> None:
    reader, writer = await echo.connect()
    writer.write(b'{"op": "bad"}\n')
    assert await reader.read() == b'{"error": "no such thing"}\n'
    writer.close()


async def test_who_says_nothing_is_sent_away(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_PATIENCE", 0.01)
    reader, writer = await echo.connect()
    assert await reader.read() == b""
    writer.close()


async def test_other_users_do_not_get_in(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "peer_uid", lambda _: 12345)
    reader, writer = await echo.connect()
    writer.write(b'{"op": "one"}\n')
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    assert echo.seen == []
    writer.close()


async def test_a_stale_socket_and_one_that_has_vanished(echo: Echo) -> None:
    echo.path.unlink()
    echo.path.parent.rmdir()  # as at logout
    echo.server.open()
    reader, writer = await echo.connect()
    writer.write(b'{"op": "one"}\n')
    assert await reader.readline() == b'{"heard": "one"}\n'
    writer.close()
    stale = socket.socket(socket.AF_UNIX)
    echo.path.unlink()
    stale.bind(str(echo.path))
    stale.close()
    echo.server.open()
    reader, writer = await echo.connect()
    writer.close()


async def test_a_directory_that_is_somebody_elses_meanwhile(echo: Echo, tmp_path: Path) -> None:
    """Who owns it could put a socket of his own in place of ours."""
    echo.path.unlink()
    echo.path.parent.rmdir()
    (tmp_path / "other").mkdir()
    echo.path.parent.symlink_to(tmp_path / "other")
    with pytest.raises(InstanceError, match="not a directory of yours"):
        echo.server.open()
    assert not list((tmp_path / "other").iterdir())


async def test_the_end_closes_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_GRACE", 0.01)
    echo = Echo(tmp_path / "x.sock")
    echo.server.open()
    reader, writer = await echo.connect()
    writer.write(b'{"op": "one"}\n')
    await reader.readline()
    await echo.server.close()
    assert await reader.read() == b""
    writer.close()


async def test_a_client_that_does_not_read_is_given_up(echo: Echo) -> None:
    connection = socket.socket(socket.AF_UNIX)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(str(echo.path))
    connection.sendall(b'{"op": "one"}\n')
    connection.setblocking(False)
    for _ in range(200):
        with contextlib.suppress(OSError):
            connection.send(b'{"op": "%s"}\n' % (b"x" * 5000))
        await asyncio.sleep(0)
    reader, writer = await echo.connect()  # others are served
    writer.write(b'{"op": "two"}\n')
    assert await reader.readline() == b'{"heard": "two"}\n'
    writer.close()
    connection.close()


def test_the_peer_is_known() -> None:
    one, two = socket.socketpair()
    with one, two:
        import os

        assert peer_uid(one) == os.getuid()


@pytest.mark.parametrize("kind", ["/", "@"])
def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    address = str(tmp_path / "notify") if kind == "/" else f"@aionoah-{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address.replace("@", "\0"))
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notifier = Notifier()
        assert "NOTIFY_SOCKET" not in notify.os.environ
        notifier.tell("READY=1", "STATUS=running")
        assert manager.recv(100) == b"READY=1\nSTATUS=running"


@pytest.mark.parametrize("address", ["", "/nowhere", "relative", "@nobody"])
def test_nobody_is_told(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    Notifier().tell("READY=1")
